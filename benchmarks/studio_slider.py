"""`python -m benchmarks.studio_slider`: how long one visitor waits for a slider, on the loopback address.

A portrait with two wishes; then the slider of the first moves, and is let go. Counted from the question of a client to
the picture in its hands, the browser's drawing left out. Writes benchmarks/results/studio-slider.json.
"""

from __future__ import annotations

import argparse
import base64
import json
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np

from textmorph.editing.editor import Editor
from textmorph.files import write_bytes

from .machine import about_run
from .studio import FIRST, PLAIN, Outcome, Player, Truth
from .studio_server import StudioServer

GOAL = 0.4
"""Seconds on two cores, for the picture while the slider moves."""
STRENGTHS = np.linspace(-8, 8, 41)


def waits(url: str, portrait: bytes) -> dict[str, list[float]]:
    """Seconds of each preview and each change, after two of each that warm up."""
    outcome = Outcome()
    player = Player(url, 0, outcome, threading.Lock(), 0.0, lambda: None)
    player._ask("open", PLAIN, "data:image/png;base64," + base64.b64encode(portrait).decode())
    for wish in (FIRST, "glasses"):
        player._ask("wish", PLAIN, wish, "global", 4.0, 20)
    row = player._rows[0]["row"]
    for strength in [2.0, -2.0, *STRENGTHS.tolist()]:
        player._ask("preview", PLAIN, row, strength)
    for strength in [2.0, -2.0, *STRENGTHS[::2].tolist()]:
        player._ask("change", PLAIN, row, strength)
    times = {action: [one.wait for one in outcome.answers if one.action == action] for action in ("preview", "change")}
    return {action: seconds[2:] for action, seconds in times.items()}


def spread(seconds: list[float]) -> dict[str, float]:
    return {"median": float(np.median(seconds)), "p95": float(np.percentile(seconds, 95)), "most": max(seconds)}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.studio_slider", description=__doc__)
    parser.add_argument("--domain", default="portraits")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/studio-slider.json"))
    arguments = parser.parse_args()
    before = about_run()["machine"]["load"]
    portrait = Truth(Editor.from_pretrained(arguments.domain, device="cpu"), clients=1, seed=0).portraits[0]
    with (
        tempfile.TemporaryDirectory() as folder,
        StudioServer(["--domain", arguments.domain, "--folder", folder]) as server,
    ):
        found = waits(server.url, portrait)
    told: dict[str, Any] = {"about": about_run(), "load_before": before, "wishes": 2, "goal_seconds": GOAL}
    told |= {action: {**spread(seconds), "times": seconds} for action, seconds in found.items()}
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(arguments.output, (json.dumps(told, indent=1) + "\n").encode(), overwrite=True)
    for action, seconds in found.items():
        print(action, {name: round(value, 3) for name, value in spread(seconds).items()})
    print("met" if spread(found["preview"])["median"] < GOAL else "MISSED", f"(goal: a median under {GOAL} s)")


if __name__ == "__main__":
    main()
