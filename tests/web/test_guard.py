"""What stands before every request."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from textmorph.web.guard import HEADERS, Guard
from textmorph.web.settings import Settings

LIMIT = 1 << 20


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Reads everything, then says how much it was."""
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"X-Frame-Options", b"ALLOWALL")]})
    await send({"type": "http.response.body", "body": str(size).encode()})


def ask(
    tmp_path: Path, path: str = "/", *, chunks: tuple[bytes, ...] = (), host: str = "127.0.0.1",
    serve: str = "127.0.0.1", **headers: str,
) -> tuple[int, dict[str, str]]:  # fmt: skip
    guard = Guard(app, Settings(root=tmp_path, max_upload_bytes=LIMIT, host=serve))
    sent: list[Any] = []
    parts = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    parts.append({"type": "http.request", "body": b"", "more_body": False})

    async def receive() -> Any:
        return parts.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in {"host": host, **headers}.items()]
    asyncio.run(guard({"type": "http", "path": path, "headers": raw}, receive, send))
    return sent[0]["status"], {name.decode(): value.decode() for name, value in sent[0]["headers"]}


@pytest.mark.parametrize(
    "path",
    [
        "/", "/config", "/assets/index.js", "/theme.css", "/files/key/picture-1.png", "/gradio_api/info",
        "/gradio_api/queue/join", "/gradio_api/queue/data", "/gradio_api/heartbeat/abc", "/gradio_api/call/wish",
    ],
)  # fmt: skip
def test_what_the_page_and_programs_need_is_answered(path: str, tmp_path: Path) -> None:
    assert ask(tmp_path, path)[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/upload", "/gradio_api/file=/etc/passwd", "/gradio_api/file/etc/passwd", "/gradio_api/run/wish",
        "/gradio_api/api/wish", "/gradio_api/proxy=http://example.org", "/gradio_api/stream/x", "/monitoring",
        "/gradio_api/deep_link", "/gradio_api/vibe-edit/", "/gradio_api/process_recording", "/docs", "/openapi.json",
        "/gradio_api/component_server", "/files/key", "/files/key/a/b", "/gradio_api/queue/join/x", "/login",
        "/gradio_api/upload_progress", "/gradio_api/dev/reload", "/gradio_api/custom_component/x", "/file=/etc/passwd",
    ],
)  # fmt: skip
def test_everything_else_of_gradio_is_not_there(path: str, tmp_path: Path) -> None:
    assert ask(tmp_path, path)[0] == 404


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "10.0.0.1:7860", "", "[::2]", "a]b"])
def test_another_name_for_this_machine_gets_nothing(host: str, tmp_path: Path) -> None:
    assert ask(tmp_path, host=host)[0] == 421


@pytest.mark.parametrize("host", ["127.0.0.1:7860", "localhost:7860", "[::1]:7860", "LOCALHOST"])
def test_its_own_names_do(host: str, tmp_path: Path) -> None:
    assert ask(tmp_path, host=host)[0] == 200


def test_a_studio_open_to_others_takes_any_name(tmp_path: Path) -> None:
    assert ask(tmp_path, host="studio.example", serve="0.0.0.0")[0] == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1"])
def test_other_pages_may_not_ask(origin: str, tmp_path: Path) -> None:
    assert ask(tmp_path, "/gradio_api/queue/join", host="127.0.0.1:7860", origin=origin)[0] == 403
    assert ask(tmp_path, "/gradio_api/queue/join", host="127.0.0.1:7860", origin="http://127.0.0.1:7860")[0] == 200


def test_bodies_have_a_limit_whether_they_say_their_length_or_not(tmp_path: Path) -> None:
    path = "/gradio_api/queue/join"
    assert ask(tmp_path, path, content_length=str(100 * LIMIT))[0] == 413
    assert ask(tmp_path, path, content_length="a lot")[0] == 413
    assert ask(tmp_path, path, chunks=(b"x" * LIMIT,) * 4)[0] == 413
    assert ask(tmp_path, path, chunks=(b"x" * LIMIT,))[0] == 200


def test_every_answer_tells_the_browser_to_load_nothing_from_elsewhere(tmp_path: Path) -> None:
    headers = ask(tmp_path)[1]
    assert headers | HEADERS == headers
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "X-Frame-Options" not in headers  # the app's own gave way
    assert ask(tmp_path, "/files/key/picture-1.png")[1]["cache-control"] == "no-store"
