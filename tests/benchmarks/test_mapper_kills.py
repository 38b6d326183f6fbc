"""A small number of `kill -9`; `python -m benchmarks.mapper_kills` does fifty."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes")
def test_killed_again_and_again_a_training_ends_with_the_same_bits(tmp_path: Path):
    memory = "/dev/shm"  # the hardest place to meet a write in: a file there is whole at once
    place = {"TMPDIR": memory} if os.access(memory, os.W_OK) else {}
    words = ["--kills", "3", "--width", "96", "--seed", "1", "--results", str(tmp_path / "kills.json")]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.mapper_kills", *words],
        cwd=ROOT, env=os.environ | place, capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "kills.json").read_text())
    assert found["kills"] >= 3
    assert found["while_writing"] >= found["kills"] / 3
    assert found["equal"] == found["trainings"] >= 1
