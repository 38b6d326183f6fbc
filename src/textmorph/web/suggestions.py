"""Six wishes for one picture: of every kind the one that the picture shows least."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..editing.domain import Domain
from ..editing.editor import Editor
from ..prompts import text_embedding

NUM = 6

KINDS: tuple[tuple[str, ...], ...] = (
    ("purple hair", "blond hair", "red hair", "grey hair", "black hair"),
    ("a smile", "an open mouth"),
    ("glasses", "sunglasses"),
    ("a beard", "long hair", "short hair"),
    ("a hat",),
    ("blue eyes", "green eyes"),
    ("make-up", "earrings"),
    ("a tan",),
)
"""For domains of faces; each kind gives at most one."""

PEOPLE = ("person", "face", "portrait", "man", "woman", "head")


def candidates(domain: Domain, unknown_words: Callable[[str], list[str]] | None) -> list[list[str]]:
    """Wishes by kind, as whole texts in the domain's own terms ("a person with glasses").

    Args:
        domain: its neutral text says what its pictures show; nothing is known to suggest for other things than faces.
        unknown_words: of the embedder, where it can tell; a text with such a word is left out.
    """
    if not any(word in PEOPLE for word in domain.neutral.lower().split()):
        return []
    texts = [[f"{domain.neutral} with {wish}" for wish in kind] for kind in KINDS]
    known = [[text for text in kind if unknown_words is None or not unknown_words(text)] for kind in texts]
    return [kind for kind in known if kind]


@torch.no_grad()
def suggest(editor: Editor, image: Tensor, *, num: int = NUM) -> list[str]:
    """The wishes that would change this picture most, best first.

    Args:
        image: the picture as it is, [1, 3, R, R] in [-1, 1].
        num: how many at most.
    """
    kinds = candidates(editor.domain, getattr(editor.embedder, "unknown_words", None))
    if not kinds:
        return []
    shown = editor.embedder.embed_image(image)[0]
    scores = [
        [float(text_embedding(editor.embedder, text, templates=("{}",)) @ shown) for text in kind] for kind in kinds
    ]
    least = [min(zip(row, kind, strict=True)) for row, kind in zip(scores, kinds, strict=True)]
    return [text for _, text in sorted(least)[:num]]


def short(text: str, neutral: str) -> str:
    """`a person with purple hair` → `purple hair`, where the neutral text is `a person`."""
    start = f"{neutral} with "
    return text[len(start) :] if text.startswith(start) else text


def titles(texts: Sequence[str], neutral: str) -> list[str]:
    return [short(text, neutral) for text in texts]
