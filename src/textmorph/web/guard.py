"""What stands before every request: who may ask, for what, how much; and what the browser may load.

Gradio's own upload and file routes are closed, so that no picture ever lies in a folder that several visitors share.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from .settings import LOOPBACK, Settings

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

API = "/gradio_api"
OPEN = re.compile(
    rf"/|/config/?|/(assets|static)/.+|/theme\.css|/favicon\.ico|/robots\.txt|/files/[^/]+/[^/]+"
    rf"|{API}/(info/?|app_id/?|theme\.css|startup-events|cancel|reset/?|heartbeat/\w+|queue/(join|data)|call/.+)"
)
"""Every path that is answered; all others are not there."""

HEADERS = {
    "content-security-policy": (
        "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob: data:; font-src 'self' data:; "
        "style-src 'self' 'unsafe-inline'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; connect-src 'self'; "
        "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
}


class TooLarge(Exception):
    """A body that goes on beyond the limit."""


class Guard:
    """ASGI middleware.

    Args:
        app: what it stands before.
        settings: the address, and the largest upload.
    """

    def __init__(self, app: Any, settings: Settings) -> None:
        self._app = app
        self._private = settings.is_private
        self._limit = settings.max_upload_bytes * 4 // 3 + (1 << 20)  # as base64, and what stands around it

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        refused = self._refuse(scope["path"], headers)
        if refused is not None:
            await _answer(send, *refused)
            return
        read = 0

        async def counted() -> MutableMapping[str, Any]:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self._limit:
                raise TooLarge
            return message

        begun = False

        async def marked(message: MutableMapping[str, Any]) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                own = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                if scope["path"].startswith(("/files/", API)):
                    own.append((b"cache-control", b"no-store"))
                names = {name for name, _ in own}
                message["headers"] = [pair for pair in message.get("headers", []) if pair[0].lower() not in names] + own
            await send(message)

        try:
            await self._app(scope, counted, marked)
        except TooLarge:
            if not begun:
                await _answer(send, 413, "too large")

    def _refuse(self, path: str, headers: dict[str, str]) -> tuple[int, str] | None:
        if self._private and not _is_local(headers.get("host", "")):
            return 421, "this page answers to its own address only"  # another name that was pointed at this machine
        origin = headers.get("origin")
        if origin and origin.partition("://")[2] != headers.get("host"):
            return 403, "another page may not ask for this one's visitors"
        if not OPEN.fullmatch(path):
            return 404, "there is nothing here"
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > self._limit:
            return 413, "too large"
        return None


def _is_local(host: str) -> bool:
    try:
        return urlsplit(f"//{host}").hostname in LOOPBACK
    except ValueError:
        return False


async def _answer(send: Send, status: int, words: str) -> None:
    body = words.encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
