"""The timing of retrieval measures what the method does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from benchmarks import retrieval

PARTS = {"product", "ends", "rows_of_ends", "svm", "together"}


def test_every_part_is_timed_at_every_size(tmp_path: Path) -> None:
    retrieval.main(["--rows", "300", "3000", "--length", "16", "--num", "20", "--repeats", "9", "--threads", "1",
                    "--results", str(tmp_path / "r.json")])  # fmt: skip
    found = json.loads((tmp_path / "r.json").read_text())
    assert [size["rows"] for size in found["sizes"]] == [300, 3000]
    for size in found["sizes"]:
        assert set(size) >= PARTS
        assert all(0 < size[part]["median_ms"] <= size[part]["p90_ms"] for part in PARTS)


def test_the_rows_are_unit_and_lie_in_clusters() -> None:
    rows = retrieval.clustered(500, 64, clusters=5)
    assert torch.allclose(rows.norm(dim=1), torch.ones(500), atol=1e-5)
    products = rows @ rows.t()
    assert products.mean() > 0.5, "they share a mean"
    assert float(products.std()) > 0.02


def test_the_goal_is_that_of_the_committed_figures() -> None:
    found = json.loads(retrieval.RESULTS.read_text())
    (large,) = (size for size in found["sizes"] if size["rows"] == 70_000)
    assert found["goal_ms"] == retrieval.GOAL
    assert large["together"]["median_ms"] == pytest.approx(
        large["product"]["median_ms"] + large["ends"]["median_ms"] + large["svm"]["median_ms"], rel=0.5
    )
