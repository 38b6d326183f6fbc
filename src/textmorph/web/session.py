"""What a visitor wished for, and the way back: values that never change, and nothing of pictures or screens."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from ..errors import OptionError

HISTORY = 200
"""Steps that can be undone."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One wish.

    Args:
        id: stays the same while other rows come and go.
        text: the words, or the name of a saved edit.
        method: name of the method, or `file` for a saved edit.
        strength: how much; negative for the opposite.
        reach: the slider goes from -reach to reach.
        num_channels: how narrowly; None where the method does not select channels.
        on: whether it counts.
        file: name of the saved edit in the visitor's folder; None for words that are found anew.
        reason: why automatic values are what they are, in one sentence.
    """

    id: int
    text: str
    method: str = "global"
    strength: float = 0.0
    reach: float = 10.0
    num_channels: int | None = None
    on: bool = True
    file: str | None = None
    reason: str = ""

    def __post_init__(self) -> None:
        if not math.isfinite(self.strength) or not self.reach > 0 or not math.isfinite(self.reach):
            raise OptionError(f"a strength is a number, not {self.strength}")
        if self.num_channels is not None and self.num_channels < 1:
            raise OptionError(f"a number of channels is 1 or more, not {self.num_channels}")
        object.__setattr__(self, "strength", max(-self.reach, min(self.reach, float(self.strength))))

    @property
    def counts(self) -> bool:
        """Whether it changes the picture."""
        return self.on and self.strength != 0


@dataclass(frozen=True, kw_only=True)
class Session:
    """The wishes for one picture, in order. Every change gives a new session."""

    rows: tuple[Row, ...] = ()
    next_id: int = 1

    def add(self, text: str, **values: Any) -> Session:
        """One more wish, below the others."""
        row = Row(id=self.next_id, text=text, **values)
        return Session(rows=(*self.rows, row), next_id=self.next_id + 1)

    def change(self, id: int, **values: Any) -> Session:
        """Other values for one wish.

        Raises:
            OptionError: there is no such wish, or a value is out of range.
        """
        self.row(id)
        return replace(self, rows=tuple(replace(row, **values) if row.id == id else row for row in self.rows))

    def remove(self, id: int) -> Session:
        """The others; errors as in `change`."""
        self.row(id)
        return replace(self, rows=tuple(row for row in self.rows if row.id != id))

    def clear(self) -> Session:
        """No wishes; numbers are not given twice."""
        return replace(self, rows=())

    def row(self, id: int) -> Row:
        """One wish.

        Raises:
            OptionError: there is no such wish.
        """
        for row in self.rows:
            if row.id == id:
                return row
        raise OptionError("this wish is no longer there")

    @property
    def counting(self) -> tuple[Row, ...]:
        """The wishes that change the picture."""
        return tuple(row for row in self.rows if row.counts)


@dataclass(frozen=True)
class History:
    """The session as it is, as it was, and as it was before undoing."""

    present: Session = Session()
    past: tuple[Session, ...] = ()
    future: tuple[Session, ...] = ()

    def do(self, session: Session) -> History:
        """A step that can be undone; one that changes nothing is none."""
        if session == self.present:
            return self
        return History(session, (*self.past, self.present)[-HISTORY:])

    def amend(self, session: Session) -> History:
        """Other values for the present, as part of the step that led to it."""
        return replace(self, present=session)

    def undo(self) -> History:
        if not self.past:
            return self
        return History(self.past[-1], self.past[:-1], (self.present, *self.future))

    def redo(self) -> History:
        if not self.future:
            return self
        return History(self.future[0], (*self.past, self.present), self.future[1:])

    @property
    def can_undo(self) -> bool:
        return bool(self.past)

    @property
    def can_redo(self) -> bool:
        return bool(self.future)
