"""Latents: what a generator turns into an image, and where in its network they enter.

Spaces, from noise to image: `z` (Gaussian noise, [B, Z]), `w` (after the mapping network, [B, W]), `w+` (one w per
layer, [B, L, W]) and `s` (the output of every affine layer as one flat style code, [B, C]).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, cast, get_args

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from .errors import LatentError, SpaceError
from .files import write_bytes

Space = Literal["z", "w", "w+", "s"]
SPACES: tuple[Space, ...] = get_args(Space)


@dataclass(frozen=True, eq=False)
class Latent:
    """A batch of latents and the space they live in.

    Args:
        value: [B, D] in `z`, `w` and `s`; [B, L, D] in `w+`. Floating point.
        space: one of `z`, `w`, `w+`, `s`.

    Raises:
        SpaceError: the space is not one of the four.
        LatentError: the value has the wrong number of dimensions or is not floating point.
    """

    value: Tensor
    space: Space

    def __post_init__(self) -> None:
        if self.space not in SPACES:
            raise SpaceError(f"unknown latent space {self.space!r}; use one of {', '.join(SPACES)}")
        dims = 3 if self.space == "w+" else 2
        if self.value.ndim != dims:
            raise LatentError(f"a latent in {self.space} has {dims} dimensions, not shape {list(self.value.shape)}")
        if not self.value.is_floating_point():
            raise LatentError(f"a latent is floating point, not {self.value.dtype}")

    def __len__(self) -> int:
        return self.value.shape[0]

    def __getitem__(self, rows: int | slice | Tensor | list[int]) -> Latent:
        """Some rows of the batch; a single index keeps the batch dimension."""
        if isinstance(rows, int):
            if not -len(self) <= rows < len(self):
                raise IndexError(f"row {rows} of a latent with {len(self)} rows")
            rows = [rows]
        return Latent(self.value[rows], self.space)

    def __iter__(self) -> Iterator[Latent]:
        return (self[i] for i in range(len(self)))

    def __add__(self, step: Latent | Tensor) -> Latent:
        return Latent(self.value + self._step(step), self.space)

    def __sub__(self, step: Latent | Tensor) -> Latent:
        return Latent(self.value - self._step(step), self.space)

    def __mul__(self, factor: float | Tensor) -> Latent:
        return Latent(self.value * factor, self.space)

    def _step(self, step: Latent | Tensor) -> Tensor:
        if isinstance(step, Latent):
            if step.space != self.space:
                raise SpaceError(f"cannot combine a latent in {self.space} with one in {step.space}")
            return step.value
        return step

    @property
    def device(self) -> torch.device:
        return self.value.device

    def to(self, *args: object, **kwargs: object) -> Latent:
        """Move or cast, with the arguments of `Tensor.to`."""
        return Latent(cast(Tensor, self.value.to(*args, **kwargs)), self.space)  # type: ignore[call-overload]

    def detach(self) -> Latent:
        return Latent(self.value.detach(), self.space)

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the latent as safetensors, the space in its header; the file appears whole or not at all.

        Raises:
            OutputExistsError: the file is there and `overwrite` is off.
            OutputError: it cannot be written.
        """
        value = self.value.detach().cpu().contiguous()
        write_bytes(path, save({"latent": value}, {"kind": "latent", "space": self.space}), overwrite=overwrite)

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Latent:
        """Read a latent written by `save`.

        Raises:
            LatentError: the file is no latent.
        """
        try:
            with safe_open(path, framework="pt") as file:
                header = file.metadata() or {}
                if header.get("kind") != "latent":
                    raise LatentError(f"{path} is not a latent file; 'textmorph invert PICTURE' writes one")
                return Latent(file.get_tensor("latent"), cast(Space, header.get("space")))
        except (SafetensorError, OSError) as error:
            raise LatentError(f"{path} cannot be read as a latent file: {error}") from error

    @staticmethod
    def cat(latents: list[Latent]) -> Latent:
        """Join latents of one space along the batch."""
        spaces = {latent.space for latent in latents}
        if len(spaces) != 1:
            raise SpaceError(f"can only join latents of one space, got {sorted(spaces)}")
        return Latent(torch.cat([latent.value for latent in latents]), latents[0].space)


@dataclass(frozen=True)
class StyleLayout:
    """How the flat style code [B, C] is divided among the layers of a generator, in network order.

    Args:
        names: one per layer, e.g. `b8.conv0`, `b8.to_rgb`.
        widths: number of style channels of each layer.
        resolutions: side of the image that each layer works at, in pixels.
        to_rgb: whether the layer only adds colour to the image.
        rows: row of w+ that feeds each layer.
    """

    names: tuple[str, ...]
    widths: tuple[int, ...]
    resolutions: tuple[int, ...]
    to_rgb: tuple[bool, ...]
    rows: tuple[int, ...]

    @property
    def num_channels(self) -> int:
        return sum(self.widths)

    @property
    def offsets(self) -> tuple[int, ...]:
        """First channel of each layer."""
        starts = [0]
        for width in self.widths[:-1]:
            starts.append(starts[-1] + width)
        return tuple(starts)

    def slice(self, layer: int | str) -> slice:
        """Channels of one layer, by index or name."""
        index = self.names.index(layer) if isinstance(layer, str) else layer
        start = self.offsets[index]
        return slice(start, start + self.widths[index])

    def split(self, style: Tensor) -> tuple[Tensor, ...]:
        """Flat style code [B, C] → one tensor [B, width] per layer."""
        return torch.split(style, list(self.widths), dim=-1)

    def mask(self, *, to_rgb: bool = False, max_resolution: int | None = None) -> Tensor:
        """Which channels belong to the chosen layers, bool [C]. The paper's code edits convolutions up to 128 px."""
        chosen = [
            (to_rgb or not is_rgb) and (max_resolution is None or resolution <= max_resolution)
            for is_rgb, resolution in zip(self.to_rgb, self.resolutions, strict=True)
        ]
        return torch.tensor(chosen).repeat_interleave(torch.tensor(self.widths))

    def channel_name(self, channel: int) -> str:
        """`layer_channel` of a flat index in the convention of the StyleSpace paper, e.g. `6_501`."""
        for layer, (offset, width) in enumerate(zip(self.offsets, self.widths, strict=True)):
            if offset <= channel < offset + width:
                return f"{layer}_{channel - offset}"
        raise LatentError(f"no style channel {channel}; this generator has {self.num_channels}")
