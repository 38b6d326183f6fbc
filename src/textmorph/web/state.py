"""The state file: a picture and its wishes as JSON text, to be dropped in again later. A link keeps the same."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict, dataclass, fields
from typing import Any

from ..editing import record as records
from ..editing.photos import Frame
from ..errors import InputError, LatentError, TextmorphError
from ..fields import shown
from ..latents import Latent
from ..methods import METHODS
from ..prompts import check_prompt
from .session import Row, Session

FORMAT = "textmorph studio state"
VERSION = 2


@dataclass(frozen=True, kw_only=True)
class State:
    """What a state file holds.

    Args:
        domain: name of the domain, and the fingerprint of its generator.
        photo: PNG of the square picture.
        about, notes, drawn: of the picture.
        latent: what the wishes start from.
        session: the wishes.
        edits: content of the saved edits that the wishes name.
    """

    domain: str
    generator: str
    photo: bytes
    about: dict[str, Any]
    notes: tuple[str, ...]
    drawn: bool
    latent: Latent
    session: Session
    edits: dict[str, bytes]

    def to_json(self) -> str:
        content = {
            "format": FORMAT,
            "version": VERSION,
            "domain": self.domain,
            "generator": self.generator,
            "photo": _pack(self.photo),
            "about": self.about,
            "notes": list(self.notes),
            "drawn": self.drawn,
            "latent": records.pack_latent(self.latent),
            "wishes": [asdict(row) for row in self.session.rows],
            "edits": {name: _pack(content) for name, content in self.edits.items()},
        }
        return json.dumps(content, allow_nan=False)


def read_state(text: str | bytes, *, max_rows: int) -> State:
    """The state of `to_json`; every value is checked, for anyone can write such a file.

    Raises:
        InputError: it is no state file, a damaged one, or one of another version.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError("this is no state file of the studio") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InputError("this is no state file of the studio")
    if content.get("version") != VERSION:
        raise InputError(
            f"this state was saved in format {shown(content.get('version'))} of the studio, and this version reads "
            f"format {VERSION} alone; open the picture again"
        )
    try:
        rows = [_row(values) for values in content["wishes"]]
        if len(rows) > max_rows or len({row.id for row in rows}) < len(rows):
            raise InputError(f"a state has at most {max_rows} wishes, each with a number of its own")
        edits = {str(name): _unpack(packed) for name, packed in content["edits"].items()}
        if any(row.file is not None and row.file not in edits for row in rows):
            raise InputError("a saved edit is missing in this state file")
        latent = records.unpack_latent(content["latent"])
        if not latent.value.isfinite().all() or len(latent) != 1:
            raise LatentError("the latent of this state is damaged")
        return State(
            domain=str(content["domain"]),
            generator=str(content["generator"]),
            photo=_unpack(content["photo"]),
            about=_about(content["about"]),
            notes=tuple(str(note)[:300] for note in content["notes"])[:8],
            drawn=content["drawn"] is True,
            latent=latent,
            session=Session(rows=tuple(rows), next_id=max((row.id for row in rows), default=0) + 1),
            edits=edits,
        )
    except TextmorphError as error:
        raise InputError(f"this state file cannot be used: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InputError("this state file is damaged") from error


def _row(values: Any) -> Row:
    known = {field.name for field in fields(Row)}
    if not isinstance(values, dict) or set(values) != known:
        raise ValueError("a wish with other fields")
    for name, kind in (("id", int), ("strength", float), ("reach", float), ("on", bool), ("reason", str)):
        if not isinstance(values[name], kind) or (kind is int and not 0 < values[name] < 10**6):
            raise ValueError(name)
    if values["num_channels"] is not None and type(values["num_channels"]) is not int:
        raise ValueError("num_channels")
    if (values["method"] in METHODS) == (values["method"] == "file") or not 0.1 <= values["reach"] <= 100:
        raise ValueError("method")
    if (values["method"] == "file" or values["method"] == "optimize") != (values["file"] is not None):
        raise ValueError("file")
    return Row(**{**values, "text": check_prompt(values["text"]), "reason": values["reason"][:500]})


def _about(about: Any) -> dict[str, Any]:
    """Of the picture's record only what we know the shape of."""
    kinds = {"name": str, "of": str, "sha256": str, "width": int, "height": int}
    known = {key: value for key, value in dict(about).items() if isinstance(value, kinds.get(key, ())) or value is None}
    if about.get("frame") is not None:
        known["frame"] = Frame.from_json(about["frame"]).json
    return known


def _pack(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _unpack(packed: Any) -> bytes:
    return base64.b64decode(packed, validate=True)
