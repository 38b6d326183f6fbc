"""A few `kill -9`; `make benchmark-kills` does two hundred."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes")


def battle(folder: Path, *words: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.job_kills", *words, "--results", str(folder / "kills.json")],
        cwd=ROOT, capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| **all** |" in (folder / "kills.md").read_text()
    found: dict[str, Any] = json.loads((folder / "kills.json").read_text())
    return found


@pytest.mark.slow
def test_killed_again_and_again_jobs_end_with_the_same_bits_and_leave_nothing(tmp_path: Path):
    found = battle(tmp_path, "--kills", "4", "--ray-kills", "0", "--seed", "3")
    assert [job["job"] for job in found["jobs"]] == ["bank", "corpus", "folder"]
    for job in found["jobs"]:
        assert job["kills"] >= 1
        assert job["writing"] >= job["kills"] / 3
        assert job["equal"] == job["ended"] >= 1
        assert (job["again"], job["stray"]) == (0, 0)


@pytest.mark.slow
def test_killed_on_a_cluster_too(tmp_path: Path):
    pytest.importorskip("ray")
    (job,) = battle(tmp_path, "--kills", "0", "--ray-kills", "1", "--seed", "3")["jobs"]
    assert (job["job"], job["engine"]) == ("bank", "ray")
    assert job["kills"] >= 1
    assert job["equal"] == job["ended"] >= 1
    assert (job["again"], job["stray"]) == (0, 0)
