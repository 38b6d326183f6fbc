"""Damaged files of every kind, the short form of `python -m benchmarks.fuzz`; and that it sees what goes wrong."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from benchmarks import fuzz
from textmorph.errors import InputError

KINDS = {
    "pictures", "png text", "edits", "latents", "records", "domain.toml", "legacy torch", "zip torch", "nvidia pickle",
    "job.json", "clip config", "states", "finished.json",
}  # fmt: skip


def test_every_damaged_file_is_taken_or_refused_by_an_error_of_ours(tmp_path: Path) -> None:
    pytest.importorskip("lancedb")
    pytest.importorskip("gradio")
    results = fuzz.run(500, 1, tmp_path, least=15)
    assert results.keys() == KINDS
    for name, found in results.items():
        assert found["taken"] + found["refused"] == found["inputs"] >= 15, (name, found)
        assert found["refused"] > 0, (name, found)
        assert "wrong" not in found, (name, found)


def test_what_goes_wrong_is_counted() -> None:
    def use(content: bytes) -> None:
        match content[:1]:
            case b"r":
                raise InputError("refused")
            case b"l":
                raise InputError("in\ntwo lines")
            case b"f":
                raise KeyError("foreign")
            case b"s":
                time.sleep(3)

    def first(content: bytes, rng: random.Random) -> bytes:
        return content[1:]

    found = fuzz.tried(([b"tt", b"tr", b"tl", b"tf", b"ts"], use, first), 5, random.Random(0), seconds=1)
    assert {name: found[name] for name in ("taken", "refused", "of several lines", "foreign", "slow")} == {
        "taken": 1, "refused": 2, "of several lines": 1, "foreign": 1, "slow": 1
    }  # fmt: skip
    assert len(found["wrong"]) == 3
