"""The global direction of StyleCLIP (Patashnik et al. 2021, arXiv:2103.17249, Sec. 6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from ..channel_bank import ChannelBank, Progress, Relevance, check_selection
from ..edits import Direction
from ..fingerprint import fingerprint
from ..prompts import check_prompt, text_shift
from ..screening import BankChoice, check_choice, direction_for

if TYPE_CHECKING:
    from ..embedders import TextEmbedder
    from ..generators import Generator


@dataclass(frozen=True, kw_only=True)
class GlobalDirection:
    """Find the style channels that move images from what one text says to what another says.

    Args:
        num_channels: k, the number of channels moved. The paper's is 20 for faces, 100 for cars and cats; None with a
            threshold.
        threshold: beta, the least |relevance| of a channel moved, in [0, 1]; None with a number of channels.
        relevance: of a channel to the text: `cosine`, as the published code has it, or `consistent`, which also
            multiplies by how alike the channel acts on all images.
        max_resolution: layers above it (in pixels) stay as they are, as in the published code; None edits all.
        to_rgb: also edit the layers that only add colour.
        bank: how the channels are known: `build`, by a channel bank; `none`, by gradients for this text, in minutes;
            `screen`, by more of them, which serve the next texts too; `auto`, by the bank if there is one, or else by
            `none`.
    """

    num_channels: int | None = 20
    threshold: float | None = None
    relevance: Relevance = "cosine"
    max_resolution: int | None = 128
    to_rgb: bool = False
    bank: BankChoice = "auto"

    def __post_init__(self) -> None:
        check_selection(num_channels=self.num_channels, threshold=self.threshold, relevance=self.relevance)
        check_choice(self.bank)

    def find(
        self,
        generator: Generator,
        embedder: TextEmbedder,
        *,
        target: str,
        neutral: str,
        bank: ChannelBank | None = None,
        templates: Sequence[str] | None = None,
        truncation: float | None = None,
        progress: Progress | None = None,
    ) -> Direction:
        """Find the direction in s from the neutral to the target text; a negative strength leads the other way.

        Args:
            target: what the picture should show.
            neutral: the same without what is new ("a person" for "a person with purple hair").
            bank: channel bank of these two networks; None takes the one remembered, or does as the field `bank` says.
            templates: prompts are averaged over these; None takes CLIP's for ImageNet.
            truncation: of the random latents that channels are measured at where there is no bank; None takes that of
                `build_bank`.
            progress: of the search for channels, or of the building of a bank.

        Raises:
            PromptError: a text that is empty or too long, or both mean the same.
            EmptyDirectionError: no channel is relevant enough.
            BankMismatchError: the bank is for other networks or layers.
        """
        shift = text_shift(embedder, neutral=neutral, target=target, templates=templates)
        vector, made = direction_for(
            shift, generator, embedder, choice=self.bank, bank=bank, num_channels=self.num_channels,
            threshold=self.threshold, relevance=self.relevance, max_resolution=self.max_resolution,
            to_rgb=self.to_rgb, truncation=truncation, progress=progress,
        )  # fmt: skip
        provenance = {
            "method": "global",
            "options": asdict(self),
            "target": check_prompt(target),
            "neutral": check_prompt(neutral),
            "templates": "imagenet" if templates is None else list(templates),
            "channels": int(vector.count_nonzero()),
            "generator": fingerprint(generator),
            "embedder": fingerprint(embedder),
            "bank": made,
        }
        return Direction(vector.to(generator.mean_w), "s", provenance)
