from __future__ import annotations

import json
from dataclasses import asdict

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from textmorph.banks.bank import ChannelBank, build_bank, recall, remember
from textmorph.banks.bank_choice import direction_for, find_bank, screen_for
from textmorph.banks.differences import probe_styles
from textmorph.banks.gradients import Screen, Screening, _key, main_directions
from textmorph.errors import BankMismatchError, EmptyDirectionError, OptionError
from textmorph.generators.stylegan2 import StyleGAN2
from textmorph.latents import Latent

from ..toys import ToyEmbedder, toy_generator

ALL = Screening(num_samples=6, sketch=16, num_directions=16, candidates=100, num_differences=6, defined_at=6)
"""Everything measured: nothing is left to an estimate."""


@pytest.fixture(scope="module")
def bank(generator: StyleGAN2, embedder: ToyEmbedder) -> ChannelBank:
    return build_bank(generator, embedder, num_samples=6, num_statistics=64)


@pytest.fixture
def shift() -> Tensor:
    return F.normalize(torch.linspace(-1, 1, 16) + torch.eye(16)[3], dim=0)


def screen(generator: StyleGAN2, embedder: ToyEmbedder, screening: Screening = ALL, **options: object) -> Screen:
    return Screen(generator, embedder, screening, num_statistics=64, **options)


def test_differences_at_all_samples_give_the_relevance_of_the_bank(
    generator: StyleGAN2, embedder: ToyEmbedder, bank: ChannelBank, shift: Tensor
) -> None:
    found = screen(generator, embedder)
    for relevance in ("cosine", "consistent"):
        expected = bank.effects @ shift * (bank.consistency if relevance == "consistent" else 1)
        measured = found.relevance(shift, num_channels=3, relevance=relevance)
        if relevance == "cosine":
            torch.testing.assert_close(measured, expected, atol=2e-4, rtol=0)  # differences of near unit vectors
        else:
            order = expected.abs().argsort(descending=True)[:5]
            assert measured.abs()[order].min() > measured.abs().median()


def test_slopes_are_the_derivatives_of_the_embedding(generator: StyleGAN2, embedder: ToyEmbedder) -> None:
    """Against central differences of a small step, which are another way to the same number."""
    found = screen(generator, embedder)
    direction = F.normalize(torch.randn(1, 16, generator=torch.Generator().manual_seed(0)), dim=1)
    styles = found.prober.styles[:2]
    slopes = found._pass(styles, direction, None)
    step = 0.02
    probes = probe_styles(styles, found.channels, found.prober.mean, found.prober.std, magnitude=step)
    with torch.no_grad():
        features = embedder.embed_image(generator(Latent(probes.flatten(0, 2), "s"))).view(*probes.shape[:3], -1)
    expected = (features[:, :, 1] - features[:, :, 0]) @ direction[0] / (2 * step)  # [P, n]
    error = (slopes[:, 0].t() - expected).abs()
    assert (error < 2e-4 + 0.02 * expected.abs()).float().mean() > 0.85  # the rest steps over a kink of the activation
    assert error.max() < 0.1 * expected.abs().max()


def test_first_order_finds_what_a_bank_of_small_steps_finds(
    generator: StyleGAN2, embedder: ToyEmbedder, shift: Tensor
) -> None:
    """A bank of small steps is first order itself; a sketch of full rank then loses nothing."""
    near = build_bank(generator, embedder, num_samples=6, num_statistics=64, magnitude=0.05)
    sketched = screen(generator, embedder).bank()
    alive = near.consistency > 0.3
    assert alive.sum() > 20
    cosine = (near.effects * sketched.effects).sum(dim=1)[alive]
    assert cosine.min() > 0.98
    torch.testing.assert_close(near.consistency[alive], sketched.consistency[alive], atol=0.05, rtol=0)
    assert torch.equal(sketched.channels, near.channels)
    assert json.loads(json.dumps(sketched.info)) == sketched.info


