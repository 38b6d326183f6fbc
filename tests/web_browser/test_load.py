"""Many people at once: whose answer is whose, how long they wait, and what the server keeps. No browser is needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.studio import Load, Truth, judge, run_load
from benchmarks.studio_load import memory, waits
from benchmarks.studio_server import MemoryWatch, StudioServer
from textmorph.editing.editor import Editor

pytestmark = pytest.mark.browser

LOAD = Load(clients=8, seconds=15, pause=0.5, seed=1)


def test_eight_clients_at_once_each_get_their_own_answers(tmp_path: Path) -> None:
    truth = Truth(Editor.from_pretrained("portraits", device="cpu"), clients=LOAD.clients, seed=LOAD.seed)
    studio = StudioServer(["--folder", str(tmp_path)], environment={"OMP_NUM_THREADS": "1"})
    with studio as server, MemoryWatch(server.process_id) as watch:
        outcome = run_load(server.url, truth.portraits, LOAD)
    kept = memory(watch, warm=outcome.warm, end=outcome.end)
    print(waits(outcome.answers), kept)  # noqa: T201
    assert judge(outcome, truth) == []
    assert outcome.rounds >= 2 * LOAD.clients
    assert {answer.client for answer in outcome.answers} == set(range(LOAD.clients))
    assert kept["flat"], kept
