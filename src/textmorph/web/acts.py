"""What the page asks for, and what changes on it. One table: the name of a deed → the coroutine that does it.

A deed yields patches: dicts of the parts of the page that change (`stage`, `rows`, `notes`, `ideas`, `gallery`,
`files`, `stop`, `wish`). The page's wiring only hands them on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from ..errors import InputError, OptionError
from . import markup, pictures, products, saved, words
from .handlers import Handlers, count, sentence, text
from .shelf import PARTS
from .visits import Visit

Patch = dict[str, Any]
Deed = Callable[[Visit, dict[str, Any]], AsyncIterator[Patch]]

PART_NAMES = {
    "generator": "the painter",
    "encoder": "the eye that finds your picture in it",
    "embedder": "the reader of words",
    "identity": "the judge of likeness",
    "witness": "the second opinion",
    "bank": "the table of what every channel does",
}
"""What the networks are, for people."""


class Acts:
    """The deeds of the page, over the same handlers that programs use."""

    def __init__(self, handlers: Handlers) -> None:
        self.handlers, self.studio = handlers, handlers.studio
        self.deeds: dict[str, Deed] = {
            "open": self._open, "sample": self._sample, "surprise": self._surprise, "domain": self._domain,
            "wish": self._wish, "change": self._change, "remove": self._remove, "step": self._step,
            "add_edit": self._add_edit, "restore": self._restore, "recall": self._recall, "keep": self._keep,
            "sheet": self._sheet, "morph": self._morph, "save": self._save, "direction": self._direction,
            "link": self._link,
        }  # fmt: skip

    async def do(self, key: Any, asked: Any) -> AsyncIterator[Patch]:
        """Do what the page asks for; a refusal is a sentence on the page, never an exception."""
        visit, told = None, False
        try:
            if key == "":
                raise InputError("the studio is still loading; ask again in a moment")
            visit = self.studio.visits.get(key)
            name = asked.get("do") if isinstance(asked, dict) else None
            if not isinstance(name, str) or name not in self.deeds:
                raise OptionError("the page asked for something that the studio does not do")
            async for patch in self.deeds[name](visit, asked):
                told = True
                yield patch
            if not told:  # a handler that yields nothing empties every part of the page, the visitor's key too
                yield {"notes": markup.notes([])}
        except Exception as error:
            yield {"notes": markup.notes([], error=sentence(error)), "stage": {"refused": sentence(error)}}

    async def begin(self, key: Any, token: Any) -> AsyncIterator[Patch]:
        """A page was loaded: with a link, with the key of a visit that goes on, or fresh."""
        refused = ""
        visit = None
        try:
            if token:
                visit = await self.handlers.reopened(text(token))
            elif key:
                visit = self.studio.visits.get(key)
        except Exception as error:
            refused = sentence(error) if token else ""
        try:
            visit = visit if visit is not None else self.studio.visits.start()
            yield {"key": visit.key, "domain": visit.domain}  # first: whatever comes after, the page can ask again
            async for patch in self._loading(visit):
                yield patch
            found = await asyncio.to_thread(self.studio.samples, visit.domain)
            async for patch in self._drawn(visit, gallery=True, ideas=True):
                patch["stage"] = patch.get("stage", {}) | {"samples": markup.samples(found), "refused": refused}
                yield patch | {"key": visit.key, "domain": visit.domain}
        except Exception as error:
            yield {"notes": markup.notes([], error=sentence(error)), "stage": {"refused": sentence(error)}}

    async def moving(self, key: Any, asked: Any) -> Patch:
        """A slider moves: a small picture."""
        try:
            visit = self.studio.visits.get(key)
            if not isinstance(asked, dict):
                raise OptionError("the page asked for something that the studio does not do")
            values, version = self.handlers.values(asked), visit.version
            image, _ = await self.handlers.run(visit, self.studio.preview, _row(asked), **values)
            return {"stage": {"open": None, "after": image, "quality": "preview", "at": _at(asked), "version": version}}
        except Exception as error:
            return {"notes": markup.notes([], error=sentence(error))}

    def stop(self, key: Any) -> Patch:
        """End an optimisation."""
        try:
            self.studio.visits.get(key).stop.set()
        except InputError as error:
            return {"notes": markup.notes([], error=sentence(error))}
        return {"notes": markup.notes([], busy="Stopping…")}

    # Pictures

    async def _open(self, visit: Visit, asked: dict[str, Any]) -> AsyncIterator[Patch]:
        yield {"notes": markup.notes([], busy="Finding your picture in what the model can draw…")}
        content = pictures.unpack(asked.get("picture"), max_bytes=self.studio.settings.max_upload_bytes)
        await self.handlers.open(visit, content)
        async for patch in self._drawn(visit, ideas=True):
            yield patch

    async def _sample(self, visit: Visit, asked: dict[str, Any]) -> AsyncIterator[Patch]:
        await self.handlers.run(visit, self.studio.open_sample, text(asked.get("name")))
        async for patch in self._drawn(visit, ideas=True):
            yield patch

    async def _surprise(self, visit: Visit, asked: dict[str, Any]) -> AsyncIterator[Patch]:
        await self.handlers.run(visit, self.studio.surprise)
        async for patch in self._drawn(visit, ideas=True):
            yield patch

    async def _middle(self, visit: Visit, asked: dict[str, Any]) -> AsyncIterator[Patch]:
        await self.handlers.run(visit, self.studio.take_middle)
        async for patch in self._drawn(visit, ideas=True):
            yield patch

    async def _domain(self, visit: Visit, asked: dict[str, Any]) -> AsyncIterator[Patch]:
        name = text(asked.get("name"))
        if name == visit.domain:  # the menu was only passed by
            yield {"domain": name}
            return
        async for patch in self._loading(visit, name):
            yield patch
        await self.handlers.run(visit, self.studio.choose_domain, name)
        found = await asyncio.to_thread(self.studio.samples, name)
        async for patch in self._drawn(visit, ideas=True):
            patch["stage"] = patch.get("stage", {}) | {"samples": markup.samples(found)}
            yield patch

    async def _loading(self, visit: Visit, name: str | None = None) -> AsyncIterator[Patch]:
        """Load a domain, telling part by part; silent where it is loaded."""
        told: list[tuple[str, int, int]] = []
        task = asyncio.create_task(
            asyncio.to_thread(self.studio.shelf.editor, name or visit.domain, lambda *now: told.append(now))
        )
        while not (await asyncio.wait({task}, timeout=0.4))[0]:
            if told:
                part, done, total = told[-1]
                yield {"notes": markup.notes([], busy=f"Loading {PART_NAMES[part]} ({done + 1} of {total})…")}
        task.result()
        assert len(PARTS) == len(PART_NAMES)

    # Wishes

    async def _wish(self, visit: Visit, asked: dict[str, Any]) -> AsyncIterator[Patch]:
        said, method = text(asked.get("text")), asked.get("method") or None
        order = words.command(said)
        if order is not None:
            async for patch in self._order(visit, order):
                yield {"wish": "", **patch}
        elif method == "optimize":
            async for patch in self._optimize(visit, said):
                yield patch
        else:
            method = None if method is None else text(method)
            row = await self.handlers.run(visit, self.studio.wish, said, method=method)
            first = [patch async for patch in self._drawn(visit)][-1]
            yield {**first, "wish": "", "notes": markup.notes([], busy="Looking for the gentlest strength that shows…")}
            await self.handlers.run(visit, self.studio.settle, row)
            async for patch in self._drawn(visit):
                yield patch

    async def _order(self, visit: Visit, order: str) -> AsyncIterator[Patch]:
        """A word that means something to do."""
        deeds: dict[str, Deed] = {
            "surprise": self._surprise,
            "middle": self._middle,
            "keep": self._keep,
            "download": self._save,
        }
        asked = {"what": "picture"} if order == "download" else {"what": order}
        async for patch in deeds.get(order, self._step)(visit, asked):
            yield patch

    async def _optimize(self, visit: Visit, said: str) -> AsyncIterator[Patch]:
        """Show how far it is, and how it looks on the way."""
        now: dict[str, Any] = {"step": 0, "steps": 0, "image": None}

        def watch(step: int, steps: int, image: str | None) -> None:
            now.update(step=step, steps=steps, image=image or now["image"])

        visit.stop.clear()
        task = asyncio.create_task(self.handlers.run(visit, self.studio.optimize, said, watch, long=True))
        yield {"stop": True, "notes": markup.notes([], busy="Waiting for a turn…")}
        seen = None
        while not (await asyncio.wait({task}, timeout=0.5))[0]:
            patch: Patch = {}
            if now["step"]:
                patch["notes"] = markup.notes(
                    [], busy=f"Step {now['step']} of {now['steps']}; “Stop” keeps what is there."
                )
            if now["image"] is not None and now["image"] is not seen:
                seen = now["image"]
                patch["stage"] = {"open": None, "after": seen, "quality": "preview"}
            if patch:
                yield patch
        yield {"stop": False}
        task.result()
        async for patch in self._drawn(visit):
            yield {**patch, "wish": ""}

    async def _change(self, visit: Visit, asked: dict[str, Any]) -> AsyncIterator[Patch]:
        await self.handlers.run(visit, self.studio.change, _row(asked), **self.handlers.values(asked))
        async for patch in self._drawn(visit, at=_at(asked)):
            yield patch

    async def _remove(self, visit: Visit, asked: dict[str, Any]) -> AsyncIterator[Patch]:
        await self.handlers.run(visit, self.studio.remove, _row(asked))
        async for patch in self._drawn(visit, at=_at(asked)):
            yield patch

    async def _step(self, visit: Visit, asked: dict[str, Any]) -> AsyncIterator[Patch]:
        await self.handlers.run(visit, self.studio.step, text(asked.get("what")))
        async for patch in self._drawn(visit):
            yield patch

    async def _add_edit(self, visit: Visit, asked: dict[str, Any]) -> AsyncIterator[Patch]:
        content = pictures.unpack(
            asked.get("content"), max_bytes=self.studio.settings.max_upload_bytes, what="the file"
        )
        name = text(asked.get("name"))
        await self.handlers.run(visit, lambda v: saved.add_edit(self.studio, v, name, content))
        async for patch in self._drawn(visit):
            yield patch

    async def _restore(self, visit: Visit, asked: dict[str, Any]) -> AsyncIterator[Patch]:
        state = text(asked.get("state"))
        await self.handlers.run(visit, lambda v: saved.restore(self.studio, v, state))
        async for patch in self._drawn(visit, ideas=True):
            yield patch | {"domain": visit.domain}

    # To take home

    async def _recall(self, visit: Visit, asked: dict[str, Any]) -> AsyncIterator[Patch]:
        item = count(asked.get("item")) or 0
        await self.handlers.run(visit, lambda v: products.recall(self.studio, v, item))
        async for patch in self._drawn(visit):
            yield patch

    async def _keep(self, visit: Visit, asked: dict[str, Any]) -> AsyncIterator[Patch]:
        await self.handlers.run(visit, lambda v: products.keep(self.studio, v))
        yield {"gallery": markup.gallery(visit.items, visit.key)}

    async def _sheet(self, visit: Visit, asked: dict[str, Any]) -> AsyncIterator[Patch]:
        row = _row(asked)
        async for patch in self._long(visit, "Drawing the contact sheet", lambda v, tell: products.sheet(
            self.studio, v, row, progress=tell
        )):  # fmt: skip
            yield patch

    async def _morph(self, visit: Visit, asked: dict[str, Any]) -> AsyncIterator[Patch]:
        async for patch in self._long(visit, "Drawing the video", lambda v, tell: products.morph(
            self.studio, v, progress=tell
        )):  # fmt: skip
            yield patch

    async def _long(self, visit: Visit, what: str, make: Callable[[Visit, Any], Any]) -> AsyncIterator[Patch]:
        """Something with many pictures: tell how far it is; it ends in the gallery and as a download."""
        told: list[tuple[int, int]] = []
        task = asyncio.create_task(
            self.handlers.run(visit, lambda v: make(v, lambda *now: told.append(now)), long=True)
        )
        while not (await asyncio.wait({task}, timeout=0.4))[0]:
            progress = f": {told[-1][0]} of {told[-1][1]} pictures" if told else ""
            yield {"notes": markup.notes([], busy=f"{what}{progress}…")}
        item = task.result()
        yield {
            "gallery": markup.gallery(visit.items, visit.key), "notes": markup.notes([]),
            "files": self._sent(visit, str(item.file)),
        }  # fmt: skip

    async def _save(self, visit: Visit, asked: dict[str, Any]) -> AsyncIterator[Patch]:
        name = await self.handlers.run(visit, lambda v: products.save(self.studio, v, text(asked.get("what"))))
        yield {"files": self._sent(visit, name)}

    async def _direction(self, visit: Visit, asked: dict[str, Any]) -> AsyncIterator[Patch]:
        row = _row(asked)
        name = await self.handlers.run(visit, lambda v: products.save(self.studio, v, "direction", row))
        yield {"files": self._sent(visit, name)}

    async def _link(self, visit: Visit, asked: dict[str, Any]) -> AsyncIterator[Patch]:
        made = await self.handlers.link(visit)
        hours = f"{made['hours']:g} hour{'' if made['hours'] == 1 else 's'}"
        told = f"Whoever has this link sees this picture and its wishes, for {hours} from now:"
        visit.serial += 1
        yield {"files": {"sent": visit.serial, "link": made["address"], "words": told}}

    def _sent(self, visit: Visit, name: str) -> Patch:
        visit.serial += 1
        return {**self.handlers.file(visit, name), "sent": visit.serial}

    # The page as it is

    async def _drawn(
        self, visit: Visit, *, at: float = 0, gallery: bool = False, ideas: bool = False
    ) -> AsyncIterator[Patch]:
        """Everything that follows from the picture and its wishes; suggestions, which take longer, after it."""
        shown = await self.handlers.show(visit)
        stage: Patch = {
            "visit": visit.key, "open": visit.picture is not None, "quality": "full",
            "version": 0 if shown is None else shown.version,
            "at": at, "limit": self.studio.settings.max_upload_bytes,
        }  # fmt: skip
        if shown is not None:
            picture = self.studio.picture(visit)
            stage |= {
                "photo": pictures.data_url(picture.photo),
                "reconstruction": pictures.data_url(picture.inverted),
                "after": pictures.data_url(shown.image),
                "alt": words.describe(visit.session, drawn=picture.drawn),
                "drawn": picture.drawn,
            }
        most = self.studio.most(visit) if shown is not None else 1
        patch: Patch = {
            "stage": stage,
            "rows": markup.rows(visit.session, most=most),
            "notes": markup.notes(shown.notes if shown is not None else ()),
            "can_undo": visit.history.can_undo,
            "can_redo": visit.history.can_redo,
            "can_reset": bool(visit.session.rows),
            "open": visit.picture is not None,
        }
        if gallery:
            patch["gallery"] = markup.gallery(visit.items, visit.key)
        if ideas and shown is None:
            patch["ideas"] = ""
        yield patch
        if ideas and shown is not None:
            yield {"ideas": markup.suggestions(await self.handlers.run(visit, self.studio.suggestions))}


def _row(asked: dict[str, Any]) -> int:
    return count(asked.get("row")) or 0


def _at(asked: dict[str, Any]) -> float:
    """The page's own clock, by which it tells an old answer from a new one."""
    at = asked.get("at")
    return at if isinstance(at, int | float) and not isinstance(at, bool) else 0
