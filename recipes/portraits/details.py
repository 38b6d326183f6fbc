"""Where the small attributes draw: the pixels that wrinkles, earrings, make-up and eye colour would change.

A regression that counts every pixel alike leaves these out: they are a hundredth of the picture, and it looks as well
without them. Each portrait is drawn twice, with none of them and with all, and where the two differ, errors weigh more,
in the pictures that have them as in those that have not.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from . import attributes as A
from . import data
from .render import render
from .training import countdown

BARE: dict[str, Any] = {
    "age": 0.0, "lipstick": "none", "makeup": "none", "earrings": "none", "eye_colour": "brown"
}  # fmt: skip
FULL: dict[str, Any] = {
    "age": 1.0, "lipstick": "lipstick", "makeup": "makeup", "earrings": "earrings", "eye_colour": "blue"
}  # fmt: skip
THRESHOLD = 6
"""Grey levels of 255 that a channel must differ by."""


def details(name: str, chunk: int = 256) -> NDArray[np.uint8]:
    """Where details may lie in the pictures of a set, packed bits [N, S·S/8]; drawn once, about 10 ms a picture.

    Stopped, it begins again; another way to draw makes other files.
    """
    path = data.RUNS / "data" / f"{name}.details-{data.render_hash()}.npy"
    cols, _ = data.records(name)
    n = len(cols["age"])
    if path.exists():
        found: NDArray[np.uint8] = np.load(path)
        if found.shape == (n, data.SIZE**2 // 8):
            return found
    out = np.empty((n, data.SIZE**2 // 8), np.uint8)
    starts, tell = range(0, n, chunk), countdown(f"details of {name}")
    jobs = [{k: v[s : s + chunk] for k, v in cols.items()} for s in starts]
    with multiprocessing.get_context("spawn").Pool(os.cpu_count() or 1) as pool:
        for start, found in zip(starts, pool.imap(_chunk, jobs), strict=True):
            out[start : start + len(found)] = found
            tell(start + len(found), n)
    temporary = path.with_suffix(".part.npy")
    np.save(temporary, out)
    os.replace(temporary, path)
    return out


def _chunk(cols: Mapping[str, NDArray[Any]]) -> NDArray[np.uint8]:
    return np.stack([detail_mask(A.portrait(cols, row), data.SIZE) for row in range(len(cols["age"]))])


def detail_mask(portrait: A.Portrait, size: int) -> NDArray[np.uint8]:
    """Packed bits [S·S/8]: where this portrait differs between none and all of the small attributes."""
    bare, full = (render(portrait.but(**change), size).astype(np.int16) for change in (BARE, FULL))
    bits: NDArray[np.uint8] = np.packbits((np.abs(bare - full).max(axis=2) > THRESHOLD).reshape(-1))
    return bits


def unpack(bits: NDArray[np.uint8], size: int) -> Tensor:
    """Packed bits [B, S·S/8] → mask [B, 1, S, S] of 0 and 1."""
    return torch.from_numpy(np.unpackbits(bits, axis=1).reshape(-1, 1, size, size)).float()
