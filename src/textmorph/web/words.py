"""What the studio says, in plain sentences, and the few words it understands besides wishes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..editing.domain import Domain
from ..editing.photos import Photo
from .session import Session

COMMANDS = {
    "undo": "undo",
    "back": "undo",
    "redo": "redo",
    "again": "redo",
    "reset": "reset",
    "start over": "reset",
    "more": "more",
    "stronger": "more",
    "less": "less",
    "weaker": "less",
    "the opposite": "opposite",
    "opposite": "opposite",
    "take the middle": "middle",
    "surprise me": "surprise",
    "download": "download",
    "save": "download",
    "keep": "keep",
}
"""Words that mean something to do, not something to see. Everything can be done by typing alone."""


def command(text: str) -> str | None:
    """The command that a text is, if it is one."""
    return COMMANDS.get(" ".join(text.lower().split()).rstrip(".!"))


def unknown_words(found: Sequence[str]) -> str:
    """A sentence on words that the model does not know."""
    quoted = ", ".join(f"“{word}”" for word in found[:5])
    if len(found) == 1:
        return f"{quoted} is not a word this model knows; it will not understand that part."
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""
    return f"{quoted}{more} are words this model does not know; it will not understand those parts."


def far(domain: Domain) -> str:
    """A sentence on a picture that is far from the domain."""
    name = domain.title or domain.name
    return (
        f"This picture is far from what “{name}” can draw. What you change is the model's drawing, "
        "and it will look like the drawing, not like your picture."
    )


def framed(photo: Photo) -> str:
    """A sentence on a picture of which one square was found to fit the domain."""
    left, top, side = (photo.frame.box if photo.frame is not None else None) or (0, 0, 0)
    return (
        f"Your picture was cropped to what this model knows: a square of {side} pixels, {left} "
        f"from the left and {top} from the top, of {photo.about['width']} × {photo.about['height']}. "
        "Type “take the middle” to have its whole middle instead."
    )


def identity_lost(kept: float, wanted: float) -> str:
    """A sentence on a person who became another."""
    return (
        f"This may no longer be the same person: likeness {max(kept, 0):.0%}, lost below {wanted:.0%}. "
        "Less strength, or moving fewer parts, brings it back."
    )


def chosen(automatic: Mapping[str, Any], strength: float) -> str:
    """Why automatic strength is what it is, from the record's own account."""
    tried = automatic["tried"]
    best = max(one["gain"] for one in tried)
    values = {"strength": strength, "num_channels": automatic["num_channels"]}
    taken = next(one for one in tried if {name: one[name] for name in values} == values)
    likeness = "" if taken["identity"] is None else f"; likeness {max(taken['identity'], 0):.0%}"
    if automatic["goal_met"]:
        return f"the gentlest with a plain effect, of {len(tried)} tries{likeness}"
    if best <= 0:
        return "nothing brought the picture closer to these words; other words may"
    if taken["gain"] > 0:
        return f"as far as it goes before the person is lost{likeness}"
    return f"every effect cost the person too much; this is the mildest{likeness}"


def describe(session: Session, *, drawn: bool) -> str:
    """The picture in words, for whoever does not see it."""
    subject = "A drawn picture" if drawn else "Your picture, as the model draws it"
    wishes = [f"{row.text} ({row.strength:+.1f})" for row in session.counting]
    return f"{subject}, with {', '.join(wishes)}" if wishes else f"{subject}, unchanged"


def title(session: Session) -> str:
    """The wishes in a few words."""
    return ", ".join(row.text for row in session.counting) or "unchanged"


def amount(strength: float) -> str:
    """How much, as the page shows it."""
    return "none" if strength == 0 else f"{strength:+.1f}"
