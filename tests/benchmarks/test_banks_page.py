from __future__ import annotations

import json
import re
from pathlib import Path

from benchmarks.banks_page import BEGIN, END, RESULTS, figures, filled, newest_steps

PAGE = Path(__file__).parents[2] / "docs" / "banks.md"


def test_the_page_says_what_was_measured() -> None:
    page = PAGE.read_text()
    results = PAGE.parents[1] / RESULTS
    banks = json.loads((results / "banks.json").read_text())
    assert filled(page, banks, newest_steps(results)) == page, "run: python -m benchmarks.banks_page"
    assert re.search(r"\d", page.split(BEGIN)[1].split(END)[0])


def test_what_was_not_measured_is_not_claimed() -> None:
    text = figures({}, {})
    assert not re.search(r"\d\.\d", text)
    assert text.count(" not ") == 6
    assert "At 1024 px nothing was measured" in text


def test_edits_by_count_are_told_beside_the_definition() -> None:
    interval = {"mean": 0.5, "low": 0.4, "high": 0.6, "n": 9}
    each = {"plain": interval, "screen": interval, "screen minus first": interval}
    one = {"ways": ["plain", "screen"], "edits": 9, "portraits": 3, "prompts": ["a", "b"]}
    one |= dict.fromkeys(("hit", "leak", "identity"), each)
    text = figures({"judges_by_count": {"counts": {"10": one, "20": one}}}, {})
    assert "| 20 | plain definition, 9 edits | 0.500 | 0.500 | 0.500 |" in text
    assert text.count("| | screened − plain definition | +0.500 (+0.400 to +0.600) |") == 2
    assert "3 portraits" in text


def test_draws_without_a_bank_are_told_each() -> None:
    interval = {"mean": 0.5, "low": 0.4, "high": 0.6, "n": 9}
    each = {"plain": interval, "none": interval, "none minus first": interval}
    each |= {"none minus first, over prompts": interval}
    one = {"ways": ["plain", "none"], "edits": 9, "portraits": 3, "prompts": ["a", "b"], "bank": {"num_samples": 7}}
    one |= dict.fromkeys(("hit", "leak", "identity"), each)
    assert "times" not in figures({"judges_plain_none": one}, {})
    other = {**interval, "mean": 0.25}
    drawn = dict.fromkeys(("hit", "leak", "identity"), other)
    text = figures({"judges_plain_none": one | {"draws": [drawn, drawn]}}, {})
    assert "channels were found 2 times" in text
    assert text.count("+0.250 (+0.400 to +0.600)") == 6


def test_phrasings_are_pooled_by_their_edits() -> None:
    def table(phrasing: int, differences: list[float], edits: list[int]) -> dict[str, object]:
        interval = {"mean": 0.5, "low": 0.4, "high": 0.6, "n": 9}
        each = {"plain": interval, "none": interval, "none minus first": interval}
        each |= {"none minus first, over prompts": interval, "none minus first, by prompt": differences}
        one = {"ways": ["plain", "none"], "edits": sum(edits), "portraits": 3, "prompts": ["a", "b"]}
        one |= {"edits_by_prompt": edits, "phrasing": phrasing, "bank": {"num_samples": 7}}
        return one | dict.fromkeys(("hit", "leak", "identity"), each)

    first, second = table(0, [0.1, 0.5], [3, 1]), table(1, [-0.3, 0.1], [2, 2])
    alone = figures({"judges_plain_none": first}, {})
    assert "together" not in alone
    text = figures({"judges_plain_none": first, "judges_plain_none_phrasing_1": second}, {})
    assert text.count("other words for the same wishes") == 1
    assert "Over these 4 prompts together (8 edits), less the plain definition" in text
    low, high = (0.3 - 0.6) / 5, (0.5 + 0.2) / 3  # of the wishes: (3 · 0.1 - 2 · 0.3) / 5 and (0.5 + 2 · 0.1) / 3
    assert f"no bank hit {(0.3 + 0.5 - 0.6 + 0.2) / 8:+.3f} ({low:+.3f} to {high:+.3f})" in text
