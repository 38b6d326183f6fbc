"""What ships beside the fetched generator of faces: the mean of its w, and linear heads for small images.

    python -m recipes.faces.heads WHEEL --out src/textmorph/assets/faces/generator-parts.safetensors

Minutes on one core. Prints and writes the decibels on held-out faces (against a range of 2), beside what the heads
were fitted on. The wheel is fetched by `textmorph domain get faces`, or by pip.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from textmorph.generators import load_generator
from textmorph.latents import Latent

BLOCKS = (5, 6)  # at 128 and 256 px
MEAN_SAMPLES = 100_000


def mean_w(generator: Any) -> Tensor:
    """Mean of w over many samples, summed in double precision."""
    random, total = np.random.default_rng(0), torch.zeros(generator.w_dim, dtype=torch.float64)
    for _ in range(MEAN_SAMPLES // 1000):
        z = torch.from_numpy(random.standard_normal((1000, generator.z_dim), dtype=np.float32))
        total += generator.to_space(Latent(z, "z"), "w").value.double().sum(dim=0)
    return (total / MEAN_SAMPLES).float()


def features(generator: Any, latent: Latent) -> tuple[dict[int, Tensor], Tensor]:
    """Features of each block and those times the style of the layer above, [1, 2C, H, W]; and the image, 512 px."""
    stop = generator._stop(512, True)[1]
    styles, noise = generator._styles(latent, stop.layers), generator._noise("const", stop.layers)
    state, found = generator._start(1), {}
    for i in range(stop.layers - 1):
        if (i - 1) // 3 in BLOCKS and (i - 1) % 3 == 0:
            x = state[0]
            found[(i - 1) // 3] = torch.cat([x, x * styles[i][:, :, None, None]], dim=1)
        state = generator._step(i, state, styles[i], noise[i])
    return found, generator._image(state, stop, styles[stop.layers - 1])


def rows(x: Tensor) -> Tensor:
    """[1, C, H, W] → [H·W, C]."""
    return x[0].flatten(1).t()


@torch.inference_mode()
def fit(generator: Any, num: int, held_out: int) -> tuple[dict[str, Tensor], dict[str, float]]:
    """Weights of the heads, by least squares over a quarter of the pixels, and their decibels."""
    train = generator.sample(num, seed=1, truncation=0.85)
    products: dict[int, list[Tensor]] = {}
    for i in range(num):
        found, image = features(generator, train[i])
        for block, x in found.items():
            target = F.avg_pool2d(image, 512 // (4 << block))
            part = (..., slice(i % 2, None, 2), slice(i // 2 % 2, None, 2))
            a, b = rows(x[part]), rows(target[part])
            a = torch.cat([a, torch.ones(len(a), 1)], dim=1)
            sums = products.setdefault(block, [torch.zeros((), dtype=torch.float64)] * 2)
            products[block] = [sums[0] + (a.t() @ a).double(), sums[1] + (a.t() @ b).double()]
        print(f"{i + 1} of {num}", end="\r", flush=True)
    tensors: dict[str, Tensor] = {}
    for block, (gram, cross) in products.items():
        ridge = 1e-9 * gram.diagonal().mean() * torch.eye(len(gram), dtype=torch.float64)
        solved = torch.linalg.solve(gram + ridge, cross).float().t()  # [3, 2C + 1]
        side = 4 << block
        tensors |= {
            f"heads.{side}.weight": solved[:, :-1].contiguous(),
            f"heads.{side}.bias": solved[:, -1].contiguous(),
        }
    errors: dict[str, list[float]] = {}
    test = generator.sample(held_out, seed=2, truncation=0.7)
    for i in range(held_out):
        found, image = features(generator, test[i])
        for block, x in found.items():
            side = 4 << block
            target = F.avg_pool2d(image, 512 // side)
            estimate = torch.einsum("kc,bchw->bkhw", tensors[f"heads.{side}.weight"], x)
            estimate = estimate + tensors[f"heads.{side}.bias"][:, None, None]
            errors.setdefault(str(side), []).append(float((estimate - target).square().mean()))
    return tensors, {side: round(float(10 * np.log10(4 / np.mean(values))), 2) for side, values in errors.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--faces", type=int, default=240)
    parser.add_argument("--held-out", type=int, default=32)
    options = parser.parse_args()
    torch.set_num_threads(1)
    generator: Any = load_generator(options.wheel)
    generator.mean_w.copy_(mean_w(generator))
    tensors, decibels = fit(generator, options.faces, options.held_out)
    about = {"decibels": decibels, "faces": options.faces, "held_out": options.held_out, "mean_samples": MEAN_SAMPLES}
    save_file({"mapping.mean_w": generator.mean_w, **tensors}, options.out, {"about": json.dumps(about)})
    print(json.dumps(about))


if __name__ == "__main__":
    main()
