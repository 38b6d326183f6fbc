"""The faces that everything is fitted and measured on, drawn once by the project's generator and kept as arrays.

Three sets are the labelled faces, one for each third of `labels.py`; `corpus` is what labels are carried to, and what
the domain's corpus is made of. A set lies in parts, `RUNS/faces/NAME-START.npy`, uint8 [n, 256, 256, 3] each.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from textmorph.generators import Generator, load_generator
from textmorph.latents import Latent
from textmorph.registry import fetch_main

from ..portraits.training import countdown
from .labels import THIRDS, read_labels

RUNS = Path(os.environ.get("FACES_RUNS", "runs/faces"))
SIZE = 256
CORPUS = 6400
CORPUS_SEED = 100_000
"""Row i of the corpus is `generator.sample(1, seed=CORPUS_SEED + i, truncation=TRUNCATION)`."""

TRUNCATION = 0.9
PART = 100


@cache
def generator() -> Generator:
    """The project's generator of faces, fetched on first use."""
    return load_generator(fetch_main("random-face"))


def labelled_w(numbers: NDArray[np.int64]) -> Tensor:
    """Latents in w of labelled faces, [N, 512], by the rule of the labels: psi from 0.8 to 1 by number."""
    network = generator()
    rows = []
    for number in numbers.tolist():
        z = torch.randn(1, 512, generator=torch.Generator().manual_seed(100_000 + number))
        w = network.to_space(Latent(z, "z"), "w").value
        rows.append(network.mean_w.lerp(w[0], 0.8 + 0.05 * (number % 5)))
    return torch.stack(rows)


def corpus_w(start: int, stop: int) -> Tensor:
    """Latents in w of rows of the corpus, [N, 512]."""
    seeds = range(CORPUS_SEED + start, CORPUS_SEED + stop)
    return torch.cat([generator().sample(1, seed=seed, truncation=TRUNCATION).value for seed in seeds])


def generate() -> None:
    """Draw all sets, part by part; parts that are there stay.

    The judges' and the test third are drawn exactly. The rest comes from the fitted head at 256 px, at less than half
    the cost.
    """
    labels = read_labels()
    for third in THIRDS:
        numbers = labels.numbers[labels.third(third)]
        _draw(third, len(numbers), lambda a, b, n=numbers: labelled_w(n[a:b]), exact=third != "train")  # type: ignore[misc]
    _draw("corpus", CORPUS, corpus_w, exact=False)


def parts(name: str) -> Iterator[Path]:
    """Files of a set, in order."""
    yield from sorted(folder("faces").glob(f"{name}-*.npy"))


def folder(name: str) -> Path:
    """A folder of the run, made where it is not there."""
    path = RUNS / name
    path.mkdir(parents=True, exist_ok=True)
    return path


def pictures(name: str, size: int = 128) -> NDArray[np.uint8]:
    """All pictures of a set, [N, size, size, 3], made smaller by the mean over an area."""
    return np.concatenate([_smaller(np.load(path), size) for path in parts(name)])


def latents(name: str) -> Tensor:
    """Latents in w of a set, [N, 512], as many as have been drawn; kept beside the faces."""
    path = folder("faces") / f"{name}.w.npy"
    count = sum(len(np.load(part, mmap_mode="r")) for part in parts(name))
    if not path.exists() or len(np.load(path, mmap_mode="r")) < count:
        labels = read_labels()
        found = corpus_w(0, count) if name == "corpus" else labelled_w(labels.numbers[labels.third(name)])  # type: ignore[arg-type]
        save(path, found.numpy())
    return torch.from_numpy(np.load(path)[:count])


def save(path: Path, values: NDArray[np.generic]) -> None:
    """Write an array whole or not at all."""
    temporary = path.with_suffix(".part")
    with temporary.open("wb") as file:
        np.save(file, values)
    os.replace(temporary, path)


def _draw(name: str, count: int, w: Callable[[int, int], Tensor], *, exact: bool) -> None:
    tell = countdown(name)
    for start in range(0, count, PART):
        path = folder("faces") / f"{name}-{start:05d}.npy"
        tell(start, count)
        if not path.exists():
            stop = min(start + PART, count)
            with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
                images = [generator()(Latent(row[None], "w"), resolution=SIZE, exact=exact) for row in w(start, stop)]
            codes = ((torch.cat(images).float().clamp(-1, 1) + 1) * 127.5).round().byte()
            save(path, codes.permute(0, 2, 3, 1).numpy())


def _smaller(images: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    if images.shape[1] == size:
        return images
    small = F.interpolate(torch.from_numpy(images).permute(0, 3, 1, 2).float(), size=size, mode="area")
    return small.round().byte().permute(0, 2, 3, 1).numpy()
