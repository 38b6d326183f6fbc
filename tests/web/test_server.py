"""The whole studio on a loopback port: programs, files, and everything that must stay closed."""

from __future__ import annotations

import asyncio
import base64
import gc
import io
import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urljoin
from urllib.request import Request, urlopen

import pytest
import torch
from gradio_client import Client
from gradio_client.exceptions import AppError

from textmorph.editing.editor import Editor
from textmorph.editing.record import KEY as RECORD
from textmorph.errors import InputError, OptionError
from textmorph.images import read_image, read_text
from textmorph.methods.global_direction import GlobalDirection
from textmorph.web import Settings, build_studio, launch
from textmorph.web.handlers import UNEXPECTED
from textmorph.web.page import ASSETS, asset
from textmorph.web.server import Built

from .conftest import base64_of, picture_bytes

pytestmark = pytest.mark.filterwarnings("ignore")  # those of Gradio, its client and what they stand on


@pytest.fixture(scope="module", autouse=True)
def _tidy() -> Iterator[None]:
    """Gradio leaves an event loop open in this thread: close it, and collect the rest where warnings do not count."""
    yield
    with suppress(RuntimeError):  # newer Pythons: there is none
        asyncio.get_event_loop_policy().get_event_loop().close()
    asyncio.set_event_loop(None)
    gc.collect()


@pytest.fixture(scope="module")
def built(domain: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    root = tmp_path_factory.mktemp("served") / "studio"
    return build_studio([domain], Settings(root=root, optimize_steps=3, max_upload_bytes=1 << 20), device="cpu")


@pytest.fixture(scope="module")
def url(built: Built) -> Iterator[str]:
    with launch(built, port=0) as address:
        yield address.url


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[Client]:
    client = Client(url, verbose=False)
    yield client
    client.close()


def ask(client: Client, endpoint: str, *arguments: Any, **values: Any) -> dict[str, Any]:
    answer: dict[str, Any] = client.predict(*arguments, **values, api_name=f"/{endpoint}")
    return answer


def start(client: Client, seed: int = 0) -> str:
    key = str(ask(client, "start")["visit"])
    ask(client, "open", key, base64_of(picture_bytes(seed)))
    return key


def fetch(url: str, path: str, **headers: str) -> bytes:
    content: bytes = urlopen(Request(urljoin(url, path), headers=headers), timeout=30).read()
    return content


def status(url: str, path: str, **headers: str) -> int:
    try:
        fetch(url, path, **headers)
    except HTTPError as error:
        return error.code
    return 200


def shown(view: dict[str, Any]) -> torch.Tensor:
    return read_image(base64.b64decode(view["image"].partition(",")[2]))


def test_a_program_makes_wishes_changes_them_and_takes_the_picture_home(client: Client, url: str) -> None:
    key = start(client)
    view = ask(client, "wish", key, "a red face")
    (wish,) = view["wishes"]
    assert wish["reason"]
    changed = ask(client, "change", key, wish["row"], strength=-3.0)
    assert changed["image"] != view["image"]
    assert ask(client, "undo", key)["image"] == view["image"]
    assert ask(client, "redo", key)["image"] == changed["image"]
    assert ask(client, "preview", key, wish["row"], 1.0)["image"].startswith("data:image/webp")
    file = ask(client, "download", key, "picture")
    content = fetch(url, file["url"])
    assert len(content) == file["bytes"]
    assert torch.equal(read_image(content), shown(changed))
    assert json.loads(read_text(content)[RECORD])["edits"][0]["prompt"] == "a red face"


def test_it_is_the_picture_that_the_editor_makes(client: Client, editor: Editor) -> None:
    key = start(client)
    view = ask(client, "wish", key, "a red face", strength=2.0, num_channels=4)
    photo = editor.open(picture_bytes()).image
    expected = editor.edit(photo, "a red face", strength=2.0, method=GlobalDirection(num_channels=4)).image
    torch.testing.assert_close(shown(view), expected, atol=2.5 / 255, rtol=0)  # the photo was rounded to 8 bits


def test_optimisation_states_links_and_the_gallery(client: Client, url: str) -> None:
    key = start(client)
    view = ask(client, "wish", key, "a smile", method="optimize")
    assert view["wishes"][0]["method"] == "optimize"
    state = fetch(url, ask(client, "download", key, "state")["url"]).decode()
    assert ask(client, "restore", start(client, 1), state)["image"] == view["image"]
    link = ask(client, "link", key)
    assert link["address"] == f"/#open={link['token']}"
    copy = ask(client, "reopen", link["token"])
    assert copy["image"] == view["image"]
    assert copy["visit"] != key
    assert ask(client, "keep", key)["items"][0]["title"] == "a smile"
    assert ask(client, "suggest", key)["suggestions"]
    assert ask(client, "domain", key, "toy")["domain"] == "toy"
    with pytest.raises(AppError, match="not offered"):
        ask(client, "domain", key, "/etc")


def test_six_visitors_at_once_each_get_their_own(url: str, client: Client) -> None:
    alone = {seed: ask(client, "look", start(client, seed))["image"] for seed in range(4)}

    def visit(number: int) -> bool:
        own = Client(url, verbose=False)
        view = ask(own, "open", ask(own, "start")["visit"], base64_of(picture_bytes(number % 4)))
        own.close()
        return bool(view["image"] == alone[number % 4])

    assert len(set(alone.values())) == 4
    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(visit, range(6)))


