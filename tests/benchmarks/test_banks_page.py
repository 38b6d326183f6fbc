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
    assert text.count(" not ") == 5
    assert "At 1024 px nothing was measured" in text
