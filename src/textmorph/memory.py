"""Memory that is used again instead of given back."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from typing import TypeVar

import torch

Result = TypeVar("Result")

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4  # mallopt(3)
_LARGEST = 2**31 - 1


def keep_memory() -> bool:
    """Let this process keep the memory of freed tensors for the next ones; for programs, not for libraries.

    By default glibc returns every block over 32 MB to the kernel at once, so that each large tensor is paid for page
    by page; on a virtual machine that takes longer than the arithmetic on it. The price is a process that stays as
    big as it once was. Acts on blocks allocated from now on.

    Returns:
        Whether the C library took the wish; only glibc does.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    wishes = {_MMAP_MAX: 0, _TRIM_THRESHOLD: _LARGEST, _TOP_PAD: 2**26}
    return bool(sum(mallopt(option, value) for option, value in wishes.items()) == len(wishes))


def give_back_memory() -> bool:
    """Give freed memory back to the system; for programs that go on for long after a heavy piece of work.

    glibc keeps freed blocks of up to 32 MB, in an arena of each thread that ever ran, and returns them only where
    they end an arena: a process with some threads stays near its largest size. Takes milliseconds.

    Returns:
        Whether anything was given back; only glibc does.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        return bool(ctypes.CDLL(None).malloc_trim(0))
    except (AttributeError, OSError):
        return False


def free_memory(device: torch.device | str = "cpu") -> int | None:
    """Bytes that new tensors on a device may take; None where nobody can say."""
    device = torch.device(device)
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that a tensor found no room, on any device."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)  # torch's allocator on the CPU


def halving(run: Callable[[slice], Result], num: int, batch_size: int) -> list[Result]:
    """Run over rows 0 to num, `batch_size` at a time; where the memory does not do, in halves, down to single rows.

    Args:
        run: given the rows; called again for those that it failed on.

    Returns:
        What `run` gave, in order.
    """
    results: list[Result] = []
    first = 0
    while first < num:
        rows = slice(first, min(first + batch_size, num))
        try:
            results.append(run(rows))
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or rows.stop - rows.start == 1:
                raise
            batch_size = max(1, (rows.stop - rows.start) // 2)
        else:
            first = rows.stop
            continue
        if torch.cuda.is_available():  # outside of the handler: the error holds on to the tensors of its frames
            torch.cuda.empty_cache()
    return results
