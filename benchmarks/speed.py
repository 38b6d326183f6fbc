"""`python -m benchmarks.speed`: seconds of one 1024 px render (config-f, random weights, from s), and of `--help`.

Ours in float32 and bfloat16, beside `plain_stylegan2` in the same process; first with the C library's own ways, then
with `keep_memory`. Writes benchmarks/results/speed-MACHINE.json. Times of optimisation steps and channel probes:
`benchmarks.speed_steps`, whose rule says when a ratio to the plain form is printed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from textmorph.files import write_bytes
from textmorph.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from textmorph.memory import keep_memory

from . import plain_stylegan2
from .machine import about_run, processor

OFFICIAL_SECONDS = 4.2
"""Of one 1024 px render by the official code on two cores, as issue 6 names it."""
HELP = [sys.executable, "-c", "from textmorph.cli import main; main(['--help'])"]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5, help="timed runs of each case, after one that is not timed")
    parser.add_argument("--resolution", type=int, default=1024)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--machine", help="name in the file's name (default: processor and threads)")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results"), help="folder")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    generator = noisy_generator(arguments.resolution)
    results: dict[str, Any] = {
        "case": f"config-f at {arguments.resolution} px, image of style codes, constant noise, random weights",
        **about_run(),
        "threads": arguments.threads,
        "command_line_help": timed(show_help, arguments.repeats),
        "render": [],
    }
    for kept in (False, True):
        if kept and not keep_memory():
            break
        for batch in arguments.batches:
            cases = compare(generator, batch, arguments.repeats)
            results["render"] += [{"batch": batch, "keep_memory": kept, **case} for case in cases]
    results["load_after"] = round(os.getloadavg()[0], 1)
    name = arguments.machine or re.sub(r"[^a-z0-9]+", "-", f"{processor()} {arguments.threads} threads".lower())
    path = arguments.output / f"speed-{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, (json.dumps(results, indent=2) + "\n").encode(), overwrite=True)
    print(path)


def noisy_generator(resolution: int) -> StyleGAN2:
    """A generator of random weights whose noise is seen."""
    torch.manual_seed(0)
    generator = StyleGAN2(StyleGAN2Config(resolution=resolution))
    for name, parameter in generator.named_parameters():
        if name.endswith("noise_strength"):
            parameter.fill_(0.1)
    return generator


def compare(generator: StyleGAN2, batch: int, repeats: int) -> list[dict[str, Any]]:
    """The plain transcription and ours in both precisions: times, speed-up, deviation."""
    latent = generator.to_space(generator.sample(batch, seed=0), "s")

    def ours() -> Tensor:
        image: Tensor = generator(latent)
        return image

    def short() -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return ours()

    forms: dict[str, Callable[[], Tensor]] = {
        "plain float32": lambda: plain_stylegan2.render(generator, latent.value),
        "ours float32": ours,
        "ours bfloat16": short,
    }
    cases: list[dict[str, Any]] = []
    with torch.inference_mode():
        exact = forms["plain float32"]()
        for name, form in forms.items():
            times = timed(form, repeats)
            slowest = cases[0]["median"] if cases else times["median"]
            cases.append({"form": name, **times, "speed_up": slowest / times["median"], **deviation(form(), exact)})
            counts = ratio_counts(slowest, OFFICIAL_SECONDS * batch)
            times_faster = f"  {cases[-1]['speed_up']:5.2f}×" if counts else ""
            print(f"batch {batch}  {name:14} {times['median']:7.3f} s{times_faster}", flush=True)
        if not counts:
            official = OFFICIAL_SECONDS * batch
            print(f"no ratios: the plain form takes {slowest:.2f} s, the official code on two cores {official:g} s")
    return cases


def ratio_counts(seconds: float, official: float) -> bool:
    """Whether a plain transcription is as slow as what it transcribes, to 20 %; else a ratio to it says nothing."""
    return abs(seconds / official - 1) <= 0.2


def timed(run: Callable[[], object], repeats: int) -> dict[str, Any]:
    """Seconds of `repeats` runs, after one that is not timed."""
    run()
    seconds = []
    for _ in range(repeats):
        begin = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - begin)
    return {
        "repeats": repeats,
        "median": statistics.median(seconds),
        "fastest": min(seconds),
        "slowest": max(seconds),
    }


def deviation(image: Tensor, exact: Tensor) -> dict[str, float]:
    """Largest and mean difference, in shares of the exact image's range."""
    difference = (image - exact).abs() / (exact.max() - exact.min())
    return {"largest_difference": difference.max().item(), "mean_difference": difference.mean().item()}


def show_help() -> None:
    subprocess.run(HELP, check=True, capture_output=True)


if __name__ == "__main__":
    main()
