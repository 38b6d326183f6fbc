# ruff: noqa: E501  (a page of text)
"""Put the measured figures into docs/methods.md: `python -m benchmarks.methods_page`. A test holds that they are the results'.

Reads edits.json and retrieval.json of benchmarks/results; what was not measured is said so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PAGE = Path("docs/methods.md")
RESULTS = Path("benchmarks/results")
BEGIN, END = "<!-- figures: benchmarks/methods_page.py -->", "<!-- end of figures -->"
FILES = ("edits", "retrieval")
SVMS = ("svm", "svm-random", "svm-ensemble", "svm-straight", "svm-channels")
PARTS = {"product": "cosines", "ends": "both ends", "svm": "SVM", "together": "all of it"}


def figures(found: Mapping[str, Any]) -> str:
    """The page's figures."""
    return "\n\n".join([_variants(found.get("edits")), _retrieval(found.get("retrieval"))])


def filled(page: str, found: Mapping[str, Any]) -> str:
    """The page with the figures in their place."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n{figures(found)}\n{END}{rest.split(END)[1]}"


def read(folder: Path = RESULTS) -> dict[str, Any]:
    """The results that there are."""
    paths = {name: folder / f"{name}.json" for name in FILES}
    return {name: json.loads(path.read_text()) for name, path in paths.items() if path.is_file()}


def _variants(edits: Mapping[str, Any] | None) -> str:
    if not edits or not edits.get("neutral_texts"):
        return "Variants of the methods have not been measured."
    told = edits["neutral_texts"]
    rows = [
        f"| {edits['ways'][way]['title']} | {_percent(row['hit'])} | {_percent(row['leak'])} "
        f"| {row['identity']['mean']:.2f} | {_percent(row['gender_kept'])} | {row['frechet']:.4f} |"
        for way, row in told["rows"].items()
    ]
    table = "\n".join(["| | hit | leak | identity | gender kept | Fréchet |", "|---|---|---|---|---|---|", *rows])
    return f"""Twelve wishes in withheld phrasings for the first {told["portraits"]} held-out portraits, at automatic strength, seen by
judges that no edit was found with, against the inverted picture. Neutral texts as in StyleCLIP-FEU, Sec. 4; Fréchet
distance in the witness's space to {told["renders"]} held-out renders is a proxy for realism, lower is nearer:

{table}

{_best(told["rows"])}"""


def _best(rows: Mapping[str, Any]) -> str:
    """Which way of retrieval hits most, in words; nothing where fewer than two were measured."""
    there = [way for way in SVMS if way in rows]
    if len(there) < 2:
        return "Which retrieval serves the SVM better has not been measured."
    names = {
        "svm": "farthest negatives and the plain query",
        "svm-random": "random negatives",
        "svm-ensemble": "a query over templates",
        "svm-straight": "straight steps alone",
        "svm-channels": "style channels in place of axes",
    }
    ranked = sorted(there, key=lambda way: -rows[way]["hit"]["mean"])
    told = ", ".join(
        f"{names[way]} {_percent(rows[way]['hit'])} (leak {_percent(rows[way]['leak'])})" for way in ranked
    )
    low, high = rows[ranked[0]]["hit"]["low"], rows[ranked[0]]["hit"]["high"]
    close = [names[way] for way in ranked[1:] if rows[way]["hit"]["mean"] >= low]
    beside = f" Within the best's interval ({low:.1%} to {high:.1%}): {', '.join(close)}." if close else ""
    return f"Ways of the SVM, by hit: {told}.{beside}"


def _retrieval(found: Mapping[str, Any] | None) -> str:
    if not found:
        return "What retrieval takes has not been measured."
    rows = [
        f"| {size['rows']:,} | ".replace(",", " ")
        + " | ".join(f"{size[part]['median_ms']:.2f}" for part in PARTS)
        + " |"
        for size in found["sizes"]
    ]
    table = "\n".join([f"| rows | {' | '.join(PARTS.values())} |", "|---" * (1 + len(PARTS)) + "|", *rows])
    about, large = found["about"]["machine"], found["sizes"][-1]
    said = "met" if large["together"]["median_ms"] < found["goal_ms"] else "missed"
    return f"""Retrieval and SVM, milliseconds (medians of {found["repeats"]}; {about["processor"]}, {found["threads"]} threads, embeddings of
length {large["length"]}, {large["of_each_end"]} of each end; goal at 70 000 rows: under {found["goal_ms"]:g}, {said}):

{table}"""


def _percent(interval: Mapping[str, Any] | None) -> str:
    return "–" if not interval or interval["mean"] is None else f"{interval['mean']:.1%}"


def main() -> None:
    PAGE.write_text(filled(PAGE.read_text(), read()))


if __name__ == "__main__":
    main()
