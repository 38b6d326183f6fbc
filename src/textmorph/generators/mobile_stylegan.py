"""MobileStyleGAN (Belousov 2021, arXiv:2104.04767): StyleGAN2's spaces with wavelets and separable convolutions.

Every convolution but the first is a depthwise one and a 1×1 one. Nothing is demodulated while it runs, so that the
size of a style is a real gain. There are no colours below the last block: the network gives the four Haar bands of
the image, and smaller images come from the low band, or from linear heads that were fitted to features.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import OptionError
from ..latents import StyleLayout
from ..layers.mapping import MappingNetwork
from ..layers.modulation import has_gradient
from ..layers.wavelets import inverse_haar
from .base import State, Stop, StyleGenerator

_LARGE = 2**20
"""Values of one sample's features from which a batch is drawn sample by sample."""


@dataclass(frozen=True, kw_only=True)
class MobileStyleGANConfig:
    """Architecture of a generator; the defaults are those of the published network for faces.

    Args:
        widths: channels of the features at 4, 8, 16, … pixels; all but the last divide by 4. The image has twice the
            side of the last.
        z_dim, w_dim: widths of the two latent spaces.
        mapping_layers: depth of the mapping network, 1 to 8.
        heads: blocks whose features have a linear head for smaller images, counted from 1: block i works at 4·2^i px.
    """

    widths: tuple[int, ...] = (512, 512, 512, 512, 512, 256, 128, 64)
    z_dim: int = 512
    w_dim: int = 512
    mapping_layers: int = 8
    heads: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name in ("widths", "heads"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        numbers = (*self.widths, self.z_dim, self.w_dim)
        if not 2 <= len(self.widths) <= 8 or any(type(n) is not int or not 1 <= n <= 1 << 16 for n in numbers):
            raise OptionError(f"widths are 2 to 8 positive whole numbers, not {list(self.widths)}")
        if any(width % 4 for width in self.widths[:-1]):
            raise OptionError(f"all widths but the last divide by 4, not {list(self.widths)}")
        if not 1 <= self.mapping_layers <= 8:
            raise OptionError(f"mapping_layers is 1 to 8, not {self.mapping_layers}")
        if any(head not in range(1, len(self.widths) - 1) for head in self.heads):
            raise OptionError(f"heads are numbers of blocks, 1 to {len(self.widths) - 2}, not {list(self.heads)}")

    @property
    def resolution(self) -> int:
        """Side of the image."""
        return 4 << len(self.widths)


class Convolution(nn.Module):
    """Modulated convolution, noise, bias, leaky ReLU of slope 0.2 without gain.

    Args:
        side: of the features, in pixels.
        separable: depthwise 3×3 then 1×1, rather than one full 3×3 convolution.
    """

    noise_const: Tensor

    def __init__(self, inputs: int, outputs: int, w_dim: int, side: int, *, separable: bool = True) -> None:
        super().__init__()
        self.gain = 1 / math.sqrt(9 * inputs)
        self.affine = nn.Linear(w_dim, inputs)
        self.depthwise = nn.Parameter(torch.randn(inputs, 1, 3, 3)) if separable else None
        size = 1 if separable else 3
        self.weight = nn.Parameter(torch.randn(outputs, inputs, size, size))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.noise_strength = nn.Parameter(torch.zeros(()))
        self.register_buffer("noise_const", torch.randn(side, side))

    def forward(self, x: Tensor, style: Tensor, noise: Tensor | None) -> Tensor:
        """[B, I, H, W] → [B, O, H, W]. The styles go into the depthwise weights, one set for each sample."""
        style, kind = style * self.gain, x.dtype
        batch, channels, height, width = x.shape
        if self.depthwise is None:
            x = F.conv2d(x * style[:, :, None, None].to(kind), self.weight.to(kind), self.bias.to(kind), padding=1)
        else:
            taps = self.depthwise * style[:, :, None, None, None]  # [B, I, 1, 3, 3]
            x = x.reshape(1, batch * channels, height, width)
            x = F.conv2d(x, taps.flatten(0, 1).to(kind), padding=1, groups=batch * channels)
            x = F.conv2d(x.view(batch, channels, height, width), self.weight.to(kind), self.bias.to(kind))
        inner = has_gradient(x, self.noise_strength)
        if noise is not None:
            noise = (noise * self.noise_strength).to(kind)
            x = x + noise if inner else x.add_(noise)
        return F.leaky_relu(x, 0.2) if inner else F.leaky_relu_(x, 0.2)


class Upscale(nn.Module):
    """Modulated inverse Haar transform: a quarter of the channels at twice the side."""

    def __init__(self, inputs: int, w_dim: int) -> None:
        super().__init__()
        self.affine = nn.Linear(w_dim, inputs)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        return inverse_haar(x, style)


class ToBands(nn.Module):
    """Modulated 1×1 convolution to the Haar bands of three colours, in the numbers of the weights."""

    def __init__(self, inputs: int, w_dim: int) -> None:
        super().__init__()
        self.gain = 1 / math.sqrt(inputs)
        self.affine = nn.Linear(w_dim, inputs)
        self.weight = nn.Parameter(torch.randn(12, inputs))
        self.bias = nn.Parameter(torch.zeros(12))

    def forward(self, x: Tensor, style: Tensor, bands: int = 12) -> Tensor:
        """[B, C, H, W] → the first bands, [B, bands, H, W]."""
        weight = self.weight[:bands] * (style * self.gain)[:, None]  # [B, bands, C]
        return _colours(x, weight, self.bias[:bands])


class Head(nn.Module):
    """An estimate of the image from the features of a block, by least squares.

    It reads the features and what the block above makes of them: the features times the style of its `Upscale`.
    """

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(3, 2 * inputs))
        self.bias = nn.Parameter(torch.zeros(3))

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """[B, C, H, W], [B, C] → [B, 3, H, W]."""
        plain, styled = self.weight.chunk(2, dim=1)
        return _colours(x, plain + styled * style[:, None], self.bias)


