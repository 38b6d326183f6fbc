"""From events to actions and back: wait for a turn, act in a thread, say what came of it. Nothing is decided here."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, TypeVar

from ..errors import InputError, OptionError, TextmorphError
from ..memory import give_back_memory
from . import markup, pictures, saved
from .studio import Shown, Studio
from .turns import Turns
from .visits import Visit

T = TypeVar("T")
View = dict[str, Any]
log = logging.getLogger(__name__)

MAX_DECODING = 16
"""Pictures, over all visitors, that may wait to be decoded; each holds its file."""

UNEXPECTED = "Something went wrong in the studio; what you asked for was not done"


class Handlers:
    """What the page and the API call. Quick works, long ones and the decoding of pictures wait in queues of their own:
    one picture is decoded at a time, and whoever waits for that keeps nobody else waiting."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self.turns = Turns(studio.settings.at_once, studio.settings.max_waiting)
        self.long_turns = Turns(1, 1)
        self.decoding = Turns(1, 1)

    async def run(
        self, visit: Visit, action: Callable[..., T], *arguments: Any, long: bool = False, **values: Any
    ) -> T:
        """An action in its turn, off the event loop."""
        async with (self.long_turns if long else self.turns).turn(visit.key):
            return await asyncio.to_thread(action, visit, *arguments, **values)

    async def open(self, visit: Visit, content: bytes) -> None:
        """Take a picture from its file.

        Raises:
            OptionError: too many pictures wait to be decoded.
        """
        if self.decoding.num_waiting >= MAX_DECODING:
            raise OptionError(
                f"{MAX_DECODING} other pictures wait to be opened, and the studio opens one at a time; "
                "try again in a minute"
            )
        async with self.decoding.turn(visit.key):
            framed = await asyncio.to_thread(self.studio.frame, visit, content)
            await asyncio.to_thread(give_back_memory)
        await self.run(visit, self.studio.take, **framed)

    async def show(self, visit: Visit) -> Shown | None:
        """The picture in full; None where there is none yet."""
        return await self.run(visit, self.studio.show) if visit.picture is not None else None

    async def current(self, visit: Visit) -> View:
        """Everything that a program needs to know of a visit as it is now, as JSON."""
        shown = await self.show(visit)
        return {
            "visit": visit.key,
            "domain": visit.domain,
            "open": visit.picture is not None,
            "version": visit.version,
            "image": pictures.data_url(shown.image) if shown is not None else "",
            "wishes": self.studio.wishes(visit),
            "notes": list(shown.notes) if shown is not None else [],
            "can_undo": visit.history.can_undo,
            "can_redo": visit.history.can_redo,
        }

    async def add_wish(
        self, visit: Visit, words: str, method: str | None, strength: float | None, num_channels: int | None
    ) -> View:
        """A wish with everything settled."""
        words, method = text(words), text(method) if method else None
        if method == "optimize":
            visit.stop.clear()
            await self.run(visit, self.studio.optimize, words, lambda *_: None, long=True)
        else:
            values = self.values({"strength": strength, "num_channels": num_channels})
            row = await self.run(visit, self.studio.wish, words, method=method, **values)
            if strength is None:
                await self.run(visit, self.studio.settle, row)
        return await self.current(visit)

    @staticmethod
    def values(given: dict[str, Any]) -> dict[str, Any]:
        """Values of a wish that came from outside, checked; those not given are left out."""
        checked = {
            "strength": number(given.get("strength")),
            "num_channels": count(given.get("num_channels")),
            "on": switch(given.get("on")),
        }
        return {name: value for name, value in checked.items() if value is not None}

    async def link(self, visit: Visit) -> View:
        """A new link to what is on the table."""
        state = await self.run(visit, lambda v: saved.save(self.studio, v))
        token = self.studio.visits.make_link(state.encode())
        # Not "path": Gradio's client takes that for a file, and fetches it.
        return {"token": token, "address": f"/#open={token}", "hours": self.studio.settings.lifetime_hours}

    async def reopened(self, token: str) -> Visit:
        """A new visitor with a copy of what a link stands for."""
        state = self.studio.visits.open_link(token)
        visit = self.studio.visits.start()
        try:
            await self.run(visit, lambda v: saved.restore(self.studio, v, state))
        except BaseException:
            self.studio.visits.end(visit)
            raise
        return visit

    def file(self, visit: Visit, name: str) -> View:
        """What is needed to fetch a file."""
        address = markup.file_address(visit.key, name)
        return {"url": address, "name": name, "bytes": (visit.folder / name).stat().st_size}

    def gallery(self, visit: Visit) -> View:
        """What a visitor made, oldest first."""
        items = [
            {"item": one.id, "title": one.title, "image": one.image, "url": self._address(visit, one.file)}
            for one in visit.items
        ]
        return {"items": items}

    @staticmethod
    def _address(visit: Visit, file: str | None) -> str | None:
        return markup.file_address(visit.key, file) if file is not None else None


def sentence(error: Exception) -> str:
    """An error as one sentence; of one that is not ours nothing is told but that it happened."""
    if isinstance(error, TextmorphError):
        said = " ".join(str(error).split())
        return said[:1].upper() + said[1:]
    log.error("unexpected error in the studio", exc_info=error)
    return UNEXPECTED


def number(value: Any) -> float | None:
    """A number that came from outside, or None.

    Raises:
        OptionError: it is something else.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise OptionError("a number was expected here")
    return float(value)


def count(value: Any) -> int | None:
    """A whole number that came from outside, or None; errors as in `number`."""
    plain = number(value)
    if plain is None:
        return None
    if plain != plain or abs(plain) > 2**31 or plain != int(plain):
        raise OptionError("a whole number was expected here")
    return int(plain)


def whole(value: Any) -> int:
    """A whole number that came from outside; errors as in `number`, also where there is none."""
    checked = count(value)
    if checked is None:
        raise OptionError("a whole number was expected here")
    return checked


def switch(value: Any) -> bool | None:
    """On or off from outside, or None; errors as in `number`."""
    if value is not None and not isinstance(value, bool):
        raise OptionError("on or off was expected here")
    return value


def text(value: Any, *, what: str = "a text") -> str:
    """A text that came from outside.

    Raises:
        InputError: it is something else.
    """
    if not isinstance(value, str):
        raise InputError(f"{what} was expected here")
    return value
