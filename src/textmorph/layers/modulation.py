"""The modulated convolution of StyleGAN2 (Karras et al. 2020, arXiv:1912.04958, Sec. 2.2), its resampling and what
follows it.

Features live in memory as [B, H, W, C] (channels_last): one pixel's channels are neighbours. Scales per channel are
multiplied in that view, where they vectorise; in the [B, C, H, W] view the same product takes six times as long.
"""

from __future__ import annotations

import math
from typing import Any, cast

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
    with torch.autocast(style.device.type, enabled=False):
        full = torch.promote_types(weight.dtype, torch.float32)
        power = weight.to(full).square().sum(dim=(2, 3))  # [O, I]
        return (style.to(full).square() @ power.t() + 1e-8).rsqrt()


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
    x = _conv(scale_channels(x, style), weight, up=up)
    return scale_channels(x, demodulation(weight, style)) if demodulate else x


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


def modulated_layer(
    x: Tensor,
    scale: Tensor | None,
    weight: Tensor,
    style: Tensor,
    bias: Tensor,
    noise: Tensor | None = None,
    *,
    up: bool = False,
    clamp: float | None = None,
) -> tuple[Tensor, Tensor]:
    """Modulated convolution, noise, bias, leaky ReLU times √2 and clamp, in as few passes over the features as can be.

    The demodulation d is positive, so it passes through the leaky ReLU: leaky(d·c + b) = d · leaky(c + b/d). It is
    returned apart, and who reads the features multiplies it into the scale that it applies anyway. This saves one
    pass over the features, and three on the way back.

    Args:
        x: features, [B, I, H, W].
        scale: what the features are still to be multiplied by, [B, I]; None for 1.
        weight, style, up: as in `modulated_conv`.
        bias: [O].
        noise: already times its strength, the same for every sample, [H', W'] of the output.
        clamp: largest absolute value of the result.

    Returns:
        Features [B, O, H', W'], and the scale [B, O] that they are still to be multiplied by.
    """
    x = _nhwc(_conv(scale_channels(x, style if scale is None else style * scale), weight, up=up))
    scale = demodulation(weight, style)  # [B, O]
    x = x + (bias / scale)[:, None, None].to(x.dtype)
    if noise is not None:
        x = torch.addcmul(x, noise[:, :, None].to(x.dtype), (1 / scale)[:, None, None].to(x.dtype))
    x = F.leaky_relu_(x, 0.2)
    scale = scale * math.sqrt(2)
    if clamp is not None:
        limit = (clamp / scale)[:, None, None].to(x.dtype)
        x = x.clamp(-limit, limit)
    return _nchw(x), scale


def modulated_to_rgb(x: Tensor, weight: Tensor, style: Tensor) -> Tensor:
    """Modulated 1×1 convolution without demodulation: [B, C, H, W] → [B, 3, H, W], one matrix product per sample."""
    pixels = _nhwc(x).flatten(1, 2)  # [B, HW, C]
    colours = (weight[:, :, 0, 0] * style[:, None]).to(x.dtype)  # [B, 3, C]
    rgb = pixels @ colours.transpose(1, 2)  # [B, HW, 3]
    return _nchw(rgb.view(len(x), *x.shape[2:], -1))


def scale_channels(x: Tensor, scale: Tensor) -> Tensor:
    """Multiply each channel of each sample: [B, C, H, W] · [B, C]."""
    return _nchw(_nhwc(x) * scale[:, None, None].to(x.dtype))


def blur(x: Tensor) -> Tensor:
    """Smooth with 4 · [1, 3, 3, 1]ᵀ[1, 3, 3, 1] / 64 after zero padding of 1: [B, C, 2H+1, 2W+1] → [B, C, 2H, 2W].

    The factor 4 makes up for the zeros that a convolution of stride ½ puts between pixels.
    """
    return cast(Tensor, _Blur.apply(x, 1))  # type: ignore[no-untyped-call]


def upsample(image: Tensor) -> Tensor:
    """Double the resolution of an image with the same filter: [B, 3, H, W] → [B, 3, 2H, 2W]."""
    channels = image.shape[1]
    taps = image.new_tensor(_TAPS) * 2
    kernel = (taps[:, None] * taps[None, :]).expand(channels, 1, 4, 4)
    return F.conv_transpose2d(image, kernel, stride=2, padding=1, groups=channels)


def _conv(x: Tensor, weight: Tensor, *, up: bool) -> Tensor:
    if up:
        return blur(F.conv_transpose2d(x, weight.transpose(0, 1), stride=2))
    return F.conv2d(x, weight, padding=weight.shape[-1] // 2)


def _nhwc(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1)


def _nchw(x: Tensor) -> Tensor:
    return x.permute(0, 3, 1, 2)


class _Blur(torch.autograd.Function):
    """Symmetric blur; its gradient is itself with the complementary padding."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, padding: int) -> Tensor:
        ctx.padding = padding
        channels = x.shape[1]
        taps = x.new_tensor(_TAPS) * 2
        rows = taps.view(1, 1, 4, 1).expand(channels, 1, 4, 1)
        cols = taps.view(1, 1, 1, 4).expand(channels, 1, 1, 4)
        x = F.conv2d(x, rows, padding=(padding, 0), groups=channels)
        return F.conv2d(x, cols, padding=(0, padding), groups=channels)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return _Blur.apply(grad, 3 - ctx.padding), None  # type: ignore[no-untyped-call]
