"""What can be kept and found again: a state file, a link, the gallery."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from .studio_page import PATIENCE, StudioPage, difference

pytestmark = pytest.mark.browser


def make_something(studio: StudioPage, sample: str = "portrait-1") -> None:
    with studio.redrawn():
        studio.find(f'#samples button[data-sample="{sample}"]').click()
    studio.wish("a person with purple hair")
    studio.wish("a person with glasses")


def test_a_state_file_brings_picture_and_wishes_back(studio: StudioPage, tmp_path: Path) -> None:
    make_something(studio)
    shown, values = studio.shown(), strengths(studio)
    path = tmp_path / "state.json"
    studio.download("#save-state").save_as(path)
    assert path.stat().st_size > 100

    studio.sample("portrait-4")
    assert difference(studio.shown(), shown) > 5
    with studio.redrawn():
        studio.upload(path, hook="#state-file")
    assert difference(studio.shown(), shown) <= 1
    assert strengths(studio) == values


def test_a_link_reopens_the_same_picture_and_wishes_for_whoever_holds_it(
    studio: StudioPage, other_studio: StudioPage
) -> None:
    make_something(studio, "portrait-2")
    shown, values = studio.shown(), strengths(studio)
    link = make_link(studio)
    studio.picture("kept-link")
    assert link.startswith(studio.url)
    assert len(link.partition("#open=")[2]) >= 20  # a token nobody guesses

    other_studio.page.goto("about:blank")
    other_studio.go(link)
    other_studio.wait_redrawn(0)
    assert difference(other_studio.shown(), shown) <= 1
    assert strengths(other_studio) == values
    with other_studio.redrawn():  # a copy: what they do stays theirs
        other_studio.row().locator("button.delete").click()
    assert studio.find("#rows li.row").count() == 2
    assert difference(studio.shown(), shown) == 0


def test_a_link_that_never_was_says_so(studio: StudioPage) -> None:
    studio.page.goto("about:blank")
    studio.go(f"{studio.url}#open={'x' * 32}")
    said = studio.wait_note("link")
    assert "expired" in said
    assert not studio.is_open
    studio.surprise()


def test_an_expired_link_says_so(studio: StudioPage, studio_folder: Path) -> None:
    studio.surprise()
    link = make_link(studio)
    yesterday = time.time() - 25 * 3600
    for path in (studio_folder / "links").iterdir():
        os.utime(path, (yesterday, yesterday))
    reopened = StudioPage.open(studio.page.context, studio.url, address=link)
    assert "link has expired" in reopened.wait_note("expire")
    assert not reopened.is_open
    reopened.picture("kept-expired")
    reopened.close()
    studio.surprise()  # the visit itself goes on


def test_the_gallery_keeps_what_was_made(studio: StudioPage) -> None:
    make_something(studio)
    shown = studio.shown()
    studio.find("#keep").click()
    item = studio.find("#gallery button[data-item]").first
    item.wait_for(timeout=PATIENCE)
    with studio.redrawn():  # or its picture may be taken for that of the item
        studio.find("#undo").click()
    with studio.redrawn():
        item.click()
    assert difference(studio.shown(), shown) <= 1
    studio.picture("kept-gallery")


def make_link(studio: StudioPage) -> str:
    studio.find("#make-link").click()
    studio.page.wait_for_function("document.querySelector('#link-field').value.includes('#open=')", timeout=PATIENCE)
    return studio.find("#link-field").input_value()


def strengths(studio: StudioPage) -> list[str]:
    return [row.locator("input.strength").input_value() for row in studio.find("#rows li.row").all()]