def test_refusals_are_sentences_and_tell_nothing_of_the_machine(client: Client, built: Built) -> None:
    key = start(client)
    for endpoint, arguments, words in [
        ("look", ("x" * 43,), "over"),
        ("look", ("../../etc/passwd",), "over"),
        ("open", (key, base64_of(b"<svg onload=alert(1)>")), "not a picture"),
        ("open", (key, "A" * (2 << 20)), "too large"),
        ("sample", (key, "../../../etc/passwd"), "no such sample"),
        ("wish", (key, "a hat", "../x"), "no method"),
        ("wish", (key, ""), "empty"),
        ("change", (key, 99, 1.0), "no longer"),
        ("download", (key, "../../etc/passwd"), "there is:"),
        ("reopen", ("../../etc/passwd",), "expired"),
        ("restore", (key, "{}"), "no state file"),
        ("add_edit", (key, "/etc/passwd", base64_of(b"x")), ""),
    ]:
        with pytest.raises(AppError, match=f"(?i){words}") as refused:
            ask(client, endpoint, *arguments)
        assert str(built.settings.root) not in str(refused.value)
        assert "Traceback" not in str(refused.value)
    for strength in ("3", True, [1]):
        with pytest.raises(AppError):
            ask(client, "preview", key, 1, strength)


@pytest.mark.parametrize("value", [None, [], ["a"], [[1]], True, 1.5, -1, 10**30, "x"], ids=str)
def test_odd_values_for_any_argument_are_refused_in_a_sentence_of_ours(client: Client, value: Any) -> None:
    key = start(client)
    refusals = []
    for endpoint, arguments in ARGUMENTS.items():
        for place in range(len(arguments) + 1):
            odd = [value if index == place else argument for index, argument in enumerate([key, *arguments])]
            try:
                ask(client, endpoint, *odd)
            except AppError as error:
                refusals.append(str(error))
        assert ask(client, "look", key)["visit"] == key
    assert refusals
    assert not [words for words in refusals if UNEXPECTED in words or "Traceback" in words or "\n" in words]


ARGUMENTS: dict[str, list[Any]] = {
    "open": ["x"], "sample": ["x"], "surprise": [1], "wish": ["a hat", "global", 1.0, 4], "add_edit": ["x", "eA=="],
    "change": [1, 1.0, 4, True], "preview": [1, 1.0, 4], "remove": [1], "sheet": [1], "download": ["latent", 1],
    "restore": ["{}"], "domain": ["toy"],
}  # fmt: skip


def test_a_wish_stays_text(client: Client) -> None:
    key = start(client)
    for words in ("smile <img", "../etc smile"):
        view = ask(client, "wish", key, words, strength=1.0)
        assert view["wishes"][-1]["text"] == words


def test_files_are_for_their_visitor_alone(client: Client, url: str, built: Built) -> None:
    mine, other = start(client), start(client)
    file = ask(client, "download", mine, "picture")
    assert status(url, file["url"]) == 200
    for path in (
        file["url"].replace(mine, other), file["url"].replace(mine, "x" * 43), f"/files/{mine}/latent-1.safetensors",
        f"/files/{mine}/..%2f..%2fetc%2fpasswd", f"/files/{mine}/%2e%2e/x.png",
    ):  # fmt: skip
        assert status(url, path) == 404
    folder = built.studio.visits.get(mine).folder
    for path in (f"/gradio_api/file={folder / file['name']}", f"/file={folder / file['name']}"):
        assert status(url, path) == 404


