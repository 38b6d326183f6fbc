"""The way most visitors go: a picture, a wish, the slider, a step back, the picture to take home."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from benchmarks.studio_server import StudioServer
from textmorph.editing.record import read_record

from .studio_page import StudioPage, difference

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

pytestmark = pytest.mark.browser

PURPLE = "a person with purple hair"


def test_a_picture_is_wished_dragged_undone_and_taken_home(studio: StudioPage, sample: Path, tmp_path: Path) -> None:
    with studio.redrawn():
        studio.upload(sample)
    assert studio.is_open
    start, photo = studio.shown("after"), np.asarray(Image.open(sample).convert("RGB"))
    assert difference(start, studio.shown("before")) < 1  # no wish yet: before and after are one
    assert difference(small(photo), small(studio.shown("photo"))) < 4  # the photo itself, not its reconstruction
    studio.picture("journey-1-open")

    studio.wish(PURPLE)
    wished, wished_seen = studio.shown(), studio.seen("#stage")
    assert difference(wished, start) > 1
    assert studio.find("#rows li.row").count() == 1
    assert PURPLE in studio.row().inner_text()
    studio.picture("journey-2-wish")

    strength = studio.row().locator("input.strength")
    before = strength.input_value()
    with studio.redrawn():
        studio.drag(strength, 0.95, watch=".studio-stage[data-quality=preview]")
    dragged = studio.shown()
    assert float(strength.input_value()) > float(before)
    assert difference(dragged, wished) > 1
    assert difference(studio.seen("#stage"), wished_seen) > 0.5  # on the screen too, not in the attribute alone
    with studio.redrawn():
        studio.drag(studio.row().locator("input.strength"), 0.05)
    assert difference(studio.shown(), dragged) > 3  # both ways
    studio.picture("journey-3-slider")

    studio.press("#undo")
    assert difference(studio.shown(), dragged) == 0
    studio.press("#undo")
    assert difference(studio.shown(), wished) == 0
    studio.press("#redo")
    assert difference(studio.shown(), dragged) == 0

    path = tmp_path / "mine.png"
    studio.download("#download-picture").save_as(path)
    with Image.open(path) as picture:
        picture.verify()
    assert difference(np.asarray(Image.open(path).convert("RGB")), dragged) == 0
    (told,) = read_record(path)["edits"]
    assert told["prompt"] == PURPLE

    again = tmp_path / "again.png"
    done = subprocess.run(
        [sys.executable, "-m", "textmorph.cli", "replay", str(path), "--out", str(again)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert difference(np.asarray(Image.open(again).convert("RGB")), dragged) == 0

    studio.press("#reset")
    assert studio.find("#rows li.row").count() == 0
    assert difference(studio.shown(), start) == 0


def test_an_impatient_visitor_s_picture_opens_too(
    first_visitor: BrowserContext, server: StudioServer, sample: Path
) -> None:
    page = StudioPage.open(first_visitor, server.url, patient=False)
    with page.redrawn():
        page.upload(sample)  # before the server has let anyone in
    assert page.is_open
    assert page.find(".drop-word").inner_text() == ""
    page.close()


def test_wishes_add_up_and_each_can_be_switched_off_and_deleted(studio: StudioPage) -> None:
    studio.sample("portrait-2")
    start = studio.shown()
    studio.wish(PURPLE)
    hair = studio.shown()
    studio.wish("a person with glasses")
    both = studio.shown()
    assert studio.find("#rows li.row").count() == 2
    assert difference(both, hair) > 0.3
    studio.picture("wishes-two-rows")

    with studio.redrawn():
        studio.row(0).locator("input.on").click()
    glasses = studio.shown()
    assert difference(glasses, both) > 0.3
    with studio.redrawn():
        studio.row(0).locator("input.on").click()
    assert difference(studio.shown(), both) == 0
    with studio.redrawn():
        studio.row(1).locator("button.delete").click()
    assert studio.find("#rows li.row").count() == 1
    assert difference(studio.shown(), hair) == 0
    with studio.redrawn():
        studio.row(0).locator("button.delete").click()
    assert difference(studio.shown(), start) == 0


def test_fewer_or_more_channels_change_the_picture(studio: StudioPage) -> None:
    studio.sample("portrait-1")
    studio.wish("an old person")  # a straight step: the old agree on too little
    wished = studio.shown()
    with studio.redrawn():
        studio.drag(studio.row().locator("input.channels"), 0.98)
    assert difference(studio.shown(), wished) > 0


def test_every_release_of_a_slider_is_answered(studio: StudioPage) -> None:
    """Of ten, some fall in the moment in which Gradio ends its stream of answers: see `studioHear` in head.js."""
    studio.sample("portrait-1")
    studio.wish(PURPLE)
    for number in range(10):
        studio.page.wait_for_timeout(15 * (number % 7))
        with studio.redrawn():
            studio.drag(studio.row().locator("input.strength"), 0.9 if number % 2 else 0.3)


def test_the_wipe_shows_more_or_less_of_the_picture_before(studio: StudioPage) -> None:
    studio.sample("portrait-1")
    studio.wish(PURPLE)
    wipe = studio.find("#wipe")
    looks = []
    for key in ("Home", "End"):
        wipe.focus()
        studio.page.keyboard.press(key)
        studio.page.wait_for_timeout(300)
        looks.append(studio.seen("#stage"))
    assert difference(*looks) > 1


def small(image: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(image).resize((64, 64), Image.Resampling.BOX))
