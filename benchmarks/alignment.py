"""How often a portrait that is off the centre of a larger picture is found: `python -m benchmarks.alignment`.

Portraits of the held-out set, the first ones, drawn at a random size (0.35 to 0.85 of the picture's shorter side) at a
random place on four backgrounds. On `own` the background has the colour of the portrait's own corner, so that no frame
gives it away. A hit overlaps with the portrait's own square by 0.7 or more (intersection over union). Pictures without
a portrait, and portraits in the middle, show what is found where nothing should be.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from benchmarks.machine import about_run
from recipes.portraits import attributes
from recipes.portraits.data import records
from recipes.portraits.render import render
from textmorph.editing.alignment import Square, find_square
from textmorph.editing.editor import Editor
from textmorph.images import read_image

KINDS = ("plain", "own", "gradient", "noise")
SHORTER = 360
HIT = 0.7
TARGET = Path("benchmarks/results/alignment.json")


def background(kind: str, height: int, width: int, random: np.random.Generator, corner: Tensor) -> Tensor:
    """A picture of nothing, [1, 3, H, W]."""
    if kind == "own":
        return corner.expand(1, 3, height, width).clone()
    if kind == "noise":  # about 1/f, as photographs have
        total = torch.zeros(1, 3, height, width)
        for side in (2, 4, 8, 16, 32, 64, 128):
            layer = torch.from_numpy(random.standard_normal((1, 3, side, side))).float() / side**0.9
            total += interpolate(layer, size=(height, width), mode="bicubic")
        return total.clamp(-1, 1)
    ends = torch.from_numpy(random.uniform(-1, 1, (2, 1, 3, 1, 1))).float()
    along = torch.linspace(0, 1, width) if kind == "gradient" else torch.zeros(width)
    return (ends[0] * (1 - along) + ends[1] * along).expand(1, 3, height, width).clone()


def scene(kind: str, number: int, columns: Any) -> tuple[Tensor, Tensor, Square]:
    """The background, the same with a portrait, and where that is."""
    random = np.random.default_rng([KINDS.index(kind), number])
    height, width = [(SHORTER, SHORTER * 4 // 3), (SHORTER * 4 // 3, SHORTER), (SHORTER, SHORTER)][number % 3]
    side = int(SHORTER * random.uniform(0.35, 0.85))
    square = Square(int(random.integers(0, width - side + 1)), int(random.integers(0, height - side + 1)), side)
    portrait = read_image(render(attributes.portrait(columns, number), side))
    empty = background(kind, height, width, random, portrait[..., :1, :1])
    photo = empty.clone()
    square.cut(photo).copy_(portrait)
    return empty, photo, square


def overlap(one: Square, other: Square) -> float:
    """Intersection over union."""
    right = min(one.left + one.side, other.left + other.side) - max(one.left, other.left)
    down = min(one.top + one.side, other.top + other.side) - max(one.top, other.top)
    common = max(0, right) * max(0, down)
    return common / (one.side**2 + other.side**2 - common)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--num", type=int, default=10, help="portraits per background")
    num = parser.parse_args().num
    torch.set_num_threads(1)
    domain = Editor.from_pretrained("portraits", device="cpu").domain
    columns, _ = records("test")
    report: dict[str, Any] = about_run() | {"portraits": num, "hit": f"overlap of {HIT} or more"}

    encoder, far_distance = domain.encoder, domain.far_distance
    assert encoder is not None
    assert far_distance is not None

    def find(photo: Tensor) -> tuple[Square, bool, float]:
        started = time.perf_counter()
        square, found = find_square(photo, encoder, domain.generator, far_distance=far_distance)
        return square, found, time.perf_counter() - started

    for kind in KINDS:
        rows = []
        for number in range(num):
            empty, photo, there = scene(kind, number, columns)
            square, found, seconds = find(photo)
            rows.append((overlap(square, there), found, seconds, find(empty)[1] if number < num // 3 else None))
            print(kind, number, there, square, found, f"{rows[-1][0]:.2f} {seconds:.1f} s", rows[-1][3], flush=True)
        report[kind] = {
            "hits": sum(row[0] >= HIT for row in rows),
            "wrong_squares": sum(row[1] and row[0] < HIT for row in rows),
            "median_overlap": round(float(np.median([row[0] for row in rows])), 3),
            "median_seconds_one_thread": round(float(np.median([row[2] for row in rows])), 2),
            "found_without_a_portrait": f"{sum(row[3] is True for row in rows)} of {num // 3}",
        }
    moved = [find(read_image(render(attributes.portrait(columns, number), 128)))[1] for number in range(4 * num)]
    report["centred_portraits_moved"] = f"{sum(moved)} of {len(moved)}"
    TARGET.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
