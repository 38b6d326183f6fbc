"""The size of a preview."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from textmorph.images import resize
from textmorph.latents import Latent
from textmorph.web.shelf import preview_resolution


class Painter:
    """Draws a picture of 128 px; at lower sizes the same, smaller, or something else."""

    resolution = 128

    def __init__(self, early: Callable[[Tensor, int], Tensor]) -> None:
        self.picture = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
        self.picture = resize(self.picture, 128).clamp(-1, 1)
        self.early = early

    def sample(self, num: int, *, seed: int) -> Latent:
        return Latent(torch.zeros(num, 4), "z")

    def to_space(self, latent: Latent, space: str) -> Latent:
        return latent

    def __call__(self, latent: Latent, *, resolution: int | None = None) -> Tensor:
        return self.picture if resolution in (None, 128) else self.early(self.picture, int(resolution or 0))


def same(picture: Tensor, side: int) -> Tensor:
    return resize(picture, side, method="area")


def grey(picture: Tensor, side: int) -> Tensor:
    return torch.zeros(1, 3, side, side)


@pytest.mark.parametrize(("early", "seconds", "side"), [(same, 10.0, 128), (same, 1e-9, 32), (grey, 1e-9, 128)])
def test_a_preview_is_smaller_only_where_it_must_and_shows_the_same(
    early: Callable[[Tensor, int], Tensor], seconds: float, side: int
) -> None:
    assert preview_resolution(Painter(early), seconds) == side
