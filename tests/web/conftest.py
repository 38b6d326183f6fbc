"""A studio over the toy domain, and pictures as a browser sends them."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path

import pytest

from textmorph.editing.editor import Editor
from textmorph.images import to_pil, write_image
from textmorph.web.settings import Settings
from textmorph.web.shelf import Shelf
from textmorph.web.studio import Studio
from textmorph.web.visits import Visit

from ..toy_domain import write_toy_domain
from ..toys import toy_image


def picture_bytes(seed: int = 0, *, size: int = 24, format: str = "PNG") -> bytes:
    """A picture file."""
    buffer = io.BytesIO()
    to_pil(toy_image(size, seed=seed)).save(buffer, format)
    return buffer.getvalue()


def base64_of(content: bytes) -> str:
    return base64.b64encode(content).decode()


def write_studio_domain(folder: Path) -> Path:
    """The toy domain, with samples."""
    write_toy_domain(folder, entries="[strength]\nnum_channels = [4, 10]\nstrengths = [1.0, 2.0, 4.0]\n")
    (folder / "samples").mkdir()
    for seed in (0, 1):
        write_image(toy_image(24, seed=seed), folder / "samples" / f"sample-{seed + 1}.png")
    return folder


@pytest.fixture(scope="session")
def domain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_studio_domain(tmp_path_factory.mktemp("web") / "toy")


@pytest.fixture(scope="session")
def editor(domain: Path) -> Editor:
    return Editor.from_pretrained(domain, device="cpu")


@pytest.fixture(scope="session")
def shelf(editor: Editor) -> Shelf:
    shelf = Shelf([editor])
    shelf.editor("toy")
    return shelf


@pytest.fixture
def make_studio(shelf: Shelf, tmp_path: Path) -> Callable[..., Studio]:
    def make(**values: object) -> Studio:
        return Studio(shelf, Settings(root=tmp_path / "studio", **values))  # type: ignore[arg-type]

    return make


@pytest.fixture
def studio(make_studio: Callable[..., Studio]) -> Studio:
    return make_studio(optimize_steps=4)


@pytest.fixture
def visit(studio: Studio) -> Visit:
    """A visitor with a picture."""
    visit = studio.visits.start()
    studio.open(visit, picture_bytes())
    return visit
