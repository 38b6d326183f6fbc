"""Encoders: image → latent in w+, in one pass."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Protocol, cast, runtime_checkable

from torch import Tensor

from .. import checkpoints
from ..errors import CheckpointMismatchError
from ..latents import Latent
from ..layers.weights import build, read_config


@runtime_checkable
class Encoder(Protocol):
    """What every encoder offers; nothing needs to inherit from it."""

    @property
    def mean_w(self) -> Tensor:
        """Where the encoder starts from, [L, W]."""
        ...

    def __call__(self, image: Tensor) -> Latent:
        """Latent in w+ of an image [B, 3, H, W] in [-1, 1], which the encoder resizes to its own input itself."""
        ...


ENCODERS = {
    "e4e": "textmorph.inversion.e4e:E4eEncoder",
    "psp": "textmorph.inversion.e4e:E4eEncoder",
    "single": "textmorph.inversion.e4e:E4eEncoder",
}
"""Architecture in a checkpoint → network."""


def load_encoder(path: str | os.PathLike[str], *, kind: str | None = None) -> Encoder:
    """Load an encoder from a file of any known format, recognised by content.

    Args:
        path: our safetensors, or the `.pt` of e4e or pSp.
        kind: `e4e`, `psp` or `single`, for a foreign file that does not say which it is.

    Raises:
        CheckpointError: the file cannot be read or does not fit; see the tree in `errors`.
    """
    checkpoint = checkpoints.read(path, kind=kind)
    if checkpoint.kind != "encoder" or checkpoint.architecture not in ENCODERS:
        raise CheckpointMismatchError(
            f"{path} holds {checkpoint.kind} '{checkpoint.architecture}', not one of these encoders: "
            f"{', '.join(ENCODERS)}"
        )
    module, name = ENCODERS[checkpoint.architecture].split(":")
    network = getattr(import_module(module), name)
    config = read_config(network.config_class, checkpoint.config, source=path)
    return cast(Encoder, build(lambda: network(config), checkpoint.tensors, source=path))
