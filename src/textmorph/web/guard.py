"""What stands before every request: who may ask, for what, how much; and what the browser may load.

Gradio's own upload and file routes are closed, so that no picture ever lies in a folder that several visitors share.
Objects inside a body are refused: Gradio takes one with a `path` for a file of this machine, and copies or fetches it
before any code of ours runs.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ipaddress
import json
import re
import time
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
    rf"|{API}/(info/?|app_id/?|theme\.css|startup-events|cancel|reset/?|heartbeat/\w+|queue/(join|data)|call/(?!v2/)\w+(/\w+)?)"
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


ATTEMPTS, PERIOD = 10, 60.0
"""Wrong passwords that one address may send, in so many seconds."""
ADDRESSES = 10_000
"""Addresses that are remembered for wrong passwords; the oldest is forgotten first."""

Refusal = tuple[int, str]


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
        self._hosts = {*LOOPBACK, settings.host.lower(), *settings.allowed_hosts}
        self._limit = settings.max_upload_bytes * 4 // 3 + (1 << 20)  # as base64, and what stands around it
        self._password = Password(settings.password) if settings.password is not None else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        refused = self._refuse(scope["path"], headers)
        if refused is None and self._password is not None:
            refused = self._password.refuse(_address(scope), headers.get("authorization", ""))
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

        source: Receive = counted
        if scope.get("method", "GET") not in ("GET", "HEAD"):
            try:
                source = _checked(await _whole(counted), counted)
            except TooLarge:
                await _answer(send, 413, "too large")
                return
            except ValueError as error:
                await _answer(send, 400, str(error))
                return

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
            await self._app(scope, source, marked)
        except TooLarge:
            if not begun:
                await _answer(send, 413, "too large")

    def _refuse(self, path: str, headers: dict[str, str]) -> Refusal | None:
        host = headers.get("host", "")
        if not self._is_ours(host):
            return 421, "this page answers to its own address only"  # another name that was pointed at this machine
        origin = headers.get("origin")
        if origin and origin.partition("://")[2] != host:
            return 403, "another page may not ask for this one's visitors"
        if not OPEN.fullmatch(path):
            return 404, "there is nothing here"
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > self._limit:
            return 413, "too large"
        return None

    def _is_ours(self, host: str) -> bool:
        """Whether a Host header names this studio. Open to others, every numeric address does: a name that somebody
        points at this machine is a name, never a number."""
        try:
            name = urlsplit(f"//{host}").hostname
        except ValueError:
            return False
        if name is None or name in self._hosts:
            return name is not None
        if self._private:
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


class Password:
    """HTTP Basic authentication, with any user name; wrong passwords of one address are limited.

    Args:
        password: the one that lets in.
        clock: for tests; in seconds.
    """

    def __init__(self, password: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._digest = hashlib.sha256(password.encode()).digest()
        self._clock = clock
        self._wrong: dict[str, tuple[int, float]] = {}

    def refuse(self, address: str, header: str) -> Refusal | None:
        """None for the right password; a request without any is no attempt.

        Args:
            address: who asks.
            header: the value of `Authorization`.
        """
        number, since = self._wrong.get(address, (0, 0.0))
        if number and self._clock() - since > PERIOD:
            number = 0
        if number >= ATTEMPTS:
            return 429, f"too many wrong passwords; try again in {PERIOD:.0f} seconds"
        given = _basic(header)
        if given is None:
            return 401, "this studio asks for a password"
        if hmac.compare_digest(hashlib.sha256(given).digest(), self._digest):
            return None
        if address not in self._wrong and len(self._wrong) >= ADDRESSES:
            del self._wrong[next(iter(self._wrong))]
        self._wrong[address] = (number + 1, since if number else self._clock())
        return 401, "this password is wrong"


def _basic(header: str) -> bytes | None:
    """The password in an `Authorization` header; None where there is none."""
    kind, _, packed = header.partition(" ")
    if kind.lower() != "basic" or not packed.strip():
        return None
    try:
        return base64.b64decode(packed.strip(), validate=True).partition(b":")[2]
    except (binascii.Error, ValueError):
        return None


def _address(scope: Scope) -> str:
    """Who asks; of an IPv6 address the network, for one machine has many."""
    name = str((scope.get("client") or ("unknown",))[0])
    return ":".join(name.split(":")[:4]) if ":" in name and "." not in name else name


async def _whole(receive: Receive) -> bytes:
    """A body to its end."""
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise ValueError("the request was cut off")
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def _checked(body: bytes, receive: Receive) -> Receive:
    """Give a body on, if nothing in it could pass for a file.

    Raises:
        ValueError: it is no JSON object, or an object stands in it elsewhere than as `event_data`.
    """
    try:
        content = json.loads(body) if body else {}
    except (ValueError, RecursionError) as error:
        raise ValueError("the body of a request is a JSON object") from error
    if not isinstance(content, dict):
        raise ValueError("the body of a request is a JSON object")
    inside = [*content.values()]
    event = content.get("event_data")
    if isinstance(event, dict):  # what the page sends with an event; it goes to our code alone
        inside = [*(value for name, value in content.items() if name != "event_data"), *event.values()]
    while inside:
        value = inside.pop()
        if isinstance(value, dict):
            raise ValueError("the arguments of the studio are texts, numbers, true, false and null; not objects")
        if isinstance(value, list):
            inside.extend(value)
    sent = False

    async def again() -> MutableMapping[str, Any]:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


async def _answer(send: Send, status: int, words: str) -> None:
    body = words.encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    if status == 401:
        headers.append((b"www-authenticate", b'Basic realm="textmorph studio", charset="UTF-8"'))
    if status == 429:
        headers.append((b"retry-after", str(int(PERIOD)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
