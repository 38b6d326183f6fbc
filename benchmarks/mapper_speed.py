"""`python -m benchmarks.mapper_speed`: steps per second of a mapper's training at 1024 px, random weights.

Ours, in float32 and bfloat16, beside a plain transcription of the published step: the picture before and after at full
resolution, gradients kept for the frozen networks, CLIP's picture made by a sevenfold enlargement and pooling, the face
of the start embedded anew in every step; by networks as they were published (`plain`) and by ours (`plain_step`), which
tells what the step alone costs. Ours embeds the start the first time that it meets a latent: those steps and later ones
are timed apart. Each way in processes of its own, in turn, with the peak of memory. Figures go to docs/mappers.md by
`python -m benchmarks.mappers_page`.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPConfig, CLIPModel

from textmorph.embedders.clip import ClipEmbedder
from textmorph.embedders.clip_folder import fast_backwards
from textmorph.embedders.identity import IdentityEmbedder
from textmorph.files import write_bytes
from textmorph.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from textmorph.latents import Latent
from textmorph.layers.ir_se import PReLU
from textmorph.layers.patches import PatchConv2d
from textmorph.mappers import MapperConfig, MapperNetwork
from textmorph.memory import keep_memory
from textmorph.methods.latent_mapper import LatentMapper
from textmorph.optimization import Ranger
from textmorph.precision import Precision

from . import plain_stylegan2
from .machine import about_run

GOAL = 5.0
"""Times faster than the plain transcription, as issue 5 names it."""
RESULTS = Path("benchmarks/results/mapper_speed.json")
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


class Sight(ClipEmbedder):
    """CLIP ViT-B/32 with random weights; every text is the same vector, which costs nothing in either training."""

    fingerprint = "random"

    def __init__(self, config: CLIPConfig | None = None) -> None:
        nn.Module.__init__(self)
        config = config or CLIPConfig()
        self.model = fast_backwards(CLIPModel(config))
        self.clip_input, self.image_size, self.width = (
            "standard",
            config.vision_config.image_size,
            config.projection_dim,
        )
        for name, numbers in (("mean", MEAN), ("std", STD)):
            self.register_buffer(name, torch.tensor(numbers)[:, None, None])
        self.eval().requires_grad_(False)

    def features(self, pixels: Tensor) -> Tensor:
        """Pixels as the network reads them [B, 3, 224, 224] → unit rows."""
        output: Any = self.model.get_image_features(pixel_values=pixels)  # type: ignore[operator]
        output = output if isinstance(output, Tensor) else output.pooler_output  # newer versions wrap it
        return F.normalize(output, dim=1)

    def embed_text(self, texts: Sequence[str]) -> Tensor:
        return F.normalize(torch.ones(len(texts), self.width, device=self.device), dim=1)


def networks(resolution: int, device: str) -> tuple[StyleGAN2, Sight, IdentityEmbedder]:
    """Generator, CLIP ViT-B/32 and IR-SE-50 with random weights."""
    torch.manual_seed(0)
    generator = StyleGAN2(StyleGAN2Config(resolution=resolution))
    return generator.to(device), Sight().to(device), IdentityEmbedder().to(device)


Times = dict[str, list[float]]
"""Seconds of every timed step: under `new` where the latents were met for the first time, under `met` later."""


def ours(resolution: int, batch: int, steps: int, device: str, *, precision: Precision = "float32") -> Times:
    """Our training, with its published numbers: two passes over the latents."""
    generator, clip, identity = networks(resolution, device)
    num = steps + 1
    times: list[float] = []
    method = LatentMapper(steps=2 * num, batch_size=batch, num_held_out=1, validate_every=4 * num, precision=precision)
    method.train(
        generator, clip, target="anything", identity_embedder=identity, num_latents=1 + batch * num,
        progress=lambda done, total: times.append(_now(device)),
    )  # fmt: skip
    seconds = [after - before for before, after in pairwise(times)]  # the first step is left out: it also prepares
    return {"new": seconds[:steps], "met": seconds[steps:-1]}  # after the last one comes a look at held-out faces


def plain(resolution: int, batch: int, steps: int, device: str, *, published: bool = True) -> Times:
    """The published step; see `plain_step`."""
    parts = networks(resolution, device)
    generator = parts[0]
    latents = generator.to_space(generator.sample(batch * (steps + 1), seed=0), "w+").value.detach()
    step = plain_step(*parts, published=published)
    times = [_now(device)]
    for rows in latents.split(batch):
        step(rows)
        times.append(_now(device))
    return {"new": [after - before for before, after in pairwise(times[1:])]}


def plain_step(
    generator: StyleGAN2, clip: Sight, identity: IdentityEmbedder, *, published: bool = True
) -> Callable[[Tensor], Tensor]:
    """The published step, line by line: w+ [B, L, W] → the loss before it.

    Args:
        published: with the generator and the activations in the form that was published; else with ours.
    """
    for network in (generator, clip, identity):
        network.requires_grad_(True)
    if published:
        as_published(identity)
        as_published(clip)
    device = generator.mean_w.device
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        mapper = MapperNetwork(MapperConfig(w_dim=generator.mean_w.shape[0], norm="rows"))
    mapper = mapper.to(device).requires_grad_(True)
    optimizer = Ranger(mapper.parameters(), lr=0.5)
    text = clip.embed_text(["anything"]).detach()

    def draw(w: Tensor) -> Tensor:
        if not published:
            image: Tensor = generator(Latent(w, "w+"))
            return image
        return plain_stylegan2.render(generator, generator.to_space(Latent(w, "w+"), "s").value)

    def see(image: Tensor) -> Tensor:
        large = F.interpolate(image, scale_factor=7, mode="nearest")
        return clip.features(F.avg_pool2d(large, image.shape[-1] // 32))

    def step(w: Tensor) -> Tensor:
        optimizer.zero_grad()
        with torch.no_grad():
            before = draw(w)
        edited = w + 0.1 * mapper(w)
        after = draw(edited)
        person = identity.embed_image(before).detach()
        loss = 0.1 * (1 - (identity.embed_image(after) * person).sum(dim=1)).mean()
        loss = loss + (1 - see(after) @ text[0]).mean() + 0.8 * F.mse_loss(edited, w)
        torch.autograd.backward(loss)
        optimizer.step()
        for network in (generator, clip, identity):
            network.zero_grad()
        return loss.detach()

    return step


def as_published(network: nn.Module) -> None:
    """Take our own passes out of a network; its parameters stay."""
    for module in network.modules():
        kind = type(module)
        module.__class__ = {PReLU: nn.PReLU, PatchConv2d: nn.Conv2d}.get(kind, kind)


def _now(device: str) -> float:
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter()


WAYS: dict[str, Callable[[int, int, int, str], Times]] = {
    "ours": ours,
    "ours_bfloat16": partial(ours, precision="bfloat16"),
    "plain": plain,
    "plain_step": partial(plain, published=False),
}


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mapper_speed", description=__doc__)
    add = parser.add_argument
    add("--resolution", type=int, default=1024)
    add("--batch", type=int, default=2)
    add("--steps", type=int, default=4, help="timed steps of ours, in either pass; plain takes half as many")
    add("--repeats", type=int, default=1, help="processes of each way; their steps are put together")
    add("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    add("--results", type=Path, default=RESULTS)
    add("--only", choices=WAYS, help="one of them, in this process")
    arguments = parser.parse_args(words)
    if arguments.only:
        print(json.dumps(_one(arguments)))
        return
    told = {name: getattr(arguments, name) for name in ("resolution", "batch", "repeats")}
    runs: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
    about = about_run()
    for _ in range(arguments.repeats):
        for way in WAYS:
            command = [sys.executable, "-m", "benchmarks.mapper_speed", "--only", way, "--device", arguments.device]
            command += [f"--{name}={getattr(arguments, name)}" for name in ("resolution", "batch", "steps")]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            runs[way].append(json.loads(done.stdout.splitlines()[-1]))
            print(way, runs[way][-1], flush=True)
    found = {"about": about, **told, "goal": GOAL, **summary(runs), "load_after": round(os.getloadavg()[0], 1)}
    arguments.results.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(arguments.results, (json.dumps(found, indent=1) + "\n").encode(), overwrite=True)
    for way, ratios in found["times_faster"].items():
        print(f"{way}: {ratios} times faster than plain; goal: at least {GOAL:g}")
    print(arguments.results)


def summary(runs: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Median and spread of the steps of every way, and how many times faster than plain ours are."""
    found: dict[str, Any] = {}
    for way, parts in runs.items():
        steps = {name: [second for part in parts for second in part["times"][name]] for name in parts[0]["times"]}
        found[way] = {name: _spread(seconds) for name, seconds in steps.items()}
        found[way]["peak_memory_gb"] = max(part["peak_memory_gb"] for part in parts)
    plainly = found["plain"]["new"]["seconds_per_step"]
    found["times_faster"] = {
        way: {name: round(plainly / one[name]["seconds_per_step"], 2) for name in ("new", "met") if name in one}
        for way, one in found.items()
        if way != "plain"
    }
    return found


def _spread(seconds: list[float]) -> dict[str, Any]:
    median = statistics.median(seconds)
    spread = {"seconds_per_step": median, "fastest": min(seconds), "slowest": max(seconds)}
    return {name: round(value, 4) for name, value in spread.items()} | {"steps": len(seconds)}


def _one(arguments: argparse.Namespace) -> dict[str, Any]:
    keep_memory()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)))
    steps = arguments.steps if arguments.only.startswith("ours") else max(1, arguments.steps // 2)
    times = WAYS[arguments.only](arguments.resolution, arguments.batch, steps, arguments.device)
    if arguments.device != "cpu":
        peak = torch.cuda.max_memory_allocated()
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"times": times, "peak_memory_gb": round(peak / 1e9, 3)}


if __name__ == "__main__":
    main()
