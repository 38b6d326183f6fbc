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
    assert text.count("not been measured") == 3
