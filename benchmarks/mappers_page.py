# ruff: noqa: E501  (a page of text)
"""Put the measured figures into docs/mappers.md: `python -m benchmarks.mappers_page`. A test holds that they are the results'.

Reads mappers.json, edits.json, banks.json and mapper_speed.json of benchmarks/results; what was not measured is said so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .mappers import earlier_judge

PAGE = Path("docs/mappers.md")
RESULTS = Path("benchmarks/results")
BEGIN, END = "<!-- figures: benchmarks/mappers_page.py -->", "<!-- end of figures -->"
FILES = ("mappers", "edits", "banks", "mapper_speed")
CONTROLS = {"drawn": "drawn anew (control)"}
Results = Mapping[str, Mapping[str, Any]]


def figures(found: Results) -> str:
    """The page's figures."""
    return "\n\n".join([_quality(found), _times(found), _speed(found), _alike(found), _ablations(found)])


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
        others = {way: wishes[key] for way, wishes in told["beside"].items() if key in wishes}
        lines += [f"| | {CONTROLS.get(way, way)} | {_cells(figures)} |" for way, figures in others.items()]
    table = "\n".join(lines)
    control = (
        "The control is the portrait drawn anew from its record with the wish granted: what the judges see of a true edit.\n"
        if "drawn" in told["beside"]
        else ""
    )
    missed = [name for name, met in told["goals"].items() if not met]
    goals = f"Missed: {', '.join(missed)}." if missed else "All goals are met."
    return f"""Mappers on the embedded portraits, at strength 1, seen by judges that no training saw, against the inverted
picture; beside them the other methods for the same wishes, at automatic strength (goals: hit 0.95, identity 0.8).
{control}
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


WAYS = {
    "ours": "ours, float32",
    "ours_bfloat16": "ours, bfloat16",
    "plain": "plain transcription",
    "plain_step": "the same by our networks",
}


def _speed(found: Results) -> str:
    if "mapper_speed" not in found:
        return "How fast a training step is at full size has not been measured."
    told = found["mapper_speed"]
    ratios, goal = told["times_faster"], told["goal"]
    lines = ["| way | a step | slowest | memory | times faster |", "|---|---|---|---|---|"]
    judged: dict[bool, list[str]] = {True: [], False: []}
    for way, name in WAYS.items():
        for kind in (kind for kind in ("new", "met") if kind in told[way]):
            words = f"{name}, {'faces new to it' if kind == 'new' else 'later passes'}" if "met" in told[way] else name
            one, memory = told[way][kind], f"{told[way]['peak_memory_gb']:.1f} GB"
            times = ratios.get(way, {}).get(kind)
            cell = "–" if times is None else f"{times:.2f}"
            step = f"{one['seconds_per_step']:.2f} s"
            lines.append(f"| {words} | {step} | {one['slowest']:.2f} s | {memory} | {cell} |")
            if way.startswith("ours"):
                judged[times >= goal].append(words.removeprefix("ours, "))
    machine = told["about"]["machine"]
    place = machine["gpu"] or f"{machine['processor']}, {machine['torch_threads']} threads"
    table = "\n".join(lines)
    met, missed = ("; ".join(judged[value]) for value in (True, False))
    verdict = f"Goal, {goal:g} times faster than the plain transcription. " + " ".join(
        f"{word}: {names}." for word, names in (("Met", met), ("Missed", missed)) if names
    )
    return f"""A step of training at {told["resolution"]} px, config-f generator, CLIP ViT-B/32 and IR-SE-50 with random weights, batch
{told["batch"]}, {place}: medians, with the peak of the process's memory. The plain transcription does what the published step
does (full resolution, gradients kept for frozen networks, enlargement by 7, the start embedded every time) by networks as
they were published; below it the same step by ours. Ours embeds a start when it meets that latent for the first time; a
latent is met many times (the usual 50,000 steps see 2000 latents 50 times):

{table}

{verdict}"""


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


def _ablations(found: Results) -> str:
    mappers = found.get("mappers", {})
    made = mappers.get("ablations")
    if not made:
        return "The paper's ablations have not been run."
    earlier = ", seen by the attribute classifier before the present one" if earlier_judge(mappers) else ""
    keys = list(next(iter(made.values()))["wishes"])
    steps = next(iter(made.values()))["wishes"][keys[0]]["options"]["steps"]
    head = "".join(f" {key}: hit | leak | identity |" for key in keys)
    lines = [f"| variant |{head}", "|---" * (1 + 3 * len(keys)) + "|"]
    for one in made.values():
        cells = " | ".join(_figures(one["wishes"][key]) for key in keys if key in one["wishes"])
        lines.append(f"| {one['title']} | {cells} |")
    table = "\n".join(lines)
    return f"""The paper's ablations (App. A) and choices of our own, shorter, {steps} steps each{earlier}:

{table}"""


def _cells(one: Mapping[str, Any]) -> str:
    return f"{one['edits']} | {_figures(one)}"


def _figures(one: Mapping[str, Any]) -> str:
    hit, leak, identity = (one[name]["mean"] for name in ("hit", "leak", "identity"))
    return "– | – | –" if hit is None else f"{hit:.1%} | {leak:.1%} | {identity:.2f}"


def _seconds(way: Mapping[str, Any]) -> str:
    return f"{way['effort']['seconds']['mean']:.2f} s"


def main() -> None:
    PAGE.write_text(filled(PAGE.read_text(), read()))


if __name__ == "__main__":
    main()
