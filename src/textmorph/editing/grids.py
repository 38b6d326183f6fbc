"""Several pictures at once: the grid of strengths and numbers of channels, the sweep, new pictures from a text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from torch import Tensor

from ..edits import apply_edits
from ..errors import OptionError
from ..latents import Latent
from ..prompts import check_prompt
from ..sheets import contact_sheet
from .record import Record, Result, recorded_series, threads_of, unpack_latent
from .strength import counted
from .wishes import Progress, TextMemory, Wish, make_wish, picture_corpus

if TYPE_CHECKING:
    from .editor import Editor
    from .photos import Source
    from .plans import Plan


BATCH = 8
"""Pictures optimised towards a text at once."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Series:
    """Pictures of one wish, in order, and how they were made.

    Args:
        frames: images, [1, 3, R, R] each, in [-1, 1].
        record: how they were made; JSON.
    """

    frames: list[Tensor]
    record: Record

    def sheet(self) -> Image.Image:
        """The grid as one labelled picture: strengths from left to right, numbers of channels from top to bottom."""
        strengths, counts = self.record["strengths"], self.record["channel_counts"]
        wish = self.record["edits"][0]
        moves = "axes" if wish["values"].get("space") == "w" else "channels"
        neutral = f" (neutral: {wish['neutral']})" if wish["neutral"] else ""
        return contact_sheet(
            self.frames,
            columns=len(strengths),
            column_titles=[f"strength {strength:g}" for strength in strengths],
            row_titles=["" if count is None else counted(count, moves) for count in counts],
            title=f"{wish['prompt']}{neutral}",
        )


def grid(
    editor: Editor,
    plan: Plan,
    source: Source,
    *,
    strengths: Sequence[float],
    channel_counts: Sequence[int],
    progress: Progress | None = None,
) -> Series:
    """Draw a wish at every strength and number of channels, row by row.

    Args:
        plan: its wish; its own strength does not count.
        strengths, channel_counts: what is varied.
        progress: called with pictures done and their number.

    Raises:
        OptionError: the method selects no number of channels.

    Source: Patashnik et al. 2021, arXiv:2103.17249, Fig. 6.
    """
    if plan.wish is None or not plan.wish.searches_channels:
        raise OptionError(
            "a grid varies a number of channels or axes, and this wish has none; use a sweep, or leave out what stands "
            "in place of the number (threshold, towards)"
        )
    wishes = [plan.wish.with_channels(count) for count in channel_counts]
    latent = editor.invert_source(source, refine=plan.refine)
    record = editor.describe(plan, source, latent) | {
        "kind": "grid",
        "strengths": [float(strength) for strength in strengths],
        "channel_counts": list(channel_counts),
        "edits": [{"kind": "text", **plan.wish.about}],
    }
    return Series(frames=_draw(editor, wishes, latent, strengths, progress), record=record)


def sweep(
    editor: Editor, plan: Plan, source: Source, *, strengths: Sequence[float], progress: Progress | None = None
) -> Series:
    """Draw a wish at one strength after another.

    Args:
        plan: its wish; its own strength does not count.
        strengths: one per frame.
        progress: called with frames done and their number.
    """
    if plan.wish is None:
        raise OptionError("a sweep needs a text")
    latent = editor.invert_source(source, refine=plan.refine)
    record = editor.describe(plan, source, latent) | {
        "kind": "sweep",
        "strengths": [float(strength) for strength in strengths],
        "channel_counts": [None],
        "edits": [{"kind": "text", **plan.wish.about}],
    }
    return Series(frames=_draw(editor, [plan.wish], latent, strengths, progress), record=record)


