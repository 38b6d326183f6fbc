"""A latent under a generator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from ..latents import Latent

if TYPE_CHECKING:
    from ..generators import Generator


class LatentCanvas:
    """The image of a latent plus an offset; the offset starts at zero, its coordinates are the parameter.

    The coordinates count from `base`, which is zero until a search is given another place to begin at.

    Args:
        generator: frozen.
        latent: where it starts, in `w+` or `s`.
        resolution: side of the image; None for the generator's own.
        mask: which parts may move, broadcast over the latent; None for all.
        axes: directions that the offset is made of, [P, W], see `axes.py`; None for those of the latent itself.
        shared: one step for all rows of w+.
    """

    def __init__(
        self,
        generator: Generator,
        latent: Latent,
        *,
        resolution: int | None = None,
        mask: Tensor | None = None,
        axes: Tensor | None = None,
        shared: bool = False,
    ) -> None:
        self.generator = generator
        self.start = Latent(latent.value.detach().clone(), latent.space)  # also from inference mode
        self.resolution = resolution
        self.mask = None if mask is None else mask.to(latent.value)
        self.axes = None if axes is None else axes.to(latent.value)
        shape = list(latent.value.shape)
        if shared:
            shape[1] = 1
        if axes is not None:
            shape[-1] = len(axes)
        self.base = self.start.value.new_zeros(shape)
        self.coordinates = self.start.value.new_zeros(shape).requires_grad_()

    @property
    def moved(self) -> Tensor:
        """How far the latent has moved, in coordinates from zero."""
        return self.base + self.coordinates

    @property
    def offset(self) -> Tensor:
        """How far the latent has moved, in its own shape."""
        return self._offset(self.moved)

    @property
    def latent(self) -> Latent:
        """Where it is now."""
        return self.start + self.offset

    def __call__(self, nudge: Tensor | None = None) -> Tensor:
        """The image now, [B, 3, R, R].

        Args:
            nudge: a further step for this once, in coordinates.
        """
        offset = self.offset if nudge is None else self._offset(self.moved + nudge)
        return self.generator(self.start + offset, resolution=self.resolution)

    def parameters(self) -> list[Tensor]:
        """The coordinates."""
        return [self.coordinates]

    def _offset(self, coordinates: Tensor) -> Tensor:
        offset = coordinates if self.axes is None else coordinates @ self.axes
        offset = offset if self.mask is None else offset * self.mask
        return offset.expand_as(self.start.value)
