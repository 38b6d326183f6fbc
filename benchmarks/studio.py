"""`python -m benchmarks.studio`: many clients at once in one studio on the loopback address.

Every client has a portrait of its own and plays until the time is over: opens it, wishes, drags, undoes, downloads.
Every picture it gets is compared with the same edit made in this process, for itself and for all others. Writes
benchmarks/results/studio-load.json; ends with 1 where an answer was another's or wrong, was refused, or memory grew.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import random
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from textmorph.editing.editor import Editor
from textmorph.edits import Edit, apply_edits
from textmorph.files import write_bytes
from textmorph.images import read_image, to_pil
from textmorph.latents import Latent

from .machine import about_run
from .studio_load import SAME, SAME_PREVIEW, Answer, memory, mistaken, waits
from .studio_server import MemoryWatch, StudioServer

FIRST, SECOND = "a person with purple hair", "a bald person"
STRENGTH, CHANGED, CHANNELS = 5.0, -5.0, 20
PLAIN, WISHED, BOTH, DRAGGED = range(4)
"""What a picture shows: no wish, the first wish, both, both with the first at the changed strength."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """What is run.

    Args:
        clients: people at a time.
        seconds: after this nobody begins another round, the second excepted: the first warms up.
        pause: mean seconds between an answer and the next question of the same client.
        seed: of the portraits and the pauses.
    """

    clients: int = 50
    seconds: float = 75.0
    pause: float = 2.0
    seed: int = 0


@dataclass(kw_only=True)
class Outcome:
    """What came of it: the answers, previews by their size, refusals, and when the last client's first round ended."""

    answers: list[Answer] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    rounds: int = 0
    warm: float = 0.0
    end: float = 0.0


