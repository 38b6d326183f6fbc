"""StyleGAN2 (Karras et al. 2020, arXiv:1912.04958), skip architecture, any size, in plain PyTorch.

Shapes: B batch, L rows of w+ (2·log2 R − 2), C style channels. Images are RGB in about [-1, 1].
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from ..errors import OptionError
from ..latents import StyleLayout
from ..layers.equalized import EqualizedLinear
from ..layers.mapping import MappingNetwork
from ..layers.modulation import folds, has_gradient, modulated_layer, modulated_to_rgb, upsample
from .base import State, Stop, StyleGenerator


@dataclass(frozen=True, kw_only=True)
class StyleGAN2Config:
    """Architecture of a generator.

    Args:
        resolution: side of the image, a power of two from 8 to 1024.
        z_dim, w_dim: widths of the two latent spaces.
        label_dim: length of the class vector; 0 for none.
        mapping_layers: depth of the mapping network, 1 to 8.
        channel_base, channel_max: a layer at side r has min(channel_base / r, channel_max) channels.
        conv_clamp: features are clamped to ± this after every layer; None for no clamp.
    """

    resolution: int
    z_dim: int = 512
    w_dim: int = 512
    label_dim: int = 0
    mapping_layers: int = 8
    channel_base: int = 32768
    channel_max: int = 512
    conv_clamp: float | None = None

    def __post_init__(self) -> None:
        r = self.resolution
        if r < 8 or r > 1024 or r & (r - 1):
            raise OptionError(f"resolution is a power of two from 8 to 1024, not {r}")
        if not 1 <= self.mapping_layers <= 8:
            raise OptionError(f"mapping_layers is 1 to 8, not {self.mapping_layers}")

    @property
    def resolutions(self) -> list[int]:
        return [2**i for i in range(2, self.resolution.bit_length())]

    @property
    def num_rows(self) -> int:
        """Rows of w+, L."""
        return 2 * len(self.resolutions)

    def channels(self, resolution: int) -> int:
        return min(self.channel_base // resolution, self.channel_max)


class SynthesisLayer(nn.Module):
    """Modulated 3×3 convolution, noise, bias, activation; doubles the resolution where `up`."""

    noise_const: Tensor

    def __init__(self, inputs: int, outputs: int, config: StyleGAN2Config, *, resolution: int, up: bool) -> None:
        super().__init__()
        self.up = up
        self.resolution = resolution
        self.clamp = config.conv_clamp
        self.affine = EqualizedLinear(config.w_dim, inputs, bias_init=1)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.noise_strength = nn.Parameter(torch.zeros(()))
        self.register_buffer("noise_const", torch.randn(resolution, resolution))

    def forward(
        self, x: Tensor, scale: Tensor | None, style: Tensor, noise: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Features, and the scale [B, C] that they are still to be multiplied by; see `modulated_layer`."""
        noise = None if noise is None else noise * self.noise_strength
        return modulated_layer(x, scale, self.weight, style, self.bias, noise, up=self.up, clamp=self.clamp)


class ToRGB(nn.Module):
    """Modulated 1×1 convolution to three colours, without demodulation."""

    def __init__(self, inputs: int, config: StyleGAN2Config) -> None:
        super().__init__()
        self.clamp = config.conv_clamp
        self.gain = 1 / math.sqrt(inputs)
        self.affine = EqualizedLinear(config.w_dim, inputs, bias_init=1)
        self.weight = nn.Parameter(torch.randn(3, inputs, 1, 1))
        self.bias = nn.Parameter(torch.zeros(3))

    def forward(self, x: Tensor, scale: Tensor | None, style: Tensor) -> Tensor:
        style = style * self.gain
        rgb = modulated_to_rgb(x, self.weight, style if scale is None else style * scale)
        rgb = rgb + self.bias[:, None, None]  # under autocast this returns to full precision
        return rgb if self.clamp is None else rgb.clamp(-self.clamp, self.clamp)


