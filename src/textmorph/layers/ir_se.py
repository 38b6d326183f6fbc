"""The improved residual network with squeeze-and-excitation (IR-SE) under ArcFace, e4e and pSp.

ArcFace: Deng et al. 2019, arXiv:1801.07698; squeeze-and-excitation: Hu et al. 2018, arXiv:1709.01507.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import ImageError, OptionError


class PReLU(nn.PReLU):
    """Leaky ReLU with a learned slope per channel, as slope · x + (1 − slope) · max(x, 0).

    Half of the time of these networks went into PyTorch's own kernel on the CPU; these passes vectorise.
    """

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim != 4:
            return super().forward(x)
        pixels = x.permute(0, 2, 3, 1)  # [B, H, W, C], where a factor per channel vectorises
        slope = self.weight.to(x.dtype)
        return torch.addcmul(pixels * slope, F.relu(pixels), 1 - slope).permute(0, 3, 1, 2)


class SqueezeExcite(nn.Module):
    """Scale each channel by a gate in (0, 1) read from the mean of all channels; [B, C, H, W] → same."""

    def __init__(self, width: int) -> None:
        super().__init__()
        hidden = max(width // 16, 4)  # 4 at the reference's narrowest width of 64, kept for narrower ones
        self.fc1 = nn.Conv2d(width, hidden, 1, bias=False)
        self.fc2 = nn.Conv2d(hidden, width, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate = F.relu(self.fc1(x.mean(dim=(2, 3), keepdim=True)))
        return x * torch.sigmoid(self.fc2(gate))


class ResidualBlock(nn.Module):
    """Norm, conv, PReLU, conv (with the stride), norm, gate; beside it a shortcut. [B, I, H, W] → [B, O, H/s, W/s]."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.residual = nn.Sequential(
            nn.BatchNorm2d(inputs),
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
            PReLU(outputs),
            nn.Conv2d(outputs, outputs, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            SqueezeExcite(outputs),
        )
        self.shortcut: nn.Sequential | None = None
        if inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        kept = x[:, :, :: self.stride, :: self.stride] if self.shortcut is None else self.shortcut(x)
        out: Tensor = self.residual(x) + kept
        return out


class IRSE(nn.Module):
    """The trunk: a stem at full size, then stages that each begin with stride 2.

    Args:
        widths: channels of each stage; the stem has those of the first. IR-SE-50: 64, 128, 256, 512.
        blocks: residual blocks of each stage, at least one. IR-SE-50: 3, 4, 14, 3.
        channels: of the image, C.

    State dict: `input_layer.{0 conv, 1 norm, 2 PReLU}` and `body.{i}`, the blocks of all stages counted through, each
    with `residual.{0..5}` and, where the width changes, `shortcut.{0, 1}`.
    """

    def __init__(self, widths: Sequence[int], blocks: Sequence[int], *, channels: int = 3) -> None:
        super().__init__()
        stem = widths[0]
        self.input_layer = nn.Sequential(
            nn.Conv2d(channels, stem, 3, padding=1, bias=False), nn.BatchNorm2d(stem), PReLU(stem)
        )
        inputs = [stem, *widths[:-1]]
        self.body = nn.ModuleList(
            ResidualBlock(inputs[stage] if i == 0 else width, width, 2 if i == 0 else 1)
            for stage, (width, count) in enumerate(zip(widths, blocks, strict=True))
            for i in range(count)
        )
        self.stage_ends = tuple(sum(blocks[: stage + 1]) - 1 for stage in range(len(blocks)))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Image [B, C, H, W] → the features at the end of each stage n = 1, 2, …, [B, widths[n-1], H/2ⁿ, W/2ⁿ]."""
        x = self.input_layer(x)
        ends = []
        for i, block in enumerate(self.body):
            x = block(x)
            if i in self.stage_ends:
                ends.append(x)
        return ends


def check_trunk(widths: Sequence[int], blocks: Sequence[int], *sides: int) -> None:
    """Check the architecture of a trunk and the sides of the image it reads.

    Raises:
        OptionError: no stages, not as many widths as blocks, or a side that the strides do not divide.
    """
    if len(widths) != len(blocks) or not widths or min(*widths, *blocks) < 1 or sum(blocks) > 200:
        raise OptionError(
            f"widths and blocks name every stage once, from 1 up, 200 blocks in all, not {widths} and {blocks}"
        )
    factor = 2 ** len(widths)
    for side in sides:
        if side < factor or side % factor:
            raise OptionError(f"a network of {len(widths)} stages reads a multiple of {factor} px, not {side}")


def check_image(image: Tensor) -> None:
    """Raises ImageError unless the tensor is [B, 3, H, W] and floating point."""
    if image.ndim != 4 or image.shape[1] != 3 or 0 in image.shape or not image.is_floating_point():
        raise ImageError(
            f"an image is a floating-point tensor [B, 3, H, W] in [-1, 1], not {image.dtype} {list(image.shape)}"
        )


def resize_area(image: Tensor, height: int, width: int) -> Tensor:
    """Resize by averaging whole pixels where the image is larger, bilinearly where it is smaller; [B, 3, h, w]."""
    if tuple(image.shape[2:]) == (height, width):
        return image
    if image.shape[2] < height or image.shape[3] < width:
        return F.interpolate(image, (height, width), mode="bilinear", align_corners=False, antialias=True)
    return F.adaptive_avg_pool2d(image, (height, width))
