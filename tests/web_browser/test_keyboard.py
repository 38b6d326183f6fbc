"""Everything by keyboard, with a focus that can be seen."""

from __future__ import annotations

import pytest

from .studio_page import StudioPage, difference

pytestmark = pytest.mark.browser

FOCUSED = """() => {
    const element = document.activeElement;
    if (!element || element === document.body) return null;
    const look = () => {
        const style = getComputedStyle(element), has = side => side && parseFloat(style[side + 'Width']) > 0;
        return [
            style.outlineStyle !== 'none' && has('outline') ? style.outline : '', style.boxShadow,
            has('borderTop') ? style.borderTopColor : '', style.backgroundColor,
        ].join('|');
    };
    const box = element.getBoundingClientRect(), focused = look();
    element.blur();
    const blurred = look();
    element.focus({focusVisible: true});
    return {
        names: [element, ...(function* () { for (let e = element.parentElement; e; e = e.parentElement) yield e })()]
            .map(e => e.id).filter(Boolean),
        tag: element.tagName, classes: element.className, type: element.type || '',
        label: element.getAttribute('aria-label') || element.innerText
            || (element.labels && element.labels[0] ? element.labels[0].innerText : '') || element.title
            || (document.getElementById(element.getAttribute('aria-labelledby')) || {}).innerText
            || element.placeholder || '',
        marked: focused !== blurred,
        seen: box.width > 0 && box.height > 0 && getComputedStyle(element).visibility !== 'hidden',
    };
}"""


def tab_to(studio: StudioPage, name: str, *, limit: int = 90) -> None:
    """Press Tab until the focus is inside the element with this id."""
    for _ in range(limit):
        focus = studio.page.evaluate(FOCUSED)
        if focus and name in focus["names"]:
            return
        studio.page.keyboard.press("Tab")
    raise AssertionError(f"Tab never reaches #{name}")


def test_a_whole_edit_with_the_keyboard_alone(studio: StudioPage) -> None:
    press = studio.page.keyboard.press
    tab_to(studio, "surprise")
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
        focus = studio.page.evaluate(FOCUSED)
        if focus and "strength" in focus["classes"]:
            break
    else:
        raise AssertionError("Tab never reaches the slider")
    with studio.redrawn():
        for _ in range(5):
            press("ArrowRight")
    assert difference(studio.shown(), wished) > 0
    focus = studio.page.evaluate(FOCUSED)
    assert focus
    assert "strength" in focus["classes"], "the focus was lost when the picture came"
    studio.picture("keyboard-slider-focus")
    tab_to(studio, "undo")
    with studio.redrawn():
        press("Enter")


def test_every_stop_of_the_tab_key_is_named_and_its_focus_can_be_seen(studio: StudioPage) -> None:
    studio.sample("portrait-1")
    studio.wish("a person with purple hair")
    studio.page.evaluate("document.activeElement.blur()")
    stops, unseen, unnamed = 0, [], []
    for _ in range(120):
        studio.page.keyboard.press("Tab")
        focus = studio.page.evaluate(FOCUSED)
        if focus is None:
            break
        stops += 1
        if not focus["marked"] or not focus["seen"]:
            unseen.append(f"{focus['tag']} {focus['names'][:1]} {focus['classes']}")
        if not focus["label"].strip():
            unnamed.append(f"{focus['tag']} {focus['names'][:1]} {focus['classes']}")
    assert stops >= 15
    assert not unseen, f"a focus that cannot be seen: {unseen}"
    assert not unnamed, f"without a name for a screen reader: {unnamed}"
