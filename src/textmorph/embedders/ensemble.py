"""Several embedders as one."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ..errors import OptionError
from ..hashing import fingerprint
from . import TextEmbedder


class EnsembleEmbedder:
    """Unit rows of each embedder, scaled by the square root of its weight, joined: cosines become weighted means.

    The cosine of two joined rows is Σ weight · cosine under each embedder.

    Args:
        members: embedders and their weights; positive, here divided by their sum.

    Raises:
        OptionError: no members, or a weight that is not positive.
    """

    def __init__(self, members: Sequence[tuple[TextEmbedder, float]]) -> None:
        if not members:
            raise OptionError("an ensemble needs at least one embedder")
        for _, weight in members:
            if not (math.isfinite(weight) and weight > 0):
                raise OptionError(f"the weight of an embedder is positive, not {weight}")
        total = sum(weight for _, weight in members)
        self.members = tuple((embedder, weight / total) for embedder, weight in members)

    def embed_image(self, image: Tensor) -> Tensor:
        """Image [B, 3, H, W] in [-1, 1] → unit rows, [B, ΣD]; differentiable in the image."""
        return torch.cat([e.embed_image(image) * math.sqrt(weight) for e, weight in self.members], dim=1)

    def embed_text(self, texts: Sequence[str]) -> Tensor:
        """T texts → unit rows, [T, ΣD]."""
        return torch.cat([e.embed_text(list(texts)) * math.sqrt(weight) for e, weight in self.members], dim=1)

    def unknown_words(self, text: str) -> list[str]:
        """Words that no member knows."""
        lists = [getattr(embedder, "unknown_words", _none)(text) for embedder, _ in self.members]
        return [word for word in lists[0] if all(word in others for others in lists)]

    @property
    def temperature(self) -> float:
        """Weighted mean of the members' temperatures (the one number where their cosines are mixed)."""
        return sum(weight * float(getattr(e, "temperature", 0.01)) for e, weight in self.members)

    @property
    def image_size(self) -> int:
        """The largest image that a member reads."""
        return max(int(getattr(embedder, "image_size", 0)) for embedder, _ in self.members)

    @property
    def context_length(self) -> int:
        """The longest text that all members read."""
        return min(int(getattr(embedder, "context_length", 77)) for embedder, _ in self.members)

    @property
    def fingerprint(self) -> str:
        parts = [f"{fingerprint(embedder)} {weight:.9f}" for embedder, weight in self.members]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _none(text: str) -> list[str]:
    return []
