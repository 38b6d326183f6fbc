"""What a visitor can do, over the public API: plain functions of a visit, without a screen.

Whoever calls sees to it that one visitor's works come one after the other (`turns`); `optimize` and `settle` may run
beside the others and lock the visit only to read and to write.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from ..editing.editor import Editor
from ..editing.metrics import identity_kept
from ..editing.photos import Frame, Photo
from ..editing.request import Request, is_saved_edit, make_request
from ..editing.settling import Settled
from ..edits import Edit, Residual, apply_edits, load_edit
from ..errors import InputError, LatentError, OptionError
from ..files import file_sha256
from ..images import to_pil
from ..jobs.job_folder import Progress
from ..latents import Latent
from ..prompts import check_prompt
from . import pictures, words
from .photo import photo_of
from .session import History, Row, Session
from .settings import OPTIMIZE_STEPS, Settings
from .shelf import Shelf
from .suggestions import short, suggest
from .visits import Picture, Visit, Visits

REACH, COMPLETE_REACH = 10.0, 2.0
"""Where sliders end at the least: of directions, and of edits that are complete at 1."""
ROOM = 1.2
"""How far a slider goes beyond the strongest that automatic strength tries: what is chosen never stands at its end."""
MAX_EDITS = 64  # saved edits of one visitor
PREVIEW_EVERY = 0.7  # seconds between pictures of an optimisation

Watch = Callable[[int, int, str | None], None]
"""Called with the steps done, their number, and now and then a picture as a data URL."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A picture drawn in full, and what is to be said of it."""

    image: Tensor
    notes: tuple[str, ...]
    version: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Drawn:
    """What was drawn last, and of what."""

    image: Tensor
    notes: tuple[str, ...]
    picture: Picture
    session: Session


