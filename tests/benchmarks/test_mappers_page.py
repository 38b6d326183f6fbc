from __future__ import annotations

import re
from pathlib import Path

from benchmarks.mappers_page import RESULTS, figures, filled, read

PAGE = Path(__file__).parents[2] / "docs" / "mappers.md"


def test_the_page_says_what_was_measured() -> None:
    page = PAGE.read_text()
    assert filled(page, read(PAGE.parents[1] / RESULTS)) == page, "run: python -m benchmarks.mappers_page"


def test_what_was_not_measured_is_not_claimed() -> None:
    text = figures({})
    assert not re.search(r"\d", text)
    assert text.count("not been measured") == 4


def test_the_goal_of_speed_is_met_or_missed_in_so_many_words() -> None:
    def steps(seconds: float) -> dict[str, float]:
        return {"seconds_per_step": seconds, "slowest": seconds + 0.5}

    told = {
        "about": {"machine": {"gpu": None, "processor": "Toy", "torch_threads": 2}},
        "resolution": 1024, "batch": 2, "goal": 5.0,
        "ours": {"new": steps(3.0), "met": steps(2.0), "peak_memory_gb": 2.5},
        "ours_bfloat16": {"new": steps(1.5), "met": steps(1.0), "peak_memory_gb": 2.4},
        "plain": {"new": steps(12.0), "peak_memory_gb": 8.0},
        "plain_step": {"new": steps(9.0), "peak_memory_gb": 7.0},
        "times_faster": {
            "ours": {"new": 4.99, "met": 5.0}, "ours_bfloat16": {"new": 8.0, "met": 12.0}, "plain_step": {"new": 1.33},
        },
    }  # fmt: skip
    text = figures({"mapper_speed": told})
    assert "Met: float32, later passes; bfloat16, faces new to it; bfloat16, later passes." in text
    assert "Missed: float32, faces new to it." in text
    assert "| ours, float32, faces new to it | 3.00 s | 3.50 s | 2.5 GB | 4.99 |" in text  # not rounded up to 5.0
    assert "| plain transcription | 12.00 s | 12.50 s | 8.0 GB | – |" in text
    told["times_faster"]["ours"]["new"] = 6.0
    assert "Missed" not in figures({"mapper_speed": told}).partition("How alike")[0]


def test_ablations_stand_in_a_table_once_they_were_run() -> None:
    found = read(PAGE.parents[1] / RESULTS)
    usual = found["mappers"]["mappers"]["usual"]
    found["mappers"]["ablations"] = {"usual": usual | {"title": "as it is"}, "single": usual | {"title": "one net"}}
    page = figures(found)
    rows = [line for line in page.splitlines() if line.startswith(("| as it is |", "| one net |"))]
    assert len(rows) == 2
    assert all(row.count("|") == 2 + 3 * len(usual["wishes"]) for row in rows)
    assert "have not been run" not in page
    mappers = found["mappers"]
    mappers["ablations_about"] = mappers["about"]
    assert "before the present one" not in figures(found)
    mappers["ablations_about"] = {"judges": {"attributes": "another"}}
    assert "seen by the attribute classifier before the present one:" in figures(found)
