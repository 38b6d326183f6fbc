"""Embedders: image (and text) → unit rows whose cosine says how alike two things are."""

from __future__ import annotations

import os
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast, runtime_checkable

from torch import Tensor

from .. import checkpoints
from ..errors import CheckpointMismatchError
from ..layers.weights import build, read_config

if TYPE_CHECKING:
    from .clip import ClipEmbedder
    from .identity import IdentityEmbedder


@runtime_checkable
class Embedder(Protocol):
    """What every embedder offers; nothing needs to inherit from it."""

    def embed_image(self, image: Tensor) -> Tensor:
        """Image [B, 3, H, W] in [-1, 1] → unit rows, [B, D]; differentiable in the image."""
        ...


@runtime_checkable
class TextEmbedder(Embedder, Protocol):
    """An embedder that puts texts into the same space."""

    def embed_text(self, texts: list[str]) -> Tensor:
        """T texts → unit rows, [T, D]."""
        ...


EMBEDDERS = {
    "clip": "textmorph.embedders.clip:ClipEmbedder",
    "ensemble": "textmorph.embedders.ensemble:EnsembleEmbedder",
    "ir_se": "textmorph.embedders.identity:IdentityEmbedder",
}
"""Name (for weights in a checkpoint: its architecture) → class."""


def load_identity(path: str | os.PathLike[str], *, crop: Literal["ffhq", "none"] | None = None) -> IdentityEmbedder:
    """Load an identity network from a file of any known format, recognised by content.

    Args:
        path: our safetensors, or `model_ir_se50.pth`.
        crop: overrides the crop in the file, see `IdentityConfig`. A foreign file says nothing and gets `ffhq`.

    Raises:
        CheckpointError: the file cannot be read or does not fit; see the tree in `errors`.
        OptionError: no such crop.
    """
    checkpoint = checkpoints.read(path)
    if checkpoint.kind != "identity" or checkpoint.architecture not in EMBEDDERS:
        raise CheckpointMismatchError(
            f"{path} holds {checkpoint.kind} '{checkpoint.architecture}', not an identity network"
        )
    module, name = EMBEDDERS[checkpoint.architecture].split(":")
    network = getattr(import_module(module), name)
    config = read_config(network.config_class, checkpoint.config, source=path)
    if crop is not None:
        config = replace(config, crop=crop)
    return cast("IdentityEmbedder", build(lambda: network(config), checkpoint.tensors, source=path))


def load_embedder(name_or_folder: str | os.PathLike[str], **options: Any) -> ClipEmbedder:
    """Load a CLIP from a hub name or a local folder; the options are those of `ClipEmbedder.from_pretrained`."""
    from .clip import ClipEmbedder

    return ClipEmbedder.from_pretrained(name_or_folder, **options)
