"""On a small cluster of this machine, started once: that takes seconds."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from textmorph.errors import JobError, MissingExtraError, OptionError, PromptError
from textmorph.jobs.engine import ProcessEngine
from textmorph.jobs.job_folder import open_job
from textmorph.jobs.ray_engine import RayEngine

from . import toy_shards
from .ray_cluster import IGNORED, end_cluster
from .test_job_folder import EXPECTED, TOY

HERE = toy_shards.__name__
SHARDS = {number: {"seed": number} for number in range(4)}
pytestmark = pytest.mark.filterwarnings(*IGNORED)


@pytest.fixture(scope="module")
def engine() -> Iterator[RayEngine]:
    ray = pytest.importorskip("ray")
    engine = RayEngine(workers=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert engine.has_gpus == (ray.cluster_resources().get("GPU", 0) >= 1)  # starts the cluster
    yield engine
    end_cluster()


@pytest.mark.slow
def test_a_cluster_gives_the_bits_of_this_process_though_workers_fall(engine: RayEngine, tmp_path: Path):
    assert dict(engine.run(f"{HERE}:noise", SHARDS, threads=1)) == {i: toy_shards.noise(seed=i) for i in SHARDS}
    shards = {number: {"seed": number, "marks": str(tmp_path)} for number in range(3)}
    assert dict(engine.run(f"{HERE}:fallible", shards, threads=1)) == dict.fromkeys(shards, b"stood")
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.slow
def test_workers_keep_from_shard_to_shard_what_they_have_loaded(engine: RayEngine):
    shards = {number: {"seed": number} for number in range(8)}
    workers = set(dict(engine.run(f"{HERE}:worker", shards, threads=1)).values())
    assert len(workers) <= 2
    assert str(os.getpid()).encode() not in workers


@pytest.mark.slow
def test_errors_of_ours_come_back_as_they_are_and_others_say_where(engine: RayEngine):
    with pytest.raises(PromptError, match=r"^the text is empty$"):
        list(engine.run(f"{HERE}:refusing", SHARDS, threads=1))
    with pytest.raises(JobError, match=r"shard 2: .*ZeroDivisionError.*toy_shards.py:\d+"):
        list(engine.run(f"{HERE}:failing", SHARDS, threads=1))


@pytest.mark.slow
def test_a_job_begun_here_goes_on_there(engine: RayEngine, tmp_path: Path):
    with open_job(tmp_path / "job", TOY, threads=1) as job:
        finished = ProcessEngine().run(TOY.function, {0: TOY.arguments(0)}, threads=1)
        job.run(_Only(dict(finished)))
        job.run(engine)
        assert list(job.contents()) == EXPECTED


class _Only:
    """Has some shards, and stops."""

    def __init__(self, contents: dict[int, bytes]) -> None:
        self.contents = contents

    def run(self, function: str, shards: object, *, threads: int) -> Iterator[tuple[int, bytes]]:
        yield from self.contents.items()


@pytest.mark.slow
def test_workers_that_are_killed_from_outside_are_replaced(engine: RayEngine):
    shards = {number: {"seed": number, "seconds": 0.4} for number in range(4)}
    struck: list[int] = []

    def strike() -> None:
        end = time.monotonic() + 60
        while not struck and time.monotonic() < end:
            struck.extend(_computing()[:1])
            time.sleep(0.02)
        os.kill(struck[0], signal.SIGKILL)

    thread = threading.Thread(target=strike)
    thread.start()
    assert dict(engine.run(f"{HERE}:slow", shards, threads=1)) == dict.fromkeys(shards, b"late")
    thread.join()
    assert struck


def _computing() -> list[int]:
    """Actors that compute a shard now; Ray writes it into their titles."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and b"ShardWorker.compute" in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found


def test_without_ray_the_engine_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match="textmorph\\[ray\\]"):
        list(RayEngine().run(f"{HERE}:noise", SHARDS, threads=1))
    with pytest.raises(OptionError, match="one worker or more"):
        RayEngine(workers=0)
