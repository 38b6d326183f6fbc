"""The transposed convolution that doubles the resolution of features, in short numbers on a CPU.

In bfloat16 oneDNN's own takes a CPU two to three times as long as one matrix product and the sum of what overlaps
(docs/banks.md). Its gradient is a convolution, and stays one.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F

_LEAST_INPUTS = 256
"""Channels from which the product outweighs the sums that follow it, nine numbers for each output channel."""
_HELD = 2**24
"""Values of products at most that wait to be summed: samples are taken in parts."""


def conv_transpose(x: Tensor, weight: Tensor) -> Tensor:
    """Transposed 3×3 convolution of stride 2 without padding: [B, I, H, W] → [B, O, 2H + 1, 2W + 1].

    Args:
        x: features.
        weight: [O, I, 3, 3].
    """
    kind = torch.get_autocast_dtype(x.device.type) if torch.is_autocast_enabled(x.device.type) else x.dtype
    learned = torch.is_grad_enabled() and weight.requires_grad
    if x.device.type != "cpu" or kind != torch.bfloat16 or x.shape[1] < _LEAST_INPUTS or learned:
        return F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)
    return cast(Tensor, _Product.apply(x.to(kind), weight.to(kind)))  # type: ignore[no-untyped-call]


class _Product(torch.autograd.Function):
    """Nine numbers of every pixel for each output channel, by one matrix product; each is added where it belongs."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(weight)
        pixels, outputs = x.permute(0, 2, 3, 1), len(weight)  # [B, H, W, I]
        batch, height, width, inputs = pixels.shape
        flat = weight.permute(1, 2, 3, 0).reshape(inputs, -1)  # [I, 9 O]
        y = x.new_empty(batch, 2 * height + 1, 2 * width + 1, outputs)
        size = max(1, _HELD // (height * width * flat.shape[1]))
        for start in range(0, batch, size):
            part = pixels[start : start + size]
            taps = (part.reshape(-1, inputs) @ flat).view(*part.shape[:3], 3, 3, outputs)
            _sum_overlaps(taps, y[start : start + size])
        return y.permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (weight,) = ctx.saved_tensors
        return F.conv2d(grad, weight.transpose(0, 1), stride=2), None


def _sum_overlaps(taps: Tensor, y: Tensor) -> None:
    """Write y [B, 2H + 1, 2W + 1, O]: tap (i, j) of pixel (h, w) belongs to pixel (2h + i, 2w + j).

    Args:
        taps: [B, H, W, 3, 3, O].
    """
    height, width = 2 * taps.shape[1], 2 * taps.shape[2]
    y[:, -1] = 0
    y[:, :, -1] = 0
    for i in (0, 1, 2):
        for j in (0, 1, 2):
            there, tap = y[:, i : i + height : 2, j : j + width : 2], taps[:, :, :, i, j]
            if i < 2 and j < 2:  # the first that comes there
                there.copy_(tap)
            else:
                there += tap
