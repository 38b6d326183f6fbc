"""Fingerprints: which network is this? The same weights give the same 16 hex digits, wherever they lie."""

from __future__ import annotations

import hashlib
import weakref
from typing import Any

import torch
from torch import Tensor, nn

_KNOWN: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()


def fingerprint(network: object) -> str:
    """Name a network by its weights: 16 hex digits.

    Its own `fingerprint` if it has one; else the SHA-256 of its configuration and of every tensor of its state dict by
    name, shape and float32 bytes. Kept per object, so weights changed after the first call go unseen.

    Raises:
        TypeError: it has neither a fingerprint nor a state dict.
    """
    own = getattr(network, "fingerprint", None)
    if isinstance(own, str):
        return own
    if not isinstance(network, nn.Module):
        raise TypeError(f"{type(network).__name__} has no fingerprint and is no torch module")
    if network not in _KNOWN:
        _KNOWN[network] = _hash(network)
    return _KNOWN[network]


def _hash(network: nn.Module) -> str:
    digest = hashlib.sha256(repr(getattr(network, "config", "")).encode())
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {list(tensor.shape)}".encode())
        digest.update(tensor.detach().to("cpu", torch.float32).contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def tensor_digest(value: Tensor) -> str:
    """16 hex digits that name a tensor by its float32 bytes."""
    return hashlib.sha256(value.detach().cpu().float().contiguous().numpy().tobytes()).hexdigest()[:16]
