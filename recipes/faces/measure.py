"""What the face–text model knows, measured on the test third with phrasings that training never saw.

Nothing here chooses anything: the test third is read once, after training.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from textmorph.embedders.clip import ClipEmbedder

from .concepts import CONCEPTS
from .faces import parts
from .labels import Labels, auc, balanced_accuracy, read_labels
from .words import NEUTRAL, phrasings

RESULTS = Path("recipes/faces/results.json")

CHOICES = {
    "glasses": ("glasses", "no glasses", 0.9),
    "beard": ("beard", "no beard", 0.9),
    "smile": ("smile", "serious", 0.9),
    "old": ("old", "not old", 0.9),
    "child": ("child", "adult", 0.9),
    "feminine": ("woman", "man", 0.9),
    "hat": ("hat", "no hat", 0.8),
    "sunglasses": ("sunglasses", "no sunglasses", 0.8),
    "long_hair": ("long hair", "short hair", 0.8),
    "fringe": ("fringe", "no fringe", 0.8),
    "bald": ("bald", "full hair", 0.8),
    "mouth_open": ("open mouth", "closed mouth", 0.8),
    "lipstick": ("lipstick", "no lipstick", 0.8),
}
"""Attribute → the concept, what it is chosen against, and the bar for balanced accuracy."""

COLOURS = {"black_hair": "black hair", "blond_hair": "blond hair", "grey_hair": "grey hair"}
COLOUR_BAR = 0.8

PARAPHRASES = {
    "glasses": ("she has glasses on her nose", "put on some spectacles", "glasses with a dark frame"),
    "sunglasses": ("cool shades", "a face hidden behind dark sunglasses"),
    "no glasses": ("take off the glasses", "remove glasses"),
    "hat": ("put a hat on", "a winter hat", "a person with something on the head"),
    "beard": ("a lumberjack beard", "he has not shaved", "a hairy chin", "a fully bearded face"),
    "no beard": ("freshly shaved", "a smooth chin"),
    "smile": ("a friendly smile", "laughing out loud", "smile for the camera", "a very happy person"),
    "serious": ("not amused", "stop smiling"),
    "long hair": ("hair down to the waist", "let the hair grow long"),
    "short hair": ("a buzz cut", "hair cut very short"),
    "bald": ("completely bald", "lost all his hair"),
    "fringe": ("bangs over the eyes", "a fringe covering the brow"),
    "blond hair": ("a bleached blonde", "golden blond curls"),
    "black hair": ("hair as black as night",),
    "grey hair": ("silver grey hair", "hair turning grey"),
    "child": ("a five year old kid", "make them a child"),
    "old": ("an eighty year old", "look older"),
    "woman": ("a beautiful woman",),
}
"""Forty texts as a user might write them; whoever wrote them had written the training phrasings before."""


class Knows:
    """The exported model and its embeddings of the test third."""

    def __init__(self, folder: Path, labels: Labels | None = None) -> None:
        self.embedder = ClipEmbedder.from_pretrained(folder)
        self.labels = labels or read_labels()
        self.seen = embed_set(self.embedder, "test")
        self.chosen = self.labels.third("test")

    def values(self, attribute: str) -> NDArray[np.float32]:
        return self.labels.column(attribute)[self.chosen]

    @torch.inference_mode()
    def texts(self, lines: list[str]) -> Tensor:
        """Unit embeddings, [T, D]."""
        return self.embedder.embed_text(lines)

    def said(self, concept: str, *, withheld: bool = True) -> Tensor:
        """Embeddings of a concept's phrasings, [T, D]: the withheld ones where it has any."""
        trained, kept = ([p for p in group if p.concept == concept] for group in phrasings())
        return self.texts([phrasing.text() for phrasing in ((kept or trained) if withheld else trained)])

    def choice(self, attribute: str, concept: str, against: str, bar: float) -> dict[str, Any]:
        """Which of two texts a face is nearer to: balanced accuracy over pairs of phrasings, and of their means."""
        values = self.values(attribute)
        yes, no = self.said(concept), self.said(against)
        gaps = (self.seen @ yes.t())[:, :, None] - (self.seen @ no.t())[:, None, :]  # [N, Y, O]
        pairs = [balanced_accuracy((gap > 0).numpy(), values) for gap in gaps.flatten(1).t()]
        mean = gaps.mean(dim=(1, 2)).numpy()
        return {
            "concept": concept,
            "against": against,
            "one_phrasing": round(float(np.mean(pairs)), 3),
            "all_phrasings": round(balanced_accuracy(mean > 0, values), 3),
            "auc": round(auc(mean, values), 3),
            "phrasings": [len(yes), len(no)],
            "faces": [int((values == 1).sum()), int((values == 0).sum())],
            "bar": bar,
        }

    def colours(self) -> dict[str, Any]:
        """Black, blond or grey, of faces with one of them: mean share of right answers of each."""
        truth = np.stack([self.values(attribute) == 1 for attribute in COLOURS], axis=1)
        use = truth.sum(axis=1) == 1
        scores = torch.stack([(self.seen @ self.said(concept).t()).mean(dim=1) for concept in COLOURS.values()], dim=1)
        right = scores.numpy()[use].argmax(axis=1) == truth[use].argmax(axis=1)
        each = {name: float(right[truth[use][:, i]].mean()) for i, name in enumerate(COLOURS)}
        return {
            "all_phrasings": round(float(np.mean(list(each.values()))), 3),
            **{name: round(share, 3) for name, share in each.items()},
            "faces": truth[use].sum(axis=0).tolist(),
            "bar": COLOUR_BAR,
        }

    def paraphrases(self) -> dict[str, Any]:
        """Where texts in other words land: the nearest concept, by its shift from a text that says nothing."""
        names = [c.name for c in CONCEPTS if len(c.meaning) == 1 or c.name in ("woman", "man")]
        nothing = self.texts([NEUTRAL])
        centres = torch.stack([self.said(name, withheld=False).mean(dim=0) for name in names]) - nothing
        rows = []
        for concept, lines in PARAPHRASES.items():
            for line in lines:
                unknown = self.embedder.unknown_words(line)
                shift = self.texts([line]) - nothing
                landed = names[int(torch.cosine_similarity(shift, centres).argmax())]
                rows.append({"text": line, "concept": concept, "landed": landed, "unknown": unknown})
        right = [row for row in rows if row["landed"] == row["concept"]]
        return {
            "of": len(rows),
            "landed": len(right),
            "landed_and_all_words_known": sum(not row["unknown"] for row in right),
            "texts": rows,
        }


@torch.inference_mode()
def embed_set(embedder: ClipEmbedder, name: str) -> Tensor:
    """Unit embeddings of all faces of a set, from its pictures at 256 px, [N, D]."""
    rows = []
    for path in parts(name):
        images = torch.from_numpy(np.load(path)).permute(0, 3, 1, 2).float() / 127.5 - 1
        rows.append(torch.cat([embedder.embed_image(batch) for batch in images.split(25)]))
    return torch.cat(rows)


def measure(folder: Path) -> dict[str, Any]:
    """Measure the exported model, and write `results.json`."""
    knows = Knows(folder)
    found: dict[str, Any] = {
        "choices": {attribute: knows.choice(attribute, *entry) for attribute, entry in CHOICES.items()},
        "hair_colour": knows.colours(),
        "paraphrases": knows.paraphrases(),
    }
    RESULTS.write_text(json.dumps(found, indent=2) + "\n")
    for name, row in [*found["choices"].items(), ("hair_colour", found["hair_colour"])]:
        print(f"{name:12} {row['all_phrasings']:.3f}  bar {row['bar']}  {row}", flush=True)
    return found
