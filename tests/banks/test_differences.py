from __future__ import annotations

import json

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from textmorph.banks.bank import build_bank, join_bank
from textmorph.banks.differences import (
    Prober,
    angle_error,
    bank_part,
    bank_shards,
    largest_batch,
    plan_bank,
    true_square,
)
from textmorph.errors import BankMismatchError, LatentError, OptionError
from textmorph.generators.stylegan2 import StyleGAN2

from ..toys import ToyEmbedder, toy_generator

SMALL = {"num_samples": 3, "num_statistics": 50}


def test_a_plan_is_json_and_its_shards_cover_every_channel_layer_by_layer(
    generator: StyleGAN2, embedder: ToyEmbedder
) -> None:
    plan = plan_bank(generator, embedder, **SMALL, to_rgb=True, shard_size=3)
    assert json.loads(json.dumps(plan)) == plan
    shards = bank_shards(plan)
    assert [first for first, _ in shards] == [0] + [last for _, last in shards[:-1]]
    assert shards[-1][1] == generator.style_layout.num_channels
    ends = {last for _, last in shards}
    assert {offset for offset in generator.style_layout.offsets if offset} <= ends
    assert all(0 < last - first <= 3 for first, last in shards)


def test_shards_in_any_order_by_any_worker_are_the_bank_bit_for_bit(
    generator: StyleGAN2, embedder: ToyEmbedder
) -> None:
    whole = build_bank(generator, embedder, **SMALL, batch_size=8)
    plan = json.loads(json.dumps(plan_bank(generator, embedder, **SMALL, batch_size=8)))
    prober = Prober(generator, embedder, plan)
    parts = {}
    for turn, (first, last) in enumerate(reversed(bank_shards(plan))):
        if turn % 2:
            parts[first, last] = prober.part(first, last)
        else:  # another process: networks made anew
            parts[first, last] = bank_part(toy_generator(), ToyEmbedder(), plan, first, last)
    joined = join_bank(generator, plan, [parts[shard] for shard in bank_shards(plan)])
    for name in ("effects", "consistency", "channels", "channel_mean", "channel_std"):
        assert torch.equal(getattr(joined, name), getattr(whole, name)), name
    assert joined.info == whole.info


def test_shards_of_given_samples_need_those_samples(generator: StyleGAN2, embedder: ToyEmbedder) -> None:
    samples = generator.sample(4, seed=2)
    plan = plan_bank(generator, embedder, samples=samples, num_samples=2)
    part = bank_part(generator, embedder, plan, *bank_shards(plan)[0], samples=samples)
    assert part["effects"].shape == (8, 16)
    with pytest.raises(LatentError, match="given"):
        Prober(generator, embedder, plan)


def test_other_networks_and_other_rows_are_refused(generator: StyleGAN2, embedder: ToyEmbedder) -> None:
    plan = plan_bank(generator, embedder, **SMALL)
    with pytest.raises(BankMismatchError, match="embedder"):
        Prober(generator, ToyEmbedder(seed=1), plan)
    with pytest.raises(BankMismatchError, match="generator"):
        Prober(toy_generator(seed=1), embedder, plan)
    with pytest.raises(OptionError, match="no shard"):
        bank_part(generator, embedder, plan, 1, 5)
    with pytest.raises(OptionError, match="one layer"):
        Prober(generator, embedder, plan).probe(torch.tensor([0, 20]))


def test_a_generator_that_cannot_pause_gives_the_same_bank(generator: StyleGAN2, embedder: ToyEmbedder) -> None:
    class Whole:
        """A generator of four members, as the protocol has it."""

        def __init__(self, network: StyleGAN2) -> None:
            self.network = network
            self.resolution, self.style_layout, self.mean_w = network.resolution, network.style_layout, network.mean_w
            self.sample, self.to_space, self.fingerprint = network.sample, network.to_space, "whole"

        def __call__(self, *inputs: object, **options: object) -> Tensor:
            return self.network(*inputs, **options)

    shared = build_bank(generator, embedder, **SMALL)
    whole = build_bank(Whole(generator), embedder, **SMALL)
    torch.testing.assert_close(whole.effects, shared.effects, atol=1e-4, rtol=0)  # differences of near unit vectors


class Cramped(ToyEmbedder):
    """An embedder that has room for few images."""

    def __init__(self, room: int, error: type[Exception] = torch.OutOfMemoryError) -> None:
        super().__init__()
        self.room, self.error, self.sizes = room, error, []

    def embed_image(self, image: Tensor) -> Tensor:
        self.sizes.append(len(image))
        if len(image) > self.room:
            raise self.error("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
        return super().embed_image(image)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, MemoryError, RuntimeError])
def test_out_of_memory_halves_the_batch_and_goes_on(
    generator: StyleGAN2, embedder: ToyEmbedder, error: type[Exception]
) -> None:
    cramped = Cramped(5, error)
    bank = build_bank(generator, cramped, **SMALL, batch_size=16, max_resolution=4)
    expected = build_bank(generator, embedder, **SMALL, batch_size=16, max_resolution=4)
    torch.testing.assert_close(bank.effects, expected.effects, atol=1e-4, rtol=0)
    assert {size for size in cramped.sizes if size <= 5}
    with pytest.raises(error):
        build_bank(generator, Cramped(0, error), **SMALL, max_resolution=4)


