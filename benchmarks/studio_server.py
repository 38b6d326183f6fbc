"""A studio in a process of its own, as a user starts it: `textmorph serve`, watched, and ended afterwards."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np


class StudioServer:
    """`textmorph serve` on a free port of the loopback address, for the length of a `with`.

    Args:
        options: further words for the command line.
        environment: variables beside the process's own.
        patience: seconds it may take to answer.
    """

    def __init__(
        self, options: Sequence[str] = (), *, environment: Mapping[str, str] | None = None, patience: float = 120
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self._words = [sys.executable, "-m", "textmorph.cli", "serve", "--port", str(self.port), *options]
        self._environment = os.environ | {"PYTHONUNBUFFERED": "1"} | (dict(environment) if environment else {})
        self._patience = patience
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - closed in __exit__

    def __enter__(self) -> StudioServer:
        begin = time.perf_counter()
        self._process = subprocess.Popen(
            self._words, env=self._environment, stdin=subprocess.DEVNULL, stdout=self._output, stderr=subprocess.STDOUT
        )
        try:
            self._wait(begin + self._patience)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        self.seconds_to_start = time.perf_counter() - begin
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._output.close()

    def _wait(self, deadline: float) -> None:
        while time.perf_counter() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"`{' '.join(self._words)}` ended with {self._process.returncode}:\n{self.output}")
            try:
                with urllib.request.urlopen(self.url, timeout=10) as answer:
                    if answer.status == 200:
                        return
            except OSError:
                time.sleep(0.2)
        raise RuntimeError(f"`{' '.join(self._words)}` did not answer within {self._patience:g} s:\n{self.output}")

    @property
    def process_id(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    @property
    def output(self) -> str:
        """What the server has printed so far."""
        file = self._output.fileno()
        return os.pread(file, os.fstat(file).st_size, 0).decode("utf-8", "replace")


class MemoryWatch:
    """Samples the resident memory of a process and its children while a `with` lasts."""

    def __init__(self, process_id: int, *, every: float = 0.5) -> None:
        self._process_id, self._every = process_id, every
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.samples: list[tuple[float, float]] = []  # (seconds since the start, MiB)

    def __enter__(self) -> MemoryWatch:
        self._begin = time.perf_counter()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.is_set():
            size = resident_mib(self._process_id)
            if size:
                self.samples.append((time.perf_counter() - self._begin, size))
            self._stop.wait(self._every)

    def median(self, begin: float, end: float) -> float:
        """Median of the samples between two moments, in MiB."""
        chosen = [size for moment, size in self.samples if begin <= moment <= end]
        return float(np.median(chosen)) if chosen else float("nan")


def resident_mib(process_id: int) -> float:
    """Resident memory of a process and its children, in MiB; 0 when it has ended. Linux only."""
    total = 0.0
    for one in [process_id, *_children(process_id)]:
        try:
            lines = Path(f"/proc/{one}/status").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:"))
    return total


def _children(process_id: int) -> list[int]:
    found: list[int] = []
    for path in Path(f"/proc/{process_id}/task").glob("*/children"):
        try:
            direct = [int(word) for word in path.read_text().split()]
        except OSError:
            continue
        for child in direct:
            found += [child, *_children(child)]
    return found


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
