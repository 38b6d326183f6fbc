"""The modulated convolution of StyleGAN2 (Karras et al. 2020, arXiv:1912.04958, Sec. 2.2) and its resampling."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

_TAPS = (0.125, 0.375, 0.375, 0.125)  # [1, 3, 3, 1], summing to 1


def demodulation(weight: Tensor, style: Tensor) -> Tensor:
    """Factor per output channel that gives unit variance, [B, O]; eq. 3 of the paper.

    Args:
        weight: [O, I, k, k].
        style: [B, I].
    """
    power = weight.square().sum(dim=(2, 3))  # [O, I]
    return (style.square() @ power.t() + 1e-8).rsqrt()


def modulated_conv(x: Tensor, weight: Tensor, style: Tensor, *, up: bool = False, demodulate: bool = True) -> Tensor:
    """Convolve with weights scaled per sample and input channel: [B, I, H, W] → [B, O, H, W] or [B, O, 2H, 2W].

    Scales the input and the output instead of the weights, so that one plain convolution serves the whole batch.
    Equal to `modulated_conv_reference`.

    Args:
        x: features, [B, I, H, W].
        weight: [O, I, k, k].
        style: scale of each input channel, [B, I].
        up: double the resolution, then smooth with [1, 3, 3, 1].
        demodulate: divide by the expected standard deviation.
    """
    x = x * style[:, :, None, None].to(x.dtype)
    if up:
        x = blur(F.conv_transpose2d(x, weight.transpose(0, 1), stride=2))
    else:
        x = F.conv2d(x, weight, padding=weight.shape[-1] // 2)
    if demodulate:
        x = x * demodulation(weight, style)[:, :, None, None].to(x.dtype)
    return x


def modulated_conv_reference(
    x: Tensor, weight: Tensor, style: Tensor, *, up: bool = False, demodulate: bool = True
) -> Tensor:
    """The same, written as the paper writes it: one set of weights per sample. Slow; for tests."""
    rows = []
    for features, scale in zip(x, style, strict=True):
        w = weight * scale[None, :, None, None]  # [O, I, k, k]
        if demodulate:
            w = w * (w.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8).rsqrt()
        if up:
            rows.append(blur(F.conv_transpose2d(features[None], w.transpose(0, 1), stride=2)))
        else:
            rows.append(F.conv2d(features[None], w, padding=w.shape[-1] // 2))
    return torch.cat(rows)


def blur(x: Tensor) -> Tensor:
    """Smooth with 4 · [1, 3, 3, 1]ᵀ[1, 3, 3, 1] / 64 after zero padding of 1: [B, C, 2H+1, 2W+1] → [B, C, 2H, 2W].

    The factor 4 makes up for the zeros that a convolution of stride ½ puts between pixels.
    """
    channels = x.shape[1]
    taps = x.new_tensor(_TAPS) * 2
    rows = taps.view(1, 1, 4, 1).expand(channels, 1, 4, 1)
    cols = taps.view(1, 1, 1, 4).expand(channels, 1, 1, 4)
    x = F.conv2d(x, rows, padding=(1, 0), groups=channels)
    return F.conv2d(x, cols, padding=(0, 1), groups=channels)


def upsample(image: Tensor) -> Tensor:
    """Double the resolution of an image with the same filter: [B, 3, H, W] → [B, 3, 2H, 2W]."""
    channels = image.shape[1]
    taps = image.new_tensor(_TAPS) * 2
    kernel = (taps[:, None] * taps[None, :]).expand(channels, 1, 4, 4)
    return F.conv_transpose2d(image, kernel, stride=2, padding=1, groups=channels)
