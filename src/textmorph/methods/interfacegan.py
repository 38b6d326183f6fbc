"""InterFaceGAN: the normal of a hyperplane in w (Shen et al. 2020, arXiv:1907.10786), found from words.

The paper's hyperplane separates latents that a classifier labels. Here the labels come from words: the pictures of a
corpus that lie farthest along the shift between two texts, and farthest against it, as StyleCLIP-FEU retrieves them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

import torch
from torch import Tensor

from ..corpora.corpus import Corpus
from ..edits import Direction
from ..errors import EditError, OptionError, PromptError
from ..fields import check_fields
from ..hashing import fingerprint
from ..hyperplanes import svm_normal
from ..prompts import check_prompt, text_shift

if TYPE_CHECKING:
    from ..embedders import TextEmbedder
    from ..generators import Generator


@dataclass(frozen=True, kw_only=True)
class InterFaceGan:
    """Move w across the hyperplane between the pictures of a corpus that show a text most and least."""

    num_positives: Annotated[int, "Pictures retrieved that show the text most."] = 150
    num_negatives: Annotated[int, "Pictures retrieved that show it least."] = 150
    regularization: Annotated[float, "C of the linear SVM between their latents."] = 0.001
    conditions: Annotated[tuple[str, ...], "Texts that should stay: their hyperplanes are projected out."] = ()
    first_row: Annotated[int, "First row of w+ that moves."] = 0
    last_row: Annotated[int | None, "Row of w+ from which on nothing moves; none: all rows move."] = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "conditions", tuple(self.conditions))  # a list, when it comes from a record
        check_fields(type(self), asdict(self))
        if self.num_positives < 1 or self.num_negatives < 1 or not self.regularization > 0:
            raise OptionError("num_positives and num_negatives are 1 or more, regularization is above 0")
        if self.first_row < 0 or (self.last_row is not None and self.last_row <= self.first_row):
            raise OptionError(f"rows {self.first_row} to {self.last_row} are none; give first_row below last_row")

    def variants(self, num_channels: Sequence[int]) -> list[InterFaceGan]:
        """The methods that automatic strength tries: this one."""
        return [self]

    def find(
        self,
        generator: Generator,
        embedder: TextEmbedder,
        *,
        target: str,
        neutral: str,
        corpus: Corpus,
        templates: Sequence[str] | None = None,
    ) -> Direction:
        """Find the direction from pictures that show the neutral text to pictures that show the target.

        Args:
            target: what the picture should show.
            neutral: the same without what is new.
            corpus: pictures that this generator drew, embedded by this embedder.
            templates: prompts are averaged over these; None takes CLIP's for ImageNet.

        Returns:
            A direction in w+, the same for every row that moves: at strength 1 w moves by 1 along the unit normal.

        Raises:
            PromptError: a text that is empty or too long, or both mean the same.
            OptionError: the corpus is too small.
            BankMismatchError: the corpus is of other networks.
            EditError: the two sets of latents cannot be told apart, or the conditions leave nothing.
        """
        corpus.check(embedder)
        if self.num_positives + self.num_negatives > len(corpus):
            raise OptionError(
                f"a corpus of {len(corpus)} pictures has no {self.num_positives} positives and {self.num_negatives} "
                "negatives; ask for fewer, or build a larger one"
            )

        def normal(text: str) -> Tensor:
            shift = text_shift(embedder, neutral=neutral, target=text, templates=templates)  # Δt, [D]
            nearest, farthest = corpus.extremes(shift, self.num_positives, self.num_negatives)
            latents = [self._w(corpus, matches.rows, generator) for matches in (nearest, farthest)]
            return svm_normal(*latents, regularization=self.regularization)  # [W]

        direction = normal(target)
        others = [normal(text) for text in self.conditions if _differs(text, neutral)]
        direction = condition(direction, torch.stack(others)) if others else direction
        rows = 1 + max(generator.style_layout.rows)
        vector = torch.zeros(rows, len(direction)).to(direction)
        vector[self.first_row : self.last_row] = direction
        whole = self.first_row == 0 and self.last_row is None
        return Direction(
            (direction[None] if whole else vector).to(generator.mean_w),
            "w+",
            {
                "method": "interfacegan", "options": asdict(self) | {"conditions": list(self.conditions)},
                "target": check_prompt(target), "neutral": check_prompt(neutral),
                "templates": "imagenet" if templates is None else list(templates), "corpus": corpus.fingerprint,
                "generator": fingerprint(generator), "embedder": fingerprint(embedder),
            },
        )  # fmt: skip

    @staticmethod
    def _w(corpus: Corpus, rows: Tensor, generator: Generator) -> Tensor:
        latents = corpus.latents(rows, generator)
        if latents.space not in ("w", "w+"):
            raise OptionError(f"this corpus keeps latents in {latents.space}, not in w")
        return latents.value if latents.space == "w" else latents.value.mean(dim=1)  # [n, W]


def condition(direction: Tensor, others: Tensor) -> Tensor:
    """The unit part of a direction [W] at right angles to other normals [K, W], so that these stay as they are.

    Raises:
        EditError: nothing is left.

    Source: Shen et al. 2020, arXiv:1907.10786, Sec. 3.2 (one other); arXiv:2005.09635 (several).
    """
    basis = torch.linalg.qr(others.double().t()).Q  # [W, K]
    rest = direction.double() - basis @ (basis.t() @ direction.double())
    if float(rest.norm()) < 1e-3:
        raise EditError("the conditions leave nothing of this direction; name fewer of them")
    unit: Tensor = (rest / rest.norm()).to(direction)
    return unit


def _differs(text: str, neutral: str) -> bool:
    if check_prompt(text).lower() == check_prompt(neutral).lower():
        raise PromptError(f"the condition {text!r} says the same as the neutral text; name another")
    return True
