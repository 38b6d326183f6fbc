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
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

from textmorph.files import write_bytes
from textmorph.memory import keep_memory

from .job_kills_report import report
from .machine import about_run

WRITING = 1 / 3
"""Least share of the kills that must strike while a file is being written."""
PAUSE = 0.03
"""Seconds that a write takes at two moments: half written, and written but not yet in its place."""
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
        "edit", "{toy}/photos", "a person with purple hair", "--strength", "2", "-k", "8", "--before-after",
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


# The program that is killed


def work(words: list[str], folder: Path, told: int) -> int:
    """Run a command in a folder; every write is told to a pipe."""
    from textmorph.cli import main

    os.chdir(folder)
    _slow_writes(told)
    with open(folder.with_suffix(".log"), "a", encoding="utf-8") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        try:
            main(words)
        except SystemExit as left:
            return left.code if isinstance(left.code, int) else 0
        except BaseException:
            traceback.print_exc()
            return 1
    return 0


def _slow_writes(told: int) -> None:
    write_whole, replace = Path.write_bytes, os.replace

    def slow_write(path: Path, content: Any) -> int:
        if ".part" not in path.name:
            return write_whole(path, content)
        with path.open("wb") as file:
            file.write(content[: len(content) // 2])
            file.flush()
            os.write(told, b".")
            time.sleep(PAUSE)
            file.write(content[len(content) // 2 :])
        return len(content)

    def slow_replace(source: Any, target: Any, **rest: Any) -> None:
        if ".part" in Path(source).name:
            os.write(told, b".")
            time.sleep(PAUSE)
        replace(source, target, **rest)

    Path.write_bytes = slow_write  # type: ignore[method-assign]
    Path.write_text = lambda path, text, **_: slow_write(path, text.encode())  # type: ignore[method-assign]
    os.replace = slow_replace


# Killing it


class Attempt:
    """One run of a command in a process of its own."""

    def __init__(self, words: list[str], folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.heard, told = os.pipe()
        os.set_blocking(self.heard, False)
        self.process = os.fork()
        if self.process == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            code = 1
            with suppress(BaseException):
                code = work(words, folder, told)
            os._exit(code)
        os.close(told)
        self.writes = 0

    def ended(self) -> bool:
        """Whether it has ended by itself; it stays to be waited for."""
        return os.waitid(os.P_PID, self.process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def listen(self) -> int:
        """Writes announced so far."""
        with suppress(BlockingIOError):
            self.writes += len(os.read(self.heard, 1000))
        return self.writes

    def until(self, reached: Callable[[], Any], every: float = 0.001) -> Any:
        """Wait; None where it ended before."""
        while not (value := reached()):
            if self.ended():
                return None
            time.sleep(every)
        return value

    def kill(self) -> None:
        os.kill(self.process, signal.SIGKILL)

    def wait(self) -> int | None:
        """Its exit code; None if it was killed."""
        _, status = os.waitpid(self.process, 0)
        self.listen()
        os.close(self.heard)
        return None if os.WIFSIGNALED(status) else os.waitstatus_to_exitcode(status)


def computing() -> list[int]:
    """Ray's workers that compute a shard now, by the title that Ray gives them."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and (entry / "cmdline").read_bytes().startswith(b"ray::ShardWorker.compute"):
                found.append(int(entry.name))
    return sorted(found)


def finished(folder: Path) -> dict[str, int]:
    """Files that are whole, and when they were written."""
    found = {}
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            if path.suffix in (".shard", ".png", ".safetensors") and ".part" not in path.name:
                found[str(path.relative_to(folder))] = path.stat().st_mtime_ns
    return found


def unfinished(folder: Path) -> list[tuple[str, int]]:
    """Files that were being written, as the file that each would have become, and their bytes so far."""
    return [
        (f"{path.parent.relative_to(folder)}/*{path.suffix}", path.stat().st_size)
        for path in sorted(folder.rglob("*"))
        if ".part" in str(path.relative_to(folder)) and path.is_file()
    ]


def content(folder: Path) -> dict[str, str]:
    """Every file and the digest of its bytes; of a corpus in a folder, that of its columns."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_file() and not name.startswith("corpus/"):
            found[name] = sha256(path.read_bytes()).hexdigest()
    if (folder / "corpus").is_dir():
        found["corpus/"] = apart(lambda: _columns(folder / "corpus"))
    return found


def _columns(folder: Path) -> str:
    from textmorph.corpus_table import CorpusTable

    table = CorpusTable(folder)
    digest = sha256(json.dumps(table.info, sort_keys=True).encode())
    for name in sorted(set(table.columns) - {"row"}):
        digest.update(repr(table.values(name)).encode())
    left = [path.name for path in folder.rglob("*") if ".part" in path.name or path.name == ".lock"]
    return digest.hexdigest() + " ".join(left)


def apart(function: Callable[[], str]) -> str:
    """Call it in a process of its own: LanceDB has threads, which a process that forks must not."""
    heard, told = os.pipe()
    process = os.fork()
    if process == 0:
        try:
            os.write(told, function().encode())
        except BaseException:
            traceback.print_exc()
        os._exit(0)
    os.close(told)
    with os.fdopen(heard) as answer:
        text = answer.read()
    os.waitpid(process, 0)
    if not text:
        raise RuntimeError("a process that was to read a corpus failed")
    return text


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
        count, delay = attempt.listen() + moments.randint(1, 6), moments.random() * PAUSE
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

    def run(self, toy: Path, folder: Path, seed: int, say: Callable[[str], None]) -> Tally:
        """Kill jobs of this kind and begin them again until there were enough kills, in all and while writing."""
        words = [word.format(toy=toy) for word in COMMANDS[self.job]] + list(RAY if self.engine == "ray" else ())
        moments, tally = random.Random(f"{seed} {self.job} {self.engine}"), Tally()
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
        return tally

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


def lost(before: dict[str, int], there: dict[str, int], folder: Path) -> int:
    """Files that had been finished and were computed again, or are gone though their job goes on."""
    again = sum(name in there and there[name] != written for name, written in before.items())
    jobs = [path for path in folder.glob("*.job/job.json") if "finished" not in json.loads(path.read_text())]
    return again + (sum(name not in there for name in before) if jobs else 0)


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


@contextmanager
def cluster() -> Iterator[None]:
    """A Ray cluster of this machine, in a process of its own, that RAY_ADDRESS names."""
    with tempfile.TemporaryDirectory(prefix="tmk", dir="/tmp") as folder, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(16)}  # ours alone
        words = [
            "start", "--head", "--block", "--node-ip-address=127.0.0.1", f"--port={port}", "--num-cpus=2",
            "--include-dashboard=false", "--object-store-memory=100000000", "--disable-usage-stats",
            f"--temp-dir={folder}",
        ]  # fmt: skip
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([os.getcwd(), *filter(None, sys.path)])}
        ray = [sys.executable, "-c", "from ray.scripts.scripts import main; main()"]
        process = subprocess.Popen(
            [*ray, *words],
            env=environment,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.environ["RAY_ADDRESS"] = f"127.0.0.1:{port}"
        try:
            end = time.monotonic() + 120
            while True:
                with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                    break
                if process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError("Ray did not start")
                time.sleep(0.2)
            time.sleep(3)  # the processes beside the one that listens
            yield
        finally:
            for name in ("RAY_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN"):
                del os.environ[name]
            os.killpg(process.pid, signal.SIGTERM)  # Ray stops what it has started
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


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
) -> Iterator[dict[str, Any]]:
    """What came of each battle, as JSON, as it ends; those that are `done` are not fought again."""
    import textmorph.cli.app
    import textmorph.shards  # noqa: F401 - loads what every process would load for itself, in seconds

    if ray_kills:
        import ray  # noqa: F401
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        folder = Path(place)
        write_toys(folder / "toy")
        for number, battle in enumerate(battles(kills, ray_kills)):
            before = [job for job in done if (job["job"], job["engine"]) == (battle.job, battle.engine)]
            if before:
                yield before[0]
                continue
            if battle.engine == "ray" and "RAY_ADDRESS" not in os.environ:
                stack.enter_context(cluster())
            tally = battle.run(folder / "toy", folder / str(number), seed, say)
            about = {"job": battle.job, "engine": battle.engine, "kills": len(tally.strikes), "writing": tally.writing}
            about["workers"] = sum(strike.aim == "worker" for strike in tally.strikes)
            yield {**about, **asdict(tally), "run": about_run(packages=("ray", "lancedb", "transformers"))}


def good(found: dict[str, Any]) -> bool:
    """Whether every job ended as it should."""
    return all(job["equal"] == job["ended"] and not job["again"] and not job["stray"] for job in found["jobs"])


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.job_kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=150, help="in one process (default: 150)")
    parser.add_argument("--ray-kills", type=int, default=50, help="on a Ray cluster (default: 50)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: 0)")
    parser.add_argument("--results", type=Path, help="file to write the log to, as JSON; a table goes beside it")
    parser.add_argument("--go-on", action="store_true", help="keep the kinds of jobs that the results have already")
    arguments = parser.parse_args(words)
    os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", RAY_USAGE_STATS_ENABLED="0")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # leaves no cluster behind
    keep_memory()
    torch.set_num_threads(1)  # a forked process has no threads of its parent
    done = json.loads(arguments.results.read_text())["jobs"] if arguments.go_on and arguments.results.exists() else []
    found: dict[str, Any] = {"seed": arguments.seed, "pause": PAUSE, "jobs": []}
    for tally in run(arguments.kills, arguments.ray_kills, arguments.seed, done):
        found["jobs"].append(tally)
        if arguments.results:  # what was fought is kept, whatever comes
            write_bytes(arguments.results, (json.dumps(found, indent=1) + "\n").encode(), overwrite=True)
            write_bytes(arguments.results.with_suffix(".md"), report(found).encode(), overwrite=True)
    print(report(found))
    return 0 if good(found) else 1


if __name__ == "__main__":
    sys.exit(main())
