from __future__ import annotations

import pytest
import torch

from textmorph.edits import Direction, Residual
from textmorph.errors import EditError, LatentError, SpaceError
from textmorph.evaluation.consistency import step_consistency
from textmorph.latents import Latent
from textmorph.mappers import MapperConfig, MapperNetwork


class Turn(torch.nn.Module):
    """A mapper whose step is the latent itself."""

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        return value


def test_a_direction_is_the_same_for_all():
    found = step_consistency(Direction(torch.ones(5, 8), "w+"), Latent(torch.randn(7, 5, 8), "w+"), batch_size=3)
    assert (found.mean, found.std, found.num) == (pytest.approx(1.0), pytest.approx(0.0, abs=1e-6), 7)


def test_it_is_the_mean_over_pairs_of_different_pictures():
    steps = torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 3.0]])
    found = step_consistency(Residual(Turn(), space="s"), Latent(steps, "s"))
    cosines = torch.tensor([0.0, 0.5**0.5, 0.5**0.5])
    assert found.mean == pytest.approx(float(cosines.mean()), abs=1e-6)
    assert found.std == pytest.approx(float(cosines.std(correction=0)), abs=1e-6)


def test_how_far_the_step_goes_does_not_count():
    latents = Latent(torch.randn(6, 5, 8), "w+")
    mapper = MapperNetwork(MapperConfig(w_dim=8))
    near, far = (step_consistency(Residual(mapper, factor=factor), latents) for factor in (0.1, 1.0))
    assert near.mean == pytest.approx(far.mean, abs=1e-4)
    assert -1 <= near.mean < 1
    assert near.std > 0


def test_what_has_no_pairs_or_no_direction_is_refused():
    edit = Direction(torch.zeros(5, 8), "w+")
    with pytest.raises(LatentError, match="two"):
        step_consistency(edit, Latent(torch.zeros(1, 5, 8), "w+"))
    with pytest.raises(EditError, match="no direction"):
        step_consistency(edit, Latent(torch.zeros(2, 5, 8), "w+"))
    with pytest.raises(SpaceError):
        step_consistency(edit, Latent(torch.zeros(2, 5), "s"))