class Studio:
    """The actions. Every method may raise the errors of `textmorph`, each one sentence for the visitor."""

    def __init__(self, shelf: Shelf, settings: Settings) -> None:
        self.shelf, self.settings = shelf, settings
        self.visits = Visits(settings, domain=shelf.names[0])

    def editor(self, visit: Visit) -> Editor:
        return self.shelf.editor(visit.domain)

    # A picture

    def frame(self, visit: Visit, content: bytes) -> dict[str, Any]:
        """Decode a picture from its file and take the square that the domain can draw; arguments of `take`.

        The only step whose cost the sender decides, and the only one that holds a picture larger than the domain's.
        """
        limits = {"max_bytes": self.settings.max_upload_bytes, "max_pixels": self.settings.max_pixels}
        image, notes = pictures.decode(content, **limits)
        editor = self.editor(visit)
        photo = editor.open(image)
        middle = None
        if photo.frame is not None and photo.frame.by == "search":
            notes = (words.framed(photo), *notes)
            middle = to_pil(editor.open(image, frame="middle").image)
        return {"photo": to_pil(photo.image), "notes": notes, "frame": photo.frame, "middle": middle}

    def open(self, visit: Visit, content: bytes) -> None:
        """Take a picture from its file: frame it, invert it."""
        self.take(visit, **self.frame(visit, content))

    def take_middle(self, visit: Visit) -> None:
        """Take the middle square of a picture of which another one was taken.

        Raises:
            OptionError: it was not.
        """
        picture = self.picture(visit)
        if picture.middle is None:
            raise OptionError("there is no other square to take; open the picture again")
        self.take(visit, picture.middle, notes=picture.notes[1:])

    def open_sample(self, visit: Visit, name: str) -> None:
        """Take one of the domain's own pictures, by the name that `samples` gives."""
        editor = self.editor(visit)
        if name not in editor.domain.samples:
            raise OptionError("there is no such sample")
        opened, _ = editor.domain.samples[name]
        if opened.suffix != ".safetensors":
            self.open(visit, opened.read_bytes())
            return
        photo = editor.open(opened)
        assert photo.latent is not None
        self.place(visit, to_pil(photo.image), photo.latent, about=photo.about, notes=(), drawn=True)

    def samples(self, domain: str) -> list[tuple[str, str]]:
        """Names of the domain's own pictures, and small data URLs of them."""
        found = self.shelf.editor(domain).domain.samples
        return [(name, pictures.thumbnail(Image.open(path).convert("RGB"))) for name, (_, path) in found.items()]

    def surprise(self, visit: Visit, seed: int | None = None) -> None:
        """Draw a new picture."""
        editor = self.editor(visit)
        seed = int(torch.randint(2**31, ()).item()) if seed is None else seed
        if not 0 <= seed < 2**31:
            raise OptionError(f"a seed is a number from 0, not {seed}")
        truncation = editor.domain.truncation_or(0.8)
        latent = editor.generator.to_space(editor.generator.sample(1, seed=seed, truncation=truncation), "w+")
        photo = to_pil(editor.render(latent))
        about = editor.open(latent).about | {"sample": {"seed": seed, "truncation": truncation}}
        self.place(visit, photo, latent, about=about, notes=(), drawn=True)

    def choose_domain(self, visit: Visit, name: str) -> None:
        """Go over to another domain; a photo comes along, wishes do not."""
        self.shelf.editor(name)
        with visit.trying():
            before = visit.picture
            visit.empty()
            visit.domain = name
            if before is not None and not before.drawn:
                self.take(visit, before.photo, notes=before.notes)

    def take(
        self,
        visit: Visit,
        photo: Image.Image,
        *,
        notes: Sequence[str],
        frame: Frame | None = None,
        middle: Image.Image | None = None,
    ) -> None:
        """Invert a square, in place of what is on the table."""
        editor = self.editor(visit)
        photo = to_pil(editor.open(photo, frame="middle").image)  # another domain's photo changes its size
        opened = editor.open(photo, frame="middle")
        latent = editor.invert(opened)
        about = opened.about | ({"frame": frame.json} if frame is not None else {})
        self.place(visit, photo, latent, about=about, notes=notes, drawn=False)
        with visit.lock:
            if visit.picture is not None:
                visit.picture.middle = middle

    def place(
        self,
        visit: Visit,
        photo: Image.Image,
        latent: Latent,
        *,
        about: dict[str, Any],
        notes: Sequence[str],
        drawn: bool,
    ) -> None:
        editor = self.editor(visit)
        opened = photo_of(editor, photo, about, notes, latent, drawn)
        result = editor.present(latent, request={"studio": "open"}, photo=opened)
        picture = Picture(
            photo=photo, about=about, notes=tuple(notes), latent=latent, style=editor.generator.to_space(latent, "s"),
            inverted=result.inverted, drawn=drawn,
            distance=None if drawn else result.record["scores"]["reconstruction_distance"],
        )  # fmt: skip
        if not result.inverted.isfinite().all():
            raise LatentError("this latent cannot be drawn: the picture has values that are not finite")
        self.visits.seat(visit)
        with visit.trying():
            visit.empty()
            visit.picture = picture
            self._draw(visit)

    def keep(self, visit: Visit, history: History) -> None:
        """Draw other wishes first, and keep them if that goes well; else all stays as it was."""
        with visit.trying():
            visit.history = history
            self._draw(visit)

    def photo(self, visit: Visit, latent: Latent | None = None) -> Photo:
        """The picture as the editor takes it.

        Args:
            latent: to start from; None for the picture's own.
        """
        picture = self.picture(visit)
        start = picture.latent if latent is None else latent
        return photo_of(self.editor(visit), picture.photo, picture.about, picture.notes, start, picture.drawn)

    # Wishes

    def wish(
        self, visit: Visit, text: str, *, method: str | None = None, strength: float | None = None,
        num_channels: int | None = None,
    ) -> Row:  # fmt: skip
        """Add a wish with first values; `settle` finds better ones where none were given. Method None: the domain's."""
        self.room(visit)
        method = method or self.editor(visit).domain.method
        request = self.make(visit, text, method, num_channels)
        session = visit.session.add(
            text.strip(),
            method=method,
            strength=(1.0 if request.per_picture else self.first_strength(visit)) if strength is None else strength,
            reach=self.reach(visit, complete=request.per_picture),
            num_channels=request.num_channels,
        )
        row = session.rows[-1]
        self.find(visit, row)  # refuses here what cannot be found
        self.keep(visit, visit.history.do(session))
        return row

    def settle(self, visit: Visit, row: Row, *, progress: Progress | None = None) -> bool:
        """Search the gentlest strength (and number of channels) with a plain effect, beside the other wishes.

        Says whether the wish took it on: not if the visitor has changed it meanwhile.
        """
        editor, picture = self.editor(visit), self.picture(visit)
        others = Session(rows=tuple(one for one in visit.session.rows if one.id != row.id))
        settled = editor.settle(
            self.make(visit, row.text, row.method, None), picture.latent, search=editor.domain.search,
            others=self.settled(visit, others), inverted=picture.inverted, progress=progress,
        )  # fmt: skip
        assert settled.automatic is not None
        found = {"strength": settled.strength, "reason": words.chosen(settled.automatic, settled.strength)}
        if settled.automatic["num_channels"] is not None:
            found["num_channels"] = settled.automatic["num_channels"]
        with visit.lock:
            if row not in visit.session.rows:
                return False
            self.keep(visit, visit.history.amend(visit.session.change(row.id, **found)))
            return True

    def optimize(self, visit: Visit, text: str, watch: Watch) -> Row:
        """Add a wish by optimisation: steps that can be watched, and stopped with what they have reached."""
        self.room(visit)
        editor, picture = self.editor(visit), self.picture(visit)
        steps = self.settings.optimize_steps or editor.domain.tables.get("optimize", {}).get("steps", OPTIMIZE_STEPS)
        request = self.make(visit, text, "optimize", values={"steps": steps})
        if visit.stop.is_set():
            raise OptionError("stopped before it began")
        shown = 0.0

        def callback(step: int, image: Callable[[], Tensor], loss: float) -> None:
            nonlocal shown
            due = time.monotonic() - shown > PREVIEW_EVERY
            watch(step + 1, steps, pictures.data_url(image().clamp(-1, 1)) if due else None)
            shown = time.monotonic() if due else shown

        edit = editor.find(request, picture.latent, callback=callback, stop=lambda step: visit.stop.is_set())
        with visit.trying():
            path = self.new_edit(visit)
            edit.save(path)
            name = path.name
            if visit.picture is not picture:
                raise InputError("the picture was changed meanwhile; what was found for the other one is gone")
            visit.edits["file", name] = edit
            session = visit.session.add(
                text.strip(), method="optimize", strength=1.0, reach=self.reach(visit, complete=True), file=name,
                reason="found for this picture alone; 1 is what the optimisation ended with",
            )  # fmt: skip
            self.keep(visit, visit.history.do(session))
            return session.rows[-1]

    def change(self, visit: Visit, id: int, **values: Any) -> None:
        """Other values for a wish: `strength`, `num_channels`, `on`."""
        with visit.lock:
            self.keep(visit, visit.history.do(self._changed(visit, id, values)))

    def remove(self, visit: Visit, id: int) -> None:
        with visit.lock:
            self.keep(visit, visit.history.do(visit.session.remove(id)))

    def step(self, visit: Visit, what: str) -> None:
        """`undo`, `redo`, `reset`; or `more`, `less`, `opposite`, which mean the newest wish."""
        with visit.lock:
            if what in ("more", "less", "opposite"):
                if not visit.session.rows:
                    raise OptionError("there is no wish yet to make more or less of")
                newest = visit.session.rows[-1]
                part = newest.reach / 10
                strength = {"more": newest.strength + part, "less": newest.strength - part}.get(what, -newest.strength)
                history = visit.history.do(visit.session.change(newest.id, strength=round(strength, 6)))
            elif what == "reset":
                history = visit.history.do(visit.session.clear())
            elif what in ("undo", "redo"):
                history = getattr(visit.history, what)()
            else:
                raise OptionError("there is no such step")
            if visit.picture is not None:
                self.keep(visit, history)

    def _changed(self, visit: Visit, id: int, values: dict[str, Any]) -> Session:
        given = {name: value for name, value in values.items() if value is not None}
        row = visit.session.row(id)
        if "num_channels" in given and row.num_channels is None:
            raise OptionError("this wish has no number of channels")
        if {"strength", "num_channels"} & set(given):
            given["reason"] = ""
        return visit.session.change(id, **given)

    def make(
        self, visit: Visit, text: str, method: str, num_channels: int | None = None,
        *, values: dict[str, Any] | None = None,
    ) -> Request:  # fmt: skip
        """The request for a text: words only, never the name of a file on this machine.

        Raises:
            PromptError: it is no text. OptionError: no such method; or it names a file.
        """
        if is_saved_edit(check_prompt(text)):
            raise OptionError("this is the name of a file; bring the file itself with “Add a saved wish”")
        values = {"num_channels": num_channels} if num_channels is not None else values
        return make_request(self.editor(visit).domain, text, method=method, values=values)

    def room(self, visit: Visit) -> None:
        self.picture(visit)
        if len(visit.session.rows) >= self.settings.max_rows:
            raise OptionError(f"{self.settings.max_rows} wishes are the most; delete one first")

    def most(self, visit: Visit) -> int:
        """How many style channels a wish can move."""
        domain = self.editor(visit).domain
        return len(domain.bank.channels) if domain.has_bank else int(domain.generator.style_layout.mask().sum())

    def first_strength(self, visit: Visit) -> float:
        """For words that are shown before automatic strength has searched: the middle of what it tries."""
        strengths = sorted(self.editor(visit).domain.search.strengths)
        return strengths[len(strengths) // 2]

    def reach(self, visit: Visit, *, complete: bool = False) -> float:
        """Where the slider of a wish ends; `complete` for edits that are so at 1."""
        search = self.editor(visit).domain.search
        least, tried = (COMPLETE_REACH, search.scales) if complete else (REACH, search.strengths)
        return max(least, ROOM * max(tried))

    def new_edit(self, visit: Visit, suffix: str = ".safetensors") -> Path:
        """Where one more saved edit of a visitor goes.

        Raises:
            OptionError: the folder holds too many, or too much.
        """
        sizes = [path.stat().st_size for path in visit.folder.glob("edit-*")]
        if len(sizes) >= MAX_EDITS or sum(sizes) > 4 * self.settings.max_upload_bytes:
            raise OptionError("this visit holds too many saved edits; save everything, and go on in a new tab")
        return visit.folder / visit.new_name("edit", suffix)

    # Drawing

    def picture(self, visit: Visit) -> Picture:
        """What is on the table.

        Raises:
            InputError: nothing is.
        """
        if visit.picture is None:
            raise InputError("choose a picture first: your own, a sample, or a surprise")
        return visit.picture

    def find(self, visit: Visit, row: Row) -> Edit:
        """The edit of a wish; found once per words and what is moved."""
        key = ("file", row.file) if row.file is not None else (row.method, row.text, row.num_channels)
        if key not in visit.edits:
            if row.file is not None:
                edit = self.load(visit, visit.folder / row.file)
            else:
                request = self.make(visit, row.text, row.method, row.num_channels)
                edit = self.editor(visit).find(request, self.picture(visit).latent)
            with visit.lock:
                if len(visit.edits) >= MAX_EDITS:
                    visit.edits.clear()
                visit.edits[key] = edit
        return visit.edits[key]

    def load(self, visit: Visit, path: Path) -> Edit:
        """A saved edit, where the domain's networks are."""
        edit = load_edit(path)
        if isinstance(edit, Residual):
            edit.mapper.to(self.editor(visit).generator.mean_w.device)
        return edit

    def pairs(self, visit: Visit, session: Session | None = None) -> list[tuple[Edit, float]]:
        """The wishes that count, as edits and strengths."""
        session = visit.session if session is None else session
        return [(self.find(visit, row), row.strength) for row in session.counting]

    def settled(self, visit: Visit, session: Session | None = None) -> list[Settled]:
        """The wishes that count, as the editor takes them."""
        session = visit.session if session is None else session
        return [self._settled(visit, row) for row in session.counting]

    def _settled(self, visit: Visit, row: Row) -> Settled:
        edit = self.find(visit, row)
        if row.file is None:
            request = replace(self.make(visit, row.text, row.method, row.num_channels), open_channels=False)
        else:  # in a record by the name under which it can be downloaded, not by our folders
            name, sha256 = f"textmorph-{row.file}", file_sha256(visit.folder / row.file)
            request = Request(edit=edit, file=name, sha256=sha256)
        request = replace(request, strength=row.strength)
        return Settled(request=request, edit=edit, strength=row.strength, automatic=None)

    @torch.no_grad()
    def edited(self, visit: Visit, session: Session | None = None) -> Latent:
        """The latent with the wishes added: one addition each, where they are directions."""
        picture, pairs = self.picture(visit), self.pairs(visit, session)
        base = picture.style if all(edit.space == "s" for edit, _ in pairs) else picture.latent
        return apply_edits(self.editor(visit).generator, base, pairs)

    def preview(self, visit: Visit, id: int, **values: Any) -> tuple[str, int]:
        """A quick picture while a slider moves, as a data URL, and its side; nothing is kept."""
        side = self.shelf.preview_resolution(visit.domain)
        image = self.editor(visit).render(self.edited(visit, self._changed(visit, id, values)), resolution=side)
        return pictures.data_url(image, preview=True), side

    def show(self, visit: Visit) -> Shown:
        """The picture in full quality, and what is to be said of it."""
        with visit.lock:
            drawn = self._draw(visit)
            visit.version += 1
            return Shown(image=drawn.image, notes=drawn.notes, version=visit.version)

    def _draw(self, visit: Visit) -> Drawn:
        """The picture with the wishes as they are; drawn once for each state of both.

        Raises:
            LatentError: it has values that are not finite.
        """
        editor, picture = self.editor(visit), self.picture(visit)
        drawn: Drawn | None = visit.shown
        if drawn is None or drawn.picture is not picture or drawn.session != visit.session:
            image = editor.render(self.edited(visit))
            if not image.isfinite().all():
                raise LatentError("this cannot be drawn: the picture would have values that are not finite")
            notes = tuple(self._notes(editor, visit, picture, image))
            drawn = visit.shown = Drawn(image=image, notes=notes, picture=picture, session=visit.session)
        return drawn

    def _notes(self, editor: Editor, visit: Visit, picture: Picture, image: Tensor) -> list[str]:
        notes = list(picture.notes)
        far = editor.domain.far_distance
        if picture.distance is not None and far is not None and picture.distance > far:
            notes.append(words.far(editor.domain))
        ask = getattr(editor.embedder, "unknown_words", None)
        texts = [row.text for row in visit.session.counting if row.file is None]
        unknown = list(dict.fromkeys(word for text in texts for word in (ask(text) if ask is not None else [])))
        if unknown:
            notes.append(words.unknown_words(unknown))
        if editor.identity is not None and visit.session.counting:
            kept = float(identity_kept(editor.identity, picture.inverted, image))
            wanted = editor.domain.search.keep_identity
            if kept < wanted:
                notes.append(words.identity_lost(kept, wanted))
        return notes

    def suggestions(self, visit: Visit) -> list[tuple[str, str, str]]:
        """Six wishes for the picture as it is: the text, its short form, and what it would look like, small."""
        editor, picture = self.editor(visit), self.picture(visit)
        side = self.shelf.preview_resolution(visit.domain)
        found: list[tuple[str, str, str]] = []
        for text in suggest(editor, picture.inverted):
            count = self.make(visit, text, editor.domain.method).num_channels
            strength = self.first_strength(visit)
            row = Row(id=1, text=text, method=editor.domain.method, strength=strength, num_channels=count)
            image = editor.render(self.edited(visit, Session(rows=(row,))), resolution=side)
            found.append((text, short(text, editor.domain.neutral), pictures.thumbnail(image)))
        return found

    # For programs

    def wishes(self, visit: Visit) -> list[dict[str, Any]]:
        """The wishes as JSON."""
        names = {"id": "row"}
        hidden = ("reach", "file")
        return [
            {names.get(key, key): value for key, value in asdict(row).items() if key not in hidden}
            for row in visit.session.rows
        ]
