"""A latent under a generator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from ..latents import Latent

if TYPE_CHECKING:
    from ..generators import Generator


class LatentCanvas:
    """The image of a latent plus an offset; the offset starts at zero and is the parameter.

    Args:
        generator: frozen.
        latent: where it starts, in `w+` or `s`.
        resolution: side of the image; None for the generator's own.
        mask: which parts may move, broadcast over the latent; None for all.
    """

    def __init__(
        self, generator: Generator, latent: Latent, *, resolution: int | None = None, mask: Tensor | None = None
    ) -> None:
        self.generator = generator
        self.start = Latent(latent.value.detach().clone(), latent.space)  # also from inference mode
        self.resolution = resolution
        self.mask = None if mask is None else mask.to(latent.value)
        self.step = self.start.value.new_zeros(self.start.value.shape).requires_grad_()

    @property
    def offset(self) -> Tensor:
        """How far the latent has moved, in its own shape."""
        return self.step if self.mask is None else self.step * self.mask

    @property
    def latent(self) -> Latent:
        """Where it is now."""
        return self.start + self.offset

    def __call__(self) -> Tensor:
        """The image now, [B, 3, R, R]."""
        return self.generator(self.latent, resolution=self.resolution)

    def parameters(self) -> list[Tensor]:
        """The step."""
        return [self.step]
