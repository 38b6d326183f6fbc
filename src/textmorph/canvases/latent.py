"""A latent under a generator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..latents import Latent

NUM_SAMPLES = 4096
"""Random latents behind the principal axes."""
FLAT = 1e-4
"""Share of the largest variance below which an axis counts as one along which w does not vary."""

if TYPE_CHECKING:
    from ..generators import Generator


class LatentCanvas:
    """The image of a latent plus an offset; the offset starts at zero, its coordinates are the parameter.

    Args:
        generator: frozen.
        latent: where it starts, in `w+` or `s`.
        resolution: side of the image; None for the generator's own.
        mask: which parts may move, broadcast over the latent; None for all.
        axes: directions that the offset is made of, [P, W], e.g. `principal_axes`; None for those of the latent itself.
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
        self.coordinates = self.start.value.new_zeros(shape).requires_grad_()

    @property
    def offset(self) -> Tensor:
        """How far the latent has moved, in its own shape."""
        return self._offset(self.coordinates)

    @property
    def latent(self) -> Latent:
        """Where it is now."""
        return self.start + self.offset

    def __call__(self, nudge: Tensor | None = None) -> Tensor:
        """The image now, [B, 3, R, R].

        Args:
            nudge: a further step for this once, in coordinates.
        """
        offset = self.offset if nudge is None else self._offset(self.coordinates + nudge)
        return self.generator(self.start + offset, resolution=self.resolution)

    def parameters(self) -> list[Tensor]:
        """The coordinates."""
        return [self.coordinates]

    def _offset(self, coordinates: Tensor) -> Tensor:
        offset = coordinates if self.axes is None else coordinates @ self.axes
        offset = offset if self.mask is None else offset * self.mask
        return offset.expand_as(self.start.value)


@torch.no_grad()
def principal_axes(generator: Generator, *, num: int = NUM_SAMPLES, seed: int = 0) -> Tensor:
    """Principal axes of w, each as long as the deviation of w along it, the longest first, [P, W].

    Coordinates along them are those in which w is white: their sum of squares is the squared Mahalanobis distance, and
    what the mapping network never makes cannot be reached. Axes along which w does not vary are left out.

    Args:
        num, seed: of the random latents, without truncation, that tell how w varies.

    Source: Härkönen et al. 2020, arXiv:2004.02546, Sec. 2; Zhu et al. 2020, arXiv:2012.09036, Sec. 3 (there after
    undoing the last activation, which would make a straight step depend on where it starts).
    """
    w = generator.to_space(generator.sample(num, seed=seed), "w").value
    variances, axes = torch.linalg.eigh(torch.cov(w.double().T))  # ascending; columns
    variances, axes = variances.flip(0), axes.flip(1).T
    kept = variances > FLAT * variances[0]
    scaled: Tensor = (axes[kept] * variances[kept].sqrt()[:, None]).to(w)
    return scaled
