"""The benchmark of banks: figures that are right where the answer is known, and stages that go on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from benchmarks import banks as B
from textmorph.banks import bank_choice
from textmorph.banks.bank import build_bank
from textmorph.banks.differences import unit_rows
from textmorph.banks.gradients import Screening
from textmorph.editing.domain import load_domain

from ..toy_domain import write_toy_domain


def test_a_way_that_finds_the_same_agrees_wholly_and_one_that_guesses_by_chance() -> None:
    random = torch.Generator().manual_seed(0)
    exact = torch.randn(1000, 4, generator=random)
    same = B.compared(exact, exact)
    assert set(same["overlap"].values()) == {1.0}
    assert same["rank_correlation"] == pytest.approx(1)
    guess = B.compared(torch.randn(1000, 4, generator=random), exact)
    assert guess["overlap"]["100"] == pytest.approx(0.1, abs=0.05)
    assert abs(guess["rank_correlation"]) < 0.1
    assert B.overlap(-exact, exact, 10) == 1  # by size


def test_adaptive_takes_more_samples_for_less_error() -> None:
    random = torch.Generator().manual_seed(0)
    truth = F.normalize(torch.randn(60, 1, 12, generator=random), dim=-1)
    noise = torch.linspace(0.05, 0.6, 60)[:, None, None]
    units = F.normalize(truth + noise * torch.randn(60, 40, 12, generator=random), dim=-1)
    shifts = F.normalize(torch.randn(3, 12, generator=random), dim=1)
    exact = unit_rows(units.mean(dim=1)) @ shifts.t()
    rows = B.adaptive(units, exact, shifts)
    used = [row["mean_samples"] for row in rows]
    assert used == sorted(used)
    assert used[0] < 40
    assert rows[-1]["cosine_mean"] > rows[0]["cosine_mean"] > 0.8


@pytest.fixture(scope="module")
def domain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy with a bank of twelve samples."""
    torch.manual_seed(0)
    folder = write_toy_domain(tmp_path_factory.mktemp("banks") / "toy", corpus=False)
    made = load_domain(folder)
    bank = build_bank(made.generator, made.embedder, num_samples=12, num_statistics=64, tolerance=0.4, batch_size=64)
    bank.save(folder / "bank.safetensors", overwrite=True)
    return folder


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(B, "COUNTS", (2, 5))
    monkeypatch.setattr(B, "WANTED", 5)
    screen = Screening(num_samples=100, sketch=16, num_directions=16, candidates=100, most=400, num_differences=100)
    none = Screening(num_samples=6, sketch=4, num_directions=4, num_differences=2)
    monkeypatch.setattr(B, "PRESETS", {"none": none, "screen": screen})


@pytest.mark.usefixtures("small")
def test_a_screening_of_every_channel_finds_what_the_bank_of_its_samples_finds(domain: Path, tmp_path: Path) -> None:
    banks = B.Banks(str(domain), tmp_path, num_texts=3)
    assert banks.screen.screening.num_differences == 12
    told: list[str] = []
    found = json.loads(json.dumps(B.given_stage(banks, tell=told.append)))
    channels = len(banks.bank.channels)
    assert 8 * channels <= found["differences"]["least"] <= found["differences"]["most"] <= 12 * channels
    assert len(found["none_seconds"]) == 3
    other = B.Banks(str(domain), tmp_path / "other", num_texts=1, phrasing=1)
    assert other.prompts == ["a person with purple colored hair"] != banks.prompts[:1]
    measured = other.plain_bank()  # what its text needs, without a stage before
    assert set(B.best_rows(banks.bank.effects @ other.shifts[0]).tolist()) == set(
        measured.consistency.nonzero().flatten().tolist()
    )
    plain = json.loads(json.dumps(B.plain_stage(banks, tell=told.append)))
    whole = build_bank(banks.generator, banks.embedder, num_samples=12, num_statistics=64)
    units = whole.effects @ banks.shifts.t()
    found = banks.plain_bank()
    there = found.consistency > 0
    assert there.sum() >= plain["channels"]
    torch.testing.assert_close(found.effects[there], whole.effects[there], atol=1e-4, rtol=0)
    found.check(banks.generator, banks.embedder)
    how = {"space": "s", "num_channels": 40, "strength": 1.0}  # some of so many were stopped early
    photo = Image.new("RGB", (32, 32), "teal")
    edits = [editor.edit(photo, "purple hair", **how) for editor in (banks.editor, banks.plain_editor())]
    assert not torch.equal(edits[0].latent.value, edits[1].latent.value)
    exact = banks.bank.effects @ banks.shifts.t()
    assert plain["overlap"]["bank"] == B.compared(exact, units)["overlap"]
    assert min(plain["overlap"]["screened"].values()) > 0.9  # who leaves a race may have been wanted, now and then
    assert plain["overlap"]["none"]["5"] < 0.9
    assert plain["rank_of_the_best"]["screened"]["5"] > 0.9 > plain["rank_of_the_best"]["none"]["5"]
    assert len(told) > 1


