"""The modulated convolution of StyleGAN2 (Karras et al. 2020, arXiv:1912.04958, Sec. 2.2), what follows it, and its
resampling.

Features lie in memory as [B, H, W, C] (channels_last): a pixel's channels are neighbours, and a scale per channel is
multiplied in that view, where it vectorises.
"""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from .transposed import conv_transpose

_TAPS = (0.25, 0.75, 0.75, 0.25)  # [1, 3, 3, 1], summing to 2: every second value under it is a zero in between
_GAIN = math.sqrt(2)  # keeps the variance through the leaky ReLU
_PART = 2**18  # values that stay in a core's cache between two passes over them


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
) -> tuple[Tensor, Tensor | None]:
    """Modulated convolution, noise, bias, leaky ReLU times √2 and clamp, in as few passes over the features as can be.

    One convolution serves the whole batch: its input is scaled instead of its weights. The demodulation d is positive
    and passes through the leaky ReLU, leaky(d·c + b) = d · leaky(c + b/d); it is left to the reader of the features,
    who multiplies it into the scale that it applies anyway. A single sample without gradients and with more features
    than weights takes the other way: all scales go into the weights.

    Args:
        x: features, [B, I, H, W].
        scale: what the features are still to be multiplied by, [B, I]; None for 1.
        weight, style, up: as in `modulated_conv`.
        bias: [O].
        noise: already times its strength, the same for every sample, [H', W'] of the output.
        clamp: largest absolute value of the result.

    Returns:
        Features [B, O, H', W'], and the scale [B, O] that they are still to be multiplied by, or None.
    """
    if len(x) == 1 and folds(x, weight) and not has_gradient(x, weight, style, bias, noise):
        return _modulated_layer_of_one(x, scale, weight, style, bias, noise, up=up, clamp=clamp), None
    x = _nhwc(_conv(scale_channels(x, style if scale is None else style * scale), weight, up=up))
    scale = demodulation(weight, style)  # [B, O]
    shape = x.shape
    x = F.leaky_relu_(_add_bias_and_noise(x.flatten(1, 2), scale, bias, noise), 0.2)  # [B, H'W', O]
    scale = scale * _GAIN
    if clamp is not None:
        limit = (clamp / scale)[:, None].to(x.dtype)
        x = x.clamp(-limit, limit)
    return _nchw(x.view(shape)), scale


def _add_bias_and_noise(x: Tensor, scale: Tensor, bias: Tensor, noise: Tensor | None) -> Tensor:
    """x + (bias + noise) / scale, for features [B, P, O] of P pixels.

    Args:
        scale: [B, O].
        bias: [O].
        noise: the same for every sample, [H', W'].
    """
    if noise is None:
        return x + (bias / scale)[:, None].to(x.dtype)
    if not has_gradient(x, scale, bias, noise):
        x = x + (bias / scale)[:, None].to(x.dtype)
        return torch.addcmul(x, noise.reshape(-1, 1).to(x.dtype), (1 / scale)[:, None].to(x.dtype))
    # A product of two thin matrices: its gradient is one too, which reads the features once and writes none.
    pixels = torch.stack([torch.ones_like(noise), noise], dim=2).view(1, -1, 2)  # [1, P, 2]
    channels = torch.stack([bias / scale, 1 / scale], dim=1)  # [B, 2, O]
    return torch.baddbmm(x, pixels.expand(len(x), -1, -1).to(x.dtype), channels.to(x.dtype))


def _modulated_layer_of_one(
    x: Tensor,
    scale: Tensor | None,
    weight: Tensor,
    style: Tensor,
    bias: Tensor,
    noise: Tensor | None,
    *,
    up: bool,
    clamp: float | None,
) -> Tensor:
    """`modulated_layer` of one sample: all scales in the weights, the bias in the convolution, the rest in place."""
    gain = demodulation(weight, style).t() * _GAIN  # [O, 1]
    flat = weight.flatten(1) * gain * _per_weight(style if scale is None else style * scale, weight)  # [O, I·k·k]
    y = _conv(x, flat.view_as(weight), bias * _GAIN, up=up)
    noise = None if noise is None else (noise * _GAIN)[:, :, None].to(y.dtype)  # [H', W', 1]
    step = max(1, _PART // y[0, :, 0].numel())
    for top in range(0, y.shape[2], step):
        rows = _nhwc(y)[0, top : top + step]  # [step, W', O]
        part = rows.clone() if rows.element_size() < 4 else rows  # in place, short types are slow outside the cache
        if noise is not None:
            part += noise[top : top + step]
        F.leaky_relu_(part, 0.2)
        if clamp is not None:
            part.clamp_(-clamp, clamp)
        if part is not rows:
            rows.copy_(part)
    return y


def folds(x: Tensor, weight: Tensor) -> bool:
    """Whether it pays to scale the weights for each sample instead of its features, a batch taken apart for it."""
    features = x[0].numel()
    return features >= max(weight.numel(), 2**16 if len(x) == 1 else 2**20)


def has_gradient(*tensors: Tensor | None) -> bool:
    """Whether autograd would follow any of these."""
    return torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors)


