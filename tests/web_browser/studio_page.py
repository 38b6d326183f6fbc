"""What a visitor sees and does, by name; only the hooks that the page promises are used."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Download, Locator, Page

SCREENSHOTS = Path("build/screenshots")
PATIENCE = 120_000
"""Milliseconds that anything may take on two cores that others use too."""
QUIET_SINCE = """([before, still]) => {
    const stage = document.querySelector('.studio-stage');
    const ready = stage && Number(stage.dataset.version) > before && stage.dataset.quality === 'full'
        && !stage.dataset.waiting && !document.querySelector('#notes .busy');
    const now = performance.now();
    if (!ready) window.studioReadySince = null;
    else window.studioReadySince ??= now;
    return ready && now - window.studioReadySince >= still;
}"""
"""Whether the page shows a version after another, in full quality, and has not been busy for some milliseconds."""


class StudioPage:
    """The studio in one tab. Notes every script error, and every request to another host."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url = page, url
        self.script_errors: list[str] = []
        self.foreign_requests: list[str] = []
        page.on("pageerror", lambda error: self.script_errors.append(str(error)))
        page.on("request", lambda request: self._check(request.url))
        page.on("dialog", lambda dialog: self._refuse(dialog))

    @staticmethod
    def open(context: BrowserContext, url: str, *, address: str | None = None, patient: bool = True) -> StudioPage:
        """Open a tab.

        Args:
            address: what to open instead of the studio's front page.
            patient: wait until the server has let the visitor in.
        """
        studio = StudioPage(context.new_page(), url)
        studio.go(address or url, patient=patient)
        return studio

    def go(self, address: str, *, patient: bool = True) -> None:
        """Go to an address and wait until the page can be used."""
        self.page.goto(address, timeout=PATIENCE)
        self.page.locator("#wish textarea, #wish input").first.wait_for(timeout=PATIENCE)
        self.page.locator("#picture-file").wait_for(state="attached", timeout=PATIENCE)
        if patient:
            self.page.locator("#samples button").first.wait_for(state="attached", timeout=PATIENCE)

    def close(self) -> None:
        self.page.close()
        assert not self.script_errors, f"scripts failed: {self.script_errors}"
        assert not self.foreign_requests, f"the page asked other hosts: {self.foreign_requests}"

    def _check(self, url: str) -> None:
        if not url.startswith((self.url, "data:", "blob:", "about:")):
            self.foreign_requests.append(url)

    def _refuse(self, dialog: object) -> None:
        self.script_errors.append(f"a dialog opened: {getattr(dialog, 'message', '')!r}")
        getattr(dialog, "dismiss")()  # noqa: B009 - typed only where playwright is installed

    # What is shown

    def find(self, selector: str) -> Locator:
        return self.page.locator(selector)

    @property
    def version(self) -> int:
        return int(self.find(".studio-stage").first.get_attribute("data-version") or 0)

    @property
    def is_open(self) -> bool:
        return self.find(".studio-stage").first.get_attribute("data-open") == "yes"

    def shown(self, name: str = "after") -> np.ndarray:
        """The pixels of `after`, `before`, `photo` or `reconstruction` as the server sent them, uint8 [H, W, 3]."""
        source = self.find(f"#{name}").first.get_attribute("src") or ""
        return pixels_of(source)

    def seen(self, selector: str) -> np.ndarray:
        """The pixels of a part of the page as the browser paints them, uint8 [H, W, 3]."""
        return np.asarray(Image.open(io.BytesIO(self.find(selector).first.screenshot())).convert("RGB"))

    def notes(self, selector: str = "#notes li") -> str:
        return "\n".join(self.find(selector).all_inner_texts())

    def wait_note(self, pattern: str) -> str:
        """Wait until the page says something, below the picture or where pictures are dropped; return that."""
        said = self.find("#notes li, .drop-word").filter(has_text=re.compile(pattern, re.IGNORECASE))
        said.filter(visible=True).first.wait_for(timeout=PATIENCE)
        return "\n".join(said.all_inner_texts())

    def picture(self, name: str) -> Path:
        """Save a screenshot of the whole page."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        path = SCREENSHOTS / f"{name}.png"
        self.page.screenshot(path=path, full_page=True, timeout=20_000)
        return path

    # What is done

    @contextmanager
    def redrawn(self) -> Iterator[None]:
        """Do something, then wait until the page shows its result in full quality."""
        before = self.version
        yield
        self.wait_redrawn(before)

    def wait_redrawn(self, before: int) -> None:
        """Wait for a later version in full quality, with nothing more to come, for a moment on end."""
        self.page.evaluate("window.studioReadySince = null")
        self.page.wait_for_function(QUIET_SINCE, arg=[before, 200], timeout=PATIENCE, polling=50)

    def sample(self, name: str = "portrait-1") -> None:
        """Begin with one of the pictures that are there."""
        if self.is_open:
            self.find("#new-picture").click()
        with self.redrawn():
            self.find(f'#samples button[data-sample="{name}"]').click(timeout=PATIENCE)

    def surprise(self) -> None:
        """Have a new picture drawn."""
        if self.is_open:
            self.find("#new-picture").click()
        with self.redrawn():
            self.find("#surprise").click()

    def press(self, button: str) -> None:
        """Press a button that changes the picture."""
        with self.redrawn():
            self.find(button).first.click()

    @contextmanager
    def refused(self) -> Iterator[list[str]]:
        """Do something that must be refused; the list gets the sentence that says why."""
        self.page.evaluate("for (const e of document.querySelectorAll('#notes *')) e.dataset.old = 'yes'")
        self.page.evaluate("for (const e of document.querySelectorAll('.drop-word')) e.textContent = ''")
        said: list[str] = []
        yield said
        new = self.find("#notes li.error:not([data-old]):visible, .drop-word:not(:empty):visible").first
        new.wait_for(timeout=PATIENCE)
        said.append(new.inner_text())

    def upload(self, file: Path | dict[str, object], *, hook: str = "#picture-file") -> None:
        self.find(hook).set_input_files(file)  # type: ignore[arg-type]

    def wish(self, text: str) -> None:
        """Type a wish and press Enter; the picture follows."""
        field = self.find("#wish textarea, #wish input").first
        with self.redrawn():
            field.fill(text)
            field.press("Enter")

    def row(self, number: int = 0) -> Locator:
        """A wish's row, counted from the top."""
        return self.find("#rows li.row").nth(number)

    def drag(self, slider: Locator, share: float, *, watch: str | None = None) -> None:
        """Drag a slider with the mouse to a share of its length.

        Args:
            watch: selector that must appear while the button is still down.
        """
        slider.scroll_into_view_if_needed()
        box = slider.bounding_box()
        assert box is not None
        low, high, value = (float(slider.evaluate(f"slider => slider.{name}")) for name in ("min", "max", "value"))
        middle, thumb = box["y"] + box["height"] / 2, 8
        at = box["x"] + thumb + (box["width"] - 2 * thumb) * (value - low) / (high - low)
        self.page.mouse.move(at, middle)
        self.page.mouse.down()
        self.page.mouse.move(box["x"] + thumb + (box["width"] - 2 * thumb) * share, middle, steps=5)
        if watch:
            self.find(watch).first.wait_for(timeout=PATIENCE)
        self.page.mouse.up()

    def download(self, button: str) -> Download:
        """Press a button, unfolding the part of the page that it is in, and catch what the browser downloads."""
        if not self.find(button).first.is_visible():
            self.find("#more-files summary").click()
        with self.page.expect_download(timeout=PATIENCE) as caught:
            self.find(button).first.click()
        return caught.value


def pixels_of(source: str) -> np.ndarray:
    """Pixels of a picture in a data address, uint8 [H, W, 3]."""
    head, comma, body = source.partition(",")
    assert comma, f"this is no data address: {source[:80]!r}"
    assert head.startswith("data:image/"), head
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(body))).convert("RGB"))


def difference(one: np.ndarray, other: np.ndarray) -> float:
    """Mean absolute difference of two pictures, in 255ths."""
    assert one.shape == other.shape, f"{one.shape} and {other.shape}"
    return float(np.abs(one.astype(float) - other.astype(float)).mean())
