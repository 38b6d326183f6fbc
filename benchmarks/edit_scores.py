"""Figures about edits, from what the judges see before and after. Pure: arrays in, numbers out.

A *reading* is what the attribute judge sees in N pictures, as columns: an index for every category, a value for every
scalar (recipes.portraits.attributes).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recipes.portraits import attributes as A
from recipes.portraits.captions import match
from recipes.portraits.judge import read

from .edit_tasks import Columns, Task

Floats = NDArray[np.float64]

RESAMPLES = 2000
"""Bootstrap samples behind an interval."""


def reading(judge: Callable[[Tensor], Tensor], images: Tensor, *, batch_size: int = 25) -> Columns:
    """What the judge sees in images [N, 3, H, W]."""
    with torch.inference_mode():
        batches = torch.split(images, batch_size)
        verdict = read(torch.cat([judge(batch).float().cpu() for batch in batches]))
    return {name: value.numpy() for name, value in (verdict.categories | verdict.scalars).items()}


def visible(cols: Mapping[str, NDArray[Any]], name: str) -> NDArray[np.bool_]:
    """Where an attribute can be seen, [N]: as the recipe has it, and a bald head has no hair colour."""
    seen: NDArray[np.bool_] = A.visible(cols, name)
    return seen & (cols["hair_style"] != A.HAIR_STYLES.index("bald")) if name == "hair_colour" else seen


def state(task: Task, cols: Mapping[str, NDArray[Any]]) -> NDArray[np.int8]:
    """Whether each portrait has what the task asks for, [N]: 1 yes, 0 no, -1 in between or out of sight."""
    return match(task.predicate, cols)


def flips(task: Task, before: Mapping[str, NDArray[Any]], after: Mapping[str, NDArray[Any]]) -> dict[str, Floats]:
    """Which attributes the edit flipped that it should not touch: category → [N], 1 flipped, 0 kept, nan not seen.

    The attribute asked for and those tied to it are left out; a category counts where it shows before and after.
    """
    out = {}
    for name in A.CATEGORIES:
        if name != task.attribute and name not in task.tied:
            seen = visible(before, name) & visible(after, name)
            out[name] = np.where(seen, (before[name] != after[name]).astype(float), np.nan)
    return out


def leak(flipped: Mapping[str, Floats]) -> Floats:
    """Share of the attributes seen that were flipped, per picture, [N]."""
    table = np.stack(list(flipped.values()))
    counted = ~np.isnan(table)
    shares: Floats = np.nansum(table, axis=0) / np.maximum(counted.sum(axis=0), 1)
    return shares


def drift(task: Task, before: Mapping[str, NDArray[Any]], after: Mapping[str, NDArray[Any]]) -> Floats:
    """Mean change of the other scalars, as a share of their ranges, [N]."""
    moved = [
        np.abs(np.asarray(after[name], dtype=float) - before[name]) / (high - low)
        for name, (low, high) in A.SCALARS.items()
        if name != task.attribute
    ]
    return np.asarray(np.mean(moved, axis=0), dtype=float)


def gender_kept(before: Mapping[str, NDArray[Any]], after: Mapping[str, NDArray[Any]]) -> Floats:
    """1 where the judge sees the same gender before and after, else 0, [N]."""
    kept: Floats = ((before["femininity"] > 0.5) == (after["femininity"] > 0.5)).astype(float)
    return kept


def cosine(before: Tensor, after: Tensor) -> Floats:
    """Cosine between unit rows, [N]."""
    return np.asarray((before * after).sum(dim=1).double().cpu(), dtype=float)


def interval(
    values: Sequence[float] | Floats, groups: Sequence[int] | NDArray[Any] | None = None, *, seed: int = 0
) -> dict[str, Any]:
    """Mean and its 95 % bootstrap interval.

    Args:
        values: one per edit; nan does not count.
        groups: which portrait each belongs to: portraits are drawn, with all their edits, since the edits of one
            portrait go together. None: every value by itself.

    Returns:
        `mean`, `low`, `high` (None without values) and `n`, the values that count.
    """
    figures = np.asarray(values, dtype=float)
    members = np.arange(len(figures)) if groups is None else np.asarray(groups)
    counted = ~np.isnan(figures)
    figures, members = figures[counted], members[counted]
    if not len(figures):
        return {"mean": None, "low": None, "high": None, "n": 0}
    _, places = np.unique(members, return_inverse=True)
    sums, sizes = np.bincount(places, weights=figures), np.bincount(places)
    drawn = np.random.default_rng(seed).integers(len(sums), size=(RESAMPLES, len(sums)))
    means = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return {"mean": _round(figures.mean()), "low": _round(low), "high": _round(high), "n": len(figures)}


def judge_edits(
    task: Task, before: Columns, after: Columns, measured: Mapping[str, Floats], *, failed: NDArray[np.bool_]
) -> dict[str, Floats]:
    """Every figure of N edits of one task; nan for those that do not count.

    An edit counts where the picture did not have what is asked for: neither already so, nor in between, nor hidden.
    One that failed leaves the picture as it is, and counts as no hit.

    Args:
        measured: further figures of each edit, [N] each, such as `identity`.

    Returns:
        `hit`, `leak`, `drift`, `gender_kept`, those measured, `flipped.NAME` for each category, and `already` (1 where
        the picture had it) and `unclear`, which are never nan.
    """
    had = state(task, before)
    flipped = flips(task, before, after)
    figures = {
        "hit": ((state(task, after) == 1) & ~failed).astype(float),
        "leak": leak(flipped),
        "drift": drift(task, before, after),
        "gender_kept": gender_kept(before, after),
        **measured,
        **{f"flipped.{name}": values for name, values in flipped.items()},
    }
    out = {name: np.where(had == 0, values, np.nan) for name, values in figures.items()}
    return out | {"already": (had == 1).astype(float), "unclear": (had == -1).astype(float)}


def summarise(figures: Mapping[str, Floats], groups: NDArray[Any]) -> dict[str, Any]:
    """Means with their intervals; what was left out, in numbers; the attributes flipped most.

    Args:
        figures: as `judge_edits` gives them, of one task or of several joined.
        groups: the portrait of each edit.
    """
    out: dict[str, Any] = {
        name: interval(values, groups)
        for name, values in figures.items()
        if not name.startswith("flipped.") and name not in ("already", "unclear")
    }
    flipped = {
        name.removeprefix("flipped."): _round(np.nanmean(values))
        for name, values in figures.items()
        if name.startswith("flipped.") and not np.isnan(values).all()
    }
    ranked = sorted(flipped.items(), key=lambda pair: -pair[1])
    return {
        "edits": int((~np.isnan(figures["hit"])).sum()),
        "already": int(figures["already"].sum()),
        "unclear": int(figures["unclear"].sum()),
        **out,
        "flipped": {name: share for name, share in ranked if share > 0},
    }


def joined(tables: Sequence[Mapping[str, Floats]]) -> dict[str, Floats]:
    """Figures of several tasks in one row; a category that one task leaves out is nan there."""
    names = list(dict.fromkeys(name for table in tables for name in table))
    sizes = [len(table["hit"]) for table in tables]
    return {
        name: np.concatenate([t.get(name, np.full(n, np.nan)) for t, n in zip(tables, sizes, strict=True)])
        for name in names
    }


def realism(edited: Tensor, renders: Tensor) -> float | None:
    """Fréchet distance of features [N, D] to those of renders, a proxy for how natural pictures look: lower is nearer.

    None with fewer than two pictures. Biased upwards for few; compare only sets of one size.
    """
    return None if min(len(edited), len(renders)) < 2 else _round(frechet(edited, renders))


def frechet(a: Tensor, b: Tensor) -> float:
    """Fréchet distance of two sets of features [N, D]; Heusel et al. 2017, arXiv:1706.08500, eq. 6.

    As `recipes.portraits.measure.frechet`, and also right where a covariance is singular, as that of few or of repeated
    pictures is: tr (XY)^½ is the sum of the roots of the eigenvalues of X^½ Y X^½, which is symmetric.
    """
    x, y = (np.cov(features.double().numpy(), rowvar=False) for features in (a, b))
    values, vectors = np.linalg.eigh(x)
    root = vectors * np.sqrt(values.clip(min=0)) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ y @ root).clip(min=0)).sum()
    gap = (a.double().mean(dim=0) - b.double().mean(dim=0)).square().sum()
    return float(gap + np.trace(x) + np.trace(y) - 2 * cross)


def _round(value: Any) -> float:
    return round(float(value), 4)
