"""Memory that is used again instead of given back."""

from __future__ import annotations

import ctypes
import sys

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
