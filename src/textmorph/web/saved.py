"""What visitors bring along in files: a visit as text, from a file or a link, and saved edits; and a visit to text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..edits import Residual
from ..errors import DomainError, InputError, LatentError, OptionError, TextmorphError
from ..files import write_bytes
from ..hashing import fingerprint
from ..prompts import check_prompt
from . import pictures
from .session import History, Row, Session
from .state import State, read_state
from .studio import Studio
from .visits import Visit


def save(studio: Studio, visit: Visit) -> str:
    """The picture and its wishes as text.

    Raises:
        OptionError: more than could be taken in again.
    """
    editor, picture = studio.editor(visit), studio.picture(visit)
    files = [row.file for row in visit.session.rows if row.file is not None]
    text = State(
        domain=editor.domain.name, generator=fingerprint(editor.generator), photo=pictures.png_bytes(picture.photo),
        about=picture.about, notes=picture.notes, drawn=picture.drawn, latent=picture.latent, session=visit.session,
        edits={name: (visit.folder / name).read_bytes() for name in files},
    ).to_json()  # fmt: skip
    if len(text) > studio.settings.max_upload_bytes:
        raise OptionError("this state is too large, with all its saved edits; save the larger ones by themselves")
    return text


def restore(studio: Studio, visit: Visit, text: str | bytes) -> None:
    """Go on where a state was saved, in place of what is on the table.

    Raises:
        InputError: it is no state file, or a damaged one.
        DomainError: it was made in a domain that is not offered here, or with other networks.
    """
    if len(text) > studio.settings.max_upload_bytes:
        raise InputError("this state file is too large")
    state = read_state(text, max_rows=studio.settings.max_rows)
    if state.domain not in studio.shelf.names:
        raise DomainError(f"this state was made in the domain {state.domain[:80]!r}, which is not offered here")
    editor = studio.shelf.editor(state.domain)
    if fingerprint(editor.generator) != state.generator:
        raise DomainError("this state was made with another generator than the one of this domain")
    photo = pictures.open_png(state.photo, side=int(editor.generator.resolution))
    latent = state.latent.to(editor.generator.mean_w.device)
    try:
        editor.generator.to_space(latent, "s")
    except (RuntimeError, TextmorphError) as error:
        raise LatentError("the latent of this state does not fit the generator") from error
    with visit.trying():
        visit.domain = state.domain
        edits, names = {}, {}
        for name, content in state.edits.items():
            path = studio.new_edit(visit, ".pt" if name.endswith(".pt") else ".safetensors")
            write_bytes(path, content)
            try:
                edits["file", path.name] = studio.load(visit, path)
            except TextmorphError as error:
                raise InputError("a saved edit in this state file cannot be read") from error
            names[name] = path.name
        rows = tuple(replace(row, file=names[row.file] if row.file is not None else None) for row in state.session.rows)
        try:
            studio.place(visit, photo, latent, about=state.about, notes=state.notes, drawn=state.drawn)
            visit.edits.update(edits)
            studio.keep(visit, History(Session(rows=rows, next_id=state.session.next_id)))
        except RuntimeError as error:
            raise LatentError("a wish of this state does not fit the pictures of this domain") from error


def add_edit(studio: Studio, visit: Visit, title: str, content: bytes) -> Row:
    """Add a saved direction or mapper from its file."""
    studio.room(visit)
    picture = studio.picture(visit)
    suffix = ".pt" if title.lower().endswith((".pt", ".pth")) else ".safetensors"
    stem = check_prompt(Path(title.replace("\\", "/")).stem[:80] or "saved edit")
    with visit.trying():
        path = studio.new_edit(visit, suffix)
        name = path.name
        write_bytes(path, content)
        try:
            edit = studio.load(visit, path)
            lifted = picture.latent if edit.space == picture.latent.space else picture.style
            edit(lifted, 1.0)
        except TextmorphError as error:
            raise InputError(str(error).replace(str(path), "this file")) from error
        except RuntimeError as error:
            raise LatentError("this edit does not fit the pictures of this domain") from error
        visit.edits["file", name] = edit
        session = visit.session.add(
            str(edit.provenance.get("target", stem))[:200], method="file", file=name, strength=1.0,
            reach=studio.reach(visit, complete=edit.whole or isinstance(edit, Residual)),
        )  # fmt: skip
        studio.keep(visit, visit.history.do(session))
        return session.rows[-1]
