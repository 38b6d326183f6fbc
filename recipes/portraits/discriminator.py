"""StyleGAN2's discriminator (Karras et al. 2020, arXiv:1912.04958, Sec. 4.1): residual blocks down to 4 px."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from textmorph.generators.stylegan2 import StyleGAN2Config
from textmorph.layers.equalized import EqualizedLinear, leaky_relu


class EqualizedConv(nn.Module):
    """Convolution with equalised learning rate: [B, I, H, W] → [B, O, H, W], or half of both sides where `down`.

    Halving smooths with [1, 3, 3, 1] first, as StyleGAN2 does.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, *, down: bool = False, activate: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs)) if activate else None
        self.gain = 1 / math.sqrt(inputs * kernel**2)
        self.down, self.activate = down, activate

    def forward(self, x: Tensor) -> Tensor:
        kernel = self.weight.shape[-1]
        weight = self.weight * self.gain
        if not self.down:
            x = F.conv2d(x, weight, self.bias, padding=kernel // 2)
        elif kernel == 1:  # only every second value is read
            x = F.conv2d(smooth(x, padding=1, stride=2), weight, self.bias)
        else:
            x = F.conv2d(smooth(x, padding=kernel // 2 + 1), weight, self.bias, stride=2)
        return leaky_relu(x) if self.activate else x


def smooth(x: Tensor, *, padding: int, stride: int = 1) -> Tensor:
    """Average with [1, 3, 3, 1]ᵀ[1, 3, 3, 1] / 64 after zero padding."""
    taps = x.new_tensor([0.125, 0.375, 0.375, 0.125])
    kernel = torch.outer(taps, taps).expand(x.shape[1], 1, 4, 4)
    return F.conv2d(x, kernel, padding=padding, stride=stride, groups=x.shape[1])


class ResidualBlock(nn.Module):
    """[B, I, H, W] → [B, O, H/2, W/2]: two convolutions beside one, divided by √2 to keep the variance."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv0 = EqualizedConv(inputs, inputs, 3)
        self.conv1 = EqualizedConv(inputs, outputs, 3, down=True)
        self.skip = EqualizedConv(inputs, outputs, 1, down=True, activate=False)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = (self.conv1(self.conv0(x)) + self.skip(x)) / math.sqrt(2)
        return y


def minibatch_deviation(x: Tensor, group: int = 4) -> Tensor:
    """Append how much a group of pictures differs, averaged over everything: [B, C, H, W] → [B, C + 1, H, W].

    Pictures i, i + B/g, i + 2B/g, … are a group, g being the largest divisor of B up to `group`. A generator that
    always draws the same gives itself away by it. Source: Karras et al. 2018, arXiv:1710.10196, Sec. 3.
    """
    batch = len(x)
    size = next(g for g in range(min(group, batch), 0, -1) if batch % g == 0)
    members = x.view(size, batch // size, *x.shape[1:])  # [g, B/g, C, H, W]
    variance = members.var(dim=0, unbiased=False)
    deviation = (variance + 1e-8).sqrt().mean(dim=(1, 2, 3))  # [B/g]
    plane = deviation.repeat(size).view(-1, 1, 1, 1).expand(-1, 1, *x.shape[2:])
    return torch.cat([x, plane], dim=1)


class Discriminator(nn.Module):
    """Image [B, 3, R, R] in [-1, 1] → how drawn it looks, logits [B]. As wide as the generator of `config`.

    Built frozen; who trains it says so.
    """

    def __init__(self, config: StyleGAN2Config) -> None:
        super().__init__()
        sides = config.resolutions[:0:-1]  # R, R/2, …, 8
        self.from_rgb = EqualizedConv(3, config.channels(config.resolution), 1)
        self.blocks = nn.Sequential(*(ResidualBlock(config.channels(r), config.channels(r // 2)) for r in sides))
        width = config.channels(4)
        self.conv = EqualizedConv(width + 1, width, 3)
        self.dense = EqualizedLinear(width * 16, width, activation=leaky_relu)
        self.out = EqualizedLinear(width, 1)
        self.requires_grad_(False)

    def forward(self, image: Tensor) -> Tensor:
        x = self.blocks(self.from_rgb(image.contiguous(memory_format=torch.channels_last)))  # [B, C, 4, 4]
        with torch.autocast(x.device.type, enabled=False):  # small differences decide at the end
            x = self.conv(minibatch_deviation(x.to(self.out.weight)))
            logits: Tensor = self.out(self.dense(x.flatten(1)))
        return logits[:, 0]
