"""`python -m benchmarks.banks_plot`: draw docs/images/banks.png from benchmarks/results/banks.json, with PIL alone."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from textmorph.files import written_whole

RESULTS = Path("benchmarks/results/banks.json")
IMAGE = Path("docs/images/banks.png")
SIZE, MARGIN, SCALE = (560, 400), (70, 40, 20, 60), 2
COLOURS = {
    "ink": "#222222", "grid": "#dddddd", "a": "#1f5fa8", "b": "#c2571a", "c": "#2f7d4f", "d": "#7a4a9c",
    "e": "#777777",
}  # fmt: skip

Points = list[tuple[float, float]]


class Panel:
    """One pair of axes; x is logarithmic, y from 0 to 1."""

    def __init__(self, draw: ImageDraw.ImageDraw, left: int, title: str, x_title: str, x: Sequence[float]) -> None:
        self.draw, self.x = draw, (math.log(min(x)), math.log(max(x)))
        self.left, self.top = (left + MARGIN[0]) * SCALE, MARGIN[1] * SCALE
        self.right, self.bottom = (left + SIZE[0] - MARGIN[2]) * SCALE, (SIZE[1] - MARGIN[3]) * SCALE
        self.labels = 0
        for tenth in range(0, 11, 2):
            y = self._y(tenth / 10)
            draw.line([(self.left, y), (self.right, y)], COLOURS["grid"], SCALE)
            self._text((self.left - 8 * SCALE, y), f"{tenth / 10:.1f}", "rm")
        for tick in x:
            self._text((self._x(tick), self.bottom + 8 * SCALE), f"{tick:g}", "mt")
        self._text(((self.left + self.right) // 2, self.bottom + 28 * SCALE), x_title, "mt")
        self._text((self.left, self.top - 24 * SCALE), title, "lt", 15)

    def curve(self, points: Points, colour: str, label: str, *, line: bool = True) -> None:
        """Points joined by a line, and a line in the legend."""
        places = [(self._x(x), self._y(y)) for x, y in points]
        if line and len(places) > 1:
            self.draw.line(places, COLOURS[colour], 2 * SCALE)
        for x, y in places:
            r = 4 * SCALE
            self.draw.ellipse([x - r, y - r, x + r, y + r], COLOURS[colour])
        y = self.bottom - (14 + 18 * self.labels) * SCALE
        self._text((self.right - 6 * SCALE, y), label, "rm", 12, COLOURS[colour])
        self.labels += 1

    def _x(self, value: float) -> float:
        low, high = self.x
        share = (math.log(value) - low) / ((high - low) or 1)
        return self.left + share * (self.right - self.left)

    def _y(self, value: float) -> float:
        return self.bottom - value * (self.bottom - self.top)

    def _text(
        self, place: tuple[float, float], text: str, anchor: str, size: int = 12, colour: str = COLOURS["ink"]
    ) -> None:
        self.draw.text(place, text, colour, ImageFont.load_default(size * SCALE), anchor)


def draw(plain: dict[str, Any], adaptive: dict[str, Any]) -> Image.Image:
    """Overlap with the plain definition, over channels and over candidates; effects over samples."""
    image = Image.new("RGB", (3 * SIZE[0] * SCALE, SIZE[1] * SCALE), "white")
    canvas = ImageDraw.Draw(image)
    titles = {
        "bank": "a bank with a tolerance", "sketch": "gradients for all texts", "first": "gradients for each text",
        "screened": "then a race", "none": "no bank",
    }  # fmt: skip
    counts = [int(count) for count in plain["overlap"]["bank"]]
    panel = Panel(canvas, 0, "channels selected, shared with the plain definition", "number of channels, k", counts)
    for (way, title), colour in zip(titles.items(), "eabcd", strict=True):
        panel.curve([(int(k), share) for k, share in plain["overlap"][way].items()], colour, title)
    recall = plain["recall_at_50"]
    title = "the plain best 50, among the first m by gradients"
    panel = Panel(canvas, SIZE[0], title, "m", [row["among"] for row in recall])
    panel.curve([(row["among"], row["share"]) for row in recall], "b", "for each text")
    rows, fewer = adaptive["adaptive"], adaptive["fewer_samples"]
    samples = [row["samples"] for row in fewer] + [adaptive["samples"]]
    panel = Panel(canvas, 2 * SIZE[0], "effects of fewer samples, cosine", "samples of each channel (mean)", samples)
    panel.curve([(row["samples"], row["cosine_mean"]) for row in fewer], "a", "the same for all")
    panel.curve([(row["mean_samples"], row["cosine_mean"]) for row in rows], "c", "adaptive")
    return image.resize((3 * SIZE[0], SIZE[1]), Image.Resampling.LANCZOS)


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.banks_plot", description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--image", type=Path, default=IMAGE)
    arguments = parser.parse_args(words)
    found = json.loads(arguments.results.read_text())
    image = draw(found["plain"], found["adaptive"])
    with written_whole(arguments.image, overwrite=True) as path:
        image.save(path, format="PNG", optimize=True)
    print(arguments.image)


if __name__ == "__main__":
    main()
