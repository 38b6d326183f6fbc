"""What stands before every request."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest

from textmorph.errors import OptionError
from textmorph.web.guard import ADDRESSES, ATTEMPTS, HEADERS, PERIOD, Guard, Password
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
    serve: str = "127.0.0.1", allowed: tuple[str, ...] = (), method: str = "GET", **headers: str,
) -> tuple[int, dict[str, str]]:  # fmt: skip
    guard = Guard(app, Settings(root=tmp_path, max_upload_bytes=LIMIT, host=serve, allowed_hosts=allowed))
    sent: list[Any] = []
    parts = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    parts.append({"type": "http.request", "body": b"", "more_body": False})

    async def receive() -> Any:
        return parts.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in {"host": host, **headers}.items()]
    asyncio.run(guard({"type": "http", "method": method, "path": path, "headers": raw}, receive, send))
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
        "/gradio_api/upload_progress",
        "/gradio_api/call/v2/look", "/gradio_api/dev/reload", "/gradio_api/custom_component/x", "/file=/etc/passwd",
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


@pytest.mark.parametrize("serve", ["0.0.0.0", "::", "192.0.2.7"])
def test_a_studio_open_to_others_answers_to_numbers_and_to_the_names_that_it_was_given(
    serve: str, tmp_path: Path
) -> None:
    for host in ("192.0.2.7:7860", "[2001:db8::1]:7860", "127.0.0.1", "localhost"):
        assert ask(tmp_path, host=host, serve=serve)[0] == 200
    for host in ("evil.example", "studio.example.evil.example", "", "a]b"):
        assert ask(tmp_path, host=host, serve=serve, allowed=("studio.example",))[0] == 421
    assert ask(tmp_path, host="Studio.Example:8000", serve=serve, allowed=("studio.example",))[0] == 200
    assert ask(tmp_path, host="studio.example", allowed=("STUDIO.example",))[0] == 200  # a proxy on this machine


@pytest.mark.parametrize("name", ["", "studio.example:80", "http://studio.example", "*", "a b", "-"])
def test_an_allowed_host_is_a_name(name: str, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="allowed host"):
        Settings(root=tmp_path, allowed_hosts=(name,))


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"me:{password}".encode()).decode()


def test_a_password_lets_in_and_wrong_ones_are_limited_by_address() -> None:
    now = [0.0]
    password = Password("correct horse", clock=lambda: now[0])
    for header in ("", "Bearer x", "Basic ???", "Basic"):
        assert all(password.refuse("a", header)[0] == 401 for _ in range(30))  # type: ignore[index]
    assert password.refuse("a", basic("correct horse")) is None
    found = [password.refuse("a", basic(f"wrong {index}")) for index in range(ATTEMPTS + 5)]
    assert [one[0] for one in found if one] == [401] * ATTEMPTS + [429] * 5
    assert password.refuse("a", basic("correct horse"))[0] == 429  # type: ignore[index]
    assert password.refuse("b", basic("correct horse")) is None
    now[0] += PERIOD + 1
    assert password.refuse("a", basic("correct horse")) is None


def test_addresses_of_wrong_passwords_do_not_pile_up() -> None:
    password = Password("correct horse")
    for index in range(ADDRESSES + 50):
        password.refuse(str(index), basic("wrong"))
    assert len(password._wrong) == ADDRESSES


def test_everything_asks_for_the_password(tmp_path: Path) -> None:
    settings = Settings(root=tmp_path, password="correct horse")
    assert "horse" not in repr(settings)
    with pytest.raises(OptionError, match="password"):
        Settings(root=tmp_path, password="short")

    def status(path: str, **headers: str) -> int:
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        raw = [(name.encode(), value.encode()) for name, value in {"host": "127.0.0.1", **headers}.items()]
        asyncio.run(Guard(app, settings)({"type": "http", "path": path, "headers": raw}, receive, send))
        return int(sent[0]["status"])

    for path in ("/", "/config", "/assets/index.js", "/files/key/picture-1.png", "/gradio_api/queue/join"):
        assert status(path) == status(path, authorization=basic("wrong")) == 401
        assert status(path, authorization=basic("correct horse")) == 200


FILE = {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}


@pytest.mark.parametrize(
    "body",
    [
        {"data": [FILE]}, {"data": [[[FILE]]]}, {"data": FILE}, {"data": [{"a": 1}]},
        {"data": [], "event_data": [FILE]}, {"data": [], "event_data": {"do": FILE}},
        {"data": [], "event_data": {"do": [FILE]}}, {"visit": FILE}, FILE,
        [FILE], "text", None, {"data": [{"path": "x", "meta": 5}]},
    ],
)  # fmt: skip
def test_nothing_in_a_body_can_pass_for_a_file(body: Any, tmp_path: Path) -> None:
    assert post(tmp_path, json.dumps(body).encode()) == 400


@pytest.mark.parametrize("body", [b"[" * 100_000, b"{", b"\xff", b'{"data": [' + b"[" * 100_000])
def test_a_body_that_is_no_json_is_refused(body: bytes, tmp_path: Path) -> None:
    assert post(tmp_path, body) == 400


@pytest.mark.parametrize(
    "body", [{"data": ["a", 1, None, True, [1]]}, {"data": [], "event_data": {"do": "wish", "at": 1}, "fn_index": 3}]
)
def test_texts_numbers_and_events_go_on_whole(body: Any, tmp_path: Path) -> None:
    assert post(tmp_path, json.dumps(body).encode()) == 200


def post(tmp_path: Path, body: bytes) -> int:
    return ask(tmp_path, "/gradio_api/call/look", chunks=(body[:7], body[7:]), method="POST")[0]


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