def modulated_to_rgb(x: Tensor, weight: Tensor, style: Tensor) -> Tensor:
    """Modulated 1×1 convolution without demodulation: [B, C, H, W] → [B, 3, H, W], one matrix product per sample.

    In the numbers of the weight, whatever an autocast says: bfloat16 has eight bits, and colours would show it.
    """
    with torch.autocast(x.device.type, enabled=False):
        colours = weight[:, :, 0, 0] * style[:, None]  # [B, 3, C]
        rgb: Tensor = _Colours.apply(_nhwc(x).flatten(1, 2), colours)  # type: ignore[no-untyped-call]
    return _nchw(rgb.view(len(x), *x.shape[2:], -1))


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
    """The same, written as the paper writes it: one set of weights per sample, zeros between pixels. For tests."""
    outputs = []
    for features, scale in zip(x, style, strict=True):
        w = weight * scale[None, :, None, None]  # [O, I, k, k]
        if demodulate:
            w = w * (w.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8).rsqrt()
        if up:
            _, height, width = features.shape
            spread = features.new_zeros(1, len(features), 2 * height - 1, 2 * width - 1)
            spread[0, :, ::2, ::2] = features
            y = F.conv2d(spread, w.flip(2, 3), padding=w.shape[-1] - 1)
            taps = features.new_tensor(_TAPS)
            outputs.append(F.conv2d(y, torch.outer(taps, taps).expand(len(w), 1, 4, 4), padding=1, groups=len(w)))
        else:
            outputs.append(F.conv2d(features[None], w, padding=w.shape[-1] // 2))
    return torch.cat(outputs)


def demodulation(weight: Tensor, style: Tensor) -> Tensor:
    """Factor per output channel that gives unit variance, [B, O]; eq. 3 of the paper.

    Args:
        weight: [O, I, k, k].
        style: [B, I].
    """
    with torch.autocast(style.device.type, enabled=False):
        power = weight.flatten(1).square()  # [O, I·k·k]
        scale = _per_weight(style.to(power), weight).square()
        return (scale @ power.t() + 1e-8).rsqrt()


def scale_channels(x: Tensor, scale: Tensor) -> Tensor:
    """Multiply each channel of each sample: [B, C, H, W] · [B, C]."""
    return _nchw(_nhwc(x) * scale[:, None, None].to(x.dtype))


def blur(x: Tensor) -> Tensor:
    """Smooth with 4 · [1, 3, 3, 1]ᵀ[1, 3, 3, 1] / 64 after zero padding of 1: [B, C, 2H+1, 2W+1] → [B, C, 2H, 2W].

    The factor 4 makes up for the zeros that a convolution of stride ½ puts between pixels.
    """
    return _blur(x)


def upsample(image: Tensor) -> Tensor:
    """Double the resolution of an image with the same filter, in float32 or better: [B, 3, H, W] → [B, 3, 2H, 2W]."""
    channels = image.shape[1]
    taps = image.new_tensor(_TAPS)
    kernel = torch.outer(taps, taps).expand(channels, 1, 4, 4)
    with torch.autocast(image.device.type, enabled=False):
        return F.conv_transpose2d(image, kernel, stride=2, padding=1, groups=channels)


def _conv(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, up: bool) -> Tensor:
    if up:
        return _blur(conv_transpose(x, weight), bias)
    return F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2)


class _Colours(torch.autograd.Function):
    """Pixels [B, P, C] times colours [B, 3, C]: [B, P, 3], in the numbers of the colours.

    The gradients of bfloat16 pixels are computed in bfloat16, to which they are rounded anyway; no float32 copy of the
    pixels is kept for them.
    """

    @staticmethod
    def forward(ctx: Any, pixels: Tensor, colours: Tensor) -> Tensor:
        ctx.save_for_backward(pixels, colours)
        return pixels.to(colours.dtype) @ colours.transpose(1, 2)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor | None]:
        pixels, colours = ctx.saved_tensors
        kind = torch.bfloat16 if pixels.dtype is torch.bfloat16 else colours.dtype
        grad = grad.to(kind)
        of_pixels = (grad @ colours.to(kind)).to(pixels.dtype)
        if not ctx.needs_input_grad[1]:
            return of_pixels, None
        return of_pixels, (grad.transpose(1, 2) @ pixels.to(kind)).to(colours.dtype)


def _blur(x: Tensor, bias: Tensor | None = None) -> Tensor:
    return cast(Tensor, _Blur.apply(x, bias, 1))  # type: ignore[no-untyped-call]


class _Blur(torch.autograd.Function):
    """Two passes with [1, 3, 3, 1], then a bias. The gradient is the same blur with the complementary padding."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, bias: Tensor | None, padding: int) -> Tensor:
        ctx.padding = padding
        channels = x.shape[1]
        taps = x.new_tensor(_TAPS)
        rows = taps.view(1, 1, 4, 1).expand(channels, 1, 4, 1)
        cols = taps.view(1, 1, 1, 4).expand(channels, 1, 1, 4)
        x = F.conv2d(x, rows, padding=(padding, 0), groups=channels)
        return F.conv2d(x, cols, None if bias is None else bias.to(x.dtype), padding=(0, padding), groups=channels)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor | None, None]:
        blurred = _Blur.apply(grad, None, 3 - ctx.padding)  # type: ignore[no-untyped-call]
        return blurred, grad.sum(dim=(0, 2, 3)) if ctx.needs_input_grad[1] else None, None


def _per_weight(scale: Tensor, weight: Tensor) -> Tensor:
    """Repeat a scale per input channel [B, I] for every tap of weights [O, I, k, k]: [B, I·k·k]."""
    return scale.repeat_interleave(weight[0, 0].numel(), dim=1)


def _nhwc(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1)


def _nchw(x: Tensor) -> Tensor:
    return x.permute(0, 3, 1, 2)
