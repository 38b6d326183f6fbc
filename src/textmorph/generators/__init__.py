"""Generators: latent → image."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Literal, Protocol, cast, runtime_checkable

import torch
from torch import Tensor

from .. import checkpoints
from ..errors import CheckpointMismatchError
from ..latents import Latent, Space, StyleLayout

Noise = Literal["const", "none"] | int
"""`const`: the noise stored with the weights; `none`; or a seed, whose noise is the same for every row of a batch."""


@runtime_checkable
class Generator(Protocol):
    """What every generator offers; nothing needs to inherit from it."""

    resolution: int
    style_layout: StyleLayout

    @property
    def mean_w(self) -> Tensor:
        """Mean of w over many samples, [W]."""
        ...

    def __call__(
        self, latent: Latent, *, noise: Noise = "const", resolution: int | None = None, exact: bool = True
    ) -> Tensor:
        """Image [B, 3, R, R] of a latent in any space, RGB, about [-1, 1] (not clamped).

        Args:
            latent: in `z`, `w`, `w+` or `s`.
            noise: see `Noise`.
            resolution: a lower power of two; where the network can stop there, it saves the cost of the layers above.
            exact: False allows a quick estimate of a smaller image.
        """
        ...

    def sample(self, num: int, *, seed: int, truncation: float = 1.0) -> Latent:
        """Random latents in w; row i depends on the seed and i alone."""
        ...

    def to_space(self, latent: Latent, space: Space) -> Latent:
        """Move up the ladder z → w → w+ → s; the way down raises SpaceError."""
        ...


GENERATORS = {
    "stylegan2": "textmorph.generators.stylegan2:StyleGAN2",
    "mobile_stylegan": "textmorph.generators.mobile_stylegan:MobileStyleGAN",
}
"""Architecture in a checkpoint → network, whose `restore` builds it from configuration and tensors."""


def load_generator(path: str | os.PathLike[str], *, device: str | torch.device = "cpu") -> Generator:
    """Load a generator from a file of any known format, recognised by content.

    Args:
        path: our safetensors, NVIDIA's `.pkl` (PyTorch or TensorFlow), rosinality's `.pt`; of an e4e, pSp or mapper
            file the generator in it.
        device: where the network goes.

    Returns:
        The network, frozen and in eval mode.

    Raises:
        CheckpointError: the file cannot be read or does not fit; see the tree in `errors`.
    """
    found = checkpoints.read(path, part="generator")
    if found.kind != "generator" or found.architecture not in GENERATORS:
        raise CheckpointMismatchError(f"{path} holds {found.kind} '{found.architecture}', not a generator")
    module_name, name = GENERATORS[found.architecture].split(":")
    network = getattr(import_module(module_name), name)
    generator = network.restore(found.config, found.tensors, source=path)
    return cast(Generator, generator.to(device))
