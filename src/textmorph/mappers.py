"""Mappers: a latent in, a residual of the same shape out.

Those of the latent mapper (Patashnik et al. 2021, Sec. 5) are trained; their residual is before the factor 0.1 of the
paper's code, which `edits.Residual` applies.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from . import checkpoints
from .errors import CheckpointMismatchError, LatentError, OptionError
from .layers.equalized import EqualizedLinear, leaky_relu
from .layers.weights import build, read_config

Level = Literal["coarse", "medium", "fine"]
Norm = Literal["rows", "channels"]

LEVELS: dict[Level, slice] = {"coarse": slice(0, 4), "medium": slice(4, 8), "fine": slice(8, None)}
"""Rows of w+ of each level."""


@dataclass(frozen=True, kw_only=True)
class MapperConfig:
    """Architecture of a mapper in w+. It has no number of rows: one mapper serves any resolution.

    Args:
        w_dim: width of w.
        levels: which levels are mapped; rows of the others get a residual of zero. `single` maps all with one block.
        norm: what the pixel norm in front averages over: `rows`, as the reference code does and published mappers
            need (rows that are all equal then lose their magnitude); `channels`, as the paper describes.
    """

    w_dim: int = 512
    levels: tuple[Level, ...] = ("coarse", "medium", "fine")
    norm: Norm = "rows"

    def __post_init__(self) -> None:
        object.__setattr__(self, "levels", tuple(self.levels))  # a list, when it comes from a file's header
        if not self.levels or set(self.levels) - set(LEVELS) or len(set(self.levels)) < len(self.levels):
            raise OptionError(f"levels are one or more of {', '.join(LEVELS)}, each once, not {self.levels}")
        if self.norm not in ("rows", "channels"):
            raise OptionError(f"norm is 'rows' or 'channels', not {self.norm!r}")
        if self.w_dim < 1:
            raise OptionError(f"w_dim is at least 1, not {self.w_dim}")


@dataclass(frozen=True, kw_only=True)
class StyleMapperConfig:
    """Architecture of a mapper in style space.

    Args:
        widths: style channels of every layer of the generator (`StyleLayout.widths`).
        mapped: indices of the layers that are mapped; the reference leaves out those to RGB.
    """

    widths: tuple[int, ...]
    mapped: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "widths", tuple(self.widths))  # lists, when they come from a file's header
        object.__setattr__(self, "mapped", tuple(self.mapped))
        if not self.widths or min(self.widths) < 1:
            raise OptionError(f"widths are those of the generator's style layers, not {self.widths}")
        if not self.mapped or not set(self.mapped) <= set(range(len(self.widths))):
            raise OptionError(f"mapped names some of the {len(self.widths)} style layers by index, not {self.mapped}")


class MapperBlock(nn.Module):
    """Pixel norm and four equalised layers, the last one activated too; [..., D] → [..., D].

    Args:
        norm_dim: the dimension that the pixel norm averages over.
    """

    def __init__(self, width: int, *, norm_dim: int) -> None:
        super().__init__()
        self.norm_dim = norm_dim
        self.layers = nn.ModuleList(
            EqualizedLinear(width, width, lr_multiplier=0.01, activation=leaky_relu) for _ in range(4)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x * (x.square().mean(dim=self.norm_dim, keepdim=True) + 1e-8).rsqrt()
        for layer in self.layers:
            x = layer(x)
        return x


class MapperNetwork(nn.Module):
    """One block for each level of w+; [B, L, W] → residual [B, L, W].

    Built frozen and in eval mode; who trains it calls `requires_grad_(True)`. State dict: `{coarse, medium,
    fine}.layers.{0..3}.{weight, bias}`.
    """

    architecture: ClassVar = "levels"
    config_class: ClassVar = MapperConfig

    def __init__(self, config: MapperConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or MapperConfig()
        for level in config.levels:
            self.add_module(level, MapperBlock(config.w_dim, norm_dim=_norm_dim(config)))
        self.requires_grad_(False).eval()

    def forward(self, w_plus: Tensor) -> Tensor:
        _check_rows(w_plus, self.config.w_dim)
        parts = []
        for level, rows in LEVELS.items():
            part = w_plus[:, rows]  # [B, 4, W], the fine level [B, L − 8, W]
            parts.append(self.get_submodule(level)(part) if level in self.config.levels else torch.zeros_like(part))
        return torch.cat(parts, dim=1)


class SingleMapper(nn.Module):
    """One block that all rows of w+ share; [B, L, W] → residual [B, L, W]. State dict: `shared.layers.{0..3}`."""

    architecture: ClassVar = "single"
    config_class: ClassVar = MapperConfig

    def __init__(self, config: MapperConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or MapperConfig()
        self.shared = MapperBlock(config.w_dim, norm_dim=_norm_dim(config))
        self.requires_grad_(False).eval()

    def forward(self, w_plus: Tensor) -> Tensor:
        _check_rows(w_plus, self.config.w_dim)
        residual: Tensor = self.shared(w_plus)
        return residual


class StyleMapper(nn.Module):
    """One block for each mapped style layer; style code [B, C] → residual [B, C], zero in the other layers.

    The norm is over the channels of each layer. State dict: `blocks.{i}.layers.{0..3}`, i the style layer's index.
    """

    architecture: ClassVar = "style"
    config_class: ClassVar = StyleMapperConfig

    def __init__(self, config: StyleMapperConfig) -> None:
        super().__init__()
        self.config = config
        self.blocks = nn.ModuleDict({str(i): MapperBlock(config.widths[i], norm_dim=1) for i in config.mapped})
        self.requires_grad_(False).eval()

    def forward(self, style: Tensor) -> Tensor:
        channels = sum(self.config.widths)
        if style.ndim != 2 or style.shape[1] != channels:
            raise LatentError(f"this mapper takes a style code [B, {channels}], not {list(style.shape)}")
        parts = torch.split(style, list(self.config.widths), dim=1)
        mapped = [
            self.blocks[str(i)](part) if i in self.config.mapped else torch.zeros_like(part)
            for i, part in enumerate(parts)
        ]
        return torch.cat(mapped, dim=1)


Mapper = MapperNetwork | SingleMapper | StyleMapper

MAPPERS: dict[str, type[Mapper]] = {"levels": MapperNetwork, "single": SingleMapper, "style": StyleMapper}
"""Architecture in a checkpoint → network."""


def build_mapper(
    architecture: str, config: Mapping[str, Any], tensors: Mapping[str, Tensor], *, source: object
) -> Mapper:
    """Build the mapper of a checkpoint.

    Args:
        architecture: one of `MAPPERS`.
        config: fields of its configuration.
        tensors: its state dict.
        source: the file, for messages.

    Raises:
        CheckpointMismatchError: another architecture, or a configuration or tensors that do not fit.
    """
    if architecture not in MAPPERS:
        raise CheckpointMismatchError(f"{source} holds a mapper '{architecture}'; known are {', '.join(MAPPERS)}")
    network: Any = MAPPERS[architecture]
    fields = read_config(network.config_class, config, source=source)
    mapper: Mapper = build(lambda: network(fields), tensors, source=source)
    return mapper


def save_mapper(
    mapper: nn.Module,
    path: str | os.PathLike[str],
    *,
    config: Mapping[str, Any] | None = None,
    provenance: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> None:
    """Write a mapper as safetensors, its configuration in the header, whole or not at all.

    Args:
        config: further fields beside the mapper's own, such as the residual's factor.
        provenance: where it comes from, as JSON.

    Raises:
        OptionError: not one of our mappers.
        OutputError: it cannot be written.
    """
    if not isinstance(mapper, Mapper):
        raise OptionError(f"only the mappers of textmorph.mappers can be saved, not {type(mapper).__name__}")
    checkpoints.native.write(
        path,
        mapper.state_dict(),
        kind="mapper",
        architecture=mapper.architecture,
        config={**asdict(mapper.config), **(config or {})},
        provenance=dict(provenance) if provenance is not None else None,
        overwrite=overwrite,
    )


def _norm_dim(config: MapperConfig) -> int:
    return 1 if config.norm == "rows" else 2


def _check_rows(w_plus: Tensor, width: int) -> None:
    if w_plus.ndim != 3 or w_plus.shape[2] != width:
        raise LatentError(f"this mapper takes w+ [B, L, {width}], not {list(w_plus.shape)}")
