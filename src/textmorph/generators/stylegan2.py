"""StyleGAN2 (Karras et al. 2020, arXiv:1912.04958), skip architecture, any size, in plain PyTorch.

Shapes: B batch, L rows of w+ (2·log2 R − 2), C style channels. Images are RGB in about [-1, 1].
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import LatentError, OptionError, SpaceError
from ..latents import SPACES, Latent, Space, StyleLayout
from ..layers.equalized import EqualizedLinear, leaky_relu
from ..layers.modulation import folds, has_gradient, modulated_layer, modulated_to_rgb, upsample
from . import Noise


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


class MappingNetwork(nn.Module):
    """z [B, Z] (and class vector [B, K]) → w [B, W]."""

    mean_w: Tensor

    def __init__(self, config: StyleGAN2Config) -> None:
        super().__init__()
        self.label_dim = config.label_dim
        if config.label_dim:
            self.embed = EqualizedLinear(config.label_dim, config.w_dim)
        width = config.z_dim + (config.w_dim if config.label_dim else 0)
        widths = [width] + [config.w_dim] * config.mapping_layers
        self.layers = nn.ModuleList(
            EqualizedLinear(i, o, lr_multiplier=0.01, activation=leaky_relu) for i, o in pairwise(widths)
        )
        self.register_buffer("mean_w", torch.zeros(config.w_dim))

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        x = _unit_power(z)
        if self.label_dim:
            if label is None or label.shape[-1] != self.label_dim:
                raise OptionError(f"this generator is conditional: give a label of length {self.label_dim}")
            x = torch.cat([x, _unit_power(self.embed(label.to(x))).expand(len(x), -1)], dim=1)
        elif label is not None:
            raise OptionError("this generator has no classes; leave the label out")
        for layer in self.layers:
            x = layer(x)
        return x


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

    def forward(
        self,
        x: Tensor,
        scale: Tensor | None,
        image: Tensor | None,
        styles: Sequence[Tensor],
        noise: Sequence[Tensor | None],
        skip: int = 0,
    ) -> tuple[Tensor, Tensor | None, Tensor]:
        """Features, their scale and the image of the block before → those of this one. Takes the first styles.

        The first `skip` layers are left out: x has been through them.
        """
        *convs, to_rgb = self.layers()[skip:]
        for layer, style, source in zip(convs, styles, noise, strict=False):
            x, scale = layer(x, scale, style, source)
        rgb = to_rgb(x, scale, styles[len(convs)])
        return x, scale, rgb if image is None else upsample(image) + rgb


@dataclass(frozen=True, eq=False)
class Paused:
    """A rendering that stopped before one layer; made by `StyleGAN2.pause`, one row per sample.

    Args:
        layer: index of the style layer that is next.
        features, scale, image: before it; see `SynthesisBlock`. The first layers have no image yet.
        resolution: of the image to come.
        noise: that of the layers to come.
    """

    layer: int
    features: Tensor
    scale: Tensor | None
    image: Tensor | None
    resolution: int
    noise: tuple[Tensor | None, ...]

    def __getitem__(self, rows: slice | Tensor) -> Paused:
        """Some of the samples, or some of them many times."""
        scale = None if self.scale is None else self.scale[rows]
        image = None if self.image is None else self.image[rows]
        # Indexing by a tensor forgets the order in memory that the layers are fast in.
        features = self.features[rows].contiguous(memory_format=torch.channels_last)
        return replace(self, features=features, scale=scale, image=image)


class StyleGAN2(nn.Module):
    """A StyleGAN2 generator: latent in, image out.

    Built frozen and in eval mode; who trains it calls `requires_grad_(True)`.
    """

    def __init__(self, config: StyleGAN2Config) -> None:
        super().__init__()
        self.config = config
        self.resolution = config.resolution
        self.mapping = MappingNetwork(config)
        self.blocks = nn.ModuleList(SynthesisBlock(config, r) for r in config.resolutions)
        self.style_layout = _style_layout(config)
        self.requires_grad_(False).eval()

    @property
    def mean_w(self) -> Tensor:
        """Mean of w over many samples, [W]."""
        return self.mapping.mean_w

    def forward(self, latent: Latent, *, noise: Noise = "const", resolution: int | None = None) -> Tensor:
        """Image [B, 3, R, R] of a latent in any space.

        Args:
            latent: in `z`, `w`, `w+` or `s`.
            noise: `const` (stored with the weights), `none`, or a seed (the same noise for every row of the batch).
            resolution: a lower power of two; the image is then the skip image of that block, without the cost of
                the layers above it.

        Raises:
            OptionError: no such resolution or noise.
            LatentError: the latent does not fit this generator.
        """
        resolution = self.resolution if resolution is None else resolution
        if resolution not in self.config.resolutions:
            raise OptionError(f"resolution is one of {self.config.resolutions}, not {resolution}")
        blocks = self._blocks(resolution)
        styles = self._styles(latent, resolution)
        const = blocks[0].const.expand(len(latent.value), -1, -1, -1)  # [B, C, 4, 4]
        x = const.contiguous(memory_format=torch.channels_last)
        return self._render(blocks, styles, self._noise(noise, resolution), x).contiguous()

    def _render(
        self,
        blocks: Sequence[SynthesisBlock],
        styles: Sequence[Tensor],
        noise: Sequence[Tensor | None],
        x: Tensor,
        scale: Tensor | None = None,
        image: Tensor | None = None,
        skip: int = 0,
    ) -> Tensor:
        """Run blocks over features x [B, C, r, r] and their image [B, 3, r, r]; x is past `skip` layers of the first.

        From where the scales go into the weights (see `modulated_layer`) it runs sample by sample.
        """
        for i, block in enumerate(blocks):
            layers = block.layers()[skip:]
            if len(x) > 1 and folds(x, layers[0].weight) and not has_gradient(x, *styles, *block.parameters()):
                samples = zip(torch.split(x, 1), _rows(scale, len(x)), _rows(image, len(x)), strict=True)
                rows = zip(samples, zip(*(torch.split(style, 1) for style in styles), strict=True), strict=True)
                return torch.cat([self._render(blocks[i:], style, noise, *one, skip) for one, style in rows])
            x, scale, image = block(x, scale, image, styles, noise, skip)
            styles, noise, skip = styles[len(layers) :], noise[len(layers) - 1 :], 0
        assert image is not None
        return image

    def pause(self, latent: Latent, layer: int, *, noise: Noise = "const", resolution: int | None = None) -> Paused:
        """Render up to one style layer, so that many images that differ from there on share the way to it.

        Args:
            latent: in any space, [B, ...].
            layer: index in `style_layout`; of a layer that the image needs.
            noise, resolution: as in `forward`.

        Raises:
            OptionError: no such resolution or noise, or a layer above the resolution.
        """
        resolution = self.resolution if resolution is None else resolution
        if resolution not in self.config.resolutions or not 0 <= layer < len(self._layers(resolution)):
            raise OptionError(f"there is no layer {layer} in an image of {resolution} px")
        styles, sources = self._styles(latent, resolution), self._noise(noise, resolution)
        const = self._blocks(resolution)[0].const.expand(len(latent.value), -1, -1, -1)  # [B, C, 4, 4]
        x = const.contiguous(memory_format=torch.channels_last)
        scale = image = None
        left = layer
        for block in self._blocks(resolution):
            layers = block.layers()
            if left < len(layers):
                for conv, style, source in zip(layers[:left], styles, sources, strict=False):
                    x, scale = cast(SynthesisLayer, conv)(x, scale, style, source)
                break
            x, scale, image = block(x, scale, image, styles, sources)
            styles, sources, left = styles[len(layers) :], sources[len(layers) - 1 :], left - len(layers)
        return Paused(layer, x, scale, image, resolution, tuple(sources[left:]))

    def resume(self, paused: Paused, latent: Latent) -> Tensor:
        """Finish a rendering: image [B, 3, R, R].

        Args:
            latent: in s, [B, C], a row for each of the paused; channels of layers that lie behind do not count.
        """
        layers, blocks = 0, self._blocks(paused.resolution)
        while layers + len(blocks[0].layers()) <= paused.layer:
            layers += len(blocks.pop(0).layers())
        styles = self._styles(latent, paused.resolution)[paused.layer :]
        skip = paused.layer - layers
        return self._render(
            blocks, styles, paused.noise, paused.features, paused.scale, paused.image, skip
        ).contiguous()

    def sample(
        self,
        num: int,
        *,
        seed: int,
        truncation: float = 1.0,
        truncation_cutoff: int | None = None,
        label: Tensor | None = None,
    ) -> Latent:
        """Random latents: in w, or in w+ where only some rows are truncated.

        Row i depends on the seed and i alone, whatever `num` is.

        Args:
            num: how many.
            seed: any non-negative integer.
            truncation: psi; w moves towards its mean, 1 leaves it.
            truncation_cutoff: truncate only this many first rows of w+.
            label: class vector [K] or [num, K] of a conditional generator.
        """
        noise = np.random.default_rng(seed).standard_normal((num, self.config.z_dim), dtype=np.float32)
        z = Latent(torch.from_numpy(noise).to(self.mean_w), "z")
        w = self.to_space(z, "w", label=label)
        return self.truncate(w, truncation, cutoff=truncation_cutoff)

    def truncate(self, latent: Latent, psi: float, *, cutoff: int | None = None) -> Latent:
        """Move a latent in w or w+ towards the mean: mean + psi · (w − mean), in the first `cutoff` rows or in all."""
        if latent.space not in ("w", "w+"):
            raise SpaceError(f"truncation works in w and w+, not in {latent.space}")
        if psi == 1:
            return latent
        if cutoff is None:
            return Latent(self.mean_w.lerp(latent.value, psi), latent.space)
        rows = self.to_space(latent, "w+").value
        head = self.mean_w.lerp(rows[:, :cutoff], psi)
        return Latent(torch.cat([head, rows[:, cutoff:]], dim=1), "w+")

    def to_space(self, latent: Latent, space: Space, *, label: Tensor | None = None) -> Latent:
        """Move up the ladder z → w → w+ → s.

        Raises:
            SpaceError: the way leads down, or the space is unknown.
            LatentError: the latent does not fit this generator.
        """
        if space not in SPACES:
            raise SpaceError(f"unknown latent space {space!r}; use one of {', '.join(SPACES)}")
        steps = SPACES.index(space) - SPACES.index(latent.space)
        if steps < 0:
            raise SpaceError(f"a latent in {latent.space} cannot go back to {space}; the ladder is z → w → w+ → s")
        self._check(latent)
        value = latent.value
        for step in SPACES[SPACES.index(latent.space) : SPACES.index(space)]:
            if step == "z":
                value = self.mapping(value, label)
            elif step == "w":
                value = value[:, None].expand(-1, self.config.num_rows, -1)
            else:
                value = torch.cat(self._affines(value, self.resolution), dim=1)
        return Latent(value, space)

    def _check(self, latent: Latent) -> None:
        config = self.config
        expected = {
            "z": (config.z_dim,),
            "w": (config.w_dim,),
            "w+": (config.num_rows, config.w_dim),
            "s": (self.style_layout.num_channels,),
        }[latent.space]
        if tuple(latent.value.shape[1:]) != expected:
            got, want = list(latent.value.shape), ["B", *expected]
            raise LatentError(f"this generator takes a latent in {latent.space} of shape {want}, not {got}")

    def _blocks(self, resolution: int) -> list[SynthesisBlock]:
        return [cast(SynthesisBlock, block) for block in self.blocks[: self.config.resolutions.index(resolution) + 1]]

    def _layers(self, resolution: int) -> list[SynthesisLayer | ToRGB]:
        """Style layers up to a resolution, in network order."""
        return [layer for block in self._blocks(resolution) for layer in block.layers()]

    def _affines(self, w_plus: Tensor, resolution: int) -> list[Tensor]:
        rows = self.style_layout.rows
        return [layer.affine(w_plus[:, row]) for layer, row in zip(self._layers(resolution), rows, strict=False)]

    def _styles(self, latent: Latent, resolution: int) -> Sequence[Tensor]:
        if latent.space == "s":
            self._check(latent)
            return self.style_layout.split(latent.value)
        return self._affines(self.to_space(latent, "w+").value, resolution)

    def _noise(self, noise: Noise, resolution: int) -> list[Tensor | None]:
        layers = [layer for layer in self._layers(resolution) if isinstance(layer, SynthesisLayer)]
        if noise == "none":
            return [None] * len(layers)
        if noise == "const":
            return [layer.noise_const for layer in layers]
        if isinstance(noise, int) and not isinstance(noise, bool) and noise >= 0:
            random = torch.Generator().manual_seed(noise)
            sides = [layer.resolution for layer in layers]
            return [torch.randn(side, side, generator=random).to(self.mean_w.device) for side in sides]
        raise OptionError(f"noise is 'const', 'none' or a seed (an integer from 0), not {noise!r}")


def _rows(tensor: Tensor | None, num: int) -> Sequence[Tensor | None]:
    """A tensor row by row; None for each row where there is none."""
    return [None] * num if tensor is None else torch.split(tensor, 1)


def _unit_power(x: Tensor) -> Tensor:
    """Scale each row to a mean square of 1."""
    return x * (x.square().mean(dim=-1, keepdim=True) + 1e-8).rsqrt()


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
