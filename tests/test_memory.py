"""Freed memory is used again."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

COUNT_FAULTS = """
import resource, torch
from textmorph.memory import keep_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        torch.ones(2**24)  # 64 MB, a page fault per 4 kB where it is new to the process
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

torch.set_num_threads(1)
fresh = faults()
assert keep_memory()
for _ in range(3):
    faults()  # the process grows to what it needs
print(fresh, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the wish is glibc's")
def test_a_large_tensor_costs_no_page_faults_the_second_time() -> None:
    done = subprocess.run([sys.executable, "-c", COUNT_FAULTS], capture_output=True, text=True, check=True)
    fresh, kept = map(int, done.stdout.split())
    assert kept < fresh / 20


HOLD_AND_FREE = """
import threading, torch
from textmorph.memory import give_back_memory

def resident():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) / 1024

pins = []
def work():
    freed = []
    for _ in range(300):
        freed.append(torch.ones(2**18 - 2**12))  # about 1 MB, below what malloc maps by itself after the first free
        pins.append(torch.ones(64))
torch.set_num_threads(1)
torch.ones(2**22)  # 16 MB, freed at once: from now on blocks up to that size come from arenas
before = resident()
threads = [threading.Thread(target=work) for _ in range(2)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
held = resident() - before
assert give_back_memory()
print(held, resident() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is glibc that keeps it")
def test_what_threads_have_freed_goes_back_to_the_system() -> None:
    done = subprocess.run([sys.executable, "-c", HOLD_AND_FREE], capture_output=True, text=True, check=True)
    held, left = map(float, done.stdout.split())
    assert held > 100
    assert left < held / 4
