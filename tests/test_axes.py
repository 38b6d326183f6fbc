from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from textmorph.axes import (
    RARE,
    axis_effects,
    independent_axes,
    independent_effects,
    principal_axes,
    select_axes,
    suggested_step,
    usual_range,
)
from textmorph.corpora.corpus import Corpus
from textmorph.errors import EmptyDirectionError, InputError
from textmorph.latents import Latent

from .toys import ToyEmbedder, toy_generator

MIXING = torch.randn(4, 7, generator=torch.Generator().manual_seed(2))
EFFECTS = torch.randn(4, 5, generator=torch.Generator().manual_seed(3))


class Mixture:
    """A generator whose w is a mixture of four sources: two that few pictures have, and two that all have more or less.

    An embedding is a sum of what the sources do.
    """

    mean_w = torch.zeros(7)

    def sources(self, num: int, seed: int) -> Tensor:
        uniform = torch.rand(num, 4, generator=torch.Generator().manual_seed(seed))
        return torch.cat([(uniform[:, :2] < 0.1).float(), uniform[:, 2:]], dim=1)

    def sample(self, num: int, *, seed: int, truncation: float = 1.0) -> Latent:
        return Latent(self.sources(num, seed) @ MIXING, "w")

    def to_space(self, latent: Latent, space: str) -> Latent:
        return latent


def pictures(generator: Mixture, num: int = 400) -> Corpus:
    """A corpus whose embeddings follow from the sources; its rows are not of unit length, which nothing here needs."""
    return Corpus(generator.sources(num, 5) @ EFFECTS, {"embedder": "none"}, latents=generator.sample(num, seed=5))


def test_independent_axes_are_those_along_which_w_varies_by_itself() -> None:
    """Sources that are hidden in w by any mixture come out again, each on an axis of its own."""
    generator = Mixture()
    axes = independent_axes(generator)
    assert axes.shape == (4, 7)  # w has seven coordinates, and varies in four ways
    alike = F.cosine_similarity(axes[:, None], MIXING[None], dim=2).abs()
    assert (alike.max(dim=0).values > 0.98).all()
    assert sorted(alike.argmax(dim=0).tolist()) == [0, 1, 2, 3]
    assert independent_axes(generator) is axes
    assert (F.cosine_similarity(principal_axes(generator)[:, None], MIXING, dim=2).abs() < 0.98).any()
    w = generator.sample(5000, seed=9).value
    coordinates = (w - w.mean(dim=0)) @ torch.linalg.pinv(axes)
    torch.testing.assert_close(torch.cov(coordinates.T), torch.eye(4), atol=0.1, rtol=0)


def test_nearly_all_of_w_lies_in_its_usual_range_and_far_steps_lead_astray() -> None:
    generator = toy_generator()
    axes, usual = independent_axes(generator), usual_range(generator)
    w = generator.to_space(generator.sample(2000, seed=5), "w").value
    middle = w.mean(dim=0, keepdim=True)
    inside = usual.astray(w, middle) == 0
    assert 1 - 4 * RARE * len(axes) < inside.float().mean() < 1
    for step in (10.0, -10.0):
        far = middle + step * axes[:1]
        over = abs(step) - float(usual.high[0] - (middle @ usual.read)[0, 0] if step > 0 else
                                 (middle @ usual.read)[0, 0] - usual.low[0])  # fmt: skip
        assert float(usual.astray(far, middle)) == pytest.approx(over, abs=1e-3)
        assert float(usual.astray(far + step * axes[:1], far)) == pytest.approx(10, abs=1e-3)  # it began outside
        assert float(usual.astray(middle, far)) == 0  # and may go back
    rows = torch.stack([middle, middle + 10 * axes[:1]], dim=1)  # of w+: their mean counts
    torch.testing.assert_close(usual.astray(rows, middle), usual.astray(middle + 5 * axes[:1], middle))


def test_the_effects_of_axes_are_what_the_sources_do() -> None:
    generator = Mixture()
    axes = independent_axes(generator)
    effects = axis_effects(pictures(generator), generator, axes)
    sources = axes @ torch.linalg.pinv(MIXING)  # of a step along each axis
    torch.testing.assert_close(effects, sources @ EFFECTS, atol=1e-4, rtol=1e-3)


def test_a_direction_in_w_grants_the_wish_and_leaves_the_rest() -> None:
    """What sources do is not at right angles: other axes lead that way, too, and are not taken."""
    generator = Mixture()
    corpus = pictures(generator)
    wish = F.normalize(EFFECTS[1], dim=0)  # what the second source does
    step = select_axes(independent_effects(corpus, generator), wish, num_axes=4)
    assert independent_effects(corpus, generator) is independent_effects(corpus, generator)
    step = step @ independent_axes(generator) @ torch.linalg.pinv(MIXING)
    assert int(step.abs().argmax()) == 1
    others = torch.cat([step[:1], step[2:]]).abs().max()
    assert step[1] > 20 * others


def test_the_number_of_threads_changes_no_bit() -> None:
    """Else a picture could not be made again by a program that runs with another number."""

    def found(threads: int) -> list[Tensor]:
        usual = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            generator = toy_generator()  # another object each time: nothing is remembered
            corpus = Corpus.build(generator, ToyEmbedder(), num=60, seed=1)
            embedding = corpus.embedding(torch.arange(1))[0]
            axes, effects = independent_axes(generator), independent_effects(corpus, generator)
            assert torch.get_num_threads() == threads
            step = select_axes(effects, embedding, num_axes=3)
            return [axes, effects, step, principal_axes(generator), suggested_step(corpus, generator, axes, embedding)]
        finally:
            torch.set_num_threads(usual)

    assert all(torch.equal(one, two) for one, two in zip(found(1), found(2), strict=True))


def test_too_few_pictures_or_none_generated_are_said() -> None:
    generator = Mixture()
    with pytest.raises(InputError, match="7 pictures"):
        axis_effects(pictures(generator, 7), generator, independent_axes(generator))
    photos = Corpus(torch.randn(20, 5), {"embedder": "none"}, latents=Latent(torch.randn(20, 3, 7), "w+"))
    with pytest.raises(InputError, match="w\\+"):
        axis_effects(photos, generator, independent_axes(generator))


@given(st.integers(0, 10_000), st.integers(1, 12))
def test_as_many_axes_as_asked_for_the_largest_by_one(seed: int, num: int) -> None:
    random = torch.Generator().manual_seed(seed)
    effects, shift = torch.randn(8, 20, generator=random), F.normalize(torch.randn(20, generator=random), dim=0)
    step = select_axes(effects, shift, num_axes=num)
    assert 1 <= int(step.count_nonzero()) <= num
    assert float(step.abs().max()) == 1
    assert torch.equal(select_axes(effects, -shift, num_axes=num), -step)
    assert float(step @ effects @ shift) > 0


def test_one_axis_is_the_one_that_does_most_that_way() -> None:
    effects = torch.tensor([[0.1, 0.0], [0.6, 0.6], [0.5, 0.0]])
    step = select_axes(effects, torch.tensor([1.0, 0.0]), num_axes=1)
    assert step.tolist() == [0, 1, 0]
    both = select_axes(effects, torch.tensor([1.0, 0.0]), num_axes=3)
    assert abs(float(both @ effects[:, 1])) < abs(float(step @ effects[:, 1]))  # what it does besides is seen


def test_where_no_axis_leads_it_says_so() -> None:
    with pytest.raises(EmptyDirectionError, match="no axis"):
        select_axes(torch.tensor([[0.0, 1.0], [0.0, -2.0]]), torch.tensor([1.0, 0.0]), num_axes=2)
