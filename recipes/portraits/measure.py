"""The measures of the report: small, pure where they can be, on renders that nothing was trained on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from . import attributes as A
from . import captions, judge
from .data import Portraits

Embed = Callable[[Tensor], Tensor]


def in_batches(call: Embed, images: Iterator[Tensor]) -> Tensor:
    """Join what `call` makes of batches of images."""
    with torch.inference_mode():
        return torch.cat([call(batch).float() for batch in images])


def batches_of(portraits: Portraits, num: int, size: int = 100) -> Iterator[Tensor]:
    """The first `num` images, in batches."""
    return (portraits.tensor(slice(i, min(i + size, num))) for i in range(0, num, size))


def zero_shot(embedder: Any, seen: Tensor, portraits: Portraits, attribute: str, *, split: str) -> dict[str, float]:
    """How often CLIP picks the right word among all values of an attribute.

    `single` draws one phrasing per value and portrait at random, `ensemble` averages all phrasings of a value.
    """
    rows = portraits.rows(slice(0, len(seen)))
    truth = torch.from_numpy(captions.classify_truth(attribute, rows))
    rng = np.random.default_rng(3)
    single, ensemble = [], []
    for _, texts in captions.classify_prompts(attribute, split):
        with torch.inference_mode():
            said = embedder.embed_text(texts)
        ensemble.append(seen @ F.normalize(said.mean(dim=0), dim=0))
        pick = torch.from_numpy(rng.integers(len(texts), size=len(seen)))
        single.append((seen * said[pick]).sum(dim=1))
    known = truth >= 0
    return {
        name: round(float((torch.stack(scores, 1).argmax(1) == truth)[known].double().mean()), 4)
        for name, scores in (("single", single), ("ensemble", ensemble))
    } | {"portraits": int(known.sum())}


def retrieval(embedder: Any, seen: Tensor, portraits: Portraits, *, split: str, pool: int = 100) -> dict[str, float]:
    """Top-1 of long captions among `pool` portraits: `own` the captioned one, `true` any that the caption fits."""
    rng = np.random.default_rng(4)
    own, fits, num = 0, 0, 0
    for first in range(0, len(seen) - pool + 1, pool):
        part = slice(first, first + pool)
        rows = portraits.rows(part)
        texts, meanings = captions.caption(rows, range(pool), rng, split=split, num_attributes=(6, 8))
        with torch.inference_mode():
            best = (embedder.embed_text(texts) @ seen[part].t()).argmax(dim=1).numpy()
        match = captions.matches(meanings, rows)
        own += int((best == np.arange(pool)).sum())
        fits += int((match[np.arange(pool), best] == 1).sum())
        num += pool
    return {"own": round(own / num, 4), "true": round(fits / num, 4), "captions": num}


def frechet(a: Tensor, b: Tensor) -> float:
    """Fréchet distance of two sets of features [N, D]; Heusel et al. 2017, arXiv:1706.08500, eq. 6."""
    from scipy.linalg import sqrtm

    x, y = a.double().numpy(), b.double().numpy()
    cx, cy = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    cross = np.real(sqrtm(cx @ cy))
    return float(((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(cx + cy - 2 * cross))


def precision_recall(real: Tensor, made: Tensor, *, k: int = 3) -> tuple[float, float]:
    """Share of made features within the real manifold, and the reverse; Kynkäänniemi et al. 2019, arXiv:1904.06991."""

    def inside(points: Tensor, manifold: Tensor) -> float:
        radius = torch.cdist(manifold, manifold).kthvalue(k + 1, dim=1).values  # the nearest is the point itself
        return float((torch.cdist(points, manifold) <= radius).any(dim=1).double().mean())

    return inside(made, real), inside(real, made)


def judged(net: judge.AttributeJudge, images: Iterator[Tensor]) -> judge.Verdict:
    return judge.read(in_batches(net, images))


def frequencies(verdict: judge.Verdict) -> dict[str, dict[str, float]]:
    """Share of each value of each category."""
    return {
        name: {w: round(float((verdict.categories[name] == i).double().mean()), 4) for i, w in enumerate(words)}
        for name, words in A.CATEGORIES.items()
    }


def accuracy(verdict: judge.Verdict, cols: dict[str, NDArray[Any]]) -> dict[str, float]:
    """How often the judge reads an attribute right where it shows; for scalars the mean absolute error of the range."""
    out = {}
    for name in A.CATEGORIES:
        seen = torch.from_numpy(A.visible(cols, name))
        right = verdict.categories[name] == torch.from_numpy(cols[name])
        out[name] = round(float(right[seen].double().mean()), 4)
    for name, (low, high) in A.SCALARS.items():
        error = (verdict.scalars[name].double() - torch.from_numpy(cols[name])).abs() / (high - low)
        out[f"{name} (error)"] = round(float(error.mean()), 4)
    return out