def test_slopes_carry_few_differences_to_all_samples(
    generator: StyleGAN2, embedder: ToyEmbedder, bank: ChannelBank, shift: Tensor
) -> None:
    """With differences at two samples of six the estimate is nearer to the bank than those two alone are."""
    few = Screening(num_samples=6, sketch=16, num_directions=16, candidates=100, num_differences=2)
    found = screen(generator, embedder, few)
    measured = found.relevance(shift, num_channels=3)
    alone = build_bank(generator, embedder, num_samples=2, num_statistics=64, seed=0)
    expected = bank.effects @ shift
    assert (measured - expected).abs().mean() < (alone.effects @ shift - expected).abs().mean()


def test_only_candidates_are_probed_and_each_once(
    generator: StyleGAN2, embedder: ToyEmbedder, shift: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = screen(
        generator, embedder, Screening(num_samples=4, sketch=4, num_directions=2, candidates=2, num_differences=2)
    )
    measured = found.relevance(shift, num_channels=5)
    assert measured.count_nonzero() <= 10
    before = dict(found._differences)
    assert len(before) == 10
    again = found.relevance(shift, num_channels=5)
    assert torch.equal(measured, again)
    wider = found.relevance(shift, num_channels=8)
    assert len(found._differences) == 16
    assert all(found._differences[channel] is rows for channel, rows in before.items())
    assert wider.count_nonzero() <= 16


def test_no_more_than_the_best_are_probed(generator: StyleGAN2, embedder: ToyEmbedder, shift: Tensor) -> None:
    few = Screening(num_samples=4, sketch=4, num_directions=2, num_differences=2, most=3)
    found = screen(generator, embedder, few)
    assert found.direction(shift, num_channels=8).count_nonzero() == 8
    first = found.first_order(shift)[0].abs()
    best = found.channels[first.argsort(descending=True)[:3]]
    assert set(found._differences) == {(channel, 0) for channel in best.tolist()}


def raced(generator: StyleGAN2, embedder: ToyEmbedder, **numbers: object) -> Screen:
    """Turns of two samples, of eight."""
    how = Screening(num_samples=8, sketch=16, num_directions=16, candidates=100, num_differences=8, defined_at=8)
    return screen(generator, embedder, Screening(**{**asdict(how), **numbers}), batch_size=4)


def test_who_cannot_be_wanted_any_more_is_left_alone(
    generator: StyleGAN2, embedder: ToyEmbedder, shift: Tensor
) -> None:
    """The race finds the channels that a bank finds, with fewer differences."""
    passes: list[int] = []
    found = raced(generator, embedder)
    measured = found.relevance(shift, num_channels=6, progress=lambda done, total: passes.append(done))
    bank = build_bank(generator, embedder, num_samples=8, num_statistics=64)
    expected = bank.effects @ shift
    best = expected.abs().topk(6).indices
    assert set(measured.abs().topk(6).indices.tolist()) == set(best.tolist())
    torch.testing.assert_close(measured[best], expected[best], atol=2e-4, rtol=0)  # they went all the way
    probed = [sum(1 for channel, _ in found._differences if channel == one) for one in found.channels.tolist()]
    assert max(probed) == 4
    assert min(probed) == 1
    assert sum(probed) < 0.7 * 4 * len(probed)
    assert passes[-1] == 32 + 8 * (1 + 16 + 2) + 2 * 2 * sum(probed)


def test_a_channel_known_well_enough_is_left_as_a_bank_leaves_it(
    generator: StyleGAN2, embedder: ToyEmbedder, shift: Tensor
) -> None:
    found = raced(generator, embedder, tolerance=0.6)
    measured = found.relevance(shift, num_channels=6)
    bank = build_bank(generator, embedder, num_samples=8, num_statistics=64, tolerance=0.6, batch_size=4)
    assert bank.info["mean_samples"] < 8
    expected = bank.effects @ shift
    best = expected.abs().topk(6).indices
    torch.testing.assert_close(measured[best], expected[best], atol=2e-4, rtol=0)


def test_what_was_asked_before_changes_no_bit(generator: StyleGAN2, embedder: ToyEmbedder, shift: Tensor) -> None:
    small = Screening(num_samples=4, sketch=4, num_directions=2, num_differences=2)
    fresh, used = (screen(generator, embedder, small) for _ in range(2))
    used.relevance(-shift.flip(0), num_channels=7)
    used.relevance(shift, num_channels=2)
    assert torch.equal(used.relevance(shift, num_channels=5), fresh.relevance(shift, num_channels=5))
    fresh, used = (raced(generator, embedder) for _ in range(2))
    used.relevance(-shift.flip(0), num_channels=3)
    used.relevance(shift, threshold=0.1)
    assert torch.equal(used.relevance(shift, num_channels=5), fresh.relevance(shift, num_channels=5))


def test_differences_are_kept_within_bounds(
    generator: StyleGAN2, embedder: ToyEmbedder, shift: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = raced(generator, embedder).relevance(shift, num_channels=5)
    monkeypatch.setattr("textmorph.banks.gradients._KEPT", 4 * 2 * 16 * 10)  # ten turns of two samples in 16 dimensions
    found = raced(generator, embedder)
    assert torch.equal(found.relevance(shift, num_channels=5), expected)
    assert len(found._differences) == 10


def test_a_dead_channel_is_irrelevant(embedder: ToyEmbedder, shift: Tensor) -> None:
    generator = toy_generator()
    layer = generator.style_layout.names.index("b8.conv1")
    with torch.no_grad():
        generator.blocks[1].conv1.weight[:, 2] = 0
    found = screen(generator, embedder)
    row = found.channels.tolist().index(generator.style_layout.offsets[layer] + 2)
    measured = found.relevance(shift, num_channels=100)
    assert measured[row] == 0
    assert measured.isfinite().all()
    assert found.bank().effects.isfinite().all()


def test_what_rounding_hides_from_a_bank_is_no_first_choice(
    generator: StyleGAN2, embedder: ToyEmbedder, shift: Tensor
) -> None:
    """A gradient sees an effect of 1e-9 and its direction; differences in bfloat16 see nothing."""

    def best(autocast: torch.dtype | None) -> Tensor:
        found = screen(generator, embedder, autocast=autocast)
        found.first_order(shift)
        assert found._lengths is not None
        assert found._units is not None
        found._lengths, found._units = torch.full_like(found._lengths, 0.1), torch.zeros_like(found._units)
        slopes = torch.full_like(found._slopes[_key(shift)], 0.05)
        slopes[:, 1] = 0
        found._lengths[:, 0], slopes[:, 0, 0] = 1e-7, 1e-7  # next to nothing, and all of it where the text says
        found._slopes[_key(shift)] = slopes
        return found.first_order(shift)[1].mean(dim=0).abs()

    exact, short = best(None), best(torch.bfloat16)
    assert exact.argmax() == 0
    assert short[0] < 0.01 < short[1]


def test_lengths_count_what_lies_beyond_the_main_directions(
    generator: StyleGAN2, embedder: ToyEmbedder, shift: Tensor
) -> None:
    few = screen(generator, embedder, Screening(**{**asdict(ALL), "sketch": 2}))
    lengths, slopes, beyond = few._measured(shift, None)
    assert few._basis is not None
    inside = few._basis @ shift
    rest = F.normalize(shift - inside @ few._basis, dim=0)
    expected = few._pass(few.prober.styles, torch.cat([shift[None], rest[None], few._basis]), None)
    torch.testing.assert_close(slopes, expected[:, 0], atol=1e-5, rtol=1e-3)
    torch.testing.assert_close(beyond, expected[:, 1], atol=1e-5, rtol=1e-3)
    torch.testing.assert_close(lengths, expected[:, 2:].norm(dim=1), atol=1e-5, rtol=1e-3)
    unit = few.first_order(shift)[1]
    torch.testing.assert_close(unit, (slopes / (lengths**2 + beyond**2).sqrt()).nan_to_num(0), atol=1e-3, rtol=1e-2)


def _lengths(screen: Screen) -> Tensor:
    screen._measure(None, None)
    assert screen._lengths is not None
    return screen._lengths


def test_the_first_text_and_the_lengths_share_their_renderings(
    generator: StyleGAN2, embedder: ToyEmbedder, shift: Tensor
) -> None:
    together, apart = screen(generator, embedder), screen(generator, embedder)
    together._main_directions(None), apart._main_directions(None)
    drawn = []
    forward = generator.forward
    generator.forward = lambda latent, **options: drawn.append(len(latent)) or forward(latent, **options)  # type: ignore
    try:
        found = together.first_order(shift)
        first = sum(drawn)
        apart.bank()
        expected = apart.first_order(shift)
    finally:
        del generator.forward
    assert first == ALL.num_samples
    assert sum(drawn) == 3 * ALL.num_samples
    torch.testing.assert_close(found, expected)


def test_slopes_in_short_numbers_are_those_of_long_ones(
    generator: StyleGAN2, embedder: ToyEmbedder, shift: Tensor
) -> None:
    how = Screening(**{**asdict(ALL), "sketch": 2})
    screens = (screen(generator, embedder, how, autocast=kind) for kind in (None, torch.bfloat16))
    exact, short = (one._measured(shift, None) for one in screens)
    for one, other in zip(exact, short, strict=True):
        assert F.cosine_similarity(one.flatten(), other.flatten(), dim=0) > 0.99


def test_few_directions_drawn_for_each_sample_tell_lengths_in_the_mean(
    generator: StyleGAN2, embedder: ToyEmbedder
) -> None:
    """Squares over draws of the samples have the mean that all directions give."""
    how = {**asdict(ALL), "num_samples": 64, "sketch": 8}
    whole, drawn = (screen(generator, embedder, Screening(**{**how, "num_directions": k})) for k in (8, 3))
    expected, found = (_lengths(one).square().mean(dim=0) for one in (whole, drawn))
    assert drawn._drawn_directions(8).shape == (64, 3, 8)
    alive = expected > expected.median() / 10
    ratio = (found / expected)[alive]
    assert ratio.mean().item() == pytest.approx(1, abs=0.05)
    assert ratio.std() < 0.25
    assert torch.corrcoef(torch.stack([whole._size[alive], drawn._size[alive]]))[0, 1] > 0.8


def test_a_direction_moves_its_best_channel_by_its_deviation(
    generator: StyleGAN2, embedder: ToyEmbedder, shift: Tensor
) -> None:
    found = screen(
        generator, embedder, Screening(num_samples=4, sketch=4, num_directions=2, candidates=2, num_differences=2)
    )
    direction = found.direction(shift, num_channels=6)
    assert direction.count_nonzero() == 6
    std = found.prober.std
    assert (direction / std).abs().max().item() == pytest.approx(1, abs=1e-6)
    layout = generator.style_layout
    assert direction[~layout.mask(max_resolution=128)].count_nonzero() == 0
    by_threshold = found.direction(shift, threshold=0.2)
    assert 0 < by_threshold.count_nonzero() < len(found.channels)
    with pytest.raises(EmptyDirectionError):
        screen(generator, embedder).direction(shift, threshold=0.999)


def test_progress_grows_to_its_total(generator: StyleGAN2, embedder: ToyEmbedder, shift: Tensor) -> None:
    seen: list[tuple[int, int]] = []
    small = Screening(num_samples=4, sketch=4, num_directions=2, num_differences=2)
    found = screen(generator, embedder, small)
    found.direction(shift, num_channels=5, progress=lambda done, total: seen.append((done, total)))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1][0] == seen[-1][1]


def test_given_samples_serve_a_screen(generator: StyleGAN2, embedder: ToyEmbedder, shift: Tensor) -> None:
    small = Screening(num_samples=4, sketch=3, num_directions=2, num_differences=2)
    found = screen(generator, embedder, small, samples=generator.sample(5, seed=3))
    assert found.direction(shift, num_channels=5).count_nonzero() == 5
    assert len(found.bank().channels) == len(found.channels)


def test_main_directions_hold_what_varies() -> None:
    random = torch.Generator().manual_seed(0)
    plane = torch.linalg.qr(torch.randn(12, 2, generator=random)).Q.t()  # [2, 12]
    embeddings = torch.randn(30, 2, generator=random) @ plane + 5
    found = main_directions(embeddings, 2)
    torch.testing.assert_close(found @ found.t(), torch.eye(2), atol=1e-5, rtol=0)
    torch.testing.assert_close((found @ plane.t()).square().sum(), torch.tensor(2.0), atol=1e-4, rtol=0)
    assert main_directions(embeddings[:5], 40).shape == (4, 12)


def test_the_choice_decides_where_channels_come_from(
    generator: StyleGAN2, embedder: ToyEmbedder, bank: ChannelBank, shift: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("textmorph.banks.bank._BANKS", {})
    monkeypatch.setattr("textmorph.banks.bank_choice._SCREENS", {})
    small = Screening(num_samples=4, sketch=4, num_directions=2, num_differences=2)
    monkeypatch.setattr("textmorph.banks.bank_choice.PRESETS", {"none": small, "screen": small})
    wanted = {"num_channels": 5, "threshold": None, "relevance": "cosine", "max_resolution": 128, "to_rgb": False}
    by_bank, made = direction_for(shift, generator, embedder, bank=bank, **wanted)
    assert made == bank.info
    assert torch.equal(by_bank, bank.direction(shift, generator.style_layout, num_channels=5))
    by_none, made = direction_for(shift, generator, embedder, **wanted)  # no bank: auto is none
    assert made["screening"]["num_samples"] == 4
    assert not torch.equal(by_none, by_bank)
    despite, _ = direction_for(shift, generator, embedder, choice="none", bank=bank, **wanted)
    assert torch.equal(despite, by_none)
    remember(bank)
    assert torch.equal(direction_for(shift, generator, embedder, **wanted)[0], by_bank)
    assert find_bank(generator, embedder, "screen") is None
    with pytest.raises(OptionError, match="auto, build, screen, none"):
        find_bank(generator, embedder, "loud")
    with pytest.raises(BankMismatchError):
        find_bank(toy_generator(seed=1), embedder, "auto", bank)


def test_build_makes_a_bank_and_remembers_it(embedder: ToyEmbedder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("textmorph.banks.bank._BANKS", {})
    generator = toy_generator(8, channel_max=2)
    steps: list[int] = []
    built = find_bank(generator, embedder, "build", progress=lambda done, total: steps.append(done))
    assert built is not None
    assert recall(generator, embedder) is built
    assert steps
    assert find_bank(generator, embedder, "build") is built
    wider = find_bank(generator, embedder, "build", to_rgb=True)  # the remembered one lacks these layers
    assert wider is not None
    assert len(wider.channels) > len(built.channels)


def test_a_screen_is_kept_for_the_next_text(
    generator: StyleGAN2, embedder: ToyEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("textmorph.banks.bank_choice._SCREENS", {})
    one = screen_for(generator, embedder, "none")
    assert screen_for(generator, embedder, "none") is one
    assert screen_for(generator, embedder, "none", to_rgb=True) is not one
    assert screen_for(generator, embedder, "screen") is not one


@pytest.mark.parametrize(
    "numbers", [{"sketch": 0}, {"num_directions": 0}, {"num_differences": 51}, {"candidates": 0.5}, {"tolerance": 1.0}]
)
def test_a_screening_out_of_range_is_refused(numbers: dict) -> None:
    with pytest.raises(OptionError):
        Screening(**numbers)
