"""`python -m benchmarks.speed_steps`: an optimisation step and a channel probe at 1024 px, beside the plain procedure.

Config-f generator and CLIP ViT-B/32 with random weights. Steps run in processes of their own, for the peak of memory;
probes of both kinds run in one. Also the time of a direction without a bank at 256 px, and of single layers. Writes
benchmarks/results/speed-steps-MACHINE.json, with the share of the machine's arithmetic that each takes.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from textmorph.banks.differences import Prober, plan_bank
from textmorph.banks.gradients import PRESETS, Screen
from textmorph.files import write_bytes
from textmorph.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from textmorph.layers.transposed import conv_transpose
from textmorph.memory import keep_memory
from textmorph.methods.latent_optimization import LatentOptimization

from . import plain_procedure
from .machine import about_run, processor
from .mapper_speed import Sight, as_published
from .speed import OFFICIAL_SECONDS, ratio_counts

OFFICIAL = {"render_seconds": OFFICIAL_SECONDS, "step_seconds": 19.0, "step_peak_gb": 7.5}
"""The official code on two cores; see the rule below."""
RULE = (
    "A ratio is printed only where the plain transcription lies within 20 % of the official code's time on two cores "
    f"({OFFICIAL['render_seconds']} s a render, {OFFICIAL['step_seconds']} s and {OFFICIAL['step_peak_gb']} GB a step)"
)
GOALS = {"step_times_faster": 6.0, "step_memory_share": 1 / 3, "probe_times_faster": 4.0, "no_bank_seconds": 120.0}
LAYERS = ("b8.conv1", "b32.conv1", "b128.conv0")
"""Whose channels are probed: the way up from the first is long, from the last short."""

UP_FROM = (4, 8, 16, 32, 64, 128)
"""Sides of features that are doubled on the way to 256 px."""


def networks(resolution: int, *, channel_base: int = 32768) -> tuple[StyleGAN2, Sight]:
    """Generator and CLIP with random weights."""
    torch.manual_seed(0)
    return StyleGAN2(StyleGAN2Config(resolution=resolution, channel_base=channel_base)), Sight()


def step_plain(arguments: argparse.Namespace) -> dict[str, Any]:
    """Seconds of a plain optimisation step."""
    generator, clip = networks(arguments.resolution)
    as_published(clip)
    step = plain_procedure.optimisation(generator, clip, clip.embed_text(["anything"])[0])
    return _timed(step, arguments.repeats)


def step_ours(arguments: argparse.Namespace) -> dict[str, Any]:
    """Seconds of a step of `LatentOptimization`, the published numbers."""
    generator, clip = networks(arguments.resolution)
    latent = generator.sample(1, seed=0)
    times = [time.perf_counter()]
    method = LatentOptimization(steps=2 * arguments.repeats + 1, precision="bfloat16" if arguments.short else "float32")
    method.find(
        generator, clip, target="anything", latent=latent,
        progress=lambda done, total: times.append(time.perf_counter()),
    )  # fmt: skip
    seconds = [after - before for before, after in pairwise(times[1:])]
    return _spread(seconds)


def probes(arguments: argparse.Namespace) -> dict[str, Any]:
    """Seconds of a channel at a sample: plain, ours, ours in bfloat16; and how well the effects agree."""
    generator, clip = networks(arguments.resolution)
    num = arguments.samples
    plans = {
        name: plan_bank(generator, clip, num_samples=num, num_statistics=256, autocast=short)
        for name, short in (("ours float32", None), ("ours bfloat16", torch.bfloat16))
    }
    probers = {name: Prober(generator, clip, plan) for name, plan in plans.items()}
    prober = probers["ours float32"]
    layout = generator.style_layout
    groups = [torch.arange(*layout.slice(name).indices(10**9)[:2])[: arguments.channels] for name in LAYERS]
    found: dict[str, Any] = {"channels": arguments.channels * len(groups), "samples": num, "layers": LAYERS}
    channel = int(groups[0][0])
    low, high = (float(prober.styles[0, channel] + sign * 5 * prober.std[channel]) for sign in (-1, 1))

    def plain() -> Tensor:
        return plain_procedure.probe(generator, clip, prober.styles[:1], channel, (low, high))

    found["plain"] = _timed(plain, arguments.repeats)
    effects = {}
    for name, each in probers.items():
        each.differences(groups[-1][:1], 1)  # the first also prepares
        seconds = []
        parts = []
        for group in groups:
            begin = time.perf_counter()
            parts.append(each.differences(group, num))
            seconds.append((time.perf_counter() - begin) / (len(group) * num))
        effects[name] = torch.cat(parts)
        found[name] = {
            **_spread(seconds),
            "median": statistics.mean(seconds),
            "by_layer": dict(zip(LAYERS, seconds, strict=True)),
        }
    full = plan_bank(generator, clip, num_samples=1, num_statistics=256, resolution=generator.resolution)
    whole = Prober(generator, clip, full)
    at_full = torch.cat([whole.differences(group, 1)[:, 0] for group in groups])
    found["cosine"] = {
        "bfloat16": _cosines(effects["ours bfloat16"].mean(dim=1), effects["ours float32"].mean(dim=1)),
        "resolution": {
            "of": plans["ours float32"]["resolution"],
            **_cosines(effects["ours float32"][:, 0], at_full),
        },
    }
    return found


def no_bank(arguments: argparse.Namespace) -> dict[str, Any]:
    """Seconds until a direction of 20 channels is found for a text, on a generator that nobody prepared, at 256 px."""
    found: dict[str, Any] = {"preset": vars(PRESETS["none"]), "num_channels": 20}
    generator, clip = networks(256, channel_base=arguments.channel_base)
    shift = F.normalize(torch.randn(512, generator=torch.Generator().manual_seed(1)), dim=0)
    begin = time.perf_counter()
    short = torch.bfloat16 if arguments.short else None
    screen = Screen(generator, clip, PRESETS["none"], num_statistics=2000, autocast=short)
    screen.direction(shift, num_channels=20)
    first = time.perf_counter()
    if arguments.again:
        screen.direction(F.normalize(shift + shift.flip(0), dim=0), num_channels=20)
        found["next_text_seconds"] = time.perf_counter() - first
    return {**found, "seconds": first - begin, "channel_base": arguments.channel_base}


def clip_passes(arguments: argparse.Namespace) -> dict[str, Any]:
    """Seconds of one of 4 images of 256 px through CLIP, and of one pass back: with the published layers, and ours."""
    image = torch.rand(4, 3, 256, 256, generator=torch.Generator().manual_seed(0)) * 2 - 1
    torch.manual_seed(0)
    clip = Sight()
    size = (clip.image_size,) * 2
    direction = F.normalize(torch.randn(clip.width, generator=torch.Generator().manual_seed(1)), dim=0)
    found: dict[str, Any] = {"batch": len(image)}
    slopes = {}
    for name in ("ours", "plain"):
        if name == "plain":
            as_published(clip)
            clip.model.set_attn_implementation("sdpa")  # type: ignore[operator]
        for kind in ("float32", "bfloat16"):
            pixels = image.clone().requires_grad_(True)

            def see(name: str = name, kind: str = kind, pixels: Tensor = pixels) -> Tensor:
                with torch.autocast("cpu", torch.bfloat16, enabled=kind == "bfloat16"):
                    if name == "ours":
                        return clip.embed_image(pixels).float() @ direction
                    small = F.interpolate(pixels, size, mode="bicubic", align_corners=False, antialias=True)
                    return clip.features((small * 0.5 + 0.5 - clip.mean) / clip.std).float() @ direction

            seen = see().sum()

            def back(seen: Tensor = seen, pixels: Tensor = pixels) -> Tensor:
                return torch.autograd.grad(seen, pixels, retain_graph=True)[0]

            slopes[name, kind] = back()
            for way, run in (("forwards", see), ("backwards", back)):
                timed = _timed(run, 4 * arguments.repeats)
                found[f"{way} {name} {kind}"] = _spread([seconds / len(image) for seconds in timed["times"]])
    exact = slopes["plain", "float32"].flatten(1)
    found["cosine"] = {" ".join(case): _cosines(slope.flatten(1), exact) for case, slope in slopes.items()}
    return found


def up_convolutions(arguments: argparse.Namespace) -> dict[str, Any]:
    """Seconds an image of the convolutions that double the resolution, up to 256 px, in bfloat16: oneDNN's, and ours.

    Of a 1024 px generator, which is stopped there, and of one of 256 px, by the channels of their layers.
    """
    found: dict[str, Any] = {"batch": 4}
    random = torch.Generator().manual_seed(0)
    for name, channel_base in (("1024", 32768), ("256", arguments.channel_base)):
        total = dict.fromkeys(("plain", "ours"), 0.0)
        for side in UP_FROM:
            inputs, outputs = (min(channel_base // one, 512) for one in (side, 2 * side))
            x = torch.randn(found["batch"], inputs, side, side, generator=random).bfloat16()
            x = x.contiguous(memory_format=torch.channels_last)
            weight = torch.randn(outputs, inputs, 3, 3, generator=random).bfloat16()
            ways = {
                "plain": lambda x=x, w=weight: F.conv_transpose2d(x, w.transpose(0, 1), stride=2),
                "ours": lambda x=x, w=weight: conv_transpose(x, w),
            }
            for way, run in ways.items():
                with torch.inference_mode():
                    total[way] += _timed(run, 4 * arguments.repeats)["median"] / found["batch"]
        found[name] = total
    return found


def arithmetic(threads: int) -> dict[str, float]:
    """What the machine does at best: 10⁹ multiply-adds a second in a large matrix product."""
    rates = {}
    for name, kind in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        a = torch.randn(2048, 2048).to(kind)
        best = min(_timed(lambda a=a: a @ a, 5)["times"])
        rates[name] = 2048**3 / best / 1e9
    return rates


def multiply_adds(resolution: int, *, channel_base: int = 32768, width: int = 512) -> float:
    """10⁹ multiply-adds of the convolutions of one render."""
    total, side = 0.0, 4
    channels: dict[int, int] = {}
    while side <= resolution:
        channels[side] = min(channel_base // side, width)
        if side > 4:
            total += (side // 2) ** 2 * 9 * channels[side // 2] * channels[side]
        total += side**2 * 9 * channels[side] ** 2
        side *= 2
    return total / 1e9


CLIP_MULTIPLY_ADDS = 4.4
"""10⁹, of the image side of ViT-B/32."""


def no_bank_work(found: dict[str, Any]) -> float:
    """10⁹ multiply-adds of the first text of `no_bank`: every picture drawn and seen whole, every pass back as much."""
    how = found["preset"]
    passes = max(how["num_samples"], 2 * how["sketch"])
    passes += how["num_samples"] * (1 + how["num_directions"] + 2)
    passes += 2 * how["num_differences"] * min(how["most"], int(how["candidates"] * found["num_channels"]))
    return passes * (multiply_adds(256, channel_base=found["channel_base"]) + CLIP_MULTIPLY_ADDS)


WAYS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "step-plain": step_plain,
    "step-ours": step_ours,
    "probes": probes,
    "no-bank": no_bank,
    "clip": clip_passes,
    "up": up_convolutions,
}


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed_steps", description=__doc__)
    add = parser.add_argument
    add("--threads", type=int, default=2)
    add("--repeats", type=int, default=2, help="timed steps and probes of the plain kind; ours takes twice as many")
    add("--resolution", type=int, default=1024)
    add("--samples", type=int, default=4)
    add("--channels", type=int, default=4, help="of each of three layers")
    add("--channel-base", type=int, default=16384, help="of the generator without a bank (16384: NVIDIA's paper256)")
    add("--short", action="store_true", help="bfloat16 alone, of --only or of the part no-bank")
    add("--again", action="store_true", help="also a second text, with --only no-bank")
    add("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    add("--machine", help="name in the file's name (default: processor and threads)")
    add("--output", type=Path, default=Path("benchmarks/results"), help="folder")
    add("--only", choices=WAYS, help="one of them, in this process")
    arguments = parser.parse_args(words)
    if arguments.only:
        print(json.dumps(_one(arguments)))
        return
    name = arguments.machine or re.sub(r"[^a-z0-9]+", "-", f"{processor()} {arguments.threads} threads".lower())
    path = arguments.output / f"speed-steps-{name}.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    torch.set_num_threads(arguments.threads)
    found |= {"about": about_run(), "threads": arguments.threads, "official": OFFICIAL, "rule": RULE, "goals": GOALS}
    for part in arguments.parts:
        found.setdefault("multiply_adds_a_second", {})[part] = arithmetic(arguments.threads)  # the machine as it is now
        found[part] = PARTS[part](arguments)
        found.setdefault("load_after", {})[part] = round(os.getloadavg()[0], 1)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, (json.dumps(found, indent=1) + "\n").encode(), overwrite=True)
    for line in report(found):
        print(line)
    print(path)


def steps(arguments: argparse.Namespace) -> dict[str, Any]:
    found = {name: _alone(arguments, way) for name, way in (("plain", "step-plain"), ("ours float32", "step-ours"))}
    return {**found, "ours bfloat16": _alone(arguments, "step-ours", "--short")}


def directions(arguments: argparse.Namespace) -> dict[str, Any]:
    short = {"bfloat16": _alone(arguments, "no-bank", "--again", "--short")}
    return short if arguments.short else {"float32": _alone(arguments, "no-bank", "--again"), **short}


PARTS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "steps": steps,
    "probes": lambda arguments: _alone(arguments, "probes"),
    "no-bank": directions,
    "clip": lambda arguments: _alone(arguments, "clip"),
    "up": lambda arguments: _alone(arguments, "up"),
}


def report(found: dict[str, Any]) -> list[str]:
    """What was found, a line for each; ratios by the rule."""
    lines = []
    if "steps" in found:
        plain = found["steps"]["plain"]
        counts = ratio_counts(plain["median"], OFFICIAL["step_seconds"])
        counts &= ratio_counts(plain["peak_memory_gb"], OFFICIAL["step_peak_gb"])
        for name, case in found["steps"].items():
            times = f", {plain['median'] / case['median']:.1f} times faster" if counts and name != "plain" else ""
            lines.append(f"step  {name:14} {case['median']:7.2f} s  {case['peak_memory_gb']:5.2f} GB{times}")
        if not counts:
            lines.append(f"      no ratio: the plain step takes {plain['median']:.1f} s here. {RULE}.")
    if "probes" in found:
        plain = found["probes"]["plain"]
        counts = ratio_counts(plain["median"] / 2, OFFICIAL["render_seconds"])
        rates = found["multiply_adds_a_second"]["probes"]
        work = 2 * (multiply_adds(found["probes"]["cosine"]["resolution"]["of"]) + CLIP_MULTIPLY_ADDS)
        for name in ("plain", "ours float32", "ours bfloat16"):
            case = found["probes"][name]
            times = f", {plain['median'] / case['median']:.1f} times faster" if counts and name != "plain" else ""
            kind = "bfloat16" if "bfloat16" in name else "float32"
            share = "" if name == "plain" else f"  {work / case['median'] / rates[kind]:.0%} of the arithmetic"
            lines.append(f"probe {name:14} {case['median']:7.3f} s{times}{share}")
        if not counts:
            lines.append(f"      no ratio: a plain render takes {plain['median'] / 2:.1f} s here. {RULE}.")
    for name, case in found.get("clip", {}).items():
        if "ours" in name:
            plain = found["clip"][name.replace("ours", "plain")]["median"]
            lines.append(f"CLIP {name}: {case['median'] * 1e3:.0f} ms, published {plain * 1e3:.0f} ms")
    for name in ("1024", "256") if "up" in found else ():
        plain, ours = (found["up"][name][way] * 1e3 for way in ("plain", "ours"))
        lines.append(f"up-convolutions to 256 px, {name} px generator: {ours:.0f} ms, oneDNN's {plain:.0f} ms")
    for name, case in found.get("no-bank", {}).items():
        rate = found["multiply_adds_a_second"]["no-bank"][name]
        lines.append(
            f"direction without a bank, 256 px, {name}: {case['seconds']:.0f} s (goal: under 120), "
            f"where a matrix product reaches {rate:.0f}·10⁹ multiply-adds a second"
        )
    return lines


def _alone(arguments: argparse.Namespace, way: str, *more: str) -> dict[str, Any]:
    names = ("threads", "repeats", "resolution", "samples", "channels")
    options = [f"--{name}={getattr(arguments, name)}" for name in names]
    options.append(f"--channel-base={arguments.channel_base}")
    command = [sys.executable, "-m", "benchmarks.speed_steps", "--only", way, *options, *more]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(way, *more, json.dumps(found)[:300], flush=True)
    return found


def _one(arguments: argparse.Namespace) -> dict[str, Any]:
    keep_memory()
    torch.set_num_threads(arguments.threads)
    found = WAYS[arguments.only](arguments)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {**found, "peak_memory_gb": round(peak / 1e9, 3)}


def _timed(run: Callable[[], object], repeats: int) -> dict[str, Any]:
    run()
    seconds = []
    for _ in range(repeats):
        begin = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - begin)
    return _spread(seconds)


def _spread(seconds: list[float]) -> dict[str, Any]:
    return {
        "median": statistics.median(seconds), "fastest": min(seconds), "slowest": max(seconds), "times": seconds,
    }  # fmt: skip


def _cosines(rows: Tensor, exact: Tensor) -> dict[str, float]:
    """Cosines between effects: the mean, the median and the least."""
    found = F.cosine_similarity(rows, exact, dim=1)
    return {"mean": found.mean().item(), "median": found.median().item(), "least": found.min().item()}


if __name__ == "__main__":
    main()
