# ruff: noqa: E501  (a page of text)
"""Put the measured figures into docs/mappers.md: `python -m benchmarks.mappers_page`. A test holds that they are the results'.

Reads mappers.json, edits.json and banks.json of benchmarks/results; what was not measured is said so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PAGE = Path("docs/mappers.md")
RESULTS = Path("benchmarks/results")
BEGIN, END = "<!-- figures: benchmarks/mappers_page.py -->", "<!-- end of figures -->"
FILES = ("mappers", "edits", "banks")
Results = Mapping[str, Mapping[str, Any]]


def figures(found: Results) -> str:
    """The page's figures."""
    return "\n\n".join([_quality(found), _times(found), _alike(found)])


def filled(page: str, found: Results) -> str:
    """The page with the figures in their place."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n{figures(found)}\n{END}{rest.split(END)[1]}"


def read(folder: Path = RESULTS) -> dict[str, Any]:
    """The results that there are."""
    paths = {name: folder / f"{name}.json" for name in FILES}
    return {name: json.loads(path.read_text()) for name, path in paths.items() if path.is_file()}


def _quality(found: Results) -> str:
    if "mappers" not in found:
        return "Mappers have not been measured."
    told = found["mappers"]
    lines = ["| wish | method | edits | hit | leak | identity |", "|---|---|---|---|---|---|"]
    for key, one in told["mappers"]["usual"]["wishes"].items():
        lines.append(f"| {one['prompt']} | mapper | {_cells(one)} |")
        for way, made in found.get("edits", {}).get("ways", {}).items():
            if way in ("global", "optimize") and key in made["inverted"]["tasks"]:
                lines.append(f"| | {way} | {_cells(made['inverted']['tasks'][key])} |")
    table = "\n".join(lines)
    missed = [name for name, met in told["goals"].items() if not met]
    goals = f"Missed: {', '.join(missed)}." if missed else "All goals are met."
    return f"""Four mappers on the embedded portraits, at strength 1, seen by judges that no training saw, against the inverted
picture; beside them the other methods for the same wishes, at automatic strength (goals: hit 0.95, identity 0.8):

{table}

{goals}"""


def _times(found: Results) -> str:
    ways = found.get("edits", {}).get("ways", {})
    rows = []
    if "optimize" in ways:
        rows.append(f"| latent optimisation | – | – | {_seconds(ways['optimize'])} |")
    if "mappers" in found:
        trained = list(found["mappers"]["mappers"]["usual"]["wishes"].values())
        minutes = [one["training_minutes"] for one in trained]
        edit = max(one["seconds_per_edit"] for one in trained)
        rows.append(f"| latent mapper | – | {min(minutes):.1f} to {max(minutes):.1f} min | {edit:.3f} s |")
    if "global" in ways and "times" in found.get("banks", {}):
        exact = found["banks"]["times"]["costs"]["exact"]["seconds"] / 60
        rows.append(f"| global direction | {exact:.0f} min (100 samples, once) | – | {_seconds(ways['global'])} |")
    if not rows:
        return "What they take has not been measured."
    about = found["mappers" if "mappers" in found else "edits"]["about"]["machine"]
    table = "\n".join(["| method | preparation | training | one edit |", "|---|---|---|---|", *rows])
    return f"""What they take on portraits, as in the paper's Table 1 (1024 px faces on a GTX 1080 Ti there: optimisation 98 s an
edit; mapper 10 to 12 hours of training, 75 ms an edit; global direction 4 hours of preparation, 72 ms). Here
{about["processor"]}, {about["torch_threads"]} thread, another process beside it. An edit by a direction or by optimisation
includes its search for a strength, of which a direction that is kept needs none:

{table}"""


def _alike(found: Results) -> str:
    if "mappers" not in found:
        return "How alike their steps are has not been measured."
    rows = [
        f"| {one['prompt']} | {one['consistency']['mean']:.3f} | {one['consistency']['std']:.3f} |"
        for one in found["mappers"]["mappers"]["usual"]["wishes"].values()
    ]
    table = "\n".join(["| wish | cosine, mean | deviation |", "|---|---|---|", *rows])
    return f"""How alike the steps for different faces are, as in the paper's Table 2:

{table}"""


def _cells(one: Mapping[str, Any]) -> str:
    hit, leak, identity = (one[name]["mean"] for name in ("hit", "leak", "identity"))
    if hit is None:
        return f"{one['edits']} | – | – | –"
    return f"{one['edits']} | {hit:.1%} | {leak:.1%} | {identity:.2f}"


def _seconds(way: Mapping[str, Any]) -> str:
    return f"{way['effort']['seconds']['mean']:.2f} s"


def main() -> None:
    PAGE.write_text(filled(PAGE.read_text(), read()))


if __name__ == "__main__":
    main()
