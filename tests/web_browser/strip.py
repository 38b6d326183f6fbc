"""`python -m tests.web_browser.strip`: make docs/images/studio.png, the studio by day, by night and on a phone."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw

from benchmarks.studio_server import StudioServer

from .chromium import NoChromiumError, find_chromium
from .studio_page import PATIENCE, StudioPage

if TYPE_CHECKING:
    from playwright.sync_api import Browser

TARGET = Path("docs/images/studio.png")
DESK, PHONE = {"width": 1280, "height": 920}, {"width": 460, "height": 920}
HEIGHT, GAP, CORNER = 620, 18, 16
PAPER = "#d9d3c7"


def photograph(browser: Browser, url: str, *, scheme: str, size: dict[str, int], path: Path, wishes: list[str]) -> None:
    """Save a screenshot of a window of this size in which `wishes[0]` is a sample and the others were typed."""
    context = browser.new_context(viewport=size, color_scheme=scheme)  # type: ignore[arg-type]
    context.set_default_timeout(PATIENCE)
    studio = StudioPage.open(context, url)
    studio.sample(wishes[0])
    for wish in wishes[1:]:
        studio.wish(wish)
    studio.find("#suggestions img").last.wait_for()
    if size is DESK:
        studio.find("#wipe").evaluate(
            "wipe => { wipe.value = 42; wipe.dispatchEvent(new Event('input', {bubbles: true})); }"
        )
    studio.page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    studio.page.mouse.move(1, 1)
    studio.page.wait_for_timeout(500)  # what fades has faded
    studio.page.screenshot(path=path)
    studio.close()
    context.close()


def strip(paths: list[Path]) -> Image.Image:
    """The screenshots side by side, equally high, with round corners."""
    shots = []
    for path in paths:
        shot = Image.open(path).convert("RGB")
        shots.append(shot.resize((round(shot.width * HEIGHT / shot.height), HEIGHT), Image.Resampling.LANCZOS))
    width = sum(shot.width + GAP for shot in shots) + GAP
    sheet = Image.new("RGB", (width, HEIGHT + 2 * GAP), PAPER)
    left = GAP
    for shot in shots:
        mask = Image.new("L", (4 * shot.width, 4 * HEIGHT))
        ImageDraw.Draw(mask).rounded_rectangle((0, 0, mask.width - 1, mask.height - 1), 4 * CORNER, fill=255)
        sheet.paste(shot, (left, GAP), mask.resize(shot.size, Image.Resampling.BOX))
        left += shot.width + GAP
    return sheet


def main() -> int:
    from playwright.sync_api import sync_playwright

    program = find_chromium()
    if program is None:
        raise NoChromiumError("there is no Chromium on the path; `make test-web` installs it")
    purple = ["portrait-1", "a person with purple hair", "a person with a smile"]
    glasses = ["portrait-2", "a person with purple hair"]
    with tempfile.TemporaryDirectory() as name, sync_playwright() as driver:
        folder = Path(name)
        switches = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        browser = driver.chromium.launch(executable_path=program, args=switches)
        views = (("light", DESK, purple), ("dark", DESK, purple), ("light", PHONE, glasses))
        paths = [folder / f"{number}.png" for number in range(len(views))]
        with StudioServer(["--folder", str(folder / "studio")], environment={"OMP_NUM_THREADS": "1"}) as server:
            for path, (scheme, size, wishes) in zip(paths, views, strict=True):
                photograph(browser, server.url, scheme=scheme, size=size, path=path, wishes=wishes)
        browser.close()
        strip(paths).save(TARGET, optimize=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
