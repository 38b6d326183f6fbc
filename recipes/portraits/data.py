"""The pictures and records that everything is trained and measured on, rendered once and kept as arrays.

Sets: `base` (independent portraits), `varied` (row i is base row i with one attribute changed: hard negatives),
`looks` (persons, each under several looks: LOOKS rows in a row are one person), and for measuring only, from other
seeds, `test`, `test_varied` and `test_looks`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from textmorph.errors import OptionError

from . import attributes as A
from .render import render_many
from .run_folder import RESOLUTION, resolution
from .run_folder import RUNS as RUNS
from .training import countdown

SIZE = resolution()
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


def uniform(name: str, num: int) -> NDArray[np.float64]:
    """The uniform numbers behind the first records of a set of independent portraits, [num, attributes]."""
    return A.sample_uniform(SIZES[name], seed=_SEEDS[name])[:num]


def prepare(chunk: int = 5000) -> None:
    """Render every set that is not there yet, about 5 ms a picture and core at 128 px; stopped, it goes on."""
    folder = RUNS / "data"
    folder.mkdir(parents=True, exist_ok=True)
    missing = {
        name: num
        for name, num in SIZES.items()
        if not (folder / f"{name}.npy").exists() or _stamp(folder / f"{name}.json") != _wanted(num)
    }
    tell, before = countdown("data"), 0
    for name, num in missing.items():
        for done in _render(folder / f"{name}.npy", records(name)[0], _wanted(num), chunk):
            tell(before + done, sum(missing.values()))
        before += num


def _render(path: Path, cols: dict[str, NDArray[Any]], wanted: dict[str, Any], chunk: int) -> Iterator[int]:
    """Render a set part by part, into a file that gets its name at the end; gives how many are done."""
    temporary, partial, stamp = path.with_suffix(".part.npy"), path.with_suffix(".part.json"), path.with_suffix(".json")
    noted = _stamp(partial)
    done = noted.pop("done", 0)
    num, size = wanted["num"], wanted["size"]
    if noted != wanted or not temporary.exists():
        done = 0
    shape = (num, size, size, 3)
    images = np.lib.format.open_memmap(temporary, "r+" if done else "w+", None if done else np.uint8, shape)
    yield done
    while done < num:
        part = slice(done, min(done + chunk, num))
        images[part] = render_many({name: column[part] for name, column in cols.items()}, size)
        images.flush()
        done = part.stop
        _write(partial, {**wanted, "done": done})
        yield done
    stamp.unlink(missing_ok=True)
    os.replace(temporary, path)
    _write(stamp, wanted)
    partial.unlink()


def _wanted(num: int) -> dict[str, Any]:
    return {"num": num, "size": SIZE, "render": render_hash()}


def _stamp(path: Path) -> dict[str, Any]:
    """What a file says about the pictures beside it; nothing where there is none, or half of one."""
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return found


def _write(path: Path, value: dict[str, Any]) -> None:
    temporary = path.with_name(path.name + ".new")
    temporary.write_text(json.dumps(value))
    os.replace(temporary, path)


def load(name: str) -> Portraits:
    """A rendered set, its images memory-mapped.

    Raises:
        OptionError: its pictures have another size than this process works with.
    """
    cols, changed = records(name)
    images = np.load(RUNS / "data" / f"{name}.npy", mmap_mode="r")
    if images.shape[1] != SIZE:
        raise OptionError(f"{RUNS} holds pictures of {images.shape[1]} px; set {RESOLUTION}={images.shape[1]}")
    return Portraits(images, cols, torch.from_numpy(A.vectors(cols)), changed)


def joined(*names: str) -> Portraits:
    """Several sets as one."""
    sets = [load(name) for name in names]
    images = np.concatenate([s.images for s in sets])
    cols = {key: np.concatenate([s.cols[key] for s in sets]) for key in sets[0].cols}
    return Portraits(images, cols, torch.cat([s.vectors for s in sets]))


@cache
def render_hash() -> str:
    import hashlib

    from .render import render

    probes = [render(A.portrait(A.sample_columns(8, seed=5), i), 64).tobytes() for i in range(8)]
    return hashlib.sha256(b"".join(probes)).hexdigest()[:16]
