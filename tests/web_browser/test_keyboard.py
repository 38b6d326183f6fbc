"""Everything by keyboard, with a focus that can be seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .focus import focused, is_marked, tab_stops
from .studio_page import StudioPage, difference

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser


def tab_to(studio: StudioPage, name: str, *, limit: int = 90) -> None:
    """Press Tab until the focus is inside the element with this id."""
    for _ in range(limit):
        stop = focused(studio.page)
        if stop is not None and name in stop.names:
            return
        studio.page.keyboard.press("Tab")
    raise AssertionError(f"Tab never reaches #{name}")


def test_a_whole_edit_with_the_keyboard_alone(studio: StudioPage) -> None:
    press = studio.page.keyboard.press
    tab_to(studio, "samples")  # not a surprise: that may have purple hair already
    with studio.redrawn():
        press("Enter")
    start = studio.shown()
    tab_to(studio, "wish")
    studio.page.keyboard.type("a person with purple hair")
    with studio.redrawn():
        press("Enter")
    wished = studio.shown()
    assert difference(wished, start) > 0.5

    studio.page.evaluate("document.activeElement.blur()")
    for _ in range(90):
        press("Tab")
        stop = focused(studio.page)
        if stop is not None and "strength" in stop.classes:
            break
    else:
        raise AssertionError("Tab never reaches the slider")
    with studio.redrawn():
        for _ in range(5):
            press("ArrowRight")
    assert difference(studio.shown(), wished) > 0
    stop = focused(studio.page)
    assert stop is not None
    assert "strength" in stop.classes, "the focus was lost when the picture came"
    studio.picture("keyboard-slider-focus")
    tab_to(studio, "undo")
    with studio.redrawn():
        press("Enter")


def test_every_stop_of_the_tab_key_is_named_and_its_focus_can_be_seen(studio: StudioPage) -> None:
    studio.sample("portrait-1")
    studio.wish("a person with purple hair")
    stops, unseen, unnamed = 0, [], []
    for stop in tab_stops(studio.page):
        stops += 1
        if not is_marked(studio.page, stop):
            unseen.append(stop.name)
        if not stop.label.strip():
            unnamed.append(stop.name)
    assert stops >= 15
    assert not unseen, f"a focus that cannot be seen: {unseen}"
    assert not unnamed, f"without a name for a screen reader: {unnamed}"


CONTROLS = """
<body style="margin: 40px; background: white">
<p><button id="first">One</button></p>
<p><input id="second" aria-label="Two"></p>
<p><a id="third" href="#">Three</a></p>
"""
PAGES = {
    "the browser's own rings": ("", set()),
    "no rings": ("<style>* { outline: none !important; }</style>", {"first", "second", "third"}),
    "one without": ("<style>#third { outline: none; }</style>", {"third"}),
    "a ring that nobody sees": ("<style>#first { opacity: 0; outline: 3px solid red; }</style>", {"first"}),
    "a ring as faint as the paper": ("<style>:focus { outline: 3px solid #f4f4f4 !important; }</style>",
                                     {"first", "second", "third"}),
    "a shadow for a ring": ("<style>* { outline: none; } :focus { box-shadow: 0 0 0 3px blue; }</style>", set()),
}  # fmt: skip


@pytest.mark.parametrize(("style", "unmarked"), PAGES.values(), ids=PAGES)
def test_the_check_sees_a_focus_that_cannot_be_seen(browser: Browser, style: str, unmarked: set[str]) -> None:
    page = browser.new_page()
    try:
        page.set_content(style + CONTROLS)
        found = {stop.names[0]: is_marked(page, stop) for stop in tab_stops(page, limit=3)}
    finally:
        page.close()
    assert set(found) == {"first", "second", "third"}
    assert {name for name, marked in found.items() if not marked} == unmarked
