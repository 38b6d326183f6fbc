"""StyleCLIP's optimisation step and channel probe as plain transcriptions of the published procedure, for comparison.

Patashnik et al. 2021, arXiv:2103.17249, Sec. 4 and 6, in the order of work of the published code: full resolution, one
image at a time, gradients kept for networks that nobody trains, CLIP's picture of the optimisation made by a sevenfold
enlargement and pooling, that of the bank by way of 8-bit pixels and a bicubic resize. Nothing is made fast.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from textmorph.generators.stylegan2 import StyleGAN2
from textmorph.latents import Latent

from . import plain_stylegan2

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def optimisation(generator: StyleGAN2, clip: Any, text: Tensor) -> Callable[[], float]:
    """One step of the latent optimisation, as a function that takes it and gives the loss.

    Args:
        clip: with `features(pixels [B, 3, 224, 224])` → unit rows.
        text: embedding of the target, [D].
    """
    for network in (generator, clip):
        network.requires_grad_(True)
    start = generator.to_space(generator.sample(1, seed=0), "w+").value.detach().clone()
    latent = start.clone().requires_grad_(True)
    optimizer = torch.optim.Adam([latent], lr=0.1)

    def step() -> float:
        style = generator.to_space(Latent(latent, "w+"), "s").value
        image = plain_stylegan2.render(generator, style)
        seen = clip.features(F.avg_pool2d(F.interpolate(image, scale_factor=7.0), generator.resolution // 32))
        loss = (1 - seen @ text).sum() + 0.008 * (latent - start).square().sum()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return float(loss.detach())

    return step


@torch.no_grad()
def probe(generator: StyleGAN2, clip: Any, style: Tensor, channel: int, values: tuple[float, float]) -> Tensor:
    """Unit difference of the embeddings of one sample with one channel lowered and raised, [D].

    Args:
        style: of the sample, [1, C].
        values: of the channel, lowered and raised.
    """
    rows = []
    for value in values:
        moved = style.clone()
        moved[0, channel] = value
        image = plain_stylegan2.render(generator, moved)
        pixels = ((image[0].permute(1, 2, 0) + 1) * 127.5).clamp(0, 255).to(torch.uint8).numpy()
        small = Image.fromarray(pixels).resize((clip.image_size,) * 2, Image.Resampling.BICUBIC)
        seen = torch.from_numpy(np.asarray(small, dtype=np.float32) / 255).permute(2, 0, 1)[None]
        mean, std = (seen.new_tensor(numbers)[:, None, None] for numbers in (MEAN, STD))
        rows.append(clip.features((seen - mean) / std)[0])
    return F.normalize(rows[1] - rows[0], dim=0)