def post(url: str, path: str, body: Any) -> tuple[int, str]:
    request = Request(urljoin(url, path), json.dumps(body).encode(), headers={"Content-Type": "application/json"})
    try:
        with urlopen(request, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder where Gradio would keep files by default."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "copies"))
    return tmp_path / "copies"


@pytest.mark.parametrize("where", ["file", "fifo", "folder", "http", "missing"])
def test_no_route_takes_a_file_of_this_machine_for_an_argument(
    where: str, client: Client, url: str, built: Built, copies: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("secret")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    path = "http://127.0.0.1:9/x" if where == "http" else str(tmp_path / where)
    file = {"path": path, "meta": {"_type": "gradio.FileData"}}
    before = set(built.settings.root.rglob("*"))
    paths = {route.path for route in _routes(built.app._app) if "POST" in (getattr(route, "methods", None) or ())}
    functions = built.page.fns
    names = [str(function.api_name) for function in functions.values() if function.api_name]
    asked = [
        (route.replace("{api_name}", name), {"data": [file] * 5, "visit": file})
        for route in paths
        for name in (names if "{api_name}" in route else [""])
    ]
    asked += [
        ("/gradio_api/queue/join", {"data": data, "fn_index": index, "session_hash": "s"} | more)
        for index in functions
        for data in ([file], [[file]], [None, file])
        for more in ({}, {"event_data": file}, {"event_data": {"do": file}})
    ]
    assert len(paths) > 15
    assert len(asked) > 200
    begun = time.monotonic()
    for route, body in asked:
        code, answer = post(url, route, body)
        assert code in (400, 404), (route, code)
        assert str(tmp_path) not in answer
    assert status(url, "/robots.txt") == 200
    assert time.monotonic() - begun < 60
    assert not copies.exists()
    assert set(built.settings.root.rglob("*")) == before


def _routes(app: Any) -> Iterator[Any]:
    for route in app.routes:
        if hasattr(route, "original_router"):
            yield from _routes(route.original_router)
        elif getattr(route, "routes", None):
            yield from _routes(route)
        else:
            yield route


@pytest.mark.parametrize("where", ["file", "fifo"])
def test_gradio_refuses_files_by_itself_where_the_guard_would_let_them_through(
    where: str, domain: Path, copies: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("secret")
    os.mkfifo(tmp_path / "fifo")
    built = build_studio([domain], Settings(root=tmp_path / "studio"), device="cpu")
    with launch(replace(built, app=built.app._app), port=0) as address:
        body = {"data": [{"path": str(tmp_path / where), "meta": {"_type": "gradio.FileData"}}]}
        code, answer = post(address.url, "/gradio_api/call/look", body)
        assert code == 200
        event = json.loads(answer)["event_id"]
        assert "event: error" in fetch(address.url, f"/gradio_api/call/look/{event}").decode()
        assert status(address.url, "/robots.txt") == 200
    assert not copies.exists()
    assert not [path for path in built.settings.root.rglob("*") if "secret" in path.name or path.name == where]


def test_gradios_own_uploads_are_closed_and_nothing_lies_in_its_folder(
    client: Client, url: str, tmp_path: Path
) -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\nx\r\n--x--\r\n'
    request = Request(
        urljoin(url, "/gradio_api/upload"), data=body, headers={"Content-Type": "multipart/form-data; boundary=x"}
    )
    with pytest.raises(HTTPError, match="404"):
        urlopen(request, timeout=30)


def test_the_page_itself_comes_with_its_guard(url: str) -> None:
    with urlopen(url, timeout=30) as answer:
        page = answer.read().decode()
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert "uvicorn" not in str(answer.headers).lower()
    assert "fonts.googleapis" not in page
    assert status(url, "/", Host="evil.example") == 421
    assert status(url, "/config", Origin="http://evil.example") == 403


def test_programs_see_the_endpoints_of_the_docs_and_no_others(client: Client) -> None:
    named = {name.strip("/") for name in client.view_api(return_format="dict")["named_endpoints"]}
    told = (ASSETS.parents[3] / "docs" / "studio.md").read_text()
    assert " ".join(sorted(named)) == (
        "add_edit change domain download gallery keep link look morph open preview redo remove reopen reset restore "
        "sample sheet start stop suggest surprise undo wish"
    )
    assert all(f"`/{name}`" in told for name in named)


def test_templates_hold_no_code_that_values_could_join() -> None:
    """Gradio puts templates through Handlebars and a JavaScript template string; ours stay plain."""
    for name in ("stage.html", "files.html"):
        assert not [sign for sign in ("`", "${", "{{", "\\") if sign in asset(name)], name


def test_one_address_is_listened_on_once(built: Built, url: str) -> None:
    port = int(url.rstrip("/").rpartition(":")[2])
    with pytest.raises(InputError, match="cannot listen"), launch(built, port=port):
        pass


def test_domains_have_names_of_their_own(domain: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="different names"):
        build_studio([domain, domain], Settings(root=tmp_path))


def test_the_example_of_the_docs_runs(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ASSETS.parents[3] / "docs" / "studio.md").read_text()
    code = text.split("```python\n")[1].split("```")[0].replace("http://127.0.0.1:7860/", url)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "me.png").write_bytes(picture_bytes())
    out = io.StringIO()
    exec(compile(code, "studio.md", "exec"), {"print": lambda *words: out.write(" ".join(map(str, words)))})
    assert read_image(tmp_path / "purple.png").shape[1] == 3
    assert out.getvalue()