def test_small_effects_outlive_bfloat16(generator: StyleGAN2, embedder: ToyEmbedder) -> None:
    """A thousandth of the usual step: in eight bits its effects would be noise where they only add colour."""
    shown: list[bool] = []

    class Watching(ToyEmbedder):
        def embed_image(self, image: Tensor) -> Tensor:
            shown.append(torch.is_autocast_enabled("cpu") or image.dtype != torch.float32)
            return super().embed_image(image)

    watching = Watching()
    options = {"num_samples": 8, "num_statistics": 64, "magnitude": 0.02, "to_rgb": True}
    layer = generator.style_layout.names.index("b8.to_rgb")
    found = []
    for autocast in (None, torch.bfloat16):
        prober = Prober(generator, watching, plan_bank(generator, watching, autocast=autocast, **options))
        channels = torch.arange(generator.style_layout.num_channels)[generator.style_layout.slice(layer)]
        found.append(prober.probe(channels)["effects"][:, None])
    assert not any(shown)
    alive = found[0].norm(dim=2)[:, 0] > 0.99
    assert alive.sum() > 4
    assert F.cosine_similarity(*found, dim=2)[alive].mean() > 0.95


def test_other_errors_are_not_taken_for_a_lack_of_memory(generator: StyleGAN2) -> None:
    class Broken(ToyEmbedder):
        def embed_image(self, image: Tensor) -> Tensor:
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        build_bank(generator, Broken(), **SMALL)


def test_the_batch_is_chosen_by_the_free_memory(generator: StyleGAN2, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    for free in (2**40, 2**22, 2**20, 0, None):
        monkeypatch.setattr("textmorph.banks.differences.free_memory", lambda device, free=free: free)
        sizes.append(largest_batch(generator, 16))
    assert sizes[0] == sizes[-1] == 64
    assert sizes[1] > sizes[2] >= sizes[3] == 2


@pytest.mark.parametrize(
    "options",
    [{"tolerance": 0.0}, {"tolerance": 1.0}, {"autocast": torch.float64}, {"compiled": True}, {"shard_size": 0},
     {"batch_size": 1}, {"max_resolution": 2}],
)  # fmt: skip
def test_options_out_of_range_are_refused(generator: StyleGAN2, embedder: ToyEmbedder, options: dict) -> None:
    with pytest.raises(OptionError):
        plan_bank(generator, embedder, **options)


# Adaptive sampling


def test_the_error_of_a_mean_direction_is_what_it_says() -> None:
    """Over many draws, the root mean square of the sine of the angle between mean and truth is the error told."""
    random = torch.Generator().manual_seed(0)
    truth = F.normalize(torch.ones(24), dim=0)
    for num in (8, 32):
        draws = F.normalize(1.2 * truth + 0.25 * torch.randn(4000, num, 24, generator=random), dim=-1)
        mean = draws.mean(dim=1)
        cosine = F.normalize(mean, dim=1) @ truth
        sine = (1 - cosine.square()).mean().sqrt()
        told = angle_error(mean, torch.tensor(num)).square().mean().sqrt()
        assert told.item() == pytest.approx(sine.item(), rel=0.1)


def test_vectors_without_a_common_direction_are_never_known_and_a_dead_channel_always_is() -> None:
    opposite = torch.zeros(1, 4)
    assert angle_error(opposite + torch.tensor([0.01, 0, 0, 0]), torch.tensor([8])).item() > 100
    assert angle_error(opposite, torch.tensor([8])).item() == 0
    assert angle_error(torch.eye(4)[:1], torch.tensor([8])).item() == 0


def test_the_true_length_of_a_mean_is_estimated_without_bias() -> None:
    random = torch.Generator().manual_seed(1)
    draws = F.normalize(torch.ones(10) + torch.randn(20_000, 5, 10, generator=random), dim=-1)
    true = draws.flatten(0, 1).mean(dim=0).square().sum()
    estimate = ((5 * draws.mean(dim=1).square().sum(dim=1) - 1) / 4).mean()
    assert estimate.item() == pytest.approx(true.item(), rel=0.02)
    assert true_square(torch.tensor(1.0), 7) == 1
    assert true_square(torch.tensor(0.1), 7) == 0


def test_a_looser_tolerance_takes_fewer_samples_and_stays_near(generator: StyleGAN2, embedder: ToyEmbedder) -> None:
    options = {"num_statistics": 64, "max_resolution": 8}
    exact = build_bank(generator, embedder, num_samples=40, **options)
    banks = [build_bank(generator, embedder, num_samples=40, tolerance=t, **options) for t in (0.9, 0.3, 0.05)]
    used = [bank.info["mean_samples"] for bank in banks]
    assert used[0] < used[1] <= used[2] <= 40
    near = [(bank.effects * exact.effects).sum(dim=1).mean() for bank in banks]
    assert near[0] <= near[1] + 1e-3
    assert near[1] > 0.95


def test_progress_of_an_adaptive_bank_ends_at_its_total(generator: StyleGAN2, embedder: ToyEmbedder) -> None:
    seen: list[tuple[int, int]] = []
    build_bank(
        generator, embedder, num_samples=40, num_statistics=64, max_resolution=4, tolerance=0.5,
        progress=lambda done, total: seen.append((done, total)),
    )  # fmt: skip
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1][0] == seen[-1][1] < 2 * 40 * 8
