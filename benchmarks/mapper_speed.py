"""`python -m benchmarks.mapper_speed`: steps per second of a mapper's training at 1024 px, random weights.

Ours beside a plain transcription of the published step: the picture before and after at full resolution, gradients kept
for the frozen networks, CLIP's picture made by a sevenfold enlargement and pooling, the face of the start embedded anew
in every step. Both in processes of their own, one after the other, with the peak of memory of each.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPConfig, CLIPModel

from textmorph.embedders.identity import IdentityEmbedder
from textmorph.files import write_bytes
from textmorph.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from textmorph.images import resize
from textmorph.latents import Latent
from textmorph.mappers import LatentMapper, MapperConfig
from textmorph.memory import keep_memory
from textmorph.methods.latent_mapper import LatentMapping
from textmorph.ranger import Ranger

from .machine import about_run

RESULTS = Path("benchmarks/results/mapper_speed.json")
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


class Sight(nn.Module):
    """CLIP ViT-B/32 with random weights; every text is the same vector, which costs nothing in either training."""

    image_size = 224
    fingerprint = "random"

    def __init__(self) -> None:
        super().__init__()
        self.model = CLIPModel(CLIPConfig())
        self.eval().requires_grad_(False)

    def embed_image(self, image: Tensor) -> Tensor:
        small = resize(image, self.image_size)
        mean, std = (small.new_tensor(value)[:, None, None] for value in (MEAN, STD))
        return self.features(((small + 1) / 2 - mean) / std)

    def features(self, pixels: Tensor) -> Tensor:
        output: Any = self.model.get_image_features(pixel_values=pixels)
        output = output if isinstance(output, Tensor) else output.pooler_output  # newer versions wrap it
        return F.normalize(output, dim=1)

    def embed_text(self, texts: list[str]) -> Tensor:
        return F.normalize(torch.ones(len(texts), 512, device=self.model.device), dim=1)


def networks(resolution: int, device: str) -> tuple[StyleGAN2, Sight, IdentityEmbedder]:
    """Generator, CLIP ViT-B/32 and IR-SE-50 with random weights."""
    torch.manual_seed(0)
    generator = StyleGAN2(StyleGAN2Config(resolution=resolution))
    return generator.to(device), Sight().to(device), IdentityEmbedder().to(device)


def ours(resolution: int, batch: int, steps: int, device: str) -> Callable[[], float]:
    """Our training, as published: seconds of each step but the first."""
    generator, clip, identity = networks(resolution, device)

    def train() -> float:
        times: list[float] = []
        method = LatentMapping(steps=steps + 1, batch_size=batch, num_held_out=1, validate_every=10 * steps)
        method.train(
            generator, clip, target="anything", identity_embedder=identity, num_latents=1 + batch * (steps + 1),
            progress=lambda done, total: times.append(_now(device)),
        )  # fmt: skip
        return (times[-2] - times[0]) / max(len(times) - 2, 1)  # the last step is followed by a look at held-out faces

    return train


def plain(resolution: int, batch: int, steps: int, device: str) -> Callable[[], float]:
    """The published step, line by line."""
    generator, clip, identity = (network.requires_grad_(True) for network in networks(resolution, device))
    mapper = LatentMapper(MapperConfig(norm="rows")).to(device).requires_grad_(True)
    optimizer = Ranger(mapper.parameters(), lr=0.5)
    latents = generator.to_space(generator.sample(batch * (steps + 1), seed=0), "w+").value.detach()
    text = clip.embed_text(["anything"]).detach()

    def see(image: Tensor) -> Tensor:
        large = F.interpolate(image, scale_factor=7, mode="nearest")
        return clip.features(F.avg_pool2d(large, image.shape[-1] // 32))

    def step(w: Tensor) -> None:
        optimizer.zero_grad()
        with torch.no_grad():
            before = generator(Latent(w, "w+"))
        edited = w + 0.1 * mapper(w)
        after = generator(Latent(edited, "w+"))
        person = identity.embed_image(before).detach()
        loss = 0.1 * (1 - (identity.embed_image(after) * person).sum(dim=1)).mean()
        loss = loss + (1 - see(after) @ text[0]).mean() + 0.8 * F.mse_loss(edited, w)
        torch.autograd.backward(loss)
        optimizer.step()
        for network in (generator, clip, identity):
            network.zero_grad()

    def train() -> float:
        step(latents[:batch])
        begin = _now(device)
        for i in range(1, steps + 1):
            step(latents[i * batch : (i + 1) * batch])
        return (_now(device) - begin) / steps

    return train


def _now(device: str) -> float:
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter()


WAYS = {"ours": ours, "plain": plain}


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mapper_speed", description=__doc__)
    add = parser.add_argument
    add("--resolution", type=int, default=1024)
    add("--batch", type=int, default=2)
    add("--steps", type=int, default=4, help="timed steps of ours; plain takes half as many (default: 4)")
    add("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    add("--results", type=Path, default=RESULTS)
    add("--only", choices=WAYS, help="one of the two, in this process")
    arguments = parser.parse_args(words)
    if arguments.only:
        print(json.dumps(_one(arguments)))
        return
    found: dict[str, Any] = {"about": about_run(), "resolution": arguments.resolution, "batch": arguments.batch}
    for way in WAYS:
        command = [sys.executable, "-m", "benchmarks.mapper_speed", "--only", way, "--device", arguments.device]
        command += [f"--{name}={getattr(arguments, name)}" for name in ("resolution", "batch", "steps")]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        found[way] = json.loads(done.stdout.splitlines()[-1])
        print(way, found[way], flush=True)
    found["times_faster"] = round(found["plain"]["seconds_per_step"] / found["ours"]["seconds_per_step"], 2)
    arguments.results.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(arguments.results, (json.dumps(found, indent=1) + "\n").encode(), overwrite=True)
    print(f"{found['times_faster']} times faster; goal: at least 5")


def _one(arguments: argparse.Namespace) -> dict[str, Any]:
    keep_memory()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)))
    steps = arguments.steps if arguments.only == "ours" else max(1, arguments.steps // 2)
    train = WAYS[arguments.only](arguments.resolution, arguments.batch, steps, arguments.device)
    seconds = train()
    if arguments.device != "cpu":
        peak = torch.cuda.max_memory_allocated()
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"seconds_per_step": round(seconds, 4), "peak_memory_gb": round(peak / 1e9, 3), "steps": steps}


if __name__ == "__main__":
    main()
