"""Generators: latent → image."""

from __future__ import annotations

from typing import Literal, Protocol, runtime_checkable

from torch import Tensor

from ..latents import Latent, Space, StyleLayout

Noise = Literal["const", "none"] | int
"""`const`: the noise stored with the weights; `none`; or a seed, whose noise is the same for every row of a batch."""


@runtime_checkable
class Generator(Protocol):
    """What every generator offers; nothing needs to inherit from it."""

    resolution: int
    style_layout: StyleLayout

    @property
    def mean_w(self) -> Tensor:
        """Mean of w over many samples, [W]."""
        ...

    def __call__(self, latent: Latent, *, noise: Noise = "const", resolution: int | None = None) -> Tensor:
        """Image [B, 3, R, R] of a latent in any space, RGB, about [-1, 1] (not clamped).

        Args:
            latent: in `z`, `w`, `w+` or `s`.
            noise: see `Noise`.
            resolution: a lower power of two stops there and saves the cost of the layers above.
        """
        ...

    def sample(self, num: int, *, seed: int, truncation: float = 1.0) -> Latent:
        """Random latents in w; row i depends on the seed and i alone."""
        ...

    def to_space(self, latent: Latent, space: Space) -> Latent:
        """Move up the ladder z → w → w+ → s; the way down raises SpaceError."""
        ...


GENERATORS = {"stylegan2": "textmorph.generators.stylegan2:StyleGAN2"}
