"""The Haar transform of images and features: four bands at half the side, and back.

Bands stand channel by channel: C averages first, then for each channel its three details (between rows, between
columns, both). The transform is orthonormal, so an average is twice the mean of its 2×2 pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .modulation import has_gradient


def haar(x: Tensor) -> Tensor:
    """[B, C, 2H, 2W] → [B, 4C, H, W]; `inverse_haar` undoes it."""
    a, b, c, d = x[..., ::2, ::2], x[..., ::2, 1::2], x[..., 1::2, ::2], x[..., 1::2, 1::2]
    details = torch.stack((a + b - c - d, a - b + c - d, a - b - c + d), dim=2).flatten(1, 2)  # [B, 3C, H, W]
    return torch.cat((a + b + c + d, details), dim=1) * 0.5


def inverse_haar(x: Tensor, scale: Tensor | None = None) -> Tensor:
    """[B, 4C, H, W] → [B, C, 2H, 2W].

    Args:
        scale: multiplied into each band of each sample first, [B, 4C].
    """
    batch, bands, height, width = x.shape
    channels = bands // 4
    factor = x.new_full((1, 1), 0.5) if scale is None else 0.5 * scale
    factor = factor.to(x.dtype).expand(batch, bands)[:, :, None, None]
    average = x[:, :channels] * factor[:, :channels]
    of_details = factor[:, channels:].reshape(batch, channels, 3, 1, 1)
    details = x[:, channels:].reshape(batch, channels, 3, height, width)
    rows, columns, both = (details[:, :, i] * of_details[:, :, i] for i in range(3))
    upper, lower, along, across = average + rows, average - rows, columns + both, columns - both
    if has_gradient(x, scale):
        pixels = torch.stack((upper + along, upper - along, lower + across, lower - across), dim=2)
        return F.pixel_shuffle(pixels.flatten(1, 2), 2)
    y = x.new_empty(batch, channels, height, 2, width, 2)  # written in place: a shuffle would copy all of it again
    torch.add(upper, along, out=y[:, :, :, 0, :, 0])
    torch.sub(upper, along, out=y[:, :, :, 0, :, 1])
    torch.add(lower, across, out=y[:, :, :, 1, :, 0])
    torch.sub(lower, across, out=y[:, :, :, 1, :, 1])
    return y.view(batch, channels, 2 * height, 2 * width)
