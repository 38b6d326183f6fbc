from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

from textmorph.banks.bank import (
    ChannelBank,
    Probe,
    build_bank,
    channel_effects,
    check_selection,
    select_channels,
    style_statistics,
)
from textmorph.errors import (
    BankMismatchError,
    CheckpointMismatchError,
    EmptyDirectionError,
    LatentError,
    OptionError,
)
from textmorph.generators.stylegan2 import StyleGAN2
from textmorph.latents import Latent, StyleLayout

from ..toys import ToyEmbedder, toy_generator

GOLDEN = Path(__file__).parents[1] / "golden"


def slow_effects(
    generator: StyleGAN2, embedder: ToyEmbedder, styles: Tensor, channels: list[int], mean: Tensor, std: Tensor,
    *, magnitude: float, probe: Probe,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The definition, one image at a time."""
    effects, lengths = [], []
    for channel in channels:
        differences = []
        for style in styles:
            sides = []
            for sign in (-1, 1):
                moved = style.clone()
                start = style[channel] if probe == "paper" else mean[channel]
                moved[channel] = start + sign * magnitude * std[channel]
                sides.append(embedder.embed_image(generator(Latent(moved[None], "s")))[0])
            difference = sides[1] - sides[0]
            differences.append(difference / difference.norm() if difference.norm() > 1e-5 else difference * 0)
        effect = torch.stack(differences).mean(dim=0)
        lengths.append(effect.norm())
        effects.append(effect / effect.norm() if effect.norm() > 1e-5 else effect * 0)
    return torch.stack(effects), torch.stack(lengths)


@pytest.fixture(scope="module")
def bank(generator: StyleGAN2, embedder: ToyEmbedder) -> ChannelBank:
    return build_bank(generator, embedder, num_samples=3, num_statistics=50)


@pytest.mark.parametrize("probe", ["paper", "reference"])
@pytest.mark.parametrize("batch_size", [2, 6, 16])
def test_a_bank_equals_its_definition(embedder: ToyEmbedder, probe: Probe, batch_size: int) -> None:
    generator = toy_generator(8, channel_max=3)
    bank = build_bank(generator, embedder, num_samples=3, num_statistics=50, probe=probe, batch_size=batch_size)
    styles = generator.to_space(generator.sample(3, seed=0, truncation=0.7), "s").value
    channels = generator.style_layout.mask(max_resolution=128).nonzero().flatten().tolist()
    mean, std = style_statistics(generator, num=50)
    effects, lengths = slow_effects(generator, embedder, styles, channels, mean, std, magnitude=5, probe=probe)
    assert bank.channels.tolist() == channels
    torch.testing.assert_close(bank.effects, effects, atol=1e-4, rtol=0)  # the difference of two near unit vectors
    torch.testing.assert_close(bank.consistency, lengths, atol=1e-4, rtol=0)


def test_statistics_are_those_of_the_population(generator: StyleGAN2) -> None:
    mean, std = style_statistics(generator, num=2500, seed=3, truncation=0.5)
    styles = generator.to_space(generator.sample(2500, seed=3, truncation=0.5), "s").value
    torch.testing.assert_close(mean, styles.mean(dim=0), atol=1e-5, rtol=0)
    torch.testing.assert_close(std, styles.std(dim=0, correction=0), atol=1e-5, rtol=1e-4)


def test_a_bank_of_given_samples_takes_its_statistics_from_them(generator: StyleGAN2, embedder: ToyEmbedder) -> None:
    samples = generator.sample(6, seed=9)
    bank = build_bank(generator, embedder, samples=samples, num_samples=2)
    styles = generator.to_space(samples, "s").value
    torch.testing.assert_close(bank.channel_std, styles.std(dim=0, correction=0))
    torch.testing.assert_close(bank.channel_mean, styles.mean(dim=0))
    channels = bank.channels.tolist()
    effects, _ = slow_effects(
        generator, embedder, styles[:2], channels, bank.channel_mean, bank.channel_std, magnitude=5, probe="paper"
    )
    torch.testing.assert_close(bank.effects, effects, atol=1e-4, rtol=0)
    assert bank.info["samples"] == "given"
    assert bank.info["seed"] is None


def test_one_sample_has_no_standard_deviation(generator: StyleGAN2, embedder: ToyEmbedder) -> None:
    with pytest.raises(LatentError, match="two samples"):
        build_bank(generator, embedder, samples=generator.sample(1, seed=0))


def test_a_dead_channel_has_no_effect_and_no_consistency(embedder: ToyEmbedder) -> None:
    generator = toy_generator()
    layer = generator.style_layout.names.index("b8.conv1")
    dead = generator.style_layout.offsets[layer] + 2
    with torch.no_grad():
        generator.blocks[1].conv1.weight[:, 2] = 0
    bank = build_bank(generator, embedder, num_samples=2, num_statistics=20)
    row = bank.channels.tolist().index(dead)
    assert bank.effects[row].count_nonzero() == 0
    assert bank.consistency[row] == 0
    assert bank.effects.isfinite().all()
    alive = bank.consistency > 0
    torch.testing.assert_close(bank.effects[alive].norm(dim=1), torch.ones(int(alive.sum())))


def test_a_bank_knows_how_it_was_made_and_reports_progress(generator: StyleGAN2, embedder: ToyEmbedder) -> None:
    seen: list[tuple[int, int]] = []
    bank = build_bank(
        generator, embedder, num_samples=2, num_statistics=20, max_resolution=8, to_rgb=True,
        progress=lambda done, total: seen.append((done, total)),
    )  # fmt: skip
    mask = generator.style_layout.mask(to_rgb=True, max_resolution=8)
    assert bank.channels.tolist() == mask.nonzero().flatten().tolist()
    assert seen[-1] == (4 * len(bank.channels), 4 * len(bank.channels))
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert bank.info["resolution"] == 16
    assert bank.info["max_resolution"] == 8
    assert json.loads(json.dumps(bank.info)) == bank.info


def test_renders_are_no_larger_than_embedder_and_layers_need() -> None:
    generator, embedder = toy_generator(32), ToyEmbedder(image_size=7)
    assert build_bank(generator, embedder, num_samples=1, num_statistics=9, max_resolution=8).info["resolution"] == 8
    assert build_bank(generator, embedder, num_samples=1, num_statistics=9, max_resolution=16).info["resolution"] == 16


@pytest.mark.parametrize("options", [{"probe": "mine"}, {"num_samples": 0}, {"magnitude": 0}, {"max_resolution": 2}])
def test_options_out_of_range_are_refused(generator: StyleGAN2, embedder: ToyEmbedder, options: dict) -> None:
    with pytest.raises(OptionError):
        build_bank(generator, embedder, **options)


def test_a_bank_survives_its_file(bank: ChannelBank, generator: StyleGAN2, tmp_path: Path) -> None:
    bank.save(tmp_path / "bank.safetensors")
    again = ChannelBank.load(tmp_path / "bank.safetensors")
    for name in ("effects", "consistency", "channels", "channel_mean", "channel_std"):
        assert torch.equal(getattr(again, name), getattr(bank, name))
    assert again.info == bank.info
    bank.save(tmp_path / "half.safetensors", dtype=torch.float16)
    half = ChannelBank.load(tmp_path / "half.safetensors")
    assert half.effects.dtype == torch.float32
    torch.testing.assert_close(half.effects, bank.effects, atol=5e-4, rtol=0)  # half precision near 1
    assert torch.equal(half.channel_std, bank.channel_std)


def test_parts_that_do_not_fit_are_refused(bank: ChannelBank) -> None:
    with pytest.raises(CheckpointMismatchError):
        ChannelBank(bank.effects[1:], bank.consistency, bank.channels, bank.channel_mean, bank.channel_std)


def test_a_bank_refuses_other_networks(bank: ChannelBank, generator: StyleGAN2, embedder: ToyEmbedder) -> None:
    bank.check(generator, embedder)
    with pytest.raises(BankMismatchError, match="generator"):
        bank.check(toy_generator(seed=1), embedder)
    with pytest.raises(BankMismatchError, match="embedder"):
        bank.check(generator, ToyEmbedder(seed=1))


def test_a_bank_knows_which_layers_it_covers(bank: ChannelBank, generator: StyleGAN2) -> None:
    layout = generator.style_layout
    assert bank.covers(layout.mask(max_resolution=128))
    assert not bank.covers(layout.mask(max_resolution=128, to_rgb=True))


def test_the_formulas_equal_the_golden_numbers() -> None:
    case = json.loads((GOLDEN / "global_direction_math.json").read_text())
    golden = load_file(GOLDEN / "global_direction_math.safetensors")
    effects, _ = channel_effects(golden["features"])
    torch.testing.assert_close(effects, golden["fs3"], atol=1e-5, rtol=0)
    names, widths = zip(*case["style_layers"], strict=True)
    is_rgb = tuple(name not in case["probed_layers"] for name in names)
    sides = tuple(int(name.rsplit("_", 1)[1]) for name in names)
    layout = StyleLayout(names, widths, sides, is_rgb, tuple(range(len(names))))
    channels = layout.mask().nonzero().flatten()
    bank = ChannelBank(effects, torch.ones(len(effects)), channels, torch.zeros(84), golden["std"])
    for beta, kept in case["channels_kept"].items():
        within = bank.within(layout)
        relevance = within.relevance(golden["dt"])
        direction = bank.scatter(select_channels(relevance, threshold=float(beta)) * within.std)
        torch.testing.assert_close(direction, golden[f"direction_beta{beta}"], atol=1e-5, rtol=1e-5)
        assert direction.count_nonzero() == kept
        same = select_channels(relevance, num_channels=kept) * within.std
        assert torch.equal(direction, bank.scatter(same))


def _random_bank(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    effects = F.normalize(torch.randn(30, 6, generator=random), dim=1)
    shift = F.normalize(torch.randn(6, generator=random), dim=0)
    return effects, shift, torch.rand(30, generator=random) + 0.1


@given(st.integers(0, 1000), st.floats(0, 0.3), st.floats(0, 0.3))
def test_a_higher_threshold_never_keeps_more(seed: int, low: float, high: float) -> None:
    effects, shift, _ = _random_bank(seed)
    low, high = sorted((low, high))
    few = select_channels(effects @ shift, threshold=high) != 0
    many = select_channels(effects @ shift, threshold=low) != 0
    assert not (few & ~many).any()


@given(st.integers(0, 1000), st.integers(1, 40))
def test_the_most_relevant_channel_moves_by_one_and_k_are_kept(seed: int, num: int) -> None:
    effects, shift, _ = _random_bank(seed)
    kept = select_channels(effects @ shift, num_channels=num)
    assert kept.count_nonzero() == min(num, 30)
    assert kept.abs().max().item() == pytest.approx(1, abs=1e-6)
    assert torch.equal(select_channels(-(effects @ shift), num_channels=num), -kept)


def test_relevance_is_the_cosine_and_consistency_scales_it(bank: ChannelBank) -> None:
    shift = F.normalize(torch.ones(16), dim=0)
    torch.testing.assert_close(bank.relevance(shift), bank.effects @ shift)
    torch.testing.assert_close(bank.relevance(shift, "consistent"), (bank.effects @ shift) * bank.consistency)
    with pytest.raises(BankMismatchError, match="16"):
        bank.relevance(torch.ones(3))


def test_an_empty_selection_names_the_largest_relevance() -> None:
    relevance = torch.tensor([0.6, 0.8, 0.0])
    with pytest.raises(EmptyDirectionError, match=r"0\.8000"):
        select_channels(relevance, threshold=0.9)
    with pytest.raises(EmptyDirectionError, match=r"0\.0000"):
        select_channels(torch.zeros(3), num_channels=2)
    with pytest.raises(EmptyDirectionError, match=r"0\.0000"):
        select_channels(torch.zeros(3), threshold=0.0)


def test_a_bank_that_lacks_chosen_layers_says_so(bank: ChannelBank, generator: StyleGAN2) -> None:
    with pytest.raises(BankMismatchError, match=r"to_rgb=True \(textmorph bank build --max-resolution 128 --to-rgb"):
        bank.within(generator.style_layout, to_rgb=True)
    with pytest.raises(BankMismatchError, match="64"):
        bank.within(toy_generator(8).style_layout)


def test_the_choice_of_layers_is_kept(bank: ChannelBank, generator: StyleGAN2) -> None:
    mask = generator.style_layout.mask(max_resolution=8)
    within = bank.within(generator.style_layout, max_resolution=8)
    assert within.channels.tolist() == mask.nonzero().flatten().tolist()
    step = within.scatter(within.std)
    assert step[~mask].count_nonzero() == 0
    assert torch.equal(step[mask], bank.channel_std[mask])


@pytest.mark.parametrize(
    "options",
    [{}, {"num_channels": 3, "threshold": 0.1}, {"num_channels": 0}, {"threshold": 1.5}, {"threshold": float("nan")}],
)
def test_a_selection_needs_exactly_one_sensible_rule(options: dict) -> None:
    with pytest.raises(OptionError):
        check_selection(**{"num_channels": None, "threshold": None, **options})