def sample(
    editor: Editor,
    num: int = 1,
    *,
    prompt: str | None = None,
    seed: int = 0,
    truncation: float | None = None,
    progress: Progress | None = None,
    **method_options: Any,
) -> list[Result]:
    """Draw new pictures.

    Without a text they are random; picture i depends on the seed and i alone. With a text they are optimised towards
    it: the first from the mean latent, as in the paper, the others from random latents, so that they differ.

    Args:
        num: how many.
        prompt: what they should show.
        seed, truncation: of the random latents; truncation 0 is the mean, 1 leaves them as they are; None takes the
            domain's, or 0.7.
        progress: called with what is done and the total.
        method_options: fields of the method `optimize`; only with a text.

    Raises:
        OptionError: a value out of range, or options without a text.

    Source: Patashnik et al. 2021, arXiv:2103.17249, Sec. 4 (free generation).
    """
    truncation = editor.domain.truncation_or(0.7, truncation)
    if num < 1 or not 0 <= truncation <= 1 or seed < 0:
        raise OptionError(f"num is 1 or more, truncation 0 to 1, seed 0 or more; not {num}, {truncation} and {seed}")
    if prompt is None and method_options:
        raise OptionError(f"{', '.join(method_options)} steer the way to a text; give one, or leave them out")
    random = editor.generator.sample(num, seed=seed, truncation=truncation)
    request: dict[str, Any] = {"sample": {"seed": seed, "truncation": truncation, "num": num}}
    latents = list(random)
    if prompt is not None:
        prompt = check_prompt(prompt)
        wish = make_wish(editor.domain, prompt, method="optimize", seed=seed, options=method_options)
        request |= {"prompt": prompt, "method": "optimize", "values": asdict(wish.recipe)}
        templates = None if editor.domain.templates == "imagenet" else editor.domain.sentences
        starts = [Latent(editor.generator.mean_w[None], "w"), *latents[1:]]
        latents = []
        for first in range(0, num, BATCH):
            batch = Latent.cat(starts[first : first + BATCH])

            def tell(done: int, total: int, first: int = first, size: int = len(batch)) -> None:
                if progress is not None:
                    progress(first * total + size * done, num * total)

            latents += wish.recipe.paint(
                editor.generator, TextMemory(editor.embedder), target=prompt, start=batch, templates=templates,
                corpus=picture_corpus(editor.domain) if wish.uses("corpus") else None, progress=tell,
            )  # fmt: skip
    return [editor.present(latent, request=request | {"index": index}) for index, latent in enumerate(latents)]


def replay(editor: Editor, record: Mapping[str, Any], *, progress: Progress | None = None) -> Series:
    """Draw the pictures of a grid's or sweep's record again; errors as in `Editor.replay`."""
    editor.check_parts(record)
    told, counts, strengths = recorded_series(record)
    latent = unpack_latent(record.get("input_latent")).to(editor.generator.mean_w.device)
    wish = editor.recorded_wish(told)
    wishes = [wish if count is None else wish.with_channels(count) for count in counts]
    with threads_of(record):
        return Series(frames=_draw(editor, wishes, latent, strengths, progress), record=dict(record))


def retrieved_sheet(editor: Editor, plan: Plan, *, num: int = 10) -> Image.Image:
    """The pictures that the SVM method learns from, best first: like the text above, unlike it below.

    Raises:
        OptionError: another method.

    Source: Baba et al. 2023, arXiv:2304.00964, Fig. 6.
    """
    if plan.wish is None or not hasattr(plan.wish.recipe, "retrieve"):
        raise OptionError("only the method svm retrieves pictures")
    inputs = plan.wish.inputs(editor.domain)
    corpus = inputs["corpus"]
    ends = plan.wish.recipe.retrieve(
        editor.embedder, target=plan.wish.prompt, corpus=corpus, templates=inputs["templates"]
    )
    num = min(num, *(len(end.rows) for end in ends))
    pictures = [corpus.pictures(end.rows[:num], generator=editor.generator, size=128) for end in ends]
    labels = [f"{score:.3f}" for end in ends for score in end.scores[:num].tolist()]
    return contact_sheet(
        torch.cat(pictures), columns=num, labels=labels, row_titles=["positive", "negative"], title=plan.wish.prompt
    )


@torch.no_grad()
def _draw(
    editor: Editor, wishes: list[Wish], latent: Latent, strengths: Sequence[float], progress: Progress | None
) -> list[Tensor]:
    """One picture at a time, so that every one is what `edit` would draw, to the last bit."""
    frames: list[Tensor] = []
    for wish in wishes:
        edit = editor.find(wish, latent)
        for strength in strengths:
            frames.append(editor.render(apply_edits(editor.generator, latent, [(edit, strength)])))
            if progress is not None:
                progress(len(frames), len(wishes) * len(strengths))
    return frames
