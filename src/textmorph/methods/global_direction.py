"""The global direction of StyleCLIP (Patashnik et al. 2021, arXiv:2103.17249, Sec. 6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Annotated

from ..banks.bank import ChannelBank, Relevance, check_selection, select_channels
from ..edits import Direction
from ..fields import check_fields
from ..hashing import fingerprint
from ..prompts import check_prompt, text_shift

if TYPE_CHECKING:
    from ..embedders import TextEmbedder
    from ..generators import Generator


@dataclass(frozen=True, kw_only=True)
class GlobalDirection:
    """Move the style channels that move pictures as the words do.

    The defaults are the paper's for faces. A threshold takes the place of the number of channels.
    """

    num_channels: Annotated[int | None, "Channels to move (the paper's k); 20 for faces, 100 for cars and cats."] = 20
    threshold: Annotated[float | None, "Least |relevance| of a channel moved (the paper's beta), 0 to 1."] = None
    relevance: Annotated[Relevance, "cosine, or consistent: also by how alike a channel always acts."] = "cosine"
    max_resolution: Annotated[int | None, "Finest layers moved, in pixels; none moves all."] = 128
    to_rgb: Annotated[bool, "Also move the layers that only add colour."] = False

    def __post_init__(self) -> None:
        check_fields(type(self), asdict(self))
        if self.threshold is not None and self.num_channels == type(self).num_channels:
            object.__setattr__(self, "num_channels", None)
        check_selection(num_channels=self.num_channels, threshold=self.threshold)

    def variants(self, num_channels: Sequence[int]) -> list[GlobalDirection]:
        """The methods that automatic strength tries: one for each number of channels."""
        return [self] if self.threshold is not None else [replace(self, num_channels=num) for num in num_channels]

    def find(
        self,
        generator: Generator,
        embedder: TextEmbedder,
        *,
        target: str,
        neutral: str,
        bank: ChannelBank,
        templates: Sequence[str] | None = None,
    ) -> Direction:
        """Find the direction from the neutral to the target text; a negative strength leads the other way.

        Args:
            target: what the picture should show.
            neutral: the same without what is new ("a person" for "a person with purple hair").
            bank: channel bank of these two networks.
            templates: prompts are averaged over these; None takes CLIP's for ImageNet.

        Returns:
            A direction in `s`: at strength 1 (the paper's alpha) the most relevant channel moves by one deviation.

        Raises:
            PromptError: a text that is empty or too long, or both mean the same.
            EmptyDirectionError: no channel is relevant enough.
            BankMismatchError: the bank is for other networks or layers.
        """
        bank.check(generator, embedder)
        bank = bank.within(generator.style_layout, max_resolution=self.max_resolution, to_rgb=self.to_rgb)
        shift = text_shift(embedder, neutral=neutral, target=target, templates=templates)  # Δt, [D]
        relevance = bank.relevance(shift, self.relevance)  # Δi_c · Δt, [P]
        kept = select_channels(relevance, num_channels=self.num_channels, threshold=self.threshold)  # [P]
        step = kept * bank.std.to(kept)  # strength 1: one deviation
        return Direction(
            bank.scatter(step).to(generator.mean_w),
            "s",
            {
                "method": "global", "options": asdict(self), "target": check_prompt(target),
                "neutral": check_prompt(neutral), "templates": "imagenet" if templates is None else list(templates),
                "bank": bank.info, "channels": int(step.count_nonzero()),
                "generator": fingerprint(generator), "embedder": fingerprint(embedder),
            },
        )  # fmt: skip
