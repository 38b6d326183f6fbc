"""The same actions for programs: one function each, named as in Gradio's client. See docs/studio.md for an example."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

import gradio as gr

from . import pictures, products, saved
from .handlers import Handlers, count, sentence, text, whole
from .visits import Visit

Endpoint = Callable[..., Awaitable[dict[str, Any]]]


def refusing(function: Endpoint) -> Endpoint:
    """Turn errors into one sentence for the caller."""

    @wraps(function)
    async def guarded(*arguments: Any, **values: Any) -> dict[str, Any]:
        try:
            return await function(*arguments, **values)
        except Exception as error:
            raise gr.Error(sentence(error), print_exception=False) from None

    return guarded


def offer(handlers: Handlers) -> None:
    """Open the endpoints, inside a `gr.Blocks`."""
    studio, run = handlers.studio, handlers.run

    def known(key: str) -> Visit:
        return studio.visits.get(key)

    async def start() -> dict[str, Any]:
        """Let a visitor in; `visit` of the answer is the key for everything else."""
        return await handlers.current(studio.visits.start())

    async def look(visit: str) -> dict[str, Any]:
        """The picture and the wishes as they are."""
        return await handlers.current(known(visit))

    async def open(visit: str, picture: str) -> dict[str, Any]:
        """Take a picture, as a data URL or as base64 of a file."""
        content = pictures.unpack(picture, max_bytes=studio.settings.max_upload_bytes)
        await handlers.open(known(visit), content)
        return await handlers.current(known(visit))

    async def sample(visit: str, name: str) -> dict[str, Any]:
        """Take one of the domain's own pictures, such as `portrait-1`."""
        await run(known(visit), studio.open_sample, text(name))
        return await handlers.current(known(visit))

    async def surprise(visit: str, seed: int = -1) -> dict[str, Any]:
        """Draw a new picture; a seed of your own draws the same one again."""
        number = count(seed)
        await run(known(visit), studio.surprise, None if number is None or number < 0 else number)
        return await handlers.current(known(visit))

    async def wish(
        visit: str, text: str, method: str | None = None, strength: float | None = None, num_channels: int | None = None
    ) -> dict[str, Any]:
        """Add a wish; without a strength it is searched for. Methods: see `textmorph methods`; None: the domain's."""
        return await handlers.add_wish(known(visit), text, method, strength, num_channels)

    async def add_edit(visit: str, name: str, content: str) -> dict[str, Any]:
        """Add a saved direction or mapper, its file as base64."""
        file = pictures.unpack(content, max_bytes=studio.settings.max_upload_bytes, what="the file")
        title = text(name)
        await run(known(visit), lambda v: saved.add_edit(studio, v, title, file))
        return await handlers.current(known(visit))

    async def change(
        visit: str, row: int, strength: float | None = None, num_channels: int | None = None, on: bool | None = None
    ) -> dict[str, Any]:
        """Other values for a wish, by its `row`."""
        values = handlers.values({"strength": strength, "num_channels": num_channels, "on": on})
        await run(known(visit), studio.change, whole(row), **values)
        return await handlers.current(known(visit))

    async def preview(
        visit: str, row: int, strength: float | None = None, num_channels: int | None = None
    ) -> dict[str, Any]:
        """A quick small picture with other values for a wish; nothing is kept."""
        values = handlers.values({"strength": strength, "num_channels": num_channels})
        image, size = await run(known(visit), studio.preview, whole(row), **values)
        return {"image": image, "size": size}

    async def remove(visit: str, row: int) -> dict[str, Any]:
        """Delete a wish."""
        await run(known(visit), studio.remove, whole(row))
        return await handlers.current(known(visit))

    def step(what: str) -> Endpoint:
        async def stepped(visit: str) -> dict[str, Any]:
            await run(known(visit), studio.step, what)
            return await handlers.current(known(visit))

        stepped.__doc__ = f"{what.capitalize()}."
        return stepped

    async def stop(visit: str) -> dict[str, Any]:
        """End an optimisation; it keeps what it reached."""
        known(visit).stop.set()
        return await handlers.current(known(visit))

    async def suggest(visit: str) -> dict[str, Any]:
        """Six wishes for this picture, with small pictures of what they would do."""
        found = await run(known(visit), studio.suggestions)
        return {"suggestions": [{"text": text, "title": title, "image": image} for text, title, image in found]}

    async def sheet(visit: str, row: int) -> dict[str, Any]:
        """A contact sheet of one wish; the answer says where to fetch it."""
        number = whole(row)
        item = await run(known(visit), lambda v: products.sheet(studio, v, number), long=True)
        return handlers.file(known(visit), str(item.file))

    async def morph(visit: str) -> dict[str, Any]:
        """A video of the way to the wishes and back; the answer says where to fetch it."""
        item = await run(known(visit), lambda v: products.morph(studio, v), long=True)
        return handlers.file(known(visit), str(item.file))

    async def download(visit: str, what: str = "picture", row: int = 0) -> dict[str, Any]:
        """Make a file: picture, latent, direction (of one wish, or of all) or state; the answer says where it is."""
        kind, number = text(what), whole(row)
        name = await run(known(visit), lambda v: products.save(studio, v, kind, number))
        return handlers.file(known(visit), name)

    async def restore(visit: str, state: str) -> dict[str, Any]:
        """Go on from the text of a state file."""
        content = text(state)
        await run(known(visit), lambda v: saved.restore(studio, v, content))
        return await handlers.current(known(visit))

    async def link(visit: str) -> dict[str, Any]:
        """A link that opens a copy of the picture and its wishes, until it expires."""
        return await handlers.link(known(visit))

    async def reopen(token: str) -> dict[str, Any]:
        """Let a visitor in who comes with a link."""
        return await handlers.current(await handlers.reopened(token))

    async def keep(visit: str) -> dict[str, Any]:
        """Put the picture as it is into the gallery."""
        await run(known(visit), lambda v: products.keep(studio, v))
        return handlers.gallery(known(visit))

    async def gallery(visit: str) -> dict[str, Any]:
        """What was made."""
        return handlers.gallery(known(visit))

    async def domain(visit: str, name: str) -> dict[str, Any]:
        """Go over to another domain; a photo comes along, wishes do not."""
        await run(known(visit), studio.choose_domain, text(name))
        return await handlers.current(known(visit))

    steps = {what: step(what) for what in ("undo", "redo", "reset")}
    endpoints: list[Endpoint] = [
        start, look, open, sample, surprise, wish, add_edit, change, preview, remove, stop, suggest, sheet, morph,
        download, restore, link, reopen, keep, gallery, domain,
    ]  # fmt: skip
    for name, function in {**{function.__name__: function for function in endpoints}, **steps}.items():
        gr.api(
            refusing(function), api_name=name, api_description=function.__doc__, concurrency_limit=None,
        )  # fmt: skip
