"""Linear probes: from labels of a few hundred faces to scores of all, and from scores to sure labels.

A probe is a ridge regression in its dual form, on frozen features and w together, towards targets that weigh yes and
no alike. Probes are fitted on the train third and measured on the test third, as AUC.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .faces import RUNS, folder, latents, parts, save
from .features import features
from .labels import ATTRIBUTES, Labels, auc, read_labels

Matrix = NDArray[np.float64]

RIDGE = 0.5
GOOD = 0.9
"""AUC on the test third below which an attribute is left out."""

POOLED = 1024  # the first features; the rest are those of the grid
SHARES = {"pooled": 0.25, "grid": 0.25, "w": 0.5}
"""How much of the kernel each kind of feature makes."""


@dataclass(frozen=True)
class Scale:
    """Mean and deviation of every feature over the faces that probes are fitted on."""

    mean: Matrix
    deviation: Matrix

    def __call__(self, values: Matrix) -> Matrix:
        return (values - self.mean) / self.deviation


@dataclass(frozen=True)
class Inputs:
    """What probes read, brought to one scale, [N, F]: dot products are the kernel."""

    scales: dict[str, Scale]

    @classmethod
    def fitted(cls, name: str) -> Inputs:
        """With the scale of a set."""
        kinds = _kinds(name)
        return cls({kind: Scale(values.mean(0), values.std(0) + 1e-3) for kind, values in kinds.items()})

    def of(self, name: str) -> Matrix:
        """Of all faces of a set whose features have been read."""
        return np.concatenate(
            [self.scales[kind](v) * np.sqrt(SHARES[kind] / v.shape[1]) for kind, v in _kinds(name).items()], axis=1
        )


def _kinds(name: str) -> dict[str, Matrix]:
    read = np.sqrt(np.maximum(features(name), 0)).astype(np.float64)
    w = latents(name).numpy()[: len(read)].astype(np.float64)
    return {"pooled": read[:, :POOLED], "grid": read[:, POOLED:], "w": w}


def fit(inputs: Matrix, values: NDArray[np.float32], ridge: float = RIDGE) -> tuple[Matrix, float]:
    """Weights [F] and offset of a probe; faces whose value is NaN are left out."""
    known = ~np.isnan(values)
    x, y = inputs[known], values[known]
    mean = x.mean(axis=0)
    centred = x - mean
    target = np.where(y == 1, 1 / (y == 1).mean(), -1 / (y == 0).mean())
    dual = np.linalg.solve(centred @ centred.T + ridge * np.eye(len(y)), target - target.mean())
    weights = centred.T @ dual
    return weights, float(-mean @ weights)


def fit_probes() -> None:
    """Fit a probe for each attribute, score the corpus, measure on the test third: `scores.npy`, `probes.json`."""
    labels = read_labels()
    inputs = Inputs.fitted("train")
    train, test, corpus = inputs.of("train"), inputs.of("test"), _scored_in_parts(inputs)
    scores, told = [], {}
    for attribute in ATTRIBUTES:
        weights, offset = fit(train, labels.column(attribute)[labels.third("train")])
        values = labels.column(attribute)[labels.third("test")]
        scores.append(corpus @ weights + offset)
        told[attribute] = {
            "auc": round(auc(test @ weights + offset, values), 3),
            "train": _counts(labels.column(attribute)[labels.third("train")]),
            "test": _counts(values),
            "prior": round(float(np.nanmean(labels.column(attribute)[labels.random])), 3),
        }
    save(folder("labels") / "scores.npy", np.stack(scores, axis=1).astype(np.float32))
    (RUNS / "labels" / "probes.json").write_text(json.dumps(told, indent=2) + "\n")
    for name, row in told.items():
        print(f"{name:14} {row}", flush=True)


def _scored_in_parts(inputs: Inputs) -> Matrix:
    return inputs.of("corpus")


def _counts(values: NDArray[np.float32]) -> list[int]:
    """Number of yes and of no."""
    return [int((values == 1).sum()), int((values == 0).sum())]


def probe_results() -> dict[str, dict[str, object]]:
    """What `fit_probes` measured."""
    found: dict[str, dict[str, object]] = json.loads((RUNS / "labels" / "probes.json").read_text())
    return found


def sure_labels(scores: NDArray[np.float32], labels: Labels | None = None) -> NDArray[np.float32]:
    """Labels of all faces from their scores [N, A]: 1, 0, or NaN where a probe is not sure.

    The prior of an attribute, its share among faces drawn at random, sets the thresholds: yes are the best-scored
    0.8 · prior (0.5 · prior of a weak probe), no are those below the first 1.5 · prior (2.5 · prior). A threshold from
    the scores' own quantiles would be worthless for what is rare. Then logic speaks: sunglasses are glasses, children
    have no beard, two colours of hair exclude each other.
    """
    labels = labels or read_labels()
    told = probe_results()
    values = np.full(scores.shape, np.nan, dtype=np.float32)
    for column, attribute in enumerate(ATTRIBUTES):
        prior = float(np.nanmean(labels.column(attribute)[labels.random]))
        good = float(told[attribute]["auc"]) >= 0.95  # type: ignore[arg-type]
        order = np.argsort(-scores[:, column])
        first, last = (0.8, 1.5) if good else (0.6, 2.0)
        values[order[: int(len(order) * prior * first)], column] = 1
        values[order[int(len(order) * min(prior * last, 0.5 + prior / 2)) :], column] = 0
    return _consistent(values)


def _consistent(values: NDArray[np.float32]) -> NDArray[np.float32]:
    def column(name: str) -> NDArray[np.float32]:
        found: NDArray[np.float32] = values[:, ATTRIBUTES.index(name)]
        return found

    column("glasses")[column("sunglasses") == 1] = 1
    child = column("child") == 1
    for name in ("beard", "old", "young", "bald"):
        column(name)[child] = 0
    column("beard")[column("feminine") == 1] = 0
    for name in ("bald", "fringe"):
        column(name)[column("hat") == 1] = np.nan
    colours = [ATTRIBUTES.index(f"{name}_hair") for name in ("black", "brown", "blond", "red", "grey")]
    chosen = values[:, colours] == 1
    one, several = chosen.sum(axis=1) == 1, chosen.sum(axis=1) > 1
    for index, number in enumerate(colours):
        values[one & ~chosen[:, index], number] = 0
        values[several & chosen[:, index], number] = np.nan
    return values


def corpus_labels() -> NDArray[np.float32]:
    """Sure labels of the corpus, [N, A]."""
    return sure_labels(np.load(folder("labels") / "scores.npy"))


def corpus_size() -> int:
    """Faces of the corpus that have been drawn."""
    return sum(len(np.load(path, mmap_mode="r")) for path in parts("corpus"))
