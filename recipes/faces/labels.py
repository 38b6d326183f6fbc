"""The labels by eye: read, put as yes, no or unknown for each attribute, and cut into thirds.

A face is its number; `faces.labelled_w` makes its latent. Two files were labelled at two times in two codes (the
README in `labels/` has both): `face-labels.csv` at 256 px, and the coarser `eye-labels.csv` at 128 px.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

FOLDER = Path(__file__).parent / "labels"
Third = Literal["train", "judges", "test"]
THIRDS: tuple[Third, ...] = ("train", "judges", "test")
"""Third k holds the faces whose number leaves k when divided by 3."""

UNKNOWN = np.nan
FINE: dict[str, tuple[str, str, str]] = {
    "glasses": ("glasses", "gs", "n"),
    "sunglasses": ("glasses", "s", "ng"),
    "hat": ("hat", "1", "0"),
    "beard": ("facial", "b", "n"),
    "smile": ("smile", "t", "0"),
    "mouth_open": ("mouth", "o", "c"),
    "long_hair": ("length", "l", "bs"),
    "bald": ("length", "b", "sml"),
    "fringe": ("fringe", "1", "0"),
    "curly_hair": ("texture", "c", "s"),
    "black_hair": ("colour", "k", "nbrgo"),
    "brown_hair": ("colour", "n", "kbrgo"),
    "blond_hair": ("colour", "b", "knrgo"),
    "red_hair": ("colour", "r", "knbgo"),
    "grey_hair": ("colour", "g", "knbro"),
    "child": ("age", "c", "ymo"),
    "young": ("age", "y", "cmo"),
    "old": ("age", "o", "ctym"),
    "feminine": ("look", "f", "m"),
    "earrings": ("earrings", "1", "0"),
    "lipstick": ("lipstick", "1", "0"),
    "turned_left": ("turn", "l", "rf"),
    "turned_right": ("turn", "r", "lf"),
}
"""Attribute → column of `face-labels.csv`, codes that mean yes, codes that mean no; any other code is unknown."""

COARSE: dict[str, tuple[str, str]] = {
    "smile": ("smile_teeth", "1"),
    "black_hair": ("hair", "black"),
    "brown_hair": ("hair", "brown"),
    "blond_hair": ("hair", "blond"),
    "red_hair": ("hair", "red"),
    "grey_hair": ("hair", "grey"),
    "child": ("age", "child"),
    "young": ("age", "young"),
    "old": ("age", "old"),
    "feminine": ("looks", "feminine"),
    "turned_left": ("turn", "left"),
    "turned_right": ("turn", "right"),
    **{name: (name, "1") for name in ("glasses", "sunglasses", "hat", "beard", "mouth_open", "long_hair", "bald")},
    **{name: (name, "1") for name in ("fringe", "earrings", "lipstick")},
}
"""Attribute → column of `eye-labels.csv` and the value that means yes; an empty field, or two values, is unknown."""

ATTRIBUTES = tuple(FINE)


@dataclass(frozen=True)
class Labels:
    """Labelled faces: numbers [N], and values [N, A] in the order of ATTRIBUTES: 1, 0, or NaN where unknown."""

    numbers: NDArray[np.int64]
    values: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.numbers)

    def column(self, attribute: str) -> NDArray[np.float32]:
        """Values of one attribute, [N]."""
        return self.values[:, ATTRIBUTES.index(attribute)]

    def third(self, name: Third) -> NDArray[np.bool_]:
        """Which faces belong to a third, [N]."""
        return self.numbers % 3 == THIRDS.index(name)

    @property
    def random(self) -> NDArray[np.bool_]:
        """Which faces were drawn at random, [N]; the others were picked by a probe's score."""
        return self.numbers < 1000


def read_labels(*, second: bool = False) -> Labels:
    """All labels by eye, ordered by number; pictures that were marked as broken are left out.

    Args:
        second: read the 120 faces that were labelled again instead.
    """
    names = ["face-labels-second.csv"] if second else ["face-labels.csv", "eye-labels.csv"]
    found: dict[int, list[float]] = {}
    for name in names:
        reader = _coarse if name == "eye-labels.csv" else _fine
        for row in _rows(FOLDER / name):
            values = reader(row)
            if values is not None:
                found.setdefault(int(row["i"]), values)
    numbers = np.array(sorted(found))
    return Labels(numbers, np.array([found[number] for number in numbers.tolist()], dtype=np.float32))


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(newline="") as file:
        yield from csv.DictReader(line for line in file if not line.startswith("#"))


def _fine(row: dict[str, str]) -> list[float] | None:
    if row["ok"] == "0":
        return None
    hidden = row["hat"] == "1"  # a hat hides what the fringe and the crown are like
    values = []
    for name, (column, yes, no) in FINE.items():
        code = row[column]
        known = code != "" and code in yes + no and not (hidden and name in ("fringe", "bald"))
        values.append(float(code in yes) if known else UNKNOWN)
    return values


def _coarse(row: dict[str, str]) -> list[float] | None:
    if all(value == "" for name, value in row.items() if name not in ("i", "psi")):
        return None
    values = []
    for name in ATTRIBUTES:
        column, yes = COARSE.get(name, ("", ""))
        value = row.get(column, "")
        values.append(UNKNOWN if value in ("", None) or "|" in value else float(value == yes))
    return values


def auc(scores: NDArray[np.float64], values: NDArray[np.float32]) -> float:
    """Share of pairs of a yes and a no that the scores order rightly, ties counted as half; NaN without both."""
    yes, no = scores[values == 1], scores[values == 0]
    if not len(yes) or not len(no):
        return float("nan")
    above = (yes[:, None] > no[None]).mean() + 0.5 * (yes[:, None] == no[None]).mean()
    return float(above)


def balanced_accuracy(decided: NDArray[np.bool_], values: NDArray[np.float32]) -> float:
    """Mean of the shares of right answers among the yes and among the no."""
    return float((decided[values == 1].mean() + (~decided[values == 0]).mean()) / 2)
