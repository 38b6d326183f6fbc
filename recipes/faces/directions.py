"""Directions of our own: linear SVMs in w over the labels by eye (Shen et al. 2020, arXiv:1907.10786, Sec. 3).

The normal of the plane between faces with and without an attribute is the direction; normals of other attributes are
projected out of it (their Sec. 3.3). One unit of strength is one unit of w in every row that the direction moves.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.svm import LinearSVC

from textmorph.edits import Direction

from .faces import latents
from .labels import Labels, auc, read_labels

FOLDER = Path("src/textmorph/assets/faces/directions")
PENALTY = 3e-3
ROWS = 16


@dataclass(frozen=True)
class Made:
    """How a direction is made.

    Args:
        attribute: of `labels.ATTRIBUTES`.
        without: attributes whose normals are projected out.
        rows: first and last row of w+ that it moves, the last one not included; None moves all alike.
        barring: attribute whose faces are left out of the fit.
    """

    attribute: str
    without: tuple[str, ...]
    rows: tuple[int, int] | None = None
    barring: str = ""


DIRECTIONS = {
    "smile": Made("smile", ("feminine",), (0, 6)),
    "glasses": Made("glasses", ("feminine",), (0, 6), barring="sunglasses"),
    "old": Made("old", ("feminine", "glasses")),
    "child": Made("child", ("feminine", "glasses")),
    "beard": Made("beard", ("feminine", "glasses", "hat")),
    "blond": Made("blond_hair", ("feminine", "child", "long_hair")),
}
"""Chosen by eye on the first four seeds: with these projections sex, glasses and hats stay, and the rows that are left
out move little but light and clothes."""


def write_directions(target: Path = FOLDER) -> None:
    """Fit all directions on the train third, measure them on the test third, write them as saved edits."""
    labels = read_labels()
    train, test = latents("train").numpy(), latents("test").numpy()
    target.mkdir(parents=True, exist_ok=True)
    for name, made in DIRECTIONS.items():
        direction = fit_direction(made, labels, train, test)
        direction.save(target / f"{name}.safetensors", overwrite=True)
        print(
            name,
            {k: v for k, v in direction.provenance.items() if k not in ("method", "labels", "licence")},
            flush=True,
        )


def fit_direction(made: Made, labels: Labels, train: NDArray[np.float32], test: NDArray[np.float32]) -> Direction:
    """The direction in w+ of one attribute, [1, 512] or [16, 512], with figures in its provenance.

    Args:
        train, test: latents in w of these thirds, [N, 512], in the order of the labels.
    """
    values = _values(made, labels)
    ours, theirs = values[labels.third("train")], values[labels.third("test")]
    vector = normal(train, ours)
    if made.without:
        others = [normal(train, labels.column(name)[labels.third("train")]) for name in made.without]
        basis, _ = np.linalg.qr(np.stack(others, axis=1))  # [512, K]
        vector = vector - basis @ (basis.T @ vector)
    kept = float(np.linalg.norm(vector))
    vector = vector / kept
    first, last = made.rows or (0, 1)
    rows = torch.zeros(ROWS if made.rows else 1, len(vector))
    rows[first:last] = torch.from_numpy(vector).float()
    provenance = {
        "target": made.attribute.replace("_", " "),
        "method": "linear SVM in w between labels by eye (Shen et al. 2020, arXiv:1907.10786)",
        "labels": "recipes/faces/labels, the third whose numbers divide by 3",
        "positives": int((ours == 1).sum()),
        "negatives": int((ours == 0).sum()),
        "projected_out": list(made.without),
        "length_left": round(kept, 3),
        "rows": list(made.rows) if made.rows else "all",
        "held_out_auc": round(auc(test @ vector, theirs), 3),
        "held_out": [int((theirs == 1).sum()), int((theirs == 0).sum())],
        "unit": "one unit of w",
        "licence": "see LICENSE in the domain folder: research use unless you clear the rights",
    }
    return Direction(rows, "w+", provenance)


def normal(w: NDArray[np.float32], values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Unit normal [512] of the plane between yes and no, pointing to yes; faces whose value is NaN are left out."""
    known = ~np.isnan(values)
    machine = LinearSVC(C=PENALTY, class_weight="balanced", max_iter=50_000)
    found = machine.fit(w[known] - w.mean(axis=0), values[known]).coef_[0]
    unit: NDArray[np.float64] = found / np.linalg.norm(found)
    return unit


def _values(made: Made, labels: Labels) -> NDArray[np.float32]:
    values = labels.column(made.attribute).copy()
    if made.barring:
        values[labels.column(made.barring) == 1] = np.nan
    return values
