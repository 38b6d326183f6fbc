"""The generator of faces against OpenVINO and against its plain form, in CPU seconds on one thread, in one run.

    python -m benchmarks.faces_speed --wheel WHEEL --out benchmarks/results/faces_speed.json

OpenVINO is no dependency: `pip install openvino`; without it that column is empty. The rows take turns, so that what
else the machine does falls on all of them; each figure is the smallest of the repeats.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from textmorph.generators import load_generator
from textmorph.generators.mobile_stylegan import Convolution, Upscale
from textmorph.latents import Latent
from textmorph.registry import fetch_part

from .machine import about_run


def plain(generator: Any, style: Tensor) -> Tensor:
    """The image as the network is written down: features scaled, every step an operation of its own."""
    styles = generator.style_layout.split(style)
    x = generator.const.expand(len(style), -1, -1, -1)
    for layer, s in zip(generator.layers, styles, strict=True):
        if isinstance(layer, Upscale):
            x = unfold(x * s[:, :, None, None])
        elif isinstance(layer, Convolution):
            x = x * (s * layer.gain)[:, :, None, None]
            if layer.depthwise is not None:
                x = F.conv2d(x, layer.depthwise, padding=1, groups=x.shape[1])
            x = F.conv2d(x, layer.weight, padding=layer.weight.shape[-1] // 2)
            x = x + layer.noise_const * layer.noise_strength + layer.bias[:, None, None]
            x = F.leaky_relu(x, 0.2)
        else:
            x = F.conv2d(x * (s * layer.gain)[:, :, None, None], layer.weight[:, :, None, None], layer.bias)
    return unfold(x)


def unfold(x: Tensor) -> Tensor:
    """Inverse Haar transform, [B, 4C, H, W] → [B, C, 2H, 2W]."""
    batch, bands, height, width = x.shape
    details = x[:, bands // 4 :].reshape(batch, -1, 3, height, width)
    average, p, q, r = x[:, : bands // 4], details[:, :, 0], details[:, :, 1], details[:, :, 2]
    pixels = torch.stack((average + p + q + r, average + p - q - r, average - p + q - r, average - p - q + r), dim=2)
    return F.pixel_shuffle(pixels.reshape(batch, bands, height, width) * 0.5, 2)


def openvino_image(wheel: Path | None) -> Callable[[Tensor], Any] | None:
    """OpenVINO's own run of the synthesis, in float32 on one thread; None without OpenVINO or wheel."""
    try:
        import openvino
    except ImportError:
        return None
    if wheel is None:
        return None
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(wheel) as archive:
        for ending in ("xml", "bin"):
            archive.extract(f"random_face/data/SynthesisNetwork.{ending}", folder)
        core = openvino.Core()
        model = core.read_model(f"{folder}/random_face/data/SynthesisNetwork.xml")
        settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1}
        compiled = core.compile_model(model, "CPU", settings)
    return lambda w: compiled(w.numpy())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheel", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(1)
    generator: Any = load_generator(fetch_part("random-face", archive=options.wheel) / "generator.safetensors")
    w = generator.sample(1, seed=0, truncation=0.7)
    style = generator.to_space(w, "s")

    def draw(**how: Any) -> Callable[[], object]:
        def run() -> object:
            with torch.inference_mode():
                return generator(style, **how)

        return run

    def short(**how: Any) -> Callable[[], object]:
        def run() -> object:
            with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
                return generator(style, **how)

        return run

    def gradient(image: Callable[[Tensor], Tensor]) -> Callable[[], object]:
        def run() -> object:
            value = style.value.clone().requires_grad_()
            return torch.autograd.grad(image(value).square().mean(), value)

        return run

    def plain_image() -> Tensor:
        with torch.inference_mode():
            return plain(generator, style.value)

    runs: dict[str, Callable[[], object]] = {
        "image 1024": draw(),
        "image 1024, plain": plain_image,
        "image 1024, bfloat16": short(),
        "image 512": draw(resolution=512),
        "image 256": draw(resolution=256),
        "image 256, head": draw(resolution=256, exact=False),
        "image 256, head, bfloat16": short(resolution=256, exact=False),
        "image 128, head": draw(resolution=128, exact=False),
        "gradient 512": gradient(lambda s: generator(Latent(s, "s"), resolution=512)),
        "gradient 256, head": gradient(lambda s: generator(Latent(s, "s"), resolution=256, exact=False)),
        "gradient 128, head": gradient(lambda s: generator(Latent(s, "s"), resolution=128, exact=False)),
        "gradient 1024, plain": gradient(lambda s: plain(generator, s)),
    }
    other = openvino_image(options.wheel)
    if other is not None:
        runs["image 1024, OpenVINO"] = lambda: other(w.value)
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(options.repeats + 1):
        for name, run in runs.items():
            start = time.process_time()
            run()
            seconds[name].append(time.process_time() - start)
    best = {name: round(min(values[1:]), 4) for name, values in seconds.items()}
    report: dict[str, Any] = {**about_run(), "repeats": options.repeats, "cpu_seconds": best}
    report["largest_difference_to_plain"] = float((generator(style) - plain(generator, style.value)).abs().max())
    if other is not None:
        report["ratio_to_openvino"] = round(best["image 1024"] / best["image 1024, OpenVINO"], 2)
    options.out.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
