"""StyleGAN2's synthesis as a plain transcription of the published procedure, for comparison; nothing is made fast.

Karras et al. 2020, arXiv:1912.04958, Sec. 2 and App. B, in the form that implementations with compiled extensions fall
back to without them: weights scaled per sample, one grouped convolution over the joined batch, resampling by zeros
between pixels, padding and a 4×4 filter, and a pass of its own for every step after it.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from textmorph.generators.stylegan2 import StyleGAN2, SynthesisBlock, SynthesisLayer, ToRGB


def render(generator: StyleGAN2, style: Tensor) -> Tensor:
    """Image [B, 3, R, R] of style codes [B, C] with the stored noise."""
    styles = iter(generator.style_layout.split(style))
    image: Tensor | None = None
    blocks = [cast(SynthesisBlock, block) for block in generator.blocks]
    x = blocks[0].const.repeat(len(style), 1, 1, 1)
    for block in blocks:
        for layer in block.layers():
            if isinstance(layer, SynthesisLayer):
                x = synthesis_layer(layer, x, next(styles))
            else:
                colours = to_rgb(layer, x, next(styles))
                image = colours if image is None else resample(image, up=2, padding=(2, 1), gain=4) + colours
    assert image is not None
    return image


def synthesis_layer(layer: SynthesisLayer, x: Tensor, style: Tensor) -> Tensor:
    x = modulated(x, layer.weight, style, up=layer.up, demodulate=True)
    x = x + layer.noise_const * layer.noise_strength
    x = x + layer.bias.view(1, -1, 1, 1)
    return F.leaky_relu(x, 0.2) * math.sqrt(2)


def to_rgb(layer: ToRGB, x: Tensor, style: Tensor) -> Tensor:
    x = modulated(x, layer.weight, style * layer.gain, up=False, demodulate=False)
    return x + layer.bias.view(1, -1, 1, 1)


def modulated(x: Tensor, weight: Tensor, style: Tensor, *, up: bool, demodulate: bool) -> Tensor:
    batch, inputs, height, width = x.shape
    outputs, _, size, _ = weight.shape
    weights = weight[None] * style.view(batch, 1, inputs, 1, 1)  # [B, O, I, k, k]
    if demodulate:
        weights = weights * (weights.square().sum(dim=(2, 3, 4), keepdim=True) + 1e-8).rsqrt()
    x = x.reshape(1, batch * inputs, height, width)
    if up:
        weights = weights.transpose(1, 2).reshape(batch * inputs, outputs, size, size)
        x = F.conv_transpose2d(x, weights, stride=2, groups=batch)
        x = resample(x, up=1, padding=(1, 1), gain=4)
    else:
        x = F.conv2d(x, weights.reshape(batch * outputs, inputs, size, size), padding=size // 2, groups=batch)
    return x.reshape(batch, outputs, *x.shape[2:])


def resample(x: Tensor, *, up: int, padding: tuple[int, int], gain: float) -> Tensor:
    """Put zeros between pixels, pad, and smooth with [1, 3, 3, 1]ᵀ[1, 3, 3, 1] / 64 · gain."""
    batch, channels, height, width = x.shape
    x = x.reshape(batch, channels, height, 1, width, 1)
    x = F.pad(x, (0, up - 1, 0, 0, 0, up - 1)).reshape(batch, channels, height * up, width * up)
    x = F.pad(x, (*padding, *padding))
    taps = x.new_tensor([1, 3, 3, 1])
    kernel = (torch.outer(taps, taps) * gain / 64).expand(channels, 1, 4, 4)
    return F.conv2d(x, kernel, groups=channels)
