"""StyleCLIP-FEU: the direction is the normal of an SVM (Baba et al. 2023, arXiv:2304.00964, Sec. 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Annotated, Literal

import torch

from ..banks.bank import ChannelBank, Relevance, check_selection, select_channels
from ..corpora.corpus import Corpus, Matches
from ..edits import Direction
from ..errors import OptionError
from ..fields import check_fields
from ..hashing import fingerprint
from ..hyperplanes import svm_normal
from ..prompts import BARE, check_prompt, text_embedding

if TYPE_CHECKING:
    from ..embedders import TextEmbedder
    from ..generators import Generator


@dataclass(frozen=True, kw_only=True)
class SvmDirection:
    """Move the style channels that lead from pictures unlike a text to pictures like it. No neutral text is needed."""

    num_channels: Annotated[int | None, "Channels to move (the paper's k)."] = 20
    threshold: Annotated[float | None, "Least |relevance| of a channel moved (the paper's beta), 0 to 1."] = None
    relevance: Annotated[Relevance, "cosine, or consistent: also by how alike a channel always acts."] = "cosine"
    max_resolution: Annotated[int | None, "Finest layers moved, in pixels; none moves all."] = 128
    to_rgb: Annotated[bool, "Also move the layers that only add colour."] = False
    regularization: Annotated[float, "C of the soft-margin SVM; the paper leaves it open, 1 is scikit-learn's."] = 1.0
    num_positives: Annotated[int, "Pictures retrieved for the text."] = 100
    num_negatives: Annotated[int, "Pictures retrieved against it."] = 100
    negatives: Annotated[Literal["farthest", "random"], "farthest from the text, or random others."] = "farthest"
    query: Annotated[Literal["plain", "ensemble"], "plain, the text as it is, or ensemble, over templates."] = "plain"
    seed: Annotated[int, "Of random negatives."] = 0

    def __post_init__(self) -> None:
        check_fields(type(self), asdict(self))
        if self.threshold is not None and self.num_channels == type(self).num_channels:
            object.__setattr__(self, "num_channels", None)
        check_selection(num_channels=self.num_channels, threshold=self.threshold)
        if not self.regularization > 0:
            raise OptionError(f"regularization is above 0, not {self.regularization}")
        if self.num_positives < 1 or self.num_negatives < 1:
            raise OptionError(f"1 or more of each are retrieved, not {self.num_positives} and {self.num_negatives}")

    def variants(self, num_channels: Sequence[int]) -> list[SvmDirection]:
        """The methods that automatic strength tries: one for each number of channels."""
        return [self] if self.threshold is not None else [replace(self, num_channels=num) for num in num_channels]

    def find(
        self,
        generator: Generator,
        embedder: TextEmbedder,
        *,
        target: str,
        corpus: Corpus,
        bank: ChannelBank,
        templates: Sequence[str] | None = None,
    ) -> Direction:
        """Find the direction towards the target text.

        Args:
            target: what the picture should show.
            corpus: pictures embedded by this embedder.
            bank: channel bank of these two networks.
            templates: for `query="ensemble"`; None takes CLIP's for ImageNet.

        Returns:
            A direction in `s`: at strength 1 (the paper's alpha) the most relevant channel moves by one deviation.

        Raises:
            PromptError: an empty or over-long text.
            EmptyDirectionError: no channel is relevant enough.
            BankMismatchError: bank or corpus are for other networks or layers.
            OptionError: the corpus is too small.
        """
        bank.check(generator, embedder)
        bank = bank.within(generator.style_layout, max_resolution=self.max_resolution, to_rgb=self.to_rgb)
        positives, negatives = self.retrieve(embedder, target=target, corpus=corpus, templates=templates)
        normal = svm_normal(
            corpus.embedding(positives.rows), corpus.embedding(negatives.rows), regularization=self.regularization
        )  # [D]; stands in for Δt
        relevance = bank.relevance(normal.to(generator.mean_w), self.relevance)  # [P]
        kept = select_channels(relevance, num_channels=self.num_channels, threshold=self.threshold)  # [P]
        step = kept * bank.std.to(kept)  # strength 1: one deviation
        return Direction(
            bank.scatter(step).to(generator.mean_w),
            "s",
            {
                "method": "svm", "options": asdict(self), "target": check_prompt(target),
                "templates": self._templates_named(templates), "bank": bank.info, "corpus": corpus.fingerprint,
                "channels": int(step.count_nonzero()),
                "generator": fingerprint(generator), "embedder": fingerprint(embedder),
            },
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
