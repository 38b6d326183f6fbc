"""From a shift in embedding space to a direction: what global and SVM directions have in common."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from torch import Tensor

from .axes import independent_axes, independent_effects, select_axes
from .banks.bank import ChannelBank, Progress, Relevance, check_selection
from .banks.bank_choice import BankChoice, check_choice, direction_for
from .edits import Direction, Residual
from .errors import OptionError
from .exemplars import exemplar_pull
from .hashing import fingerprint
from .precision import Precision, check_precision

if TYPE_CHECKING:
    from .corpora.corpus import Corpus
    from .embedders import Embedder
    from .generators import Generator

Towards = Literal["shift", "exemplars", "either"]


@dataclass(frozen=True, kw_only=True)
class ShiftMethod:
    """Find what moves images as a shift in embedding space says.

    Args:
        space: what is moved. `s`, style channels, as in the papers; or `w`, independent axes of w (`axes.py`), whose
            effects a corpus of generated pictures tells: no bank is needed, and the edit lies in w+. Of the other
            fields here that one looks at `towards`, `num_channels` and `num_exemplars` alone.
        towards: in w: `shift`, the same straight step for every picture; `exemplars`, to where those pictures of the
            corpus lie that are farthest along the shift, along the axes on which they agree (`exemplars.py`), complete
            at strength 1; `either`, what automatic strength finds better, and else `shift`.
        num_channels: k, the number of channels, or of axes, moved. The paper's is 20 for faces, 100 for cars and cats;
            None with a threshold.
        num_exemplars: pictures that `exemplars` goes by.
        threshold: beta, the least |relevance| of a channel moved, in [0, 1]; None with a number of channels.
        relevance: of a channel to the text: `cosine`, as the published code has it, or `consistent`, which also
            multiplies by how alike the channel acts on all images.
        max_resolution: layers above it (in pixels) stay as they are, as in the published code; None edits all.
        to_rgb: also edit the layers that only add colour.
        bank: how the channels are known: `build`, by a channel bank; `none`, by gradients for this text, in minutes;
            `screen`, by more of them, which serve the next texts too; `auto`, by the bank if there is one, or else by
            `none`.
        precision: of the passes that measure channels where there is no bank: `float32`, or `bfloat16`, which is faster
            on processors that have it, and loses what small effects do.
    """

    space: Literal["s", "w"] = "s"
    towards: Towards = "shift"
    num_channels: int | None = 20
    num_exemplars: int = 100
    threshold: float | None = None
    relevance: Relevance = "cosine"
    max_resolution: int | None = 128
    to_rgb: bool = False
    bank: BankChoice = "auto"
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        if self.space not in ("s", "w"):
            raise OptionError(f"space is 's' or 'w', not {self.space!r}")
        if self.space == "w" and self.threshold is not None:
            raise OptionError("a threshold is for style channels; in w give num_channels, or space='s'")
        if self.towards not in ("shift", "exemplars", "either"):
            raise OptionError(f"towards is 'shift', 'exemplars' or 'either', not {self.towards!r}")
        if self.space == "s" and self.towards != "shift":
            raise OptionError(f"towards={self.towards!r} moves axes of w; give space='w' with it")
        if self.max_resolution is not None and self.max_resolution < 4:
            raise OptionError(f"max_resolution is 4 px or more, not {self.max_resolution}")
        if self.num_exemplars < 2:
            raise OptionError(f"num_exemplars is 2 or more, not {self.num_exemplars}")
        check_selection(num_channels=self.num_channels, threshold=self.threshold, relevance=self.relevance)
        check_choice(self.bank)
        check_precision(self.precision)

    @property
    def unused(self) -> frozenset[str]:
        """Inputs of `find` that these values have no use for."""
        return frozenset({"bank", "truncation"} if self.space == "w" else ())

    def lead(
        self,
        shift: Tensor,
        generator: Generator,
        embedder: Embedder,
        *,
        corpus: Corpus | None,
        bank: ChannelBank | None,
        truncation: float | None,
        progress: Progress | None,
        about: dict[str, Any],
    ) -> Direction | Residual:
        """The direction for a shift, [D], or the way to its exemplars; with its provenance.

        Args:
            about: what the method itself has to tell.
        """
        told: dict[str, Any] = {"bank": None, "corpus": corpus.fingerprint if corpus is not None else None}
        if self.space == "w":
            if corpus is None:
                raise OptionError("axes of w are known by a corpus; give corpus, or space='s'")
            corpus.check(embedder)
            if self.towards == "exemplars":
                pull = exemplar_pull(corpus, generator, shift, num_exemplars=self.num_exemplars)
                told["axes"] = pull.config.num_axes
                return Residual(pull, 1.0, "w+", self._provenance(about, told, generator, embedder))
            step = select_axes(independent_effects(corpus, generator), shift, num_axes=self.num_channels or 1)
            vector = (step @ independent_axes(generator))[None]  # for every row
            told["axes"] = int(step.count_nonzero())
        else:
            vector, told["bank"] = direction_for(
                shift, generator, embedder, choice=self.bank, bank=bank, num_channels=self.num_channels,
                threshold=self.threshold, relevance=self.relevance, max_resolution=self.max_resolution,
                to_rgb=self.to_rgb, precision=self.precision, truncation=truncation, progress=progress,
            )  # fmt: skip
            told["channels"] = int(vector.count_nonzero())
        provenance = self._provenance(about, told, generator, embedder)
        return Direction(vector.to(generator.mean_w), "w+" if self.space == "w" else "s", provenance)

    def _provenance(
        self, about: dict[str, Any], told: dict[str, Any], generator: Generator, embedder: Embedder
    ) -> dict[str, Any]:
        made_with = {"generator": fingerprint(generator), "embedder": fingerprint(embedder)}
        return {**about, "options": asdict(self), **told, **made_with}
