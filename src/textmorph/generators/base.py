"""What every StyleGAN shares: the ladder of latents, sampling, truncation, noise, smaller images, pauses.

Shapes: B batch, L rows of w+, C style channels. Images are RGB in about [-1, 1].

An architecture brings its style layers in the order of its style code, and four small methods: `_start`, `_step`,
`_image`, and `_apart` where samples are better drawn one by one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import LatentError, OptionError, SpaceError
from ..latents import SPACES, Latent, Space, StyleLayout
from ..layers.mapping import MappingNetwork
from ..layers.weights import build, read_config
from . import Noise

G = TypeVar("G", bound="StyleGenerator")
State = tuple[Tensor | None, ...]
"""What the style layers so far left, features first; each [B, ...]."""

_MEAN = "mapping.mean_w"
_MEAN_SAMPLES = 10_000


@dataclass(frozen=True)
class Stop:
    """A place where the network can give an image.

    Args:
        side: of that image, in pixels.
        layers: how many style layers it needs, counted from the first.
        exact: whether it is the image of the full network at that size, rather than an estimate of it.
    """

    side: int
    layers: int
    exact: bool = True


@dataclass(frozen=True, eq=False)
class Paused:
    """A rendering that stopped before one style layer; made by `StyleGenerator.pause`, one row per sample.

    Args:
        layer: index of the style layer that is next.
        state: what the layers before it left.
        stop: where the rendering will end.
        resolution: of the image to come.
        noise: one for each style layer.
    """

    layer: int
    state: State
    stop: Stop
    resolution: int
    noise: tuple[Tensor | None, ...]

    def __getitem__(self, rows: slice | Tensor) -> Paused:
        """Some of the samples, or some of them many times."""
        return replace(self, state=tuple(None if part is None else _take(part, rows) for part in self.state))


class StyleGenerator(nn.Module):
    """A generator with a mapping network and style layers: latent in, image out.

    Args:
        mapping: z → w; holds the mean of w.
        layers: style layers in network order. Each has an `affine` from a row of w+ to its part of the style code;
            those that add noise have `noise_const`, [r, r].
        layout: the style code.
        stops: where the network can give an image. The largest is the full one.
        spare_rows: rows that a latent in w+ may have beyond those in use, as published directions do.
    """

    config_class: ClassVar[type]

    def __init__(
        self, mapping: MappingNetwork, layout: StyleLayout, stops: Sequence[Stop], spare_rows: int = 0
    ) -> None:
        super().__init__()
        self.mapping = mapping
        self.style_layout = layout
        self.stops = tuple(stops)
        self.spare_rows = spare_rows
        self.resolution = max(stop.side for stop in stops)
        self.resolutions = [2**i for i in range(2, self.resolution.bit_length())]
        self.z_dim, self.w_dim, self.num_rows = mapping.z_dim, mapping.w_dim, max(layout.rows) + 1

    @classmethod
    def restore(cls: type[G], fields: Mapping[str, Any], tensors: Mapping[str, Tensor], *, source: object) -> G:
        """Build the network from the configuration and tensors of a checkpoint.

        Where the file has no mean of w, it is that of 10 000 samples.

        Raises:
            CheckpointMismatchError: they do not fit.
        """
        config: Any = read_config(cls.config_class, fields, source=source)
        complete = _MEAN in tensors
        found = tensors if complete else {**tensors, _MEAN: torch.zeros(config.w_dim)}
        generator = build(lambda: cls(config), found, source=source)  # type: ignore[call-arg]  # an architecture takes one
        if not complete:
            classes = generator.mapping.label_dim
            label = torch.eye(classes)[torch.arange(_MEAN_SAMPLES) % classes] if classes else None
            generator.mean_w.copy_(generator.sample(_MEAN_SAMPLES, seed=0, label=label).value.mean(dim=0))
        return generator

    @property
    def mean_w(self) -> Tensor:
        """Mean of w over many samples, [W]."""
        return self.mapping.mean_w

    # What an architecture brings

    def style_layers(self) -> list[Any]:
        """The layers that take a style, in network order."""
        raise NotImplementedError

    def widest(self, resolution: int) -> int:
        """Values of the largest features of one sample on the way to an image of this side."""
        raise NotImplementedError

    def _start(self, num: int) -> State:
        """What the first style layer gets, for a batch."""
        raise NotImplementedError

    def _step(self, layer: int, state: State, style: Tensor, noise: Tensor | None) -> State:
        """Run one style layer with its part of the style code, [B, width]."""
        raise NotImplementedError

    def _image(self, state: State, stop: Stop, style: Tensor) -> Tensor:
        """Image [B, 3, side, side] at a stop: the work of its last style layer, on what those before it left."""
        raise NotImplementedError

    def _apart(self, layer: int, state: State, styles: Sequence[Tensor], *, first: bool) -> bool:
        """Whether the samples of a batch are better drawn one by one from this layer on.

        Args:
            layer: that is next.
            styles: of this layer and those after it.
            first: whether a rendering begins or goes on here.
        """
        return False

    # What all share

    def forward(
        self, latent: Latent, *, noise: Noise = "const", resolution: int | None = None, exact: bool = True
    ) -> Tensor:
        """Image [B, 3, R, R] of a latent in any space. What a sample gives does not depend on its batch.

        Args:
            latent: in `z`, `w`, `w+` or `s`.
            noise: `const` (stored with the weights), `none`, or a seed (the same noise for every row of the batch).
            resolution: a lower power of two, from 4. The network stops early where it can; else the image of the next
                larger stop is averaged over the pixels of each block.
            exact: False allows a quick estimate of a smaller image, where the network has one.

        Raises:
            OptionError: no such resolution or noise.
            LatentError: the latent does not fit this generator.
        """
        resolution, stop = self._stop(resolution, exact)
        styles = self._styles(latent, stop.layers)
        sources = self._noise(noise, stop.layers)
        return self._finish(0, self._start(len(latent.value)), styles, sources, stop, resolution).contiguous()

    def pause(
        self,
        latent: Latent,
        layer: int,
        *,
        noise: Noise = "const",
        resolution: int | None = None,
        exact: bool = True,
    ) -> Paused:
        """Render up to one style layer, so that many images that differ from there on share the way to it.

        Args:
            latent: in any space, [B, ...].
            layer: index in `style_layout`; of a layer that the image needs.
            noise, resolution, exact: as in `forward`.

        Raises:
            OptionError: no such resolution or noise, or a layer that the image does not need.
        """
        if resolution is not None and resolution not in self.resolutions:
            raise OptionError(f"there is no layer {layer} in an image of {resolution} px")
        resolution, stop = self._stop(resolution, exact)
        if not 0 <= layer < stop.layers:
            raise OptionError(f"there is no layer {layer} in an image of {resolution} px")
        styles, sources = self._styles(latent, stop.layers), self._noise(noise, stop.layers)
        state = self._start(len(latent.value))
        for i in range(layer):
            state = self._step(i, state, styles[i], sources[i])
        return Paused(layer, state, stop, resolution, tuple(sources))

    def resume(self, paused: Paused, latent: Latent) -> Tensor:
        """Finish a rendering: image [B, 3, R, R].

        Args:
            latent: in s, [B, C], a row for each of the paused; channels of layers that lie behind do not count.
        """
        styles = self._styles(latent, paused.stop.layers)
        return self._finish(
            paused.layer, paused.state, styles, paused.noise, paused.stop, paused.resolution
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
        noise = np.random.default_rng(seed).standard_normal((num, self.z_dim), dtype=np.float32)
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
        """Move up the ladder z → w → w+ → s. Spare rows of w+ are left out.

        Raises:
            SpaceError: the way leads down, or the space is unknown.
            LatentError: the latent does not fit this generator.
        """
        if space not in SPACES:
            raise SpaceError(f"unknown latent space {space!r}; use one of {', '.join(SPACES)}")
        steps = SPACES.index(space) - SPACES.index(latent.space)
        if steps < 0:
            raise SpaceError(f"a latent in {latent.space} cannot go back to {space}; the ladder is z → w → w+ → s")
        value = self._checked(latent)
        for step in SPACES[SPACES.index(latent.space) : SPACES.index(space)]:
            if step == "z":
                value = self.mapping(value, label)
            elif step == "w":
                value = value[:, None].expand(-1, self.num_rows, -1)
            else:
                value = torch.cat(self._affines(value, len(self.style_layout.widths)), dim=1)
        return Latent(value, space)

    def _finish(
        self,
        layer: int,
        state: State,
        styles: Sequence[Tensor],
        noise: Sequence[Tensor | None],
        stop: Stop,
        resolution: int,
    ) -> Tensor:
        """Run the style layers from `layer` on, and give the image."""
        first = layer
        for i in range(layer, stop.layers):
            num = len(styles[i])
            if num > 1 and self._apart(i, state, styles[i : stop.layers], first=i == first):
                rows = [
                    self._finish(i, tuple(_row(part, b) for part in state), [style[b : b + 1] for style in styles],
                                 noise, stop, resolution)
                    for b in range(num)
                ]  # fmt: skip
                return torch.cat(rows)
            if i < stop.layers - 1:
                state = self._step(i, state, styles[i], noise[i])
        image = self._image(state, stop, styles[stop.layers - 1])
        return image if stop.side == resolution else F.avg_pool2d(image, stop.side // resolution)

    def _stop(self, resolution: int | None, exact: bool) -> tuple[int, Stop]:
        """The resolution that is meant, and the smallest stop that it can be made from."""
        resolution = self.resolution if resolution is None else resolution
        if resolution not in self.resolutions:
            raise OptionError(f"resolution is one of {self.resolutions}, not {resolution}")
        usable = [stop for stop in self.stops if stop.side >= resolution and (stop.exact or not exact)]
        return resolution, min(usable, key=lambda stop: stop.side)

    def _checked(self, latent: Latent) -> Tensor:
        """The value of a latent of this generator, spare rows left out.

        Raises:
            LatentError: it has another shape.
        """
        expected: dict[str, tuple[int, ...]] = {
            "z": (self.z_dim,),
            "w": (self.w_dim,),
            "w+": (self.num_rows, self.w_dim),
            "s": (self.style_layout.num_channels,),
        }
        want, got = expected[latent.space], tuple(latent.value.shape[1:])
        if latent.space == "w+" and self.spare_rows and got == (self.num_rows + self.spare_rows, self.w_dim):
            return latent.value[:, : self.num_rows]
        if got != want:
            shapes = ["B", *want], list(latent.value.shape)
            raise LatentError(f"this generator takes a latent in {latent.space} of shape {shapes[0]}, not {shapes[1]}")
        return latent.value

    def _affines(self, w_plus: Tensor, num: int) -> list[Tensor]:
        """Styles of the first layers: [B, width] each."""
        layers, rows = self.style_layers()[:num], self.style_layout.rows
        return [layer.affine(w_plus[:, row]) for layer, row in zip(layers, rows, strict=False)]

    def _styles(self, latent: Latent, num: int) -> Sequence[Tensor]:
        if latent.space == "s":
            return self.style_layout.split(self._checked(latent))
        return self._affines(self.to_space(latent, "w+").value, num)

    def _noise(self, noise: Noise, num: int) -> list[Tensor | None]:
        """Noise [r, r] of unit variance for each of the first layers; None where it has none."""
        constants = [getattr(layer, "noise_const", None) for layer in self.style_layers()[:num]]
        if noise == "none":
            return [None] * num
        if noise == "const":
            return constants
        if isinstance(noise, int) and not isinstance(noise, bool) and noise >= 0:
            random = torch.Generator().manual_seed(noise)
            device = self.mean_w.device
            return [None if one is None else torch.randn(one.shape, generator=random).to(device) for one in constants]
        raise OptionError(f"noise is 'const', 'none' or a seed (an integer from 0), not {noise!r}")


def _row(part: Tensor | None, index: int) -> Tensor | None:
    return None if part is None else part[index : index + 1]


def _take(part: Tensor, rows: slice | Tensor) -> Tensor:
    """Rows of features; indexing by a tensor forgets the order in memory that the layers are fast in."""
    last = part.ndim == 4 and part.is_contiguous(memory_format=torch.channels_last) and not part.is_contiguous()
    return part[rows].contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)
