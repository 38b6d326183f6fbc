"""The studio as a server: the page and the visitors' files, behind the guard, on one address."""

from __future__ import annotations

import signal
import socket
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
import uvicorn
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from ..errors import InputError, OutputError, TextmorphError
from .guard import Guard
from .handlers import Handlers
from .page import asset, build_page, theme
from .settings import Settings
from .shelf import Shelf
from .studio import Studio
from .visits import FILE_NAME, KEY, sweeping

if TYPE_CHECKING:
    from ..editing.editor import Editor

TYPES = {
    ".png": "image/png",
    ".mp4": "video/mp4",
    ".gif": "image/gif",
    ".json": "application/json",
    ".safetensors": "application/octet-stream",
    ".pt": "application/octet-stream",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Built:
    """A studio ready to be served: its actions, its page, and the whole as an ASGI app."""

    studio: Studio
    handlers: Handlers
    page: gr.Blocks
    app: Any
    settings: Settings


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where a studio listens."""

    url: str
    host: str
    port: int


def build_studio(
    domains: str | Path | Editor | Sequence[str | Path | Editor] = "portraits",
    settings: Settings | None = None,
    *,
    device: str | None = None,
) -> Built:
    """Build the studio for one domain or several; networks are loaded when the first visitor comes.

    Args:
        domains: names or folders of domains, or editors; the first is where visitors begin.
        settings: None takes the safe ones.
        device: for the networks; None takes a GPU where there is one.

    Raises:
        DomainError: no such domain.
        OutputError: the visitors' folder cannot be made.
    """
    settings = settings or Settings()
    several: Sequence[Any] = domains if isinstance(domains, list | tuple) else [domains]
    shelf = Shelf(several, device=device, preview_seconds=settings.preview_seconds)
    studio = Studio(shelf, settings)
    handlers = Handlers(studio)
    page = build_page(handlers)
    page.queue(default_concurrency_limit=None, max_size=None, status_update_rate=5)
    app = FastAPI(
        docs_url=None, redoc_url=None, openapi_url=None, routes=[Route("/files/{key}/{name}", _files(studio))]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Gradio, about itself
        gr.mount_gradio_app(
            app, page, path="/", server_name=settings.host, server_port=settings.port, footer_links=[],
            run_history=False, show_error=True, max_file_size=1, ssr_mode=False, enable_monitoring=False, pwa=False,
            mcp_server=False, allowed_paths=[], blocked_paths=["/"], theme=theme(),
            head=_head(),
        )  # fmt: skip
    _close_file_handling(page, settings.root)
    return Built(studio=studio, handlers=handlers, page=page, app=Guard(app, settings), settings=settings)


def _close_file_handling(page: gr.Blocks, root: Path) -> None:
    """Let Gradio touch no file on behalf of an argument, even if the guard let one through.

    Its own allow-list holds only where `has_launched` is true, which mounting does not set; with `blocked_paths` of "/"
    it then refuses every path. And where it would keep copies stands a file, in which no folder can be made: the bound
    of what lies there is zero bytes, and there is nothing to sweep.
    """
    page.has_launched = True
    nowhere = root / "no-copies"
    try:
        nowhere.touch(mode=0o600)
    except OSError as error:
        raise OutputError(f"cannot write {nowhere}: {error.strerror or error}") from error
    for block in page.blocks.values():
        block.GRADIO_CACHE = str(nowhere / "gradio")
    page.GRADIO_CACHE = str(nowhere / "gradio")


def _head() -> str:
    """Style and first script, as they are: Gradio would put a prefix before every rule of a style that it is given."""
    style, script = asset("style.css"), asset("head.js")
    return f'<meta name="referrer" content="no-referrer"><style>{style}</style><script>{script}</script>'


def _files(studio: Studio) -> Any:
    """The route of the visitors' files: the key opens one visitor's own, and no others."""

    async def files(request: Request) -> Response:
        key, name = request.path_params["key"], request.path_params["name"]
        try:
            if not KEY.fullmatch(key) or not FILE_NAME.fullmatch(name):
                raise InputError("there is no such file")
            path = studio.visits.file(key, name)
        except TextmorphError as error:
            return PlainTextResponse(str(error), status_code=404)
        return FileResponse(path, media_type=TYPES[path.suffix], filename=f"textmorph-{name}")

    return files


@contextmanager
def launch(built: Built, *, port: int | None = None) -> Iterator[Address]:
    """Serve in a thread until the block ends.

    Args:
        port: None takes that of the settings; 0 a free one.
    """
    with closing(_listen(built.settings, port)) as listener, sweeping(built.studio.visits):
        server = _server(built)
        thread = threading.Thread(
            target=server.run, kwargs={"sockets": [listener]}, name="textmorph-studio", daemon=True
        )
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        try:
            yield _address(built.settings, listener)
        finally:
            server.should_exit = server.force_exit = True
            thread.join(timeout=10)


def serve(built: Built, *, ready: Any = None) -> None:
    """Serve in this thread until it is interrupted.

    Visitors' folders are removed at the end. For the main thread: it takes SIGTERM for itself.

    Args:
        ready: called with the address once it listens.
    """
    with _ending(), closing(_listen(built.settings, None)) as listener, sweeping(built.studio.visits):
        if ready is not None:
            ready(_address(built.settings, listener))
        _server(built).run(sockets=[listener])


@contextmanager
def _ending() -> Iterator[None]:
    """End the block as it should when the process is told to end (SIGTERM), and only then the process.

    uvicorn stops serving at that signal, and sends it again once it has; by default that would end the process before
    the visitors' folders are removed.
    """

    def end(number: int, frame: Any) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _server(built: Built) -> uvicorn.Server:
    # No access log: keys are in addresses. The headers tell nothing of the server.
    config = uvicorn.Config(
        built.app, log_level="error", access_log=False, server_header=False, timeout_graceful_shutdown=2
    )
    return uvicorn.Server(config)


def _listen(settings: Settings, port: int | None) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    wanted = settings.port if port is None else port
    try:
        listener.bind((settings.host, wanted))
    except OSError as error:
        listener.close()
        raise InputError(f"cannot listen on {settings.host}:{wanted}: {error.strerror or error}") from error
    listener.listen(128)
    return listener


def _address(settings: Settings, listener: socket.socket) -> Address:
    port = listener.getsockname()[1]
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return Address(url=f"http://{host}:{port}/", host=settings.host, port=port)
