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
COLOURS = {"ink": "#222222", "grid": "#dddddd", "a": "#1f5fa8", "b": "#c2571a", "c": "#2f7d4f", "d": "#7a4a9c"}

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


def draw(found: dict[str, Any]) -> Image.Image:
    """Overlap with the exact bank: over samples, over channels, and what first order finds."""
    image = Image.new("RGB", (3 * SIZE[0] * SCALE, SIZE[1] * SCALE), "white")
    canvas = ImageDraw.Draw(image)
    fewer, adaptive = found["fewer_samples"], found["adaptive"]
    samples = [row["samples"] for row in fewer] + [found["samples"]]
    panel = Panel(canvas, 0, "samples of the exact bank", "samples of each channel (mean)", samples)
    panel.curve([(row["samples"], row["overlap"]["50"]) for row in fewer], "a", "the same for all, overlap at k = 50")
    panel.curve([(row["mean_samples"], row["overlap"]["50"]) for row in adaptive], "b", "adaptive, overlap at k = 50")
    panel.curve([(row["mean_samples"], row["cosine_mean"]) for row in adaptive], "c", "adaptive, mean cosine")
    counts = [int(count) for count in found["halves"]["overlap"]]
    panel = Panel(canvas, SIZE[0], "channels selected, shared with the exact bank", "number of channels, k", counts)
    titles = {"screen": "gradients, 100 samples", "none": "without a bank"}
    shown = [
        ("screen", "sketch", "a", "no differences"),
        ("screen", "refined-50", "b", "with differences"),
    ]
    shown += [("none", "refined-50", "c", "with differences")]
    for way, stage, colour, label in shown:
        overlap = found["ways"][way][stage]["overlap"]
        panel.curve([(int(k), share) for k, share in overlap.items()], colour, f"{titles[way]}, {label}")
    halves = found["halves"]["overlap"]
    panel.curve([(int(k), share) for k, share in halves.items()], "d", "two exact banks of half the samples each")
    recall = found["ways"]["none"]["recall_at_50"]
    panel = Panel(
        canvas, 2 * SIZE[0], "the exact best 50, among the first m by gradients", "m", [row["among"] for row in recall]
    )
    for way, colour in (("none", "c"), ("screen", "b")):
        rows = found["ways"][way]["recall_at_50"]
        panel.curve([(row["among"], row["share"]) for row in rows], colour, titles[way])
    return image.resize((3 * SIZE[0], SIZE[1]), Image.Resampling.LANCZOS)


def draw_given(given: dict[str, Any], adaptive: dict[str, Any]) -> Image.Image:
    """The same against the bank that the domain comes with: over channels, over candidates, over samples."""
    image = Image.new("RGB", (3 * SIZE[0] * SCALE, SIZE[1] * SCALE), "white")
    canvas = ImageDraw.Draw(image)
    counts = [int(count) for count in given["first"]["overlap"]]
    panel = Panel(canvas, 0, "channels selected, shared with the exact bank", "number of channels, k", counts)
    titles = {"sketch": "gradients for all texts", "first": "for each text", "refined": "then differences"}
    for (way, title), colour in zip(titles.items(), "abc", strict=True):
        panel.curve([(int(k), share) for k, share in given[way]["overlap"].items()], colour, title)
    recall = given["recall_at_50"]
    title = "the exact best 50, among the first m by gradients"
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
    image = draw(found["channels"]) if "channels" in found else draw_given(found["given"], found["adaptive"])
    with written_whole(arguments.image, overwrite=True) as path:
        image.save(path, format="PNG", optimize=True)
    print(arguments.image)


if __name__ == "__main__":
    main()
