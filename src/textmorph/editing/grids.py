"""Several pictures at once: the grid of strengths and numbers of channels, the morph, new pictures from a text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
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
from .request import Request, Requests, make_method
from .strength import channels_text

if TYPE_CHECKING:
    from ..jobs.job_folder import Progress
    from .editor import Editor
    from .photos import Photo


BATCH = 8
"""Pictures optimised towards a text at once."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Series:
    """Pictures of one request, in order, and how they were made.

    Args:
        frames: images, [1, 3, R, R] each, in [-1, 1].
        record: how they were made; JSON.
    """

    frames: list[Tensor]
    record: Record

    def sheet(self) -> Image.Image:
        """The grid as one labelled picture: strengths from left to right, numbers of channels from top to bottom."""
        strengths, counts = self.record["strengths"], self.record["num_channels"]
        edit = self.record["edits"][0]
        neutral = f" (neutral: {edit['neutral']})" if edit.get("neutral") else ""
        return contact_sheet(
            self.frames,
            columns=len(strengths),
            column_titles=[f"strength {strength:g}" for strength in strengths],
            row_titles=["" if count is None else channels_text(count) for count in counts],
            title=f"{edit.get('prompt') or edit.get('file') or 'a saved edit'}{neutral}",
        )


def grid(
    editor: Editor,
    requests: Requests,
    photo: Photo,
    *,
    strengths: Sequence[float],
    num_channels: Sequence[int],
    progress: Progress | None = None,
) -> Series:
    """Draw a request at every strength and number of channels, row by row.

    Args:
        requests: one text; its own strength does not count.
        strengths, num_channels: what is varied.
        progress: called with pictures done and their number.

    Raises:
        OptionError: the method selects no number of channels.

    Source: Patashnik et al. 2021, arXiv:2103.17249, Fig. 6.
    """
    request = _single(requests)
    if request.num_channels is None:
        raise OptionError(
            "a grid varies a number of channels, and this request has none; draw a morph, or leave out the threshold"
        )
    return _series(editor, "grid", requests, photo, strengths, list(num_channels), progress)


def morph(
    editor: Editor, requests: Requests, photo: Photo, *, strengths: Sequence[float], progress: Progress | None = None
) -> Series:
    """Draw a request at one strength after another.

    Args:
        requests: one text or saved edit; its own strength does not count.
        strengths: one per frame.
        progress: called with frames done and their number.
    """
    return _series(editor, "morph", requests, photo, strengths, [None], progress)


def sample(
    editor: Editor,
    num: int = 1,
    *,
    prompt: str | None = None,
    method: Any = None,
    seed: int = 0,
    truncation: float | None = None,
    progress: Progress | None = None,
) -> list[Result]:
    """Draw new pictures.

    Without a text they are random; picture i depends on the seed and i alone. With a text they are optimised towards
    it: the first from the mean latent, as in the paper, the others from random latents, so that they differ.

    Args:
        num: how many.
        prompt: what they should show.
        method: a `LatentOptimization`; None takes the domain's values for it. Only with a text.
        seed, truncation: of the random latents; truncation 0 is the mean, 1 leaves them as they are; None takes the
            domain's, or 0.7.
        progress: called with what is done and the total.

    Raises:
        OptionError: a value out of range, or a method without a text or one that draws none.

    Source: Patashnik et al. 2021, arXiv:2103.17249, Sec. 4 (free generation).
    """
    domain = editor.domain
    truncation = domain.truncation_or(0.7, truncation)
    if num < 1 or not 0 <= truncation <= 1 or seed < 0:
        raise OptionError(f"num is 1 or more, truncation 0 to 1, seed 0 or more; not {num}, {truncation} and {seed}")
    if prompt is None and method is not None:
        raise OptionError("a method draws pictures towards a text; give one, or leave the method out")
    latents = list(editor.generator.sample(num, seed=seed, truncation=truncation))
    request: dict[str, Any] = {"sample": {"seed": seed, "truncation": truncation, "num": num}}
    if prompt is not None:
        prompt = check_prompt(prompt)
        method = make_method(domain, "optimize", seed=seed) if method is None else method
        if not hasattr(method, "sample"):
            raise OptionError(f"{type(method).__name__} draws no new pictures; use LatentOptimization")
        request |= {"prompt": prompt, "method": "optimize", "values": asdict(method)}
        templates = None if domain.templates == "imagenet" else domain.sentences
        starts = [Latent(editor.generator.mean_w[None], "w"), *latents[1:]]
        latents = []
        for first in range(0, num, BATCH):
            batch = Latent.cat(starts[first : first + BATCH])

            def report(done: int, total: int, first: int = first, size: int = len(batch)) -> None:
                if progress is not None:
                    progress(first * total + size * done, num * total)

            latents += method.sample(
                editor.generator, editor.embedder, target=prompt, start=batch, templates=templates, progress=report
            )
    return [editor.present(latent, request=request | {"index": index}) for index, latent in enumerate(latents)]


