"""The hub's client against a small hub on this machine."""

from __future__ import annotations

import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from tests.embedders.tiny_clip import write_tiny_clip
from textmorph.embedders import load_embedder
from textmorph.embedders.hub import find_folder
from textmorph.errors import DownloadError, OfflineError, UnknownCheckpointError

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """Serves folders as models and remembers what was asked for."""

    def __init__(self) -> None:
        self.models: dict[str, Path] = {}
        self.files: list[str] = []
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def _handler(hub) -> type[http.server.BaseHTTPRequestHandler]:  # noqa: N805, RUF100
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = self.path.partition("?")[0].strip("/")
                for name, folder in hub.models.items():
                    if path.startswith(f"api/models/{name}/tree/"):
                        return self.answer(json.dumps(listing(folder)).encode())
                    if path.startswith(f"api/models/{name}"):
                        siblings = [{"rfilename": file["path"]} for file in listing(folder)]
                        about = {"id": name, "modelId": name, "sha": COMMIT, "siblings": siblings, "tags": []}
                        return self.answer(json.dumps(about).encode())
                    if path.startswith(f"{name}/resolve/"):
                        file = path.rpartition("/")[2]
                        if (folder / file).exists():
                            if self.command == "GET":
                                hub.files.append(file)
                            return self.answer((folder / file).read_bytes())
                return self.answer(b"{}", 404, {"X-Error-Code": "RepoNotFound"})

            do_HEAD = do_GET

            def answer(self, body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> None:
                self.send_response(status)
                common = {
                    "Content-Length": str(len(body)),
                    "X-Repo-Commit": COMMIT,
                    "ETag": f'"{hashlib.sha1(body).hexdigest()}"',
                }
                for key, value in {**common, **(headers or {})}.items():
                    self.send_header(key, value)
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        return Handler


def listing(folder: Path) -> list[dict[str, object]]:
    return [
        {"type": "file", "path": file.name, "size": file.stat().st_size, "oid": COMMIT} for file in folder.iterdir()
    ]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    hub = Hub()
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    files = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", files)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    yield hub
    hub.server.shutdown()
    hub.server.server_close()


def test_a_model_is_fetched_once_without_its_scripts(hub: Hub, tmp_path: Path):
    folder = write_tiny_clip(tmp_path / "clip")
    (folder / "modeling.py").write_text("raise SystemExit")
    (folder / "pytorch_model.bin").write_bytes(b"not needed")
    hub.models["someone/clip"] = folder
    embedder = load_embedder("someone/clip")
    assert embedder.fingerprint == load_embedder(folder).fingerprint
    fetched = [
        "config.json",
        "model.safetensors",
        "preprocessor_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    assert sorted(hub.files) == fetched
    load_embedder("someone/clip")
    assert sorted(hub.files) == fetched


def test_pickled_weights_are_fetched_where_there_is_nothing_else(hub: Hub, tmp_path: Path):
    hub.models["someone/old"] = write_tiny_clip(tmp_path / "old", safe=False)
    assert load_embedder("someone/old").dim == 16
    assert "pytorch_model.bin" in hub.files


def test_a_cached_model_needs_no_network(hub: Hub, tmp_path: Path):
    hub.models["someone/clip"] = write_tiny_clip(tmp_path / "clip")
    with pytest.raises(OfflineError, match="network is switched off"):
        find_folder("someone/clip", offline=True)
    online = find_folder("someone/clip")
    hub.files.clear()
    assert find_folder("someone/clip", offline=True) == online
    assert not hub.files


def test_an_unreachable_hub_is_said_to_be_so(hub: Hub, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # the discard port: nobody listens
    with pytest.raises(DownloadError, match="could not be fetched"):
        find_folder("someone/clip")


def test_a_model_that_is_not_there_is_refused(hub: Hub, tmp_path: Path):
    with pytest.raises(DownloadError, match="no model someone/nothing"):
        find_folder("someone/nothing")
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "config.json").write_text("{}")
    hub.models["someone/empty"] = empty
    with pytest.raises(UnknownCheckpointError, match="no weights"):
        find_folder("someone/empty")