class SynthesisBlock(nn.Module):
    """All layers at one resolution. The first block has no `conv0` but the learned constant."""

    def __init__(self, config: StyleGAN2Config, resolution: int) -> None:
        super().__init__()
        outputs = config.channels(resolution)
        if resolution == 4:
            self.const = nn.Parameter(torch.randn(outputs, 4, 4))
        else:
            inputs = config.channels(resolution // 2)
            self.conv0 = SynthesisLayer(inputs, outputs, config, resolution=resolution, up=True)
        self.conv1 = SynthesisLayer(outputs, outputs, config, resolution=resolution, up=False)
        self.to_rgb = ToRGB(outputs, config)

    def layers(self) -> list[SynthesisLayer | ToRGB]:
        """In the order of the styles."""
        return [self.conv0, self.conv1, self.to_rgb] if hasattr(self, "conv0") else [self.conv1, self.to_rgb]


class StyleGAN2(StyleGenerator):
    """A StyleGAN2 generator: latent in, image out. At a lower resolution the image is the skip image of that block.

    Built frozen and in eval mode; who trains it calls `requires_grad_(True)`.
    """

    config_class = StyleGAN2Config

    def __init__(self, config: StyleGAN2Config) -> None:
        layout = _style_layout(config)
        ends = [i + 1 for i, last in enumerate(layout.to_rgb) if last]
        super().__init__(
            MappingNetwork(config.z_dim, config.w_dim, config.mapping_layers, config.label_dim),
            layout,
            [Stop(side, layers) for side, layers in zip(config.resolutions, ends, strict=True)],
        )
        self.config = config
        self.blocks = nn.ModuleList(SynthesisBlock(config, r) for r in config.resolutions)
        self.requires_grad_(False).eval()

    def style_layers(self) -> list[SynthesisLayer | ToRGB]:
        return [layer for block in self.blocks for layer in cast(SynthesisBlock, block).layers()]

    def widest(self, resolution: int) -> int:
        return max(self.config.channels(side) * side**2 for side in self.config.resolutions if side <= resolution)

    def _start(self, num: int) -> State:
        const = cast(SynthesisBlock, self.blocks[0]).const.expand(num, -1, -1, -1)  # [B, C, 4, 4]
        return const.contiguous(memory_format=torch.channels_last), None, None

    def _step(self, layer: int, state: State, style: Tensor, noise: Tensor | None) -> State:
        """Features, the scale [B, C] that they are still to be multiplied by, and the image of the blocks so far."""
        x, scale, image = state
        assert x is not None
        module = self.style_layers()[layer]
        if isinstance(module, SynthesisLayer):
            return *module(x, scale, style, noise), image
        rgb = module(x, scale, style)
        return x, scale, rgb if image is None else upsample(image) + rgb

    def _image(self, state: State, stop: Stop, style: Tensor) -> Tensor:
        image = self._step(stop.layers - 1, state, style, None)[2]
        assert image is not None
        return image

    def _apart(self, layer: int, state: State, styles: Sequence[Tensor], *, first: bool) -> bool:
        """From where the scales go into the weights (see `modulated_layer`)."""
        x, module = state[0], self.style_layers()[layer]
        if x is None or not (first or getattr(module, "up", False)) or not folds(x, module.weight):
            return False
        block = self.blocks[self.style_layout.resolutions[layer].bit_length() - 3]
        return not has_gradient(x, *styles, *block.parameters())


def _style_layout(config: StyleGAN2Config) -> StyleLayout:
    names: list[str] = []
    widths: list[int] = []
    resolutions: list[int] = []
    rows: list[int] = []
    for level, r in enumerate(config.resolutions):
        parts = ["conv1", "to_rgb"] if r == 4 else ["conv0", "conv1", "to_rgb"]
        first = 0 if r == 4 else 2 * level - 1
        for i, part in enumerate(parts):
            names.append(f"b{r}.{part}")
            widths.append(config.channels(r // 2 if part == "conv0" else r))
            resolutions.append(r)
            rows.append(first + i)
    to_rgb = tuple(name.endswith("to_rgb") for name in names)
    return StyleLayout(tuple(names), tuple(widths), tuple(resolutions), to_rgb, tuple(rows))
