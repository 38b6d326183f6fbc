"""The benchmark of mappers, over a toy domain with random judges: that it runs, goes on, and writes what it found."""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
from pathlib import Path

import pytest

pytest.importorskip("skia")  # portraits are drawn with it

from benchmarks.edit_run import Bench
from benchmarks.edit_tasks import EVERY
from benchmarks.mappers import ABLATIONS, GOALS, WISHES, compare_again, goals, markdown, publish
from tests.benchmarks.test_edits import bench as bench
from textmorph.methods.latent_mapper import LatentMapping


def test_every_wish_and_every_variant_can_be_trained():
    assert {EVERY[key].attribute for key in WISHES} == {"hair_style", "hair_colour", "expression", "age"}
    for wish in WISHES.values():
        for variant in ABLATIONS.values():
            LatentMapping(**{**wish, **variant.options})  # type: ignore[arg-type]


def test_a_goal_is_met_at_its_value_and_missed_beyond():
    met = {"hit": {"mean": 0.95}, "identity": {"mean": 0.8}, "training_minutes": 10.0}
    assert goals({"old": met}) == {f"old {name}": True for name in GOALS}
    missed = {"hit": {"mean": None}, "identity": {"mean": 0.79}, "training_minutes": 10.1}
    assert goals({"old": missed}) == {f"old {name}": False for name in GOALS}


@pytest.mark.slow
def test_it_trains_measures_and_writes(bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    bench = dataclasses.replace(bench, folder=tmp_path / "edits")
    arguments = argparse.Namespace(
        wishes="purple", runs=tmp_path / "runs", results=tmp_path / "results", images=tmp_path / "images",
        num_latents=6, beside="drawn,global", add=False, ablations=True, ablation_steps=2, variants="usual,drawn,style",
    )  # fmt: skip
    overrides = {"steps": 3, "batch_size": 2, "num_held_out": 2, "validate_every": 2}
    first = publish(bench, arguments, overrides)
    told = json.loads((tmp_path / "results" / "mappers.json").read_text())
    assert set(told["mappers"]["usual"]["wishes"]) == {"purple"}
    assert told["mappers"]["usual"]["wishes"]["purple"]["steps"] == 3
    assert set(told["ablations"]) == {"usual", "drawn", "style"}
    assert told["beside"]["global"]["purple"]["seconds_per_edit"] > 0
    page = (tmp_path / "results" / "mappers.md").read_text()
    assert "| purple | mapper |" in page
    assert "| purple | global |" in page
    assert re.search(r"\| purple \| drawn \|.*\| – \| – \|$", page, re.MULTILINE)  # a control takes no time
    assert (tmp_path / "images" / "mappers.jpg").is_file()
    again = publish(bench, arguments, overrides)  # nothing is trained a second time
    assert again["mappers"]["usual"]["wishes"]["purple"]["hit"] == first["mappers"]["usual"]["wishes"]["purple"]["hit"]
    mapper = json.loads((tmp_path / "results" / "mappers.json").read_text())["mappers"]
    compare_again(bench, arguments)
    told = json.loads((tmp_path / "results" / "mappers.json").read_text())
    assert told["mappers"] == mapper
    assert told["beside"]["global"]["purple"]["seconds_per_edit"] > 0
    assert "The other methods: commit" in (tmp_path / "results" / "mappers.md").read_text()
    arguments.wishes, arguments.add, arguments.ablations = "old", True, False
    added = publish(bench, arguments, overrides)
    assert added["ablations"] == told["ablations"]  # not run again, and kept
    assert added["ablations_about"]["judges"] == bench.judges.fingerprints
    assert set(added["mappers"]["usual"]["wishes"]) == set(added["beside"]["drawn"]) == {"purple", "old"}
    assert added["mappers"]["usual"]["wishes"]["purple"] == mapper["usual"]["wishes"]["purple"]
    assert {name.split()[0] for name in added["goals"]} == {"purple", "old"}
    added["mappers"]["usual"]["wishes"]["purple"]["commit"] = "abc"
    assert "at other commits: purple abc." in markdown(added)
