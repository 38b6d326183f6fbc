"""Programs that are killed: run in a process of their own, watched while they write, and what they leave on disk."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any

PAUSE = 0.08
"""Seconds that a write takes at two moments: half written, and written but not yet in its place."""


# The program that is killed


def work(words: list[str], folder: Path, told: int) -> int:
    """Run a command in a folder; every write is told to a pipe."""
    from textmorph.cli import main

    os.chdir(folder)
    tempfile.tempdir = str(folder)  # so that what is left there is found, too
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
    from textmorph.corpora.table import CorpusTable

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


def lost(before: dict[str, int], there: dict[str, int], folder: Path) -> int:
    """Files that had been finished and were computed again, or are gone though their job goes on."""
    again = sum(name in there and there[name] != written for name, written in before.items())
    jobs = [path for path in folder.glob("*.job/job.json") if "finished" not in json.loads(path.read_text())]
    return again + (sum(name not in there for name in before) if jobs else 0)


@contextmanager
def cluster() -> Iterator[None]:
    """A Ray cluster of this machine, in a process of its own, that RAY_ADDRESS names."""
    with tempfile.TemporaryDirectory(prefix="tmk", dir="/tmp") as folder, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(16)}  # ours alone
        import_module("ray")  # once for all that fork; not before: it reads the token when it is imported
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
