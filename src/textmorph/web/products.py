"""What a visitor takes home: files in the visitor's own folder, each made when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from ..editing.grids import grid
from ..editing.record import Result
from ..editing.request import Requests
from ..edits import Direction, apply_edits
from ..errors import OptionError
from ..files import write_bytes
from ..images import write_image
from ..jobs.job_folder import Progress
from ..latents import Latent
from ..sheets import bounced, write_video
from . import pictures, saved, words
from .session import Session
from .studio import Studio
from .visits import Item, Visit

SHEET_STEPS = (-1.0, 0.5, 1.0, 1.5, 2.0)
"""Columns of a contact sheet, as parts of the wish's own strength."""
FRAMES = 24
MAX_FILES = 48
"""Files kept for one visitor; the oldest go first."""


def result(studio: Studio, visit: Visit) -> Result:
    """The picture as the editor makes it, with its record."""
    editor, photo, settled = studio.editor(visit), studio.photo(visit), studio.settled(visit)
    if settled:
        requests = Requests(items=tuple(one.request for one in settled), search=editor.domain.search)
        made = editor.apply(photo, requests, settled)
    else:
        made = editor.present(studio.picture(visit).latent, request={"studio": "no requests"}, photo=photo)
    made.record["domain"] = {"name": editor.domain.name, "folder": None}  # our folders are nobody else's business
    return made


def save(studio: Studio, visit: Visit, what: str, id: int = 0) -> str:
    """Make a file and offer it to the visitor; its name.

    Args:
        what: `picture` (with its record), `latent`, `direction` (of one wish, or of all as one in s), `state`.
        id: of the wish, for a direction; 0 for all together.

    Raises:
        OptionError: no such thing.
    """
    makers: dict[str, tuple[str, Callable[[Any], None]]] = {
        "picture": (".png", lambda path: result(studio, visit).save(path)),
        "latent": (".safetensors", lambda path: studio.edited(visit).save(path)),
        "direction": (".safetensors", lambda path: direction(studio, visit, id).save(path)),
        "state": (".json", lambda path: write_bytes(path, saved.save(studio, visit).encode())),
    }
    if what not in makers:
        raise OptionError(f"there is nothing called {what[:40]!r} to download; there is: {', '.join(makers)}")
    file = visit.session.row(id).file if what == "direction" and id else None
    if file is not None:  # as it is, to the last bit, so that a picture's record finds it
        return visit.offer(file).name
    suffix, make = makers[what]
    return _offer(visit, what, suffix, make)


@torch.no_grad()
def direction(studio: Studio, visit: Visit, id: int) -> Any:
    """One wish as the edit that it is; or all of them as one direction in s, complete at strength 1."""
    if id:
        return studio.find(visit, visit.session.row(id))
    generator = studio.editor(visit).generator
    moved = generator.to_space(studio.edited(visit), "s")
    told = [asdict(row) for row in visit.session.counting]
    return Direction(
        moved.value - studio.picture(visit).style.value, "s", {"method": "studio", "whole": True, "wishes": told}
    )


def sheet(studio: Studio, visit: Visit, id: int, *, progress: Progress | None = None) -> Item:
    """One wish at several strengths, and numbers of channels if it has one, on the others; into the gallery."""
    editor, row = studio.editor(visit), visit.session.row(id)
    if row.num_channels is None:
        raise OptionError("a contact sheet needs a wish in words that was not found for this picture alone")
    rest = Session(rows=tuple(one for one in visit.session.rows if one.id != id))
    strength = row.strength or studio.first_strength(visit)
    made = grid(
        editor,
        editor.check(studio.make(visit, row.text, row.method, row.num_channels), strength=strength),
        studio.photo(visit, studio.edited(visit, rest)),
        strengths=sorted(round(part * strength, 2) for part in SHEET_STEPS),
        num_channels=sorted({*editor.domain.search.num_channels, row.num_channels}),
        progress=progress,
    )
    page = made.sheet()
    name = _offer(visit, "sheet", ".png", lambda path: write_image(page, path))
    return _keep(studio, visit, f"{row.text}: every strength", pictures.thumbnail(page, 320), file=name)


@torch.no_grad()
def morph(studio: Studio, visit: Visit, *, progress: Progress | None = None) -> Item:
    """A video from the picture without wishes to the one with all, and back; into the gallery."""
    pairs = studio.pairs(visit)
    if not pairs:
        raise OptionError("make a wish first; a video shows the way to it")
    frames: list[Tensor] = []
    editor, picture = studio.editor(visit), studio.picture(visit)
    for index in range(FRAMES):
        t = index / (FRAMES - 1)
        part = t * t * (3 - 2 * t)  # slow at both ends
        latent: Latent = apply_edits(editor.generator, picture.latent, [(edit, part * much) for edit, much in pairs])
        frames.append(editor.render(latent))
        if progress is not None:
            progress(index + 1, FRAMES)
    suffix = ".mp4" if find_spec("imageio_ffmpeg") is not None and frames[0].shape[-1] % 2 == 0 else ".gif"
    name = _offer(visit, "morph", suffix, lambda path: write_video(bounced(frames), path, fps=24))
    title = f"{words.title(visit.session)}: video"
    return _keep(studio, visit, title, pictures.thumbnail(frames[-1], 160), file=name)


def keep(studio: Studio, visit: Visit) -> Item:
    """The picture as it is, into the gallery."""
    image = studio.editor(visit).render(studio.edited(visit))
    title = words.title(visit.session)
    return _keep(studio, visit, title, pictures.thumbnail(image, 160), session=visit.session)


def recall(studio: Studio, visit: Visit, id: int) -> None:
    """The wishes of a picture in the gallery, as a step that can be undone.

    Raises:
        OptionError: no such picture, or one without wishes of its own.
    """
    with visit.lock:
        for item in visit.items:
            if item.id == id and item.session is not None:
                session = replace(item.session, next_id=max(item.session.next_id, visit.session.next_id))
                studio.keep(visit, visit.history.do(session))
                return
    raise OptionError("this picture is no longer in the gallery")


def _keep(studio: Studio, visit: Visit, title: str, image: str, **values: Any) -> Item:
    with visit.lock:
        visit.serial += 1
        item = Item(id=visit.serial, title=title, image=image, **values)
        visit.items = [*visit.items, item][-studio.settings.max_items :]
    return item


def _offer(visit: Visit, stem: str, suffix: str, make: Callable[[Any], None]) -> str:
    name = visit.new_name(stem, suffix)
    make(visit.folder / name)
    visit.offer(name)
    with visit.lock:
        shown = {item.file for item in visit.items}
        for old in [name for name in visit.files if name not in shown][:-MAX_FILES]:
            visit.files.remove(old)
            if not old.startswith("edit-"):  # a wish may still need it
                (visit.folder / old).unlink(missing_ok=True)
    return name
