from __future__ import annotations

import re
from pathlib import Path

from benchmarks.methods_page import BEGIN, END, RESULTS, figures, filled, read

PAGE = Path(__file__).parents[2] / "docs" / "methods.md"


def test_the_page_says_what_was_measured() -> None:
    page = PAGE.read_text()
    assert filled(page, read(PAGE.parents[1] / RESULTS)) == page, "run: python -m benchmarks.methods_page"
    assert re.search(r"\d", page.split(BEGIN)[1].split(END)[0])


def test_what_was_not_measured_is_not_claimed() -> None:
    text = figures({})
    assert not re.search(r"\d", text)
    assert text.count("not been measured") == 2


def test_the_better_retrieval_is_the_one_that_hits_more() -> None:
    def row(hit: float) -> dict[str, object]:
        interval = {"mean": hit, "low": hit - 0.02, "high": hit + 0.02}
        return {"hit": interval, "leak": interval, "identity": interval, "gender_kept": interval, "frechet": 0.1}

    rows = {"svm": row(0.5), "svm-random": row(0.7), "svm-ensemble": row(0.69)}
    ways = {way: {"title": way} for way in rows}
    text = figures({"edits": {"ways": ways, "neutral_texts": {"portraits": 3, "renders": 4, "rows": rows}}})
    said = text.split("Ways of the SVM, by hit: ")[1]
    assert said.startswith("random negatives 70.0%")
    assert "Within the best's interval (68.0% to 72.0%): a query over templates." in said
