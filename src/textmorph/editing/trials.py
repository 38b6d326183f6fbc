"""What automatic strength goes by: every try drawn small, and measured by the domain's own networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..axes import usual_range
from ..edits import Edit, apply_edits
from ..images import resize
from ..latents import Latent
from ..losses import sideways
from ..prompts import text_embedding
from . import metrics
from .domain import Domain
from .strength import Candidate
from .wishes import TextMemory, Wish

LARGEST = 256
"""Side at which tries are drawn, at most."""
BATCH = 16
"""Tries drawn at once."""

Tried = tuple[Edit, float]


@torch.no_grad()
def measure(
    domain: Domain,
    texts: TextMemory,
    render: Callable[..., Tensor],
    wish: Wish,
    *,
    latent: Latent,
    inverted: Tensor,
    others: Sequence[Tried],
    tries: Sequence[Tried],
) -> list[Candidate]:
    """Draw every try beside the other edits, and measure it: the gain against the picture without this edit.

    Args:
        texts: the domain's embedder.
        render: latent, `resolution` → image.
        latent: of one picture.
        inverted: that picture as the generator draws it, [1, 3, H, W].
        others: edits and strengths that every try stands beside.
    """
    side = min(domain.generator.resolution, LARGEST)
    target = text_embedding(texts, wish.prompt, templates=domain.sentences)
    prices = domain.sideways, domain.beyond
    shift = wish.shift(domain, texts) if prices != (None, None) else None
    farthest = wish.farthest(domain, shift) if shift is not None and domain.beyond is not None else None
    plain = apply_edits(domain.generator, latent, list(others))
    without = metrics.seen(domain.embedder, render(plain, resolution=side))
    person = resize(inverted, side, method="area")
    candidates: list[Candidate] = []
    for first in range(0, len(tries), BATCH):
        batch = tries[first : first + BATCH]
        edited = Latent.cat([apply_edits(domain.generator, latent, [one, *others]) for one in batch])
        images = render(edited, resolution=side)
        seen = metrics.seen(domain.embedder, images)
        found: dict[str, Tensor] = {"gain": seen @ target - without @ target}
        if domain.identity is not None:
            found["identity"] = metrics.identity_kept(domain.identity, person, images)
        if shift is not None and domain.sideways is not None:
            found["sideways"] = sideways(seen - without, shift)
        if shift is not None and farthest is not None:
            found["beyond"] = (seen @ shift - farthest).clamp(min=0)
        if domain.astray is not None and edited.space in ("w", "w+") and plain.space == edited.space:
            found["astray"] = usual_range(domain.generator).astray(edited.value, plain.value)
        columns = {name: column.tolist() for name, column in found.items()}
        candidates += [
            Candidate(strength=strength, **{name: column[row] for name, column in columns.items()})
            for row, (_, strength) in enumerate(batch)
        ]
    return candidates
