from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
import torch

from textmorph.errors import JobError, OptionError, PromptError
from textmorph.jobs.engine import ProcessEngine

from . import toy_shards

HERE = toy_shards.__name__
ONE, TWO = ProcessEngine(), ProcessEngine(workers=2)
SHARDS = {number: {"seed": number} for number in range(5)}


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_worker_processes_give_the_bits_of_this_one():
    expected = dict(ONE.run(f"{HERE}:noise", SHARDS, threads=1))
    assert expected == {seed: toy_shards.noise(seed=seed) for seed in SHARDS}
    assert dict(TWO.run(f"{HERE}:noise", SHARDS, threads=1)) == expected


def test_every_shard_gets_its_threads_and_this_process_keeps_its_own():
    before = torch.get_num_threads()
    assert set(dict(ONE.run(f"{HERE}:threads", SHARDS, threads=3)).values()) == {b"3"}
    assert torch.get_num_threads() == before
    assert set(dict(TWO.run(f"{HERE}:threads", SHARDS, threads=3)).values()) == {b"3"}


def test_what_a_shard_prints_does_not_get_into_its_answer():
    assert dict(TWO.run(f"{HERE}:chatty", {0: {"seed": 0}, 1: {"seed": 1}}, threads=1)) == {0: b"quiet", 1: b"quiet"}


def test_shards_of_a_fallen_worker_are_given_to_another(tmp_path: Path):
    shards = {number: {"seed": number, "marks": str(tmp_path)} for number in range(3)}
    assert dict(TWO.run(f"{HERE}:fallible", shards, threads=1)) == dict.fromkeys(range(3), b"stood")
    assert len(list(tmp_path.iterdir())) == 3


def test_a_shard_over_which_every_worker_falls_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("textmorph.jobs.engine.ATTEMPTS", 2)
    shards = {7: {"seed": 7, "marks": str(tmp_path), "falls": 9}}
    with pytest.raises(JobError, match="2 workers fell over shard 7"):
        list(TWO.run(f"{HERE}:fallible", shards, threads=1))


def test_workers_that_cannot_begin_are_not_started_for_ever(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(JobError, match="before they could begin"):
        list(TWO.run(f"{HERE}:noise", SHARDS, threads=1))


@pytest.mark.parametrize("engine", [ONE, TWO], ids=["here", "processes"])
def test_errors_of_ours_come_back_as_they_are_and_others_say_where(engine: ProcessEngine):
    with pytest.raises(PromptError, match=r"^the text is empty$"):
        list(engine.run(f"{HERE}:refusing", SHARDS, threads=1))
    with pytest.raises(JobError, match=r"shard 2: .*ZeroDivisionError.*toy_shards.py:\d+"):
        list(engine.run(f"{HERE}:failing", SHARDS, threads=1))


def test_a_function_that_is_not_there_or_gives_something_else_is_refused():
    with pytest.raises(JobError, match="no function"):
        list(ONE.run(f"{HERE}:nothing", SHARDS, threads=1))
    with pytest.raises(JobError, match="not bytes"):
        list(ONE.run(f"{HERE}:lying", SHARDS, threads=1))
    with pytest.raises(OptionError, match="one worker or more"):
        ProcessEngine(workers=0)
    assert list(TWO.run(f"{HERE}:noise", {}, threads=1)) == []


def test_closing_stops_the_workers_at_once():
    shards = {0: {"seed": 0}} | {number: {"seed": number} for number in range(1, 9)}
    with closing(TWO.run(f"{HERE}:worker", shards, threads=1)) as finished:
        workers = {int(content) for _, content in (next(finished), next(finished))}
        assert all(alive(pid) for pid in workers)
    assert os.getpid() not in workers
    assert not any(alive(pid) for pid in workers)


def test_workers_end_with_the_program_that_started_them(tmp_path: Path):
    """Killed, it cannot tell them; and they leave in the middle of a shard."""
    program = f"""
import sys
from textmorph.jobs.engine import ProcessEngine
shards = {{0: {{"seed": 0}}, 1: {{"seed": 1}}, 2: {{"seed": 2}}, 3: {{"seed": 3}}}}
for number, content in ProcessEngine(workers=2).run("{HERE}:worker", shards, threads=1):
    print(content.decode(), flush=True)
    import time; time.sleep(60)
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    with process.stdout:
        worker = int(process.stdout.readline())
        assert alive(worker)
        process.kill()
        process.wait()
    end = time.monotonic() + 10
    while alive(worker) and time.monotonic() < end:
        time.sleep(0.02)
    assert not alive(worker)
