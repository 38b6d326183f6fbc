"""A studio with two domains: the menu fits, and whoever only passes it keeps what is on the table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from benchmarks.studio_server import StudioServer

from ..web.conftest import write_studio_domain
from .focus import tab_stops
from .studio_page import StudioPage

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser


@pytest.fixture
def two(browser: Browser, tmp_path: Path) -> Iterator[StudioPage]:
    other = write_studio_domain(tmp_path / "patches")
    words = ["--folder", str(tmp_path / "studio"), "--domain", "portraits", "--domain", str(other)]
    with StudioServer(words, environment={"OMP_NUM_THREADS": "1"}) as server:
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        context.set_default_timeout(60_000)
        studio = StudioPage.open(context, server.url)
        yield studio
        studio.close()
        context.close()


def test_the_menu_can_be_passed_by_used_and_fits_a_phone(two: StudioPage) -> None:
    for stop in tab_stops(two.page, limit=5):
        if "domain" in stop.names:
            break
    else:
        raise AssertionError("Tab does not reach the menu")
    two.page.keyboard.press("Tab")
    two.page.wait_for_timeout(500)
    assert not two.find("[role=option]:visible").count(), "the menu stays open behind whoever passes it"
    two.sample("portrait-1")
    assert two.is_open

    two.page.set_viewport_size({"width": 390, "height": 844})
    two.page.wait_for_timeout(500)
    two.picture("phone-two-domains")
    menu, title, light = (two.find(name).first.bounding_box() for name in ("#domain", ".brand", "#light"))
    assert menu is not None
    assert title is not None
    assert light is not None
    assert menu["y"] >= max(title["y"] + title["height"], light["y"] + light["height"]), "the menu covers the title"
    assert menu["x"] + menu["width"] <= 390

    two.find("#domain input").first.click()
    with two.redrawn():
        two.find("[role=option]").last.click()
    assert two.find("#domain input").first.input_value() == "patches"
    two.picture("phone-other-domain")


def test_the_camera_takes_a_picture_or_says_that_there_is_none(two: StudioPage) -> None:
    two.find("#camera").click()
    said = two.wait_note("no camera|was not allowed")
    two.picture("camera-none")
    assert "camera" in said
