"""The global direction of StyleCLIP (Patashnik et al. 2021, arXiv:2103.17249, Sec. 6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..banks.bank import ChannelBank, Progress
from ..edits import Direction, Residual
from ..prompts import check_prompt, text_shift
from ..shift_method import ShiftMethod

if TYPE_CHECKING:
    from ..corpora.corpus import Corpus
    from ..embedders import TextEmbedder
    from ..generators import Generator


@dataclass(frozen=True, kw_only=True)
class GlobalDirection(ShiftMethod):
    """Find the style channels that move images from what one text says to what another says.

    Fields of `ShiftMethod`.
    """

    @property
    def unused(self) -> frozenset[str]:
        return super().unused | (frozenset() if self.space == "w" else {"corpus"})

    def find(
        self,
        generator: Generator,
        embedder: TextEmbedder,
        *,
        target: str,
        neutral: str,
        bank: ChannelBank | None = None,
        corpus: Corpus | None = None,
        templates: Sequence[str] | None = None,
        truncation: float | None = None,
        progress: Progress | None = None,
    ) -> Direction | Residual:
        """Find the direction from the neutral to the target text; a negative strength leads the other way.

        With `towards="exemplars"` it is the way to where they lie, and a negative strength leads away from there.

        Args:
            target: what the picture should show.
            neutral: the same without what is new ("a person" for "a person with purple hair").
            bank: channel bank of these two networks; None takes the one remembered, or does as the field `bank` says.
            corpus: of generated pictures, embedded by this embedder; needed in w, and not looked at in s.
            templates: prompts are averaged over these; None takes CLIP's for ImageNet.
            truncation: of the random latents that channels are measured at where there is no bank; None takes that of
                `build_bank`.
            progress: of the search for channels, or of the building of a bank.

        Raises:
            PromptError: a text that is empty or too long, or both mean the same.
            EmptyDirectionError: no channel or axis is relevant enough, or the exemplars agree on nothing.
            BankMismatchError: bank or corpus are for other networks or layers.
            OptionError, InputError: in w: no corpus, one too small, or one that does not tell what the axes do.
        """
        shift = text_shift(embedder, neutral=neutral, target=target, templates=templates)
        about = {
            "method": "global",
            "target": check_prompt(target),
            "neutral": check_prompt(neutral),
            "templates": "imagenet" if templates is None else list(templates),
        }
        return self.lead(
            shift, generator, embedder, corpus=corpus if self.space == "w" else None, bank=bank, truncation=truncation,
            progress=progress, about=about,
        )  # fmt: skip
