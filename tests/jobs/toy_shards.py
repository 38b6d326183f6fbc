"""Shards for tests, by name: workers import this file, which is quick."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

from textmorph.errors import PromptError


def noise(*, seed: int, size: int = 100) -> bytes:
    """Bits that depend on the arguments, and on arithmetic."""
    values = np.random.default_rng(seed).standard_normal((size, size), dtype=np.float32)
    return bytes((values @ values).tobytes())


def threads(*, seed: int) -> bytes:
    import torch

    return str(torch.get_num_threads()).encode()


def chatty(*, seed: int) -> bytes:
    """Prints, as libraries do."""
    sys.stdout.write("not an answer\n")
    sys.stdout.flush()
    os.write(1, b"nor this")
    return b"quiet"


def fallible(*, seed: int, marks: str, falls: int = 1) -> bytes:
    """Its process falls the first times."""
    for attempt in range(falls):
        mark = Path(marks) / f"{seed}-{attempt}"
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
    return b"stood"


def slow(*, seed: int, seconds: float) -> bytes:
    time.sleep(seconds)
    return b"late"


def worker(*, seed: int) -> bytes:
    return str(os.getpid()).encode()


def refusing(*, seed: int) -> bytes:
    if seed == 2:
        raise PromptError("the text is empty")
    return b"fine"


def failing(*, seed: int) -> bytes:
    return str(1 // (seed - 2)).encode()


def lying(*, seed: int) -> bytes:
    return "text"  # type: ignore[return-value]
