"""Whether somebody who uses the Tab key can see where they are: by what the browser paints, not what styles claim."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from playwright.sync_api import FloatRect, Page

AROUND = 24
"""Pixels around an element in which its mark may stand: some have it on the label beside them."""
STRONG, ENOUGH = 40, 60
"""By how many levels a pixel has to change to count, and how many such pixels make a mark."""

DESCRIBE = """() => {
    const element = document.activeElement;
    if (!element || element === document.body) return null;
    const box = element.getBoundingClientRect();
    window.focusStop = element;
    return {
        names: [element, ...(function* () { for (let e = element.parentElement; e; e = e.parentElement) yield e })()]
            .map(e => e.id).filter(Boolean),
        tag: element.tagName, classes: String(element.className),
        label: element.getAttribute('aria-label') || element.innerText
            || (element.labels && element.labels[0] ? element.labels[0].innerText : '') || element.title
            || (document.getElementById(element.getAttribute('aria-labelledby')) || {}).innerText
            || element.placeholder || '',
        box: [box.left, box.top, box.right, box.bottom], page: [innerWidth, innerHeight],
    };
}"""


@dataclass(frozen=True, kw_only=True)
class Stop:
    """Where the focus is.

    Args:
        name: what it is, for messages.
        names: its id and those of all that is around it.
        classes: its CSS classes.
        label: what a screen reader says.
        box: left, top, right and bottom in the window.
        page: width and height of the window.
    """

    name: str
    names: list[str]
    classes: str
    label: str
    box: list[float]
    page: list[float]


def focused(page: Page) -> Stop | None:
    """The stop at which the page is; None for none."""
    told = page.evaluate(DESCRIBE)
    if told is None:
        return None
    name = f"{told.pop('tag')} {' '.join(told['names'][:1])} {told['classes']}"
    return Stop(name=name, **told)


def tab_stops(page: Page, *, limit: int = 120) -> Iterator[Stop]:
    """Press Tab from the top of the page until it is left, or as often as the limit."""
    page.evaluate("document.activeElement.blur()")
    for _ in range(limit):
        page.keyboard.press("Tab")
        stop = focused(page)
        if stop is None:
            return
        yield stop


def is_marked(page: Page, stop: Stop) -> bool:
    """Whether the page around a stop is painted otherwise with the focus than without; the focus comes back."""
    left, top = (max(0.0, edge - AROUND) for edge in stop.box[:2])
    right, bottom = (min(edge + AROUND, end) for edge, end in zip(stop.box[2:], stop.page, strict=True))
    if right <= left or bottom <= top:
        return False
    clip: FloatRect = {"x": left, "y": top, "width": right - left, "height": bottom - top}
    with_focus = _painted(page, clip)
    page.evaluate("window.focusStop.blur()")
    without = _painted(page, clip)
    page.evaluate("window.focusStop.focus({focusVisible: true, preventScroll: true})")
    changed = np.abs(with_focus - without).max(axis=2) > STRONG
    return int(changed.sum()) >= ENOUGH


def _painted(page: Page, clip: FloatRect) -> np.ndarray:
    content = page.screenshot(clip=clip, animations="disabled", caret="hide")
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(np.int16)