class MobileStyleGAN(StyleGenerator):
    """A MobileStyleGAN generator: latent in, image out.

    The image of half the side is the low Haar band, halved; still smaller ones are averages of it. With `exact=False`
    those for which a head was fitted come from there, at a fraction of the cost.
    """

    config_class = MobileStyleGANConfig

    def __init__(self, config: MobileStyleGANConfig) -> None:
        layout = _style_layout(config)
        layers, side = len(layout.widths), config.resolution
        stops = [Stop(side, layers), Stop(side // 2, layers)]
        stops += [Stop(4 << head, 3 * head + 2, exact=False) for head in config.heads]
        mapping = MappingNetwork(config.z_dim, config.w_dim, config.mapping_layers)
        super().__init__(mapping, layout, stops, spare_rows=2)
        self.config = config
        self.const = nn.Parameter(torch.randn(config.widths[0], 4, 4))
        made: list[nn.Module] = [Convolution(config.widths[0], config.widths[0], config.w_dim, 4, separable=False)]
        for block, (inputs, outputs) in enumerate(pairwise(config.widths), start=1):
            made.append(Upscale(inputs, config.w_dim))
            made.append(Convolution(inputs // 4, outputs, config.w_dim, 4 << block))
            made.append(Convolution(outputs, outputs, config.w_dim, 4 << block))
        made.append(ToBands(config.widths[-1], config.w_dim))
        self.layers = nn.ModuleList(made)
        self.heads = nn.ModuleDict({str(4 << head): Head(config.widths[head]) for head in config.heads})
        self.requires_grad_(False).eval()

    def style_layers(self) -> list[nn.Module]:
        return list(self.layers)

    def widest(self, resolution: int) -> int:
        return max(width * (4 << i) ** 2 for i, width in enumerate(self.config.widths))

    def _start(self, num: int) -> State:
        x: Tensor = self.const
        if torch.is_autocast_enabled(x.device.type):
            x = x.to(torch.get_autocast_dtype(x.device.type))
        return (x.expand(num, -1, -1, -1),)

    def _step(self, layer: int, state: State, style: Tensor, noise: Tensor | None) -> State:
        module, x = self.layers[layer], state[0]
        if isinstance(module, Convolution):
            return (module(x, style, noise),)
        return (module(x, style),)

    def _image(self, state: State, stop: Stop, style: Tensor) -> Tensor:
        x = state[0]
        assert x is not None
        if not stop.exact:
            image: Tensor = self.heads[str(stop.side)](x, style)
        elif stop.side == self.resolution:
            image = inverse_haar(self.layers[-1](x, style))
        else:
            image = 0.5 * self.layers[-1](x, style, bands=3)
        return image

    def _apart(self, layer: int, state: State, styles: Sequence[Tensor], *, first: bool) -> bool:
        """Where the features of a batch would leave the cache of the processor."""
        x = state[0]
        return x is not None and x[0].numel() >= _LARGE and not has_gradient(x, *styles, *self.layers.parameters())


def _colours(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Features [B, C, H, W] to colours by weights [B, K, C] and a bias [K], in the numbers of the weights."""
    with torch.autocast(x.device.type, enabled=False):
        flat = x.flatten(2).to(bias.dtype)  # [B, C, P]
        colours = torch.baddbmm(bias[:, None], weight.to(bias.dtype), flat)
    return colours.view(len(x), -1, *x.shape[2:])


def _style_layout(config: MobileStyleGANConfig) -> StyleLayout:
    """Names are those of the training code: `conv1`, `layers.0.up`, `layers.0.conv1`, …, `layers.6.to_img`.

    An `up` counts as a layer of the side that its style acts at, before the transform.
    """
    names, widths, sides, rows = ["conv1"], [config.widths[0]], [4], [0]
    for i, (inputs, outputs) in enumerate(pairwise(config.widths)):
        names += [f"layers.{i}.up", f"layers.{i}.conv1", f"layers.{i}.conv2"]
        widths += [inputs, inputs // 4, outputs]
        sides += [4 << i, 8 << i, 8 << i]
        rows += [2 * i + 1, 2 * i + 1, 2 * i + 2]
    last = len(config.widths) - 2
    names.append(f"layers.{last}.to_img")
    widths.append(config.widths[-1])
    sides.append(config.resolution // 2)
    rows.append(2 * last + 3)
    to_rgb = tuple(name.endswith("to_img") for name in names)
    return StyleLayout(tuple(names), tuple(widths), tuple(sides), to_rgb, tuple(rows))
