"""The pictures and records that everything is trained and measured on, rendered once and kept as arrays.

Sets: `base` (independent portraits), `varied` (row i is base row i with one attribute changed: hard negatives),
`looks` (persons, each under several looks: LOOKS rows in a row are one person), and for measuring only, from other
seeds, `test`, `test_varied` and `test_looks`.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from . import attributes as A
from .render import render_many

RUNS = Path(os.environ.get("PORTRAITS_RUNS", "runs/portraits"))
SIZE = 128
LOOKS = 6
SIZES = {"base": 40_000, "varied": 40_000, "looks": 24_000, "test": 3_000, "test_varied": 3_000, "test_looks": 3_000}
_SEEDS = {"base": 1, "varied": 1, "looks": 2, "test": 1001, "test_varied": 1001, "test_looks": 1002}


@dataclass(frozen=True)
class Portraits:
    """A set: images uint8 [N, S, S, 3], columns (see attributes.py), clean vectors [N, V], changed attribute names."""

    images: NDArray[np.uint8]
    cols: dict[str, NDArray[Any]]
    vectors: Tensor
    changed: NDArray[np.str_] | None = None

    def __len__(self) -> int:
        return len(self.images)

    def tensor(self, rows: NDArray[np.int64] | slice, device: str | torch.device = "cpu") -> Tensor:
        """Images [B, 3, S, S] in [-1, 1]."""
        batch = torch.from_numpy(np.array(self.images[rows])).to(device)
        return batch.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)

    def rows(self, rows: NDArray[np.int64] | slice) -> dict[str, NDArray[Any]]:
        return {name: column[rows] for name, column in self.cols.items()}


def records(name: str, num: int | None = None) -> tuple[dict[str, NDArray[Any]], NDArray[np.str_] | None]:
    """Columns of a set and, for varied sets, which attribute was changed."""
    num = SIZES[name] if num is None else num
    seed = _SEEDS[name]
    if name.endswith("looks"):
        rng = np.random.default_rng(seed)
        uniform = rng.random((num, len(A.ATTRIBUTES)))
        person = [A.ATTRIBUTES.index(n) for n in A.PERSON]
        uniform[:, person] = uniform[::LOOKS, person].repeat(LOOKS, axis=0)[:num]
        return A.columns(uniform), None
    cols = A.sample_columns(num, seed=seed)
    if name.endswith("varied"):
        # what hides under hair or glasses, or is hard to see, is drawn more often
        weight = {"expression": 3, "mouth": 2, "age": 3, "beard": 2, "hair_style": 3, "hair_colour": 3, "glasses": 2}
        names = [n for n in A.ATTRIBUTES for _ in range(weight.get(n, 1))]
        changed = np.random.default_rng(seed + 77).choice(names, size=num)
        return A.vary(cols, changed, seed=seed + 78), changed
    return cols, None


def prepare() -> None:
    """Render every set that is not there yet. About 5 ms a picture and core."""
    folder = RUNS / "data"
    folder.mkdir(parents=True, exist_ok=True)
    for name, num in SIZES.items():
        path = folder / f"{name}.npy"
        stamp = folder / f"{name}.json"
        want = {"num": num, "size": SIZE, "render": _render_hash()}
        if path.exists() and stamp.exists() and json.loads(stamp.read_text()) == want:
            continue
        cols, _ = records(name)
        print(f"rendering {num} portraits: {name}", flush=True)
        images = render_many(cols, SIZE)
        temporary = path.with_suffix(".part.npy")
        np.save(temporary, images)
        os.replace(temporary, path)
        stamp.write_text(json.dumps(want))


def load(name: str) -> Portraits:
    """A rendered set, its images memory-mapped."""
    cols, changed = records(name)
    images = np.load(RUNS / "data" / f"{name}.npy", mmap_mode="r")
    return Portraits(images, cols, torch.from_numpy(A.vectors(cols)), changed)


def joined(*names: str) -> Portraits:
    """Several sets as one."""
    sets = [load(name) for name in names]
    images = np.concatenate([s.images for s in sets])
    cols = {key: np.concatenate([s.cols[key] for s in sets]) for key in sets[0].cols}
    return Portraits(images, cols, torch.cat([s.vectors for s in sets]))


def _render_hash() -> str:
    import hashlib

    from .render import render

    probes = [render(A.portrait(A.sample_columns(8, seed=5), i), 64).tobytes() for i in range(8)]
    return hashlib.sha256(b"".join(probes)).hexdigest()[:16]
