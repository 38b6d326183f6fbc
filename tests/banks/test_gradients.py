"""Banks by gradients: slopes against finite differences, and against the bank that moves every channel."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from textmorph.banks.bank import ChannelBank, build_bank
from textmorph.banks.gradients import gradient_bank, main_directions, text_bank
from textmorph.errors import OptionError
from textmorph.generators.stylegan2 import StyleGAN2
from textmorph.latents import Latent
from textmorph.methods.global_direction import GlobalDirection
from textmorph.prompts import BARE

from ..toys import ToyEmbedder, toy_generator

SMALL = {"num_samples": 6, "truncation": 0.7, "seed": 3}


@pytest.fixture(scope="module")
def generator() -> StyleGAN2:
    return toy_generator(8)


@pytest.fixture(scope="module")
def embedder() -> ToyEmbedder:
    return ToyEmbedder(image_size=8)


@pytest.fixture(scope="module")
def shift() -> torch.Tensor:
    return F.normalize(torch.randn(16, generator=torch.Generator().manual_seed(1)), dim=0)


def test_the_relevance_to_one_text_is_the_mean_slope(
    generator: StyleGAN2, embedder: ToyEmbedder, shift: torch.Tensor
) -> None:
    """d(e · Δt) / ds_c · σ_c, by central differences in double precision."""
    bank = text_bank(generator, embedder, shift, **SMALL)
    styles = generator.to_space(generator.sample(6, seed=3, truncation=0.7), "s").value
    slopes = []
    for channel in bank.channels[::7].tolist():
        step = torch.zeros(styles.shape[1])
        step[channel] = 1e-2 * bank.channel_std[channel]
        after, before = (embedder.embed_image(generator(Latent(styles + s * step, "s"))) @ shift for s in (1, -1))
        slopes.append(((after - before) / 2e-2).mean())
    found = bank.relevance(shift)[::7]
    expected = torch.stack(slopes)
    assert F.cosine_similarity(found, expected, dim=0) > 0.999
    assert bank.relevance(shift).abs().max().item() == pytest.approx(1, abs=1e-5)
    assert bank.info["made_by"] == "gradients of one text"


def test_a_bank_by_gradients_agrees_with_one_by_small_differences(
    generator: StyleGAN2, embedder: ToyEmbedder, shift: torch.Tensor
) -> None:
    exact = build_bank(generator, embedder, num_samples=10, seed=3, magnitude=0.05)
    found = gradient_bank(generator, embedder, num_directions=16, **{**SMALL, "num_samples": 10})
    assert torch.equal(found.channels, exact.channels)
    alive = exact.consistency > 0.2
    assert F.cosine_similarity(found.effects[alive], exact.effects[alive], dim=1).median() > 0.95
    few = gradient_bank(generator, embedder, num_directions=3, **SMALL)
    torch.testing.assert_close(few.effects.norm(dim=1)[alive], torch.ones(int(alive.sum())))


def test_a_method_cannot_tell_what_made_its_bank(generator: StyleGAN2, embedder: ToyEmbedder, tmp_path) -> None:
    gradient_bank(generator, embedder, num_directions=8, **SMALL).save(tmp_path / "bank.safetensors")
    bank = ChannelBank.load(tmp_path / "bank.safetensors")
    edit = GlobalDirection(num_channels=5).find(
        generator, embedder, target="a red cat", neutral="a cat", bank=bank, templates=BARE
    )
    assert edit.vector.count_nonzero() == 5
    assert bank.info["made_by"] == "gradients"


def test_progress_ends_at_the_total(generator: StyleGAN2, embedder: ToyEmbedder, shift: torch.Tensor) -> None:
    for make in (
        lambda tell: gradient_bank(generator, embedder, num_directions=4, progress=tell, **SMALL),
        lambda tell: text_bank(generator, embedder, shift, progress=tell, **SMALL),
    ):
        seen: list[tuple[int, int]] = []
        make(lambda done, total, seen=seen: seen.append((done, total)))
        assert seen == sorted(seen)
        assert seen[-1][0] == seen[-1][1]


def test_the_same_again_gives_the_same_bits(generator: StyleGAN2, embedder: ToyEmbedder) -> None:
    first, again = (gradient_bank(generator, embedder, num_directions=4, **SMALL) for _ in range(2))
    assert torch.equal(first.effects, again.effects)
    assert not first.effects.requires_grad


def test_main_directions_are_orthonormal() -> None:
    rows = torch.randn(20, 6, generator=torch.Generator().manual_seed(0))
    directions = main_directions(rows, 4)
    torch.testing.assert_close(directions @ directions.t(), torch.eye(4), atol=1e-5, rtol=0)


def test_no_directions_are_refused(generator: StyleGAN2, embedder: ToyEmbedder) -> None:
    with pytest.raises(OptionError, match="num_directions"):
        gradient_bank(generator, embedder, num_directions=0)