def run_load(url: str, portraits: Sequence[bytes], load: Load) -> Outcome:
    """Let all clients play at once until the time is over."""
    outcome, lock, start = Outcome(), threading.Lock(), time.perf_counter()

    def play(number: int) -> None:
        dice = random.Random(load.seed * 1000 + number)
        time.sleep(dice.uniform(0, load.pause))
        try:
            player = Player(url, number, outcome, lock, start, lambda: time.sleep(dice.expovariate(1 / load.pause)))
            while True:
                player.play_round(portraits[number])
                with lock:
                    outcome.rounds += 1
                    player.rounds += 1
                    if player.rounds == 1:
                        outcome.warm = time.perf_counter() - start
                if player.rounds >= 2 and time.perf_counter() - start > load.seconds:
                    break
        except Exception as error:  # a client's end is a finding, not the end of the load
            with lock:
                outcome.refusals.append(f"client {number}: {type(error).__name__}: {error}")

    threads = [threading.Thread(target=play, args=(number,), daemon=True) for number in range(load.clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(load.seconds * 4 + 120)
    if any(thread.is_alive() for thread in threads):
        outcome.refusals.append("a client was never answered")
    outcome.end = time.perf_counter() - start
    return outcome


class Player:
    """One visitor, over the public HTTP API."""

    def __init__(
        self, url: str, number: int, outcome: Outcome, lock: threading.Lock, start: float, pause: Callable[[], None]
    ) -> None:
        from gradio_client import Client

        self._url, self._number, self._outcome, self._lock = url, number, outcome, lock
        self._start, self._pause = start, pause
        self._client = Client(url, verbose=False)
        self._visit = self._ask("start", PLAIN, first=True)["visit"]
        self.rounds = 0

    def play_round(self, portrait: bytes) -> None:
        """From an upload to a download."""
        self._ask("open", PLAIN, "data:image/png;base64," + base64.b64encode(portrait).decode())
        self._ask("wish", WISHED, FIRST, "global", STRENGTH, CHANNELS)
        self._ask("wish", BOTH, SECOND, "global", STRENGTH, CHANNELS)
        row = self._rows[0]["row"]
        self._ask("preview", DRAGGED, row, CHANGED)
        self._ask("change", DRAGGED, row, CHANGED)
        self._ask("undo", BOTH)
        self._ask("download", BOTH, "picture")

    def _ask(self, action: str, wish: int, *values: Any, first: bool = False) -> Any:
        self._pause()
        begin = time.perf_counter()
        got = self._client.predict(*([] if first else [self._visit]), *values, api_name=f"/{action}")
        picture = picture_in(got, self._url)
        end = time.perf_counter()
        if "wishes" in got:
            self._rows = got["wishes"]
        answer = Answer(
            client=self._number, action=action, wait=end - begin, finished=end - self._start, image=picture, wish=wish
        )
        with self._lock:
            self._outcome.answers.append(answer)
        return got


def picture_in(got: dict[str, Any], url: str) -> Tensor | None:
    """The picture that an answer holds or points to; None where there is none."""
    if got.get("url"):
        with urllib.request.urlopen(url.rstrip("/") + got["url"], timeout=60) as answer:
            return read_image(answer.read())
    if got.get("image"):
        return read_image(base64.b64decode(got["image"].partition(",")[2]))
    return None


class Truth:
    """The same portraits and edits, made in this process."""

    def __init__(self, editor: Editor, *, clients: int, seed: int) -> None:
        self._editor, generator = editor, editor.generator
        drawn = editor.render(generator.to_space(generator.sample(clients, seed=seed), "w+"))
        pictures = [to_pil(one[None]) for one in drawn]
        self.portraits = [_png(picture) for picture in pictures]
        photos = editor.invert_photos([editor.open(picture) for picture in pictures])
        self._latents = [photo.latent for photo in photos if photo.latent is not None]
        values = {"num_channels": CHANNELS}
        asked = [editor.check(text, method="global", values=values, strength=STRENGTH) for text in (FIRST, SECOND)]
        self._edits: list[Edit] = [editor.find(requests.main, self._latents[0]) for requests in asked]

    def pictures(self, *, resolution: int | None = None) -> Tensor:
        """What every client must get for every wish, [N, 4, 3, R, R]."""
        first, second = self._edits
        kinds = [
            [],
            [(first, STRENGTH)],
            [(first, STRENGTH), (second, STRENGTH)],
            [(first, CHANGED), (second, STRENGTH)],
        ]
        latents = Latent.cat(self._latents)
        images = [
            self._editor.render(apply_edits(self._editor.generator, latents, pairs), resolution=resolution)
            for pairs in kinds
        ]
        return torch.stack(images, dim=1)


def judge(outcome: Outcome, truth: Truth) -> list[str]:
    """Everything wrong with the answers: another's, wrong, or refused."""
    found = [f"refused: {refusal}" for refusal in outcome.refusals]
    pictures = [answer for answer in outcome.answers if answer.image is not None]
    if not pictures:
        return [*found, "no picture came at all"]
    kinds: dict[tuple[int, bool], list[Answer]] = {}
    for answer in pictures:
        assert answer.image is not None
        kinds.setdefault((answer.image.shape[-1], answer.action == "preview"), []).append(answer)
    for (size, lossy), chosen in kinds.items():
        found += mistaken(chosen, truth.pictures(resolution=size), same=SAME_PREVIEW if lossy else SAME)
    return found


def report(outcome: Outcome, watch: MemoryWatch, load: Load, mistakes: Sequence[str]) -> dict[str, Any]:
    """What is published of one load."""
    pictures = sum(answer.image is not None for answer in outcome.answers)
    return {
        **about_run(packages=("gradio", "gradio_client")),
        "how": (
            f"python -m benchmarks.studio --clients {load.clients} --seconds {load.seconds:g} --pause {load.pause:g}: "
            "`textmorph serve` in a process of its own, the clients as threads of another on this machine, over the "
            "HTTP API (no browser); machine.load is the load average when the run had ended"
        ),
        "load": {"clients": load.clients, "seconds": load.seconds, "mean_pause": load.pause, "seed": load.seed},
        "took": round(outcome.end, 1),
        "rounds": outcome.rounds,
        "answers": len(outcome.answers),
        "pictures_checked": pictures,
        "answers_per_second": round(len(outcome.answers) / outcome.end, 2),
        "mistakes": list(mistakes),
        "waits_seconds": waits(outcome.answers),
        "server_memory_mib": memory(watch, warm=outcome.warm, end=outcome.end),
    }


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def main() -> int:
    defaults = Load()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.studio", description=__doc__)
    parser.add_argument("--clients", type=int, default=defaults.clients)
    parser.add_argument("--seconds", type=float, default=defaults.seconds)
    parser.add_argument("--pause", type=float, default=defaults.pause, help="mean seconds before each question")
    parser.add_argument("--domain", default="portraits")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/studio-load.json"))
    arguments = parser.parse_args()
    load = replace(defaults, clients=arguments.clients, seconds=arguments.seconds, pause=arguments.pause)
    editor = Editor.from_pretrained(arguments.domain, device="cpu")
    truth = Truth(editor, clients=load.clients, seed=load.seed)
    with tempfile.TemporaryDirectory() as folder:
        studio = StudioServer(["--domain", arguments.domain, "--folder", folder])
        with studio as server, MemoryWatch(server.process_id) as watch:
            outcome = run_load(server.url, truth.portraits, load)
    told = report(outcome, watch, load, judge(outcome, truth))
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(arguments.output, (json.dumps(told, indent=2) + "\n").encode(), overwrite=True)
    print(json.dumps({name: told[name] for name in ("took", "answers", "mistakes", "waits_seconds")}, indent=2))
    print(json.dumps(told["server_memory_mib"], indent=2))
    print(f"written to {arguments.output}")
    return 0 if not told["mistakes"] and told["server_memory_mib"]["flat"] else 1


if __name__ == "__main__":
    sys.exit(main())
