"""The timed steps and probes are the same procedure, done twice."""

from __future__ import annotations

import argparse

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import CLIPConfig

from benchmarks import plain_procedure, speed_steps
from benchmarks.mapper_speed import Sight
from textmorph.banks.differences import Prober, plan_bank
from textmorph.latents import Latent
from textmorph.methods.latent_optimization import LatentOptimization

from ..toys import ToyEmbedder, toy_generator


class ToySight(ToyEmbedder):
    """A toy CLIP with the inner door that the plain procedure uses."""

    def features(self, pixels: Tensor) -> Tensor:
        mean, std = (pixels.new_tensor(value)[:, None, None] for value in (plain_procedure.MEAN, plain_procedure.STD))
        return self.embed_image((pixels * std + mean) * 2 - 1)

    def requires_grad_(self, on: bool) -> None:
        pass


def test_a_plain_probe_is_a_difference_of_the_bank() -> None:
    generator, clip = toy_generator(), ToySight()
    prober = Prober(generator, clip, plan_bank(generator, clip, num_samples=1, num_statistics=64))
    for row in (3, 20):
        channel = int(prober.channels[row])
        start, step = prober.styles[0, channel], 5 * prober.std[channel]
        values = (float(start - step), float(start + step))
        plain = plain_procedure.probe(generator, clip, prober.styles[:1], channel, values)
        ours = prober.differences(prober.channels[row : row + 1], 1)[0, 0]
        assert float(plain @ ours) > 0.97  # the plain one sees 8-bit, clamped pixels


def test_a_plain_step_lowers_the_same_loss() -> None:
    generator, clip = toy_generator(32), ToySight(image_size=32)
    clip.features = lambda pixels: clip.embed_image(pixels)  # the published step feeds raw values
    text = F.normalize(torch.ones(16), dim=0)
    step = plain_procedure.optimisation(generator, clip, text)
    losses = [step() for _ in range(20)]
    with torch.no_grad():
        start = generator.to_space(generator.sample(1, seed=0), "w+")
        first = 1 - clip.embed_image(generator(Latent(start.value, "w+")))[0] @ text
    assert losses[0] == pytest.approx(float(first), abs=1e-3)
    assert losses[-1] < losses[0]
    assert LatentOptimization().latent_l2 == 0.008


def test_a_ratio_counts_only_beside_a_plain_time_like_the_official_one() -> None:
    assert speed_steps.ratio_counts(4.2 * 1.19, 4.2)
    assert speed_steps.ratio_counts(4.2 * 0.81, 4.2)
    assert not speed_steps.ratio_counts(2.3, 4.2)
    case = {"median": 2.0, "peak_memory_gb": 2.0}
    found: dict[str, object] = {"multiply_adds_a_second": {}}
    fast = found | {"steps": {"plain": {"median": 9.0, "peak_memory_gb": 7.5}, "ours float32": case}}
    assert not any("times faster" in line for line in speed_steps.report(fast))
    assert any("no ratio" in line for line in speed_steps.report(fast))
    slow = found | {"steps": {"plain": {"median": 18.0, "peak_memory_gb": 7.0}, "ours float32": case}}
    assert any("9.0 times faster" in line for line in speed_steps.report(slow))


def test_multiply_adds_are_those_of_the_network() -> None:
    assert speed_steps.multiply_adds(8, channel_base=64, width=8) == pytest.approx((16 + 16 + 64) * 9 * 64 / 1e9)
    assert 70 < speed_steps.multiply_adds(1024) < 80


def test_probes_of_both_kinds_are_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed_steps, "networks", lambda resolution, **_: (toy_generator(), ToySight()))
    monkeypatch.setattr(speed_steps, "LAYERS", ("b4.conv1", "b8.conv0"))
    found = speed_steps.probes(argparse.Namespace(resolution=16, samples=2, channels=2, repeats=1))
    assert found["plain"]["median"] > 0
    assert found["cosine"]["resolution"]["mean"] == pytest.approx(1, abs=1e-3)  # the toy CLIP sees full resolution
    assert found["cosine"]["bfloat16"]["mean"] > 0.5


KINDS = ("ours", "plain")


def test_both_kinds_of_clip_are_timed_and_say_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    side = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    small = CLIPConfig(
        text_config=side, vision_config={**side, "image_size": 32, "patch_size": 8}, projection_dim=24
    )  # fmt: skip
    monkeypatch.setattr(speed_steps, "Sight", lambda: Sight(small))
    found = speed_steps.clip_passes(argparse.Namespace(repeats=1))
    assert all(found[f"{way} {name} float32"]["median"] > 0 for way in ("forwards", "backwards") for name in KINDS)
    assert found["cosine"]["ours float32"]["least"] == pytest.approx(1, abs=1e-4)
    assert 0.9 < found["cosine"]["ours bfloat16"]["least"] < 1
    lines = speed_steps.report({"clip": found, "multiply_adds_a_second": {}})
    assert sum("published" in line for line in lines) == 4


def test_both_kinds_of_up_convolutions_are_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed_steps, "UP_FROM", (4,))
    found = speed_steps.up_convolutions(argparse.Namespace(repeats=1, channel_base=1024))
    assert all(found[size][way] > 0 for size in ("1024", "256") for way in KINDS)
    lines = speed_steps.report({"up": found, "multiply_adds_a_second": {}})
    assert sum("oneDNN" in line for line in lines) == 2


def test_the_work_of_a_direction_without_a_bank_is_that_of_its_passes() -> None:
    how = {"num_samples": 50, "sketch": 32, "num_directions": 8, "num_differences": 4, "most": 64, "candidates": 1.5}
    found = {"preset": how, "num_channels": 20, "channel_base": 16384}
    one = speed_steps.multiply_adds(256, channel_base=16384) + speed_steps.CLIP_MULTIPLY_ADDS
    assert speed_steps.no_bank_work(found) == pytest.approx((64 + 50 * 11 + 2 * 4 * 30) * one)
    case = {**found, "seconds": 150.0, "next_text_seconds": 70.0}
    rates = {"no-bank": {"bfloat16": 300.0}}
    (line,) = speed_steps.report({"no-bank": {"bfloat16": case}, "multiply_adds_a_second": rates})
    assert "150 s (goal: under 120)" in line
    assert "300·10⁹" in line
