"""The timed steps are the same procedure, done in several ways."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks import mapper_speed
from textmorph.embedders.identity import IdentityConfig, IdentityEmbedder
from textmorph.generators.stylegan2 import StyleGAN2

from ..toys import seed_weights, toy_generator


class ToySight(nn.Module):
    """A toy CLIP, a network, with the inner door that the plain step uses."""

    image_size = 224
    fingerprint = "toy"

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(48, 16).requires_grad_(False)

    def embed_image(self, image: Tensor) -> Tensor:
        return self.features(image)

    def features(self, pixels: Tensor) -> Tensor:
        return F.normalize(self.project(F.adaptive_avg_pool2d(pixels, 4).flatten(1)), dim=1)

    def embed_text(self, texts: list[str]) -> Tensor:
        return F.normalize(torch.ones(len(texts), 16), dim=1)


def toy_networks(resolution: int, device: str) -> tuple[StyleGAN2, ToySight, IdentityEmbedder]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # constructors draw, and set the scale
        identity = IdentityEmbedder(IdentityConfig(input_size=32, widths=(4, 4), blocks=(1, 1), embedding_dim=8))
        sight = ToySight()
    seed_weights(identity, 0)  # slopes, too
    return toy_generator(resolution), sight, identity


def test_the_plain_step_is_the_same_by_published_networks_and_by_ours() -> None:
    losses = []
    for published in (True, False):
        generator, clip, identity = toy_networks(64, "cpu")
        w_plus = generator.to_space(generator.sample(4, seed=0), "w+").value
        step: Any = mapper_speed.plain_step(generator, clip, identity, published=published)  # type: ignore[arg-type]
        losses.append([float(step(rows)) for rows in w_plus.split(2)])
        kinds = {type(module) for module in identity.modules()}
        assert (nn.PReLU in kinds) == published
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


@pytest.mark.parametrize("way", mapper_speed.WAYS)
def test_every_way_is_timed_step_by_step(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    monkeypatch.setattr(mapper_speed, "networks", toy_networks)
    drawn: list[int] = []
    forward = StyleGAN2.forward
    monkeypatch.setattr(
        StyleGAN2, "forward", lambda self, latent, **o: (drawn.append(len(latent)), forward(self, latent, **o))[1]
    )
    times = mapper_speed.WAYS[way](64, 2, 3, "cpu")
    if way.startswith("ours"):
        assert {name: len(seconds) for name, seconds in times.items()} == {"new": 3, "met": 3}
        # 4 steps that draw faces before and after, 4 that draw them after; one example, two looks at one held-out face
        assert drawn.count(2) == 4 * 2 + 4
    else:
        assert {name: len(seconds) for name, seconds in times.items()} == {"new": 3}
    assert all(second > 0 for seconds in times.values() for second in seconds)


def test_steps_of_all_processes_are_put_together(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seconds = {"ours": 2.0, "ours_bfloat16": 1.0, "plain": 12.0, "plain_step": 8.0}
    asked: list[str] = []

    def run(command: list[str], **_: Any) -> Any:
        way = command[command.index("--only") + 1]
        asked.append(way)
        one = seconds[way] + asked.count(way) - 2  # 1, 0 and −1 seconds beside it
        times = {"new": [one], "met": [one / 2]} if way.startswith("ours") else {"new": [one]}
        told = {"times": times, "peak_memory_gb": float(asked.count(way))}
        return type("Done", (), {"stdout": "noise\n" + json.dumps(told) + "\n"})

    monkeypatch.setattr(mapper_speed, "about_run", dict)
    monkeypatch.setattr(mapper_speed.subprocess, "run", run)
    path = tmp_path / "speed.json"
    mapper_speed.main(["--repeats", "3", "--device", "cpu", "--results", str(path)])
    found = json.loads(path.read_text())
    assert asked == [*mapper_speed.WAYS] * 3
    assert found["ours"]["new"] == {"seconds_per_step": 2.0, "fastest": 1.0, "slowest": 3.0, "steps": 3}
    assert found["plain"]["peak_memory_gb"] == 3.0
    assert found["times_faster"] == {
        "ours": {"new": 6.0, "met": 12.0}, "ours_bfloat16": {"new": 12.0, "met": 24.0}, "plain_step": {"new": 1.5},
    }  # fmt: skip
