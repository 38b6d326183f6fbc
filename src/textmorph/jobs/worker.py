"""A worker process: orders in by stdin, answers out by stdout. `engine.py` starts it; it ends when that one does."""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from contextlib import suppress
from typing import IO, Any

from ..errors import JobError
from ..memory import keep_memory
from .engine import READY, answer, receive, resolve, send


def work(orders: IO[bytes], answers: IO[bytes]) -> None:
    """Compute shards until the orders end."""
    todo: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(orders, todo), daemon=True).start()
    about = todo.get()
    with suppress(JobError):  # the shards will tell
        resolve(about["function"])  # what takes long, imports, comes before the first shard
    given = READY
    while True:
        name, content = given
        send(answers, name.encode())
        send(answers, content)
        given = answer(about["function"], todo.get(), about["threads"])


def _read(orders: IO[bytes], todo: queue.SimpleQueue[dict[str, Any]]) -> None:
    while (order := receive(orders)) is not None:
        todo.put(json.loads(order))
    os._exit(0)  # nobody waits any more: leave in the middle of a shard


def main() -> None:
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not get into the answers
    keep_memory()
    work(sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
