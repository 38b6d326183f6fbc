"""StyleCLIP-FEU: the direction is the normal of an SVM (Baba et al. 2023, arXiv:2304.00964, Sec. 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from ..banks.bank import ChannelBank, Progress
from ..corpora.corpus import Corpus, Matches
from ..edits import Direction, Residual
from ..errors import EditError, OptionError
from ..prompts import BARE, check_prompt, text_embedding
from ..shift_method import ShiftMethod

if TYPE_CHECKING:
    from ..embedders import TextEmbedder
    from ..generators import Generator


@dataclass(frozen=True, kw_only=True)
class SvmDirection(ShiftMethod):
    """Find the style channels that move images from those unlike a text to those like it. No neutral text is needed.

    Fields of `ShiftMethod`, and these.

    Args:
        regularization: C of the soft-margin SVM; the paper leaves it open, 1 is scikit-learn's.
        num_positives, num_negatives: images retrieved from the corpus, 100 each in the paper.
        negatives: `farthest` from the text, as we read the paper, or `random` others.
        query: `plain`, the text as it is, or `ensemble`, averaged over templates.
        seed: of random negatives.
    """

    regularization: float = 1.0
    num_positives: int = 100
    num_negatives: int = 100
    negatives: Literal["farthest", "random"] = "farthest"
    query: Literal["plain", "ensemble"] = "plain"
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.regularization > 0:
            raise OptionError(f"regularization is above 0, not {self.regularization}")
        if self.num_positives < 1 or self.num_negatives < 1:
            raise OptionError(f"1 or more of each are retrieved, not {self.num_positives} and {self.num_negatives}")
        if self.negatives not in ("farthest", "random") or self.query not in ("plain", "ensemble"):
            raise OptionError("negatives is 'farthest' or 'random', and query 'plain' or 'ensemble'")

    def find(
        self,
        generator: Generator,
        embedder: TextEmbedder,
        *,
        target: str,
        corpus: Corpus,
        bank: ChannelBank | None = None,
        templates: Sequence[str] | None = None,
        truncation: float | None = None,
        progress: Progress | None = None,
    ) -> Direction | Residual:
        """Find the direction towards the target text, or with `towards="exemplars"` the way to where they lie.

        Args:
            target: what the picture should show.
            corpus: images embedded by this embedder.
            bank: channel bank of these two networks; None takes the one remembered, or does as the field `bank` says.
            templates: for `query="ensemble"`; None takes CLIP's for ImageNet.
            truncation: of the random latents that channels are measured at where there is no bank; None takes that of
                `build_bank`.
            progress: of the search for channels, or of the building of a bank.

        Raises:
            PromptError: an empty or over-long text.
            EmptyDirectionError: no channel or axis is relevant enough, or the exemplars agree on nothing.
            BankMismatchError: bank or corpus are for other networks or layers.
            OptionError: the corpus is too small.
            InputError: in w, the corpus does not tell what the axes do.
        """
        positives, negatives = self.retrieve(embedder, target=target, corpus=corpus, templates=templates)
        normal = svm_normal(
            corpus.embedding(positives.rows), corpus.embedding(negatives.rows), regularization=self.regularization
        )
        about = {"method": "svm", "target": check_prompt(target), "templates": self._templates_named(templates)}
        return self.lead(
            normal.to(generator.mean_w), generator, embedder, corpus=corpus, bank=bank, truncation=truncation,
            progress=progress, about=about,
        )  # fmt: skip

    def retrieve(
        self, embedder: TextEmbedder, *, target: str, corpus: Corpus, templates: Sequence[str] | None = None
    ) -> tuple[Matches, Matches]:
        """The positive and negative images of a text: rows of the corpus, `corpus.pictures` shows them.

        Raises:
            OptionError: the corpus is too small to hold both.
            BankMismatchError: it was made with another embedder.
        """
        corpus.check(embedder)
        if self.num_positives + self.num_negatives > len(corpus):
            wanted = f"{self.num_positives} positives and {self.num_negatives} negatives"
            raise OptionError(f"a corpus of {len(corpus)} images has no {wanted}; ask for fewer or build a larger one")
        query = text_embedding(embedder, target, templates=BARE if self.query == "plain" else templates)
        if self.negatives == "farthest":
            return corpus.extremes(query, self.num_positives, self.num_negatives)
        positives = corpus.nearest(query, self.num_positives)
        others = torch.ones(len(corpus), dtype=torch.bool)
        others[positives.rows.cpu()] = False
        order = torch.randperm(len(corpus), generator=torch.Generator().manual_seed(self.seed))
        rows = order[others[order]][: self.num_negatives].to(positives.rows)
        return positives, Matches(rows, corpus.embedding(rows) @ query.to(positives.scores))

    def _templates_named(self, templates: Sequence[str] | None) -> list[str] | str:
        if self.query == "plain":
            return list(BARE)
        return "imagenet" if templates is None else list(templates)


def svm_normal(positives: Tensor, negatives: Tensor, *, regularization: float = 1.0) -> Tensor:
    """Unit normal of the soft-margin linear SVM between two sets, towards the positives, [D].

    Args:
        positives, negatives: embeddings, [P, D] and [N, D].
        regularization: C, weight of the hinge loss.

    Raises:
        EditError: the sets cannot be told apart.

    Source: Baba et al. 2023, arXiv:2304.00964, Eq. 6.
    """
    from sklearn.svm import SVC

    rows = torch.cat([positives, negatives]).float().cpu()
    labels = [1] * len(positives) + [-1] * len(negatives)
    # The dual needs the products of the rows alone. A seed of its own, or the solver moves numpy's global one.
    machine = SVC(kernel="precomputed", C=regularization, random_state=0).fit(
        (rows @ rows.t()).double().numpy(), labels
    )
    normal = torch.tensor(machine.dual_coef_[0], dtype=torch.float32) @ rows[torch.tensor(machine.support_).long()]
    if normal.norm() < 1e-9:
        raise EditError("the images most and least like this text cannot be told apart; use a larger corpus")
    return F.normalize(normal, dim=0).to(positives)
