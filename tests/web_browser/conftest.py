"""One server, one Chromium; a page for each test. Without a browser these tests fail and say how to get one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import textmorph
from benchmarks.studio_server import StudioServer

from .chromium import NoChromiumError, find_chromium
from .studio_page import StudioPage

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext

SAMPLES = Path(textmorph.__file__).parent / "assets/portraits/samples"

SWITCHES = ("--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--use-fake-ui-for-media-stream")
"""The last one: whoever is asked for the camera says yes."""


@pytest.fixture(scope="session")
def sample() -> Path:
    """A portrait, as a file to upload."""
    return SAMPLES / "portrait-1.png"


@pytest.fixture(scope="session")
def studio_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the server keeps visitors' files."""
    return tmp_path_factory.mktemp("studio")


@pytest.fixture(scope="session")
def server(studio_folder: Path) -> Iterator[StudioServer]:
    with StudioServer(["--folder", str(studio_folder)], environment={"OMP_NUM_THREADS": "1"}) as studio:
        yield studio


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium; without its sandbox, which needs rights that containers lack: it sees our own page only."""
    playwright = pytest.importorskip("playwright.sync_api", reason="`make test-web` installs playwright")
    program = find_chromium()
    if program is None:
        raise NoChromiumError("there is no Chromium on the path; `make test-web` installs it")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=program, args=[*SWITCHES])
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def browser_with_camera(browser: Browser) -> Iterator[Browser]:
    """Another Chromium, with a camera before which Chromium's moving test pattern stands."""
    switches = [*SWITCHES, "--use-fake-device-for-media-stream"]
    chromium = browser.browser_type.launch(executable_path=find_chromium(), args=switches)
    yield chromium
    chromium.close()


def _visitor(browser: Browser) -> BrowserContext:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    context.set_default_timeout(60_000)
    return context


@pytest.fixture(scope="session")
def first_visitor(browser: Browser) -> Iterator[BrowserContext]:
    """A browser profile: cookies and cache of one person. Kept, since a page loads many times faster from the cache."""
    context = _visitor(browser)
    yield context
    context.close()


@pytest.fixture(scope="session")
def second_visitor(browser: Browser) -> Iterator[BrowserContext]:
    context = _visitor(browser)
    yield context
    context.close()


@pytest.fixture
def studio(first_visitor: BrowserContext, server: StudioServer) -> Iterator[StudioPage]:
    """The studio, just opened by the first visitor."""
    page = StudioPage.open(first_visitor, server.url)
    yield page
    page.close()


@pytest.fixture
def other_studio(second_visitor: BrowserContext, server: StudioServer) -> Iterator[StudioPage]:
    """The studio, just opened by somebody else."""
    page = StudioPage.open(second_visitor, server.url)
    yield page
    page.close()


@pytest.fixture
def studio_with_camera(browser_with_camera: Browser, server: StudioServer) -> Iterator[StudioPage]:
    """The studio, just opened by somebody who has a camera."""
    context = _visitor(browser_with_camera)
    page = StudioPage.open(context, server.url)
    yield page
    page.close()
    context.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Keep a picture of the page where a test failed."""
    report = yield
    pages = [value for value in getattr(item, "funcargs", {}).values() if isinstance(value, StudioPage)]
    if report.when != "teardown" and report.failed:
        for number, page in enumerate(pages):
            with suppress(Exception):  # a page that hangs has no picture; the report of the test matters more
                page.picture(f"failed-{item.name}-{number}".replace("/", "-")[:120])
    return report
