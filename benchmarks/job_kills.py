"""`python -m benchmarks.job_kills`: kill -9 jobs again and again, repeat their command, compare the end bit by bit.

Banks, corpora and edits of folders, with toy networks, run through the command line. They are killed at seeded random
moments, many of them while a file is being written (writes announce themselves and take their time), and begun again,
until they end; then the next, until there were enough kills. In one process, and on a Ray cluster of this machine,
whose workers are killed as well. Every end must have the files, and in them the bytes, of a run that was never broken
off; what was finished at a kill must never be computed again; no file may be left over. The log says where each struck.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch

from textmorph.files import write_bytes
from textmorph.memory import keep_memory

from .killing import PAUSE, Attempt, cluster, computing, content, finished, lost, unfinished
from .machine import about_run

WRITING = 1 / 3
"""Least share of the kills that must strike while a file is being written."""
MOST = 6
"""Kills of one job, before it may end."""
RAY = ("--engine", "ray", "--workers", "2")
ENDED = (0, 2)
"""Exit codes: done; or the result was put in its place by the end that a kill interrupted."""

COMMANDS = {
    "bank": ("bank", "build", "--num-samples", "2", "-d", "{toy}", "-o", "bank.safetensors"),
    "corpus": ("corpus", "build", "-n", "768", "-d", "{toy}", "-o", "corpus.safetensors"),
    "corpus of photos": ("corpus", "build", "{toy}/many", "-d", "{toy}", "-o", "corpus"),
    "folder": (
        "edit", "{toy}/photos", "a person with purple hair", "--strength", "2", "--set", "num_channels=8",
        "--before-after",
        "-d", "{toy}", "-o", "edited/",
    ),
}  # fmt: skip
PHOTOS = {"photos": 6, "many": 300}


@dataclass(frozen=True, kw_only=True)
class Strike:
    """Where a kill struck.

    Args:
        job: which kind, and how many of it had ended before.
        engine: `process` or `ray`.
        aim: `writing`, `anywhere`, or `worker`: one of Ray's, while it computes a shard.
        finished: files that were finished: shards, pictures.
        unfinished: files that were being written, and their bytes so far.
    """

    job: str
    number: int
    engine: str
    aim: str
    finished: int
    unfinished: list[tuple[str, int]] = field(default_factory=list)


@dataclass
class Tally:
    """What came of the jobs of one kind."""

    ended: int = 0
    equal: int = 0
    again: int = 0
    stray: int = 0
    seconds: float = 0.0
    files: int = 0
    strikes: list[Strike] = field(default_factory=list)

    @property
    def writing(self) -> int:
        return sum(bool(strike.unfinished) for strike in self.strikes)

    @staticmethod
    def read(told: dict[str, Any]) -> Tally:
        """From JSON."""
        values = {item.name: told[item.name] for item in fields(Tally)}
        return Tally(**values | {"strikes": [Strike(**strike) for strike in told["strikes"]]})

    def json(self, battle: Battle) -> dict[str, Any]:
        """All of it, and its sums."""
        about = {"job": battle.job, "engine": battle.engine, "kills": len(self.strikes), "writing": self.writing}
        about["workers"] = sum(strike.aim == "worker" for strike in self.strikes)
        return {**about, **asdict(self), "run": about_run(packages=("ray", "lancedb", "transformers"))}


def strike(attempt: Attempt, aim: str, moments: random.Random, seconds: float) -> bool:
    """Wait for the moment and kill; False where it ended before.

    Args:
        seconds: that an unbroken run takes.
    """
    if aim == "anywhere":
        end = time.monotonic() + moments.random() * seconds
        if attempt.until(lambda: time.monotonic() >= end) is None:
            return False
        attempt.kill()
    elif aim == "writing":
        count, delay = attempt.listen() + moments.randint(1, 6), moments.random() * PAUSE / 2
        if attempt.until(lambda: attempt.listen() >= count) is None:
            return False
        time.sleep(delay)
        attempt.kill()
    else:
        if attempt.until(computing, every=0.05) is None:
            return False
        time.sleep(moments.random() * 0.2)
        workers = computing()
        if not workers or attempt.ended():
            return False
        with suppress(ProcessLookupError):
            os.kill(moments.choice(workers), signal.SIGKILL)
            return True
        return False
    return True


@dataclass(frozen=True, kw_only=True)
class Battle:
    """One kind of job, and how it is killed.

    Args:
        job: name of the command.
        engine: `process` or `ray`.
        kills: at least so many.
        aims: how often each is chosen.
    """

    job: str
    engine: str
    kills: int
    aims: dict[str, int]

    def run(
        self, tally: Tally, toy: Path, folder: Path, seed: int, say: Callable[[str], None]
    ) -> Iterator[dict[str, Any]]:
        """Kill jobs of this kind and begin them again until there were enough kills, in all and while writing.

        Args:
            tally: what came of those before; gives what it is after each more that has ended.
        """
        words = [word.format(toy=toy) for word in COMMANDS[self.job]] + list(RAY if self.engine == "ray" else ())
        moments = random.Random(f"{seed} {self.job} {self.engine} {len(tally.strikes)}")
        folder.mkdir()
        begin = time.monotonic()
        if (code := Attempt(words, folder / "whole").wait()) != 0:
            raise RuntimeError(f"{self.job}: exit code {code}\n{(folder / 'whole.log').read_text()}")
        tally.seconds = round(time.monotonic() - begin, 2)
        expected = content(folder / "whole")
        tally.files = len(expected)
        say(f"{self.job}, {self.engine}: unbroken {tally.seconds} s, {len(expected)} files")
        while not tally.ended or not self.enough(tally):
            lying = folder / f"broken-{tally.ended}"
            struck, code = self._break(words, lying, moments, tally, say)
            found = content(lying)
            tally.ended += 1
            tally.equal += found == expected and code in ENDED
            tally.stray += len(found.keys() - expected.keys())
            told = "the same bits" if found == expected else f"OTHERWISE: {_difference(found, expected)}"
            say(f"{self.job} {tally.ended} ended with code {code} after {struck} kills: {told}")
            if found == expected and code in ENDED:
                shutil.rmtree(lying)
            yield tally.json(self)

    def enough(self, tally: Tally) -> bool:
        return len(tally.strikes) >= self.kills and tally.writing >= WRITING * len(tally.strikes)

    def _break(
        self, words: list[str], lying: Path, moments: random.Random, tally: Tally, say: Callable[[str], None]
    ) -> tuple[int, int]:
        """Break one job off until it ends; gives the number of kills and its last exit code."""
        struck, before = 0, dict[str, int]()
        while True:
            attempt, code, killed = Attempt(words, lying), None, False
            while not killed and struck < MOST and not self.enough(tally):
                aim = moments.choices(list(self.aims), list(self.aims.values()))[0]
                if not strike(attempt, aim, moments, tally.seconds):
                    break  # it ended before
                killed = aim != "worker"
                if killed and (code := attempt.wait()) is not None:
                    break  # at that very moment
                struck += 1
                there = finished(lying)
                written = unfinished(lying) if killed else []
                tally.strikes.append(
                    Strike(
                        job=self.job, number=tally.ended, engine=self.engine, aim=aim, finished=len(there),
                        unfinished=written,
                    )
                )  # fmt: skip
                tally.again += lost(before, there, lying)
                before = there
                where = ", ".join(f"{name} ({size} bytes)" for name, size in written)
                say(f"kill {len(tally.strikes):3}: {aim}; {len(there)} files finished; {where or 'no write'}")
            if not killed:
                code = attempt.wait()
            if code is not None:
                tally.again += lost(before, finished(lying), lying)
                return struck, code


def _difference(found: dict[str, str], expected: dict[str, str]) -> str:
    names = sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
    return ", ".join(names[:5])


def write_toys(folder: Path) -> None:
    """A domain and photos, as the tests use them."""
    from tests.toy_domain import write_toy_domain
    from tests.toys import toy_image
    from textmorph.images import write_image

    write_toy_domain(folder, bank=True, corpus=False)
    for name, num in PHOTOS.items():
        (folder / name).mkdir()
        for number in range(num):
            write_image(toy_image(20, seed=number), folder / name / f"{number:03}.png")


def battles(kills: int, ray_kills: int) -> list[Battle]:
    """How the kills are shared out; a corpus in a LanceDB folder takes seconds to load that library, so has fewer."""
    shares = {"bank": 0.3, "corpus": 0.3, "folder": 0.35, "corpus of photos": 0.05}
    here = {"writing": 1, "anywhere": 1}
    there = {"writing": 3, "anywhere": 1, "worker": 3}
    found = [Battle(job=job, engine="process", kills=round(kills * share), aims=here) for job, share in shares.items()]
    jobs = ("bank", "corpus", "folder")
    apart = {job: ray_kills // 3 + (number < ray_kills % 3) for number, job in enumerate(jobs)}
    found += [Battle(job=job, engine="ray", kills=num, aims=there) for job, num in apart.items()]
    return [battle for battle in found if battle.kills]


def run(
    kills: int, ray_kills: int, seed: int, done: list[dict[str, Any]], say: Callable[[str], None] = print
) -> Iterator[list[dict[str, Any]]]:
    """What came of all battles so far, as JSON, after each job that has ended; those that are `done` count."""
    import textmorph.cli.app
    import textmorph.editing.tasks  # noqa: F401 - loads what every process would load for itself, in seconds

    came = {(job["job"], job["engine"]): job for job in done}
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        folder = Path(place)
        write_toys(folder / "toy")
        for number, battle in enumerate(battles(kills, ray_kills)):
            name = battle.job, battle.engine
            tally = Tally.read(came[name]) if name in came else Tally()
            if tally.ended and battle.enough(tally):
                continue
            if battle.engine == "ray" and "RAY_ADDRESS" not in os.environ:
                stack.enter_context(cluster())
            for told in battle.run(tally, folder / "toy", folder / str(number), seed, say):
                came[name] = told
                yield list(came.values())
    yield list(came.values())


def good(found: dict[str, Any]) -> bool:
    """Whether every job ended as it should."""
    return all(job["equal"] == job["ended"] and not job["again"] and not job["stray"] for job in found["jobs"])


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.job_kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=150, help="in one process (default: 150)")
    parser.add_argument("--ray-kills", type=int, default=50, help="on a Ray cluster (default: 50)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: 0)")
    parser.add_argument("--results", type=Path, help="file to write the log to, as JSON")
    parser.add_argument("--go-on", action="store_true", help="count what the results have already")
    arguments = parser.parse_args(words)
    if arguments.go_on and not arguments.results:
        parser.error("--go-on needs --results, the file to go on from")
    os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", RAY_USAGE_STATS_ENABLED="0")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # leaves no cluster behind
    keep_memory()
    torch.set_num_threads(1)  # a forked process has no threads of its parent
    done = json.loads(arguments.results.read_text())["jobs"] if arguments.go_on and arguments.results.exists() else []
    found: dict[str, Any] = {"seed": arguments.seed, "pause": PAUSE, "jobs": []}
    for found["jobs"] in run(arguments.kills, arguments.ray_kills, arguments.seed, done):
        if arguments.results:  # what was fought is kept, whatever comes
            write_bytes(arguments.results, (json.dumps(found, indent=1) + "\n").encode(), overwrite=True)
    sums = ("job", "engine", "kills", "writing", "workers", "ended", "equal", "again", "stray")
    print(json.dumps([{name: job[name] for name in sums} for job in found["jobs"]], indent=1))
    return 0 if good(found) else 1


if __name__ == "__main__":
    sys.exit(main())
