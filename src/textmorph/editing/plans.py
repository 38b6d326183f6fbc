"""What is to be done to a photo, checked before any photo is touched."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..edits import Edit, load_edit
from ..errors import InputError, OptionError
from .alignment import Crop, check_crop
from .domain import Domain, file_sha256
from .wishes import Wish, make_wish


@dataclass(frozen=True, kw_only=True, eq=False)
class SavedEdit:
    """An edit that was found before, its strength, and what the record tells of it."""

    edit: Edit
    strength: float
    about: dict[str, Any]

    @staticmethod
    def reload(told: Mapping[str, Any]) -> Edit:
        """The edit that a record tells of, from its file.

        Raises:
            InputError: it was in no file, or the file is missing or altered.
        """
        file = told.get("file")
        if file is None:
            raise InputError("this picture was made with an edit that was in no file; it cannot be made again")
        if not os.path.isfile(file):
            raise InputError(f"this picture was made with the edit {file}, which is missing")
        if file_sha256(file) != told["sha256"]:
            raise InputError(f"this picture was made with the edit {file}, which has changed since")
        return load_edit(file)


@dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
    """What is to be done to a photo, checked; made by `Editor.plan`.

    Args:
        wish: the main text; None where only saved edits are applied.
        strength: of the main wish; None searches for it.
        search_channels: whether its number of channels is searched for.
        also: further wishes and their strengths.
        edits: saved edits.
        keep_identity: smallest identity for the search.
        refine: optimisation steps after the encoder.
        seed: for methods that draw random numbers.
        crop: which square of the photo, as in `open_source`.
    """

    wish: Wish | None
    strength: float | None
    search_channels: bool
    also: tuple[tuple[Wish, float], ...]
    edits: tuple[SavedEdit, ...]
    keep_identity: float
    refine: int
    seed: int
    crop: Crop = "auto"

    @property
    def wishes(self) -> list[Wish]:
        """Every text of the plan, the main one first."""
        return ([self.wish] if self.wish is not None else []) + [wish for wish, _ in self.also]

    @property
    def about(self) -> dict[str, Any]:
        """The plan as JSON; two plans that tell the same do the same."""
        return {
            "wish": self.wish.about if self.wish else None,
            "strength": "auto" if self.strength is None else self.strength,
            "search_channels": self.search_channels,
            "also": [{**wish.about, "strength": strength} for wish, strength in self.also],
            "edits": [saved.about for saved in self.edits],
            "keep_identity": self.keep_identity,
            "refine": self.refine,
            "seed": self.seed,
            "crop": self.crop if isinstance(self.crop, str) else list(self.crop),
        }


def make_plan(
    domain: Domain,
    prompt: str | None,
    *,
    strength: float | Literal["auto"] = "auto",
    neutral: str | None = None,
    num_channels: int | Literal["auto"] | None = None,
    method: str = "global",
    also: Sequence[tuple[str, float]] = (),
    edits: Sequence[tuple[Edit | str | os.PathLike[str], float]] = (),
    keep_identity: float | None = None,
    refine: int = 0,
    seed: int = 0,
    crop: Crop | str = "auto",
    options: Mapping[str, Any] | None = None,
) -> Plan:
    """Check what is asked for; arguments as in `Editor.edit`.

    Raises:
        PromptError: an empty or over-long text.
        OptionError: a value out of range, or an option that does not belong here.
        EditError, CheckpointError: a saved edit that cannot be read.
    """
    automatic = strength == "auto"
    if not automatic and (isinstance(strength, str) or not math.isfinite(strength)):
        raise OptionError(f"strength is 'auto' or a number, not {strength!r}")
    if keep_identity is not None and not automatic:
        raise OptionError("keep_identity steers automatic strength; leave it out with a strength of your own")
    if keep_identity is not None and not -1 <= keep_identity <= 1:
        raise OptionError(f"keep_identity is a cosine, usually 0 to 1, not {keep_identity}")
    if prompt is None and not edits:
        raise OptionError("nothing to do: give a text, or a saved edit")
    if prompt is None and (also or options or neutral is not None or num_channels is not None):
        raise OptionError("without a text, the options of a method and further wishes have no meaning")
    if refine < 0:
        raise OptionError(f"refine is a number of steps from 0, not {refine}")
    count = num_channels if isinstance(num_channels, int) else None

    def wish(text: str, neutral: str | None = None) -> Wish:
        return make_wish(domain, text, method=method, neutral=neutral, num_channels=count, seed=seed, options=options)

    main = wish(prompt, neutral) if prompt is not None else None
    if num_channels == "auto" and (main is None or not main.searches_channels):
        raise OptionError("num_channels='auto' needs a method that selects a number of channels, and no threshold")
    searches = count is None and (automatic or num_channels == "auto")
    return Plan(
        wish=main,
        strength=None if automatic or isinstance(strength, str) else float(strength),
        search_channels=searches and main is not None and main.searches_channels,
        also=tuple((wish(text), _finite(value)) for text, value in also),
        edits=tuple(_saved_edit(edit, _finite(value)) for edit, value in edits),
        keep_identity=domain.keep_identity if keep_identity is None else keep_identity,
        refine=refine,
        seed=seed,
        crop=check_crop(crop),
    )


def _saved_edit(edit: Edit | str | os.PathLike[str], strength: float) -> SavedEdit:
    if not isinstance(edit, str | os.PathLike):
        about = {"kind": "saved", "file": None, "sha256": None, "strength": strength, "provenance": edit.provenance}
        return SavedEdit(edit=edit, strength=strength, about=about)
    path = Path(edit)
    if not os.path.isfile(path):
        raise InputError(f"there is no saved edit {path}")
    loaded = load_edit(path)
    about = {"kind": "saved", "file": str(path.resolve()), "sha256": file_sha256(path), "strength": strength}
    return SavedEdit(edit=loaded, strength=strength, about={**about, "provenance": loaded.provenance})


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise OptionError(f"a strength is a number, not {value}")
    return float(value)
