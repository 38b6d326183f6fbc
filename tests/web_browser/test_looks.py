"""A phone's width, dark and light; pictures of all of them are kept in build/screenshots."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from .studio_page import StudioPage

pytestmark = pytest.mark.browser

CONTRAST = """() => {
    const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
        .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
    const numbers = color => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
        const d = canvas.getImageData(0, 0, 1, 1).data; return [d[0], d[1], d[2], d[3] / 255] };
    const under = element => {
        for (let e = element; e; e = e.parentElement) {
            const style = getComputedStyle(e);
            if (style.backgroundImage !== 'none') return null;
            const color = numbers(style.backgroundColor);
            if (color[3] > 0.9) return color;
        }
        return [255, 255, 255, 1];
    };
    const found = [];
    for (const e of document.querySelectorAll('button, label, li, p, span, output, h1, h2, h3, summary, legend, a')) {
        const box = e.getBoundingClientRect(), style = getComputedStyle(e);
        const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
        if (!own || !box.width || !box.height || style.visibility === 'hidden' || Number(style.opacity) < 0.9) continue;
        if (e.closest('[disabled], [aria-hidden=true], .sr-only, footer')) continue;
        const back = under(e);
        if (!back) continue;
        const [a, b] = [light(numbers(style.color)), light(back)].sort((x, y) => y - x);
        const ratio = (a + 0.05) / (b + 0.05);
        const name = `${e.tagName} ${e.id || e.className}`;
        if (ratio < 4.5) found.push(`${ratio.toFixed(1)} ${name}: ${e.innerText.slice(0, 40)}`);
    }
    return found;
}"""

CONTROLS = (
    "#wish textarea, #wish input", "#wish-go", "#undo", "#redo", "#reset", "#download-picture", "#make-morph",
    "#rows button.sheet", "#save-state", "#make-link", "#ways button", "#rows li.row input.strength",
    "#rows li.row input.on", "#rows li.row button.delete", "#suggestions", "#new-picture", "#wipe",
)  # fmt: skip


@pytest.fixture
def dressed(studio: StudioPage) -> Iterator[StudioPage]:
    """The page with a picture and a wish; as it was before at the end."""
    studio.sample("portrait-1")
    studio.wish("a person with purple hair")
    yield studio
    studio.page.set_viewport_size({"width": 1280, "height": 900})
    studio.page.emulate_media(color_scheme=None)


def test_on_a_phone_nothing_scrolls_sideways_and_every_control_can_be_reached(dressed: StudioPage) -> None:
    dressed.page.set_viewport_size({"width": 390, "height": 844})
    dressed.page.wait_for_timeout(500)
    dressed.picture("phone-light")
    width = dressed.page.evaluate("document.scrollingElement.scrollWidth")
    assert width <= 390, f"the page is {width} px wide"
    for control in CONTROLS:
        element = dressed.find(control).first
        element.scroll_into_view_if_needed()
        box = element.bounding_box()
        assert box is not None, control
        assert box["width"] > 0, control
        assert box["x"] >= 0, control
        assert box["x"] + box["width"] <= 390.5, f"{control} ends at {box['x'] + box['width']:.0f} px"
    for button in dressed.find("button:visible").all():
        box = button.bounding_box()
        assert box is None or box["x"] + box["width"] <= 390.5, button.inner_text()
    with dressed.redrawn():
        dressed.drag(dressed.row().locator("input.strength"), 0.9)


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_dark_and_light_can_be_read(dressed: StudioPage, scheme: str) -> None:
    dressed.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    dressed.go(dressed.url)  # the scheme is read when the page loads
    dressed.sample("portrait-1")
    dressed.wish("a person with purple hair")
    dressed.picture(f"desk-{scheme}")
    corner = dressed.seen("body")[-40:, :40].mean()
    assert corner < 90 if scheme == "dark" else corner > 180
    weak = dressed.page.evaluate(CONTRAST)
    assert not weak, f"contrast below 4.5: {weak}"
    dressed.page.set_viewport_size({"width": 390, "height": 844})
    dressed.page.wait_for_timeout(500)
    dressed.picture(f"phone-{scheme}")


def test_the_page_tells_its_language_and_title(studio: StudioPage) -> None:
    assert "textmorph" in studio.page.title().lower()
    assert studio.find("html").get_attribute("lang")
    assert np.asarray(studio.seen("body")).std() > 0
