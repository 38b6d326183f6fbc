"""Search on a validation set: which strength and which threshold make images of a method most like their texts.

As StyleCLIP-FEU chose them (Baba et al. 2023, arXiv:2304.00964, Sec. 4.2). The cosine alone favours large strengths.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from ..edits import apply_edits
from ..errors import EmptyDirectionError, OptionError
from ..generators.resolution import render_resolution
from ..prompts import BARE, text_embedding

if TYPE_CHECKING:
    from ..embedders import TextEmbedder
    from ..generators import Generator
    from ..latents import Latent

STRENGTHS = (2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 5.5, 6.0)
THRESHOLDS = (0.1, 0.15, 0.2)
"""The ranges and steps that the paper shows."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One pair of values: the mean CLIP cosine over latents and texts, and for how many texts nothing was selected."""

    strength: float
    threshold: float | None
    num_channels: int | None
    score: float
    empty: int


@dataclass(frozen=True, kw_only=True)
class Search:
    """All pairs that were tried, and the best of them."""

    best: Trial
    trials: tuple[Trial, ...]

    @property
    def json(self) -> dict[str, Any]:
        return asdict(self)


def search(
    method: Any,
    generator: Generator,
    embedder: TextEmbedder,
    *,
    targets: Sequence[str],
    latents: Latent,
    strengths: Sequence[float] = STRENGTHS,
    thresholds: Sequence[float] | None = None,
    num_channels: Sequence[int] | None = None,
    batch_size: int = 16,
    progress: Callable[[int, int], None] | None = None,
    **inputs: Any,
) -> Search:
    """Search the strength and the threshold (or number of channels) of highest CLIP cosine between image and text.

    A text for which a threshold selects nothing counts with its unedited images.

    Args:
        method: a `GlobalDirection` or `SvmDirection`; its other options stay.
        targets: texts of the validation set.
        latents: images of the validation set, in any space.
        strengths: to try.
        thresholds, num_channels: to try; give one of the two. None takes the thresholds of the paper.
        batch_size: renders at once.
        progress: called with the texts done and their total, over all thresholds.
        inputs: of `method.find`, such as `neutral`, `corpus`, `bank`, `templates`.

    Raises:
        OptionError: nothing to try, or both thresholds and numbers of channels.
    """
    if thresholds is not None and num_channels is not None:
        raise OptionError("give thresholds or num_channels, not both")
    rules: list[dict[str, Any]] = [{"threshold": None, "num_channels": int(k)} for k in num_channels or ()]
    if num_channels is None:
        rules = [
            {"threshold": float(b), "num_channels": None} for b in (THRESHOLDS if thresholds is None else thresholds)
        ]
    if not (rules and strengths and targets and len(latents)):
        raise OptionError("a search needs texts, latents, strengths, and thresholds or numbers of channels")
    trials = []
    for turn, rule in enumerate(rules):
        scores = torch.zeros(len(strengths), dtype=torch.float64)
        empty = 0
        for done, target in enumerate(targets):
            try:
                edit = replace(method, **rule).find(generator, embedder, target=target, **inputs)
            except EmptyDirectionError:
                edit, empty = None, empty + 1
            text = text_embedding(embedder, target, templates=BARE)
            for i, strength in enumerate(strengths if edit is not None else (0.0,)):
                edits = [] if edit is None else [(edit, float(strength))]
                score = _mean_cosine(generator, embedder, apply_edits(generator, latents, edits), text, batch_size)
                scores[i if edit is not None else slice(None)] += score
            if progress:
                progress(turn * len(targets) + done + 1, len(rules) * len(targets))
        means = (scores / len(targets)).tolist()
        trials += [
            Trial(strength=float(a), score=m, empty=empty, **rule) for a, m in zip(strengths, means, strict=True)
        ]
    return Search(best=max(trials, key=lambda trial: trial.score), trials=tuple(trials))


def _mean_cosine(
    generator: Generator, embedder: TextEmbedder, latents: Latent, text: torch.Tensor, batch_size: int
) -> float:
    resolution = render_resolution(generator, embedder)
    total = 0.0
    with torch.inference_mode():
        for first in range(0, len(latents), batch_size):
            images = generator(latents[first : first + batch_size], resolution=resolution).clamp(-1, 1)
            total += float((embedder.embed_image(images) @ text).sum())
    return total / len(latents)
