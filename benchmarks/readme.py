"""Put the measured figures into README.md: `python -m benchmarks.readme`. A test holds that they are the results'."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

README = Path("README.md")
RESULTS = Path("benchmarks/results/edits.json")
BEGIN, END = "<!-- figures: benchmarks/readme.py -->", "<!-- end of figures -->"

METHODS = {
    "global": ("`GlobalDirection`", "StyleCLIP, Sec. 6 ([arXiv:2103.17249](https://arxiv.org/abs/2103.17249))"),
    "svm": ("`SvmDirection`", "StyleCLIP-FEU ([arXiv:2304.00964](https://arxiv.org/abs/2304.00964))"),
    "optimize": ("`LatentOptimization`", "StyleCLIP, Sec. 4"),
    "global-channels": ("`GlobalDirection`, style channels", "as published"),
    "svm-channels": ("`SvmDirection`, style channels", "as published, farthest negatives"),
    "drawn": ("*drawn anew with the wish granted*", "what the judges grant the truth"),
}


def table(results: dict[str, Any]) -> str:
    """The table of methods, against the inverted picture."""
    lines = ["| method | paper | hit | leak | identity | seconds | edits |", "|---|---|---|---|---|---|---|"]
    for way, (name, paper) in METHODS.items():
        if way not in results["ways"]:
            lines.append(f"| {name} | {paper} | not measured | | | | |")
            continue
        made = results["ways"][way]
        figures = made["inverted"]["all"]
        hit, leak, identity = (figures[key]["mean"] for key in ("hit", "leak", "identity"))
        spent = made["effort"]["seconds"]["mean"]
        seconds = "" if spent is None else f"{spent:.1f}"
        lines.append(f"| {name} | {paper} | {hit:.0%} | {leak:.1%} | {identity:.2f} | {seconds} | {figures['edits']} |")
    return "\n".join(lines)


def filled(readme: str, results: dict[str, Any]) -> str:
    """The README with the table in its place."""
    before, rest = readme.split(BEGIN)
    return f"{before}{BEGIN}\n{table(results)}\n{END}{rest.split(END)[1]}"


def main() -> None:
    README.write_text(filled(README.read_text(), json.loads(RESULTS.read_text())))


if __name__ == "__main__":
    main()
