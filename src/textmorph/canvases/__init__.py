"""Canvases: what can be optimised so that its image looks as wished."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class Canvas(Protocol):
    """An image that follows from parameters; `optimization.optimize` changes them."""

    def __call__(self) -> Tensor:
        """The image, [B, 3, H, W], RGB in about [-1, 1]; differentiable in the parameters."""
        ...

    def parameters(self) -> Sequence[Tensor]:
        """The leaf tensors to optimise."""
        ...


CANVASES = {"latent": "textmorph.canvases.latent:LatentCanvas"}
"""Name → "module:Class", imported on use."""
