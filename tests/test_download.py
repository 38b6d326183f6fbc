from __future__ import annotations

import hashlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from textmorph import download
from textmorph.errors import DownloadError, OfflineError, OptionError, OutputError

CONTENT = bytes(range(256)) * 2000
HASH = hashlib.sha256(CONTENT).hexdigest()


class _Server(ThreadingHTTPServer):
    requests: list[str]


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        if self.path.startswith("/missing"):
            self.send_error(404)
            return
        self.send_response(200)
        if not self.path.startswith("/unsized"):
            self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[:1000] if self.path.startswith("/broken") else CONTENT)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Server]:
    for name in ("HF_HUB_OFFLINE", "TEXTMORPH_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = _Server(("127.0.0.1", 0), _Handler)
    server.requests = []
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def url(server: _Server, path: str) -> str:
    return f"http://127.0.0.1:{server.server_port}{path}"


def kept() -> list[Path]:
    folder = download.cache_folder()
    return sorted(folder.iterdir()) if folder.exists() else []


def test_a_file_is_fetched_once_and_then_taken_from_the_cache(server: _Server) -> None:
    first = download.fetch(url(server, "/net.pkl"), sha256=HASH)
    second = download.fetch(url(server, "/net.pkl"), sha256=HASH.upper())
    assert first == second
    assert first.read_bytes() == CONTENT
    assert server.requests == ["/net.pkl"]
    assert kept() == [first]


def test_what_is_kept_serves_without_the_network(server: _Server, monkeypatch: pytest.MonkeyPatch) -> None:
    path = download.fetch(url(server, "/net.pkl"), sha256=HASH)
    monkeypatch.setenv("TEXTMORPH_OFFLINE", "1")
    assert download.fetch(url(server, "/net.pkl"), sha256=HASH) == path
    assert len(server.requests) == 1


@pytest.mark.parametrize("name", ["TEXTMORPH_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_asks_no_server(server: _Server, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.raises(OfflineError, match="switched off"):
        download.fetch(url(server, "/net.pkl"), sha256=HASH)
    assert server.requests == []


@pytest.mark.parametrize(("value", "off"), [("1", True), ("true", True), ("ON", True), ("0", False), ("", False)])
def test_the_switch_reads_the_usual_words(monkeypatch: pytest.MonkeyPatch, value: str, off: bool) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("TEXTMORPH_OFFLINE", value)
    assert download.is_offline() is off


def test_a_file_with_another_hash_is_refused_and_not_kept(server: _Server) -> None:
    with pytest.raises(DownloadError, match=f"has SHA-256 {HASH}, expected {'0' * 64}"):
        download.fetch(url(server, "/net.pkl"), sha256="0" * 64)
    assert kept() == []


def test_a_broken_connection_is_named_and_leaves_nothing(server: _Server) -> None:
    with pytest.raises(DownloadError, match=rf"broke off after 1000 of {len(CONTENT)} bytes"):
        download.fetch(url(server, "/broken.pkl"), sha256=HASH)
    assert kept() == []


def test_a_missing_file_gives_the_answer_of_the_server(server: _Server) -> None:
    with pytest.raises(DownloadError, match="answered 404"):
        download.fetch(url(server, "/missing.pkl"), sha256=HASH)
    assert kept() == []


def test_a_server_that_is_not_there_is_an_error_of_ours(server: _Server) -> None:
    with pytest.raises(DownloadError, match="could not be fetched"):
        download.fetch("http://127.0.0.1:1/net.pkl", sha256=HASH)


def test_progress_ends_at_the_whole(server: _Server) -> None:
    calls: list[tuple[int, int | None]] = []
    download.fetch(url(server, "/net.pkl"), sha256=HASH, progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (len(CONTENT), len(CONTENT))
    assert calls == sorted(calls)


def test_progress_without_a_length_has_no_total(server: _Server) -> None:
    calls: list[tuple[int, int | None]] = []
    download.fetch(url(server, "/unsized"), sha256=HASH, progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (len(CONTENT), None)


def test_stopping_in_the_middle_leaves_nothing(server: _Server) -> None:
    def stop(done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download.fetch(url(server, "/net.pkl"), sha256=HASH, progress=stop)
    assert kept() == []


def test_a_cache_that_cannot_be_made_is_said(server: _Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("TEXTMORPH_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(OutputError, match="cache folder"):
        download.fetch(url(server, "/net.pkl"), sha256=HASH)


@pytest.mark.parametrize(
    "last", ["..%2F..%2Fetc%2Fpasswd", "a%00b", "..", "", "x" * 400, "name with spaces?query=1#part"]
)
def test_no_address_leads_out_of_the_cache(server: _Server, last: str) -> None:
    path = download.fetch(url(server, f"/{last.replace(' ', '%20')}"), sha256=HASH)
    assert path.parent == download.cache_folder()
    assert path.name.startswith(HASH[:16])


@pytest.mark.parametrize("address", ["file:///etc/hostname", "ftp://host/file", "net.pkl", ""])
def test_only_the_web_is_fetched(address: str) -> None:
    with pytest.raises(OptionError, match="http and https"):
        download.fetch(address, sha256=HASH)


@pytest.mark.parametrize("sha256", ["", "abc", "g" * 64])
def test_a_hash_is_needed(sha256: str) -> None:
    with pytest.raises(OptionError, match="64 hexadecimal digits"):
        download.fetch("http://127.0.0.1:1/net.pkl", sha256=sha256)


def test_a_hub_name_that_was_not_downloaded_is_an_offline_error() -> None:
    with pytest.raises(OfflineError, match="not downloaded before"):
        download.fetch_hub("textmorph/no-such-model")  # conftest switches the network off


def test_a_hub_name_that_is_no_name_is_refused() -> None:
    with pytest.raises(DownloadError, match="neither a folder nor a name"):
        download.fetch_hub("/not a name/at all/")


def test_the_cache_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TEXTMORPH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert download.cache_folder() == tmp_path / "textmorph"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert download.cache_folder() == Path.home() / ".cache" / "textmorph"