def replay(editor: Editor, record: Mapping[str, Any], *, progress: Progress | None = None) -> Series:
    """Draw the pictures of the record of a grid or a morph again; errors as in `Editor.replay`."""
    editor.check_parts(record)
    edit, counts, strengths = recorded_series(record)
    latent = unpack_latent(record.get("input_latent")).to(editor.generator.mean_w.device)
    request = Request.from_json(editor.domain, edit)
    with threads_of(record):
        return Series(frames=_draw(editor, request, latent, strengths, counts, progress), record=dict(record))


def retrieved_sheet(editor: Editor, requests: Requests, *, num: int = 10) -> Image.Image:
    """The pictures that the SVM method learns from, best first: like the text above, unlike it below.

    Raises:
        OptionError: another method.

    Source: Baba et al. 2023, arXiv:2304.00964, Fig. 6.
    """
    request = requests.main
    if not hasattr(request.method, "retrieve"):
        raise OptionError("only the method svm retrieves pictures")
    inputs = request.inputs(editor.domain)
    corpus = inputs["corpus"]
    ends = request.method.retrieve(editor.embedder, target=request.prompt, corpus=corpus, templates=inputs["templates"])
    num = min(num, *(len(end.rows) for end in ends))
    pictures = [corpus.pictures(end.rows[:num], generator=editor.generator, size=128) for end in ends]
    labels = [f"{score:.3f}" for end in ends for score in end.scores[:num].tolist()]
    return contact_sheet(
        torch.cat(pictures), columns=num, labels=labels, row_titles=["positive", "negative"], title=request.prompt
    )


def _single(requests: Requests) -> Request:
    if len(requests.items) != 1:
        raise OptionError(f"a grid or a morph draws one request, not {len(requests.items)}")
    return requests.main


def _series(
    editor: Editor,
    kind: str,
    requests: Requests,
    photo: Photo,
    strengths: Sequence[float],
    counts: list[int | None],
    progress: Progress | None,
) -> Series:
    request = _single(requests)
    photo = editor.invert_photos([photo], refine=requests.refine)[0]
    assert photo.latent is not None
    frames = _draw(editor, request, photo.latent, strengths, counts, progress)
    record = editor.describe(requests, photo) | {
        "kind": kind,
        "strengths": [float(strength) for strength in strengths],
        "num_channels": counts,
        "edits": [request.json],
    }
    return Series(frames=frames, record=record)


@torch.no_grad()
def _draw(
    editor: Editor,
    request: Request,
    latent: Latent,
    strengths: Sequence[float],
    counts: Sequence[int | None],
    progress: Progress | None,
) -> list[Tensor]:
    """One picture at a time, so that every one is what `edit` would draw, to the last bit."""
    frames: list[Tensor] = []
    for count in counts:
        each = request
        if count is not None:
            each = replace(request, method=replace(request.method, num_channels=count, threshold=None))
        edit = editor.find(each, latent)
        for strength in strengths:
            frames.append(editor.render(apply_edits(editor.generator, latent, [(edit, strength)])))
            if progress is not None:
                progress(len(frames), len(counts) * len(strengths))
    return frames
