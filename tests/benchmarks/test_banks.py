"""The benchmark of banks: figures that are right where the answer is known, and stages that go on."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from benchmarks import banks as B
from textmorph.channel_bank import build_bank
from textmorph.probing import unit_rows
from textmorph.screening import Screening

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
    assert B.sizes(units, exact, shifts)[-1]["samples"] == 32


@pytest.fixture(scope="module")
def domain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy_domain(tmp_path_factory.mktemp("banks") / "toy", corpus=False)


def test_the_channel_stage_goes_on_and_its_exact_bank_is_the_exact_bank(
    domain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(B, "COUNTS", (2, 5))
    small = Screening(num_samples=6, num_lengths=4, sketch=4, num_differences=2)
    monkeypatch.setattr(B, "PRESETS", {"none": small, "screen": small})
    stopped = B.Banks(str(domain), tmp_path, 8, seconds=-1)
    assert B.channels_stage(stopped) is None  # no time at all
    banks = B.Banks(str(domain), tmp_path, 8, seconds=None)
    found = B.channels_stage(banks)
    assert found is not None
    assert json.loads(json.dumps(found))["channels"] == len(banks.prober.channels)
    assert found["ways"]["none"]["refined-20"]["overlap"].keys() == {"2", "5"}
    units = banks.units()
    assert units is not None
    exact = build_bank(banks.generator, banks.embedder, num_samples=8)
    torch.testing.assert_close(banks.bank(units).effects, exact.effects, atol=2e-3, rtol=0)  # kept in half precision
    files = {path: path.stat().st_mtime_ns for path in banks.folder.glob("units-*")}
    assert B.channels_stage(B.Banks(str(domain), tmp_path, 8, seconds=-1)) is not None  # all is there
    assert {path: path.stat().st_mtime_ns for path in banks.folder.glob("units-*")} == files


def test_costs_are_counted_from_the_times_of_the_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(B, "PRESETS", {"none": Screening(num_samples=64, num_lengths=8, sketch=32)})
    second = {
        "plain_render": 1.0, "exact_render": 0.5, "exact_render_bfloat16": 0.25, "one_channel_render": 0.5,
        "slope": 3.0, "slopes_8": 17.0,  # forward 1, backward 2
    }  # fmt: skip
    second |= {f"{name}_bfloat16": value / 2 for name, value in second.items() if "render_" not in name}
    times = {name: {"median": value} for name, value in second.items()}
    given = {
        "bank": {"num_samples": 24, "autocast": "bfloat16"},
        "screening": asdict(Screening(num_samples=24, num_lengths=24, sketch=12, num_differences=24, most=200)),
    }
    found = B.costs(times, 1000, given)
    assert found["plain"] == 200_000
    assert found["exact"] == {"seconds": 100_000, "plain_over_this": 2}
    assert found["none"]["sketch"] == 8 * (1 + 32 * 2)
    assert found["none"]["slopes"] == 64 * 3
    assert found["none"]["differences"] == 2 * 4 * 64 * 0.5
    assert found["none_bfloat16"]["first_text"] == found["none"]["first_text"] / 2
    assert found["compared"]["plain"] == 48_000
    assert found["compared"]["differences"] == 2 * 24 * 100 * 0.25
    assert found["compared"]["first_text"] == 24 * (0.5 + 12) + 24 * 1.5 + 1200
    assert found["compared"]["plain_over_first_text"] == 48_000 / found["compared"]["first_text"]
    assert "compared" not in B.costs(times, 1000)


def test_the_parts_are_timed(domain: Path, tmp_path: Path) -> None:
    banks = B.Banks(str(domain), tmp_path, 8, seconds=None, num_texts=2)
    found = B.times_stage(banks)
    assert all(0 < case["fastest"] <= case["median"] <= case["slowest"] for case in found["seconds"].values())
    assert B.costs(found["seconds"], found["channels"])["plain"] > 0
    assert len(banks.prompts) == 2
