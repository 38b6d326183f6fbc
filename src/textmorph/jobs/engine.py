"""Engines: who computes the shards of a job: this process, worker processes beside it, or a Ray cluster.

A shard is a pure function, named `module:function`, and JSON arguments; what it gives is bytes, the content of one
file. Workers send them back and whoever runs the engine writes them: a worker may fall at any moment and leaves nothing
behind. The same function, arguments and number of threads give the same bits on the same kind of device, whoever
computes them.
"""

from __future__ import annotations

import json
import math
import os
import queue
import struct
import subprocess
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from typing import IO, Any, Protocol, TypeVar

from .. import errors
from ..errors import JobError, OptionError, TextmorphError

ATTEMPTS = 5
"""A shard whose worker fell so often is given up."""
PATIENCE = 300.0
"""Seconds to wait for a first worker."""

Arguments = Mapping[str, Any]
Results = Generator[tuple[int, bytes], None, None]


class Engine(Protocol):
    """Computes shards, in any order."""

    def run(self, function: str, shards: Mapping[int, Arguments], *, threads: int) -> Results:
        """Number and content of each shard, as it is finished; close the iterator to stop.

        Args:
            function: `module:function`.
            shards: number → arguments, JSON.
            threads: of torch, for each shard.

        Raises:
            TextmorphError: a shard raised it.
            JobError: a shard raised something else, or its workers fell again and again.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class ProcessEngine:
    """Computes shards on this machine.

    Args:
        workers: processes at once; 1 computes here, in order.
    """

    workers: int = 1

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise OptionError(f"an engine has one worker or more, not {self.workers}")

    def run(self, function: str, shards: Mapping[int, Arguments], *, threads: int) -> Results:
        """As `Engine.run`."""
        if self.workers == 1:
            for number, arguments in shards.items():
                yield number, _content(number, answer(function, arguments, threads))
        elif shards:
            yield from spread(_Processes(function, threads), shards, self.workers)


Answer = tuple[str, bytes]
"""The name of an error and its message, or an empty name and the content."""

READY: Answer = ("", b"")
"""What a worker says first, when it is there."""


def answer(function: str, arguments: Arguments, threads: int) -> Answer:
    """Compute one shard, here."""
    try:
        compute = resolve(function)
        with _threads(threads) as right:
            content = compute(**arguments)
        if not right and "torch" in sys.modules:  # the function loaded it, with threads of its own choice
            with _threads(threads):
                content = compute(**arguments)
        if not isinstance(content, bytes):
            return "JobError", f"{function} gave {type(content).__name__}, not bytes".encode()
        return "", content
    except TextmorphError as error:
        return type(error).__name__, str(error).encode()
    except Exception as error:
        place = error.__traceback__
        while place is not None and place.tb_next is not None:
            place = place.tb_next
        where = f" ({place.tb_frame.f_code.co_filename}:{place.tb_lineno})" if place else ""
        return "JobError", f"{function} failed: {type(error).__name__}: {error}{where}".encode()


def resolve(function: str) -> Callable[..., Any]:
    """The function that `module:function` names.

    Raises:
        JobError: there is none.
    """
    module, _, name = function.partition(":")
    try:
        found: Callable[..., Any] = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise JobError(f"there is no function {function!r}: {error}") from error
    return found


@contextmanager
def _threads(num: int) -> Iterator[bool]:
    """Let torch use so many threads; False where it is not loaded yet."""
    torch = sys.modules.get("torch")
    if torch is None:
        yield False
        return
    before = torch.get_num_threads()
    torch.set_num_threads(num)
    try:
        yield True
    finally:
        torch.set_num_threads(before)


def _content(number: int, given: Answer) -> bytes:
    """What a shard gave; raises what it raised."""
    name, content = given
    if not name:
        return content
    kind = getattr(errors, name, JobError)
    message = content.decode()
    raise kind(f"shard {number}: {message}" if kind is JobError else message)


Worker = TypeVar("Worker")


class Team(Protocol[Worker]):
    """Workers of one kind."""

    @property
    def complaint(self) -> str:
        """Why the last one fell, as far as one can tell."""
        ...

    def hire(self) -> Worker:
        """Start one; it answers `READY` when it is there."""
        ...

    def give(self, worker: Worker, arguments: Arguments) -> None:
        """Let it compute a shard."""
        ...

    def answers(self, timeout: float) -> Sequence[tuple[Worker, Answer | None]]:
        """Wait for some workers to answer; None for one that fell."""
        ...

    def dismiss(self) -> None:
        """Stop them all, at once."""
        ...


def spread(team: Team[Worker], shards: Mapping[int, Arguments], workers: int) -> Results:
    """Give shards to workers as they become free; those of fallen workers are given again.

    Raises:
        TextmorphError: as `Engine.run`.
    """
    waiting, falls, false_starts = deque(shards), Counter[int](), 0
    busy: dict[Worker, int | None] = {}  # with a shard, or still starting
    idle: list[Worker] = []
    left, begin = len(shards), time.monotonic()
    try:
        for _ in range(min(workers, len(shards))):
            busy[team.hire()] = None
        while left:
            while waiting and idle:
                worker, number = idle.pop(), waiting.popleft()
                team.give(worker, shards[number])
                busy[worker] = number
            for worker, given in team.answers(1.0):
                task = busy.pop(worker)
                if given is not None:
                    idle.append(worker)
                    begin, false_starts = math.inf, 0
                    if task is not None:
                        left -= 1
                        yield task, _content(task, given)
                    continue
                if task is None:
                    false_starts += 1
                else:
                    falls[task] += 1
                    waiting.appendleft(task)
                if false_starts == ATTEMPTS:
                    raise JobError(f"{ATTEMPTS} workers fell before they could begin; {team.complaint}")
                if task is not None and falls[task] == ATTEMPTS:
                    raise JobError(f"{ATTEMPTS} workers fell over shard {task}: too little memory? {team.complaint}")
                busy[team.hire()] = None
            if time.monotonic() - begin > PATIENCE:
                raise JobError(f"no worker could begin within {PATIENCE:.0f} s; is there a free processor, or GPU?")
    finally:
        team.dismiss()


class _Process:
    """A worker process, and the thread that listens to it. Orders go in by stdin, answers come out by stdout."""

    def __init__(self, function: str, threads: int, heard: queue.SimpleQueue[tuple[_Process, Answer | None]]) -> None:
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "OMP_NUM_THREADS": str(threads),
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"{__package__}.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            start_new_session=True,  # Ctrl-C is for the one who waits; it stops the workers
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._orders: IO[bytes] = self._process.stdin
        threading.Thread(target=_listen, args=(self, self._process.stdout, heard), daemon=True).start()
        self.order({"function": function, "threads": threads})

    def order(self, what: Arguments) -> None:
        with suppress(OSError):  # it fell: the listener tells
            send(self._orders, json.dumps(what).encode())

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        with suppress(OSError):
            self._orders.close()


class _Processes:
    """Worker processes on this machine."""

    complaint = "what they said stands above"

    def __init__(self, function: str, threads: int) -> None:
        self._about = function, threads
        self._heard: queue.SimpleQueue[tuple[_Process, Answer | None]] = queue.SimpleQueue()
        self._all: list[_Process] = []

    def hire(self) -> _Process:
        self._all.append(_Process(*self._about, self._heard))
        return self._all[-1]

    def give(self, worker: _Process, arguments: Arguments) -> None:
        worker.order(arguments)

    def answers(self, timeout: float) -> list[tuple[_Process, Answer | None]]:
        try:
            return [self._heard.get(timeout=timeout)]
        except queue.Empty:
            return []

    def dismiss(self) -> None:
        for worker in self._all:
            worker.stop()


def _listen(worker: _Process, voice: IO[bytes], heard: queue.SimpleQueue[tuple[_Process, Answer | None]]) -> None:
    with voice:
        while (name := receive(voice)) is not None and (content := receive(voice)) is not None:
            heard.put((worker, (name.decode(), content)))
    heard.put((worker, None))


_LENGTH = struct.Struct("<Q")


def send(pipe: IO[bytes], message: bytes) -> None:
    """Write a message of any length into a pipe."""
    pipe.write(_LENGTH.pack(len(message)))
    pipe.write(message)
    pipe.flush()


def receive(pipe: IO[bytes]) -> bytes | None:
    """The next message; None where the other end is gone."""
    head = pipe.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    message = pipe.read(length)
    return message if len(message) == length else None