@pytest.mark.usefixtures("small")
def test_a_benchmark_that_was_stopped_keeps_its_differences(domain: Path, tmp_path: Path) -> None:
    banks = B.Banks(str(domain), tmp_path, num_texts=1)
    found = banks.found["screened"]
    again = B.Banks(str(domain), tmp_path, num_texts=1)
    assert again.screen._differences.keys() == banks.screen._differences.keys()
    assert again.screen._units is not None
    again.screen.prober.differences = None  # type: ignore[assignment, method-assign]
    assert torch.equal(again.found["screened"], found)


def test_costs_are_counted_from_the_times_of_the_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screening(num_samples=24, sketch=12, num_directions=12, candidates=2, num_differences=10, most=100)
    monkeypatch.setattr(
        B, "PRESETS", {"none": Screening(num_samples=64, sketch=32, num_directions=8), "screen": screen}
    )
    second = {
        "plain_render": 1.0, "exact_render": 0.5, "exact_render_bfloat16": 0.25, "raced_render": 0.5,
        "slope": 3.0, "slopes_8": 17.0,  # forward 1, backward 2
    }  # fmt: skip
    second |= {f"{name}_bfloat16": value / 2 for name, value in second.items() if "render_" not in name}
    times = {name: {"median": value} for name, value in second.items()}
    found = B.costs(times, 1000)
    assert found["plain"] == 200_000
    assert found["exact"] == {"seconds": 100_000, "plain_over_this": 2}
    assert found["none"]["sketch"] == 64 * (1 + 8 * 2) + 64
    assert found["none"]["slopes"] == 64 * (1 + 2 * 2)
    assert found["none"]["differences"] == 2 * 3 * 64 * 0.5
    parts = sum(found["none"][name] for name in ("sketch", "slopes", "differences"))
    assert found["none"]["first_text"] == parts - 64  # of one rendering
    assert found["none_bfloat16"]["first_text"] == found["none"]["first_text"] / 2
    assert found["screen"]["differences"] == 2 * 10 * 100 * 0.5
    raced = B.costs(times, 1000, {"differences": {"mean": 300.0}})
    assert raced["screen"]["differences"] == 2 * 300 * 0.5
    assert raced["screen"]["plain_over_first_text"] == 200_000 / raced["screen"]["first_text"]
    assert raced["none"] == found["none"]


def test_the_parts_are_timed(domain: Path, tmp_path: Path) -> None:
    banks = B.Banks(str(domain), tmp_path, num_texts=2)
    found = B.times_stage(banks)
    assert all(0 < case["fastest"] <= case["median"] <= case["slowest"] for case in found["seconds"].values())
    assert B.costs(found["seconds"], found["channels"])["plain"] > 0
    assert len(banks.prompts) == 2


@pytest.mark.usefixtures("small")
def test_ranks_are_those_of_the_best_alone() -> None:
    exact = torch.tensor([[0.9, 0.1], [-0.8, 0.2], [0.7, -0.9], [0.1, 0.8], [0.2, 0.7]])
    found = exact.clone()
    found[3:, 0], found[:2, 1] = torch.tensor([9.0, -9.0]), torch.tensor([9.0, -9.0])  # who is not among the best
    assert B.rank_of_the_best(found, exact, 3) == pytest.approx(1)
    assert B.rank_of_the_best(found.flip(1), exact, 3) < 0.9
    assert B.rank_of_the_best(-exact, exact, 9) == pytest.approx(-1)


def test_judged_edits_are_screened_at_the_samples_of_the_bank(
    domain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("textmorph.banks.bank_choice._SCREENS", {})
    banks = B.Banks(str(domain), tmp_path, num_texts=1)
    banks.lend_screen()
    how = {"space": "s", "bank": "screen", "num_channels": 5, "strength": 1.0}
    banks.editor.edit(Image.new("RGB", (32, 32), "teal"), "purple hair", **how)
    assert banks.screen._differences


def test_edits_without_a_bank_are_drawn_anew(domain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("textmorph.banks.bank_choice._SCREENS", {})
    banks = B.Banks(str(domain), tmp_path, num_texts=1)
    how = {"space": "s", "bank": "none", "num_channels": 5, "strength": 1.0, "precision": "float32"}
    seeds, pictures = [], []
    for seed in (None, 0, 1):
        if seed is not None:
            banks.lend_draw(seed)
        edited = banks.editor.edit(Image.new("RGB", (32, 32), "teal"), "purple hair", **how)
        (screen,) = bank_choice._SCREENS.values()
        seeds.append(screen.info["seed"])
        pictures.append(edited.image)
    assert seeds == [0, 0, 1]
    assert torch.equal(pictures[0], pictures[1])
    assert not torch.equal(pictures[1], pictures[2])
