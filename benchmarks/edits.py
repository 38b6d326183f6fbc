"""`python -m benchmarks.edits`: how well edits hit what was asked for, what else they change, and who stays the same.

Twelve prompts in phrasings that nothing was trained on, for the first held-out portraits, by every method as published,
at automatic strength; judged by networks that no edit was found with. Figures go to `benchmarks/results/edits.json`,
pictures to the run folder. What was judged is kept there, so that a run can be stopped and started again.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from recipes.portraits.bundle import JUDGES
from recipes.portraits.render import render_many
from recipes.portraits.report import load_attribute_judge
from textmorph import Editor, load_identity
from textmorph.editing.metrics import change_outside
from textmorph.editing.photos import Photo
from textmorph.errors import EditError
from textmorph.files import write_bytes
from textmorph.images import write_image
from textmorph.memory import keep_memory
from textmorph.sheets import contact_sheet

from .edit_scores import Floats, cosine, joined, judge_edits, reading, summarise
from .edit_tasks import TASKS, Task, grant, held_out
from .machine import about_run

RUNS = Path("runs/benchmarks/edits")
RESULTS = Path("benchmarks/results/edits.json")
DOMAIN = "portraits"
RGB = {"to_rgb": True}
Row = tuple[str, dict[str, Any], int, tuple[str, ...]]
METHODS: dict[str, Row] = {
    "global": ("global", {}, 24, tuple(TASKS)),
    "svm": ("svm", {}, 24, tuple(TASKS)),
    "optimize": ("optimize", {}, 8, ("purple", "glasses", "smile", "old")),
    "interfacegan": ("interfacegan", {}, 24, tuple(TASKS)),
    "global-rgb": ("global", RGB, 24, tuple(TASKS)),
    "svm-rgb": ("svm", RGB, 24, tuple(TASKS)),
}
"""Row → method, its fields, portraits, tasks. Latent optimisation takes far longer. `-rgb`: the layers that only add
colour move too, which the papers leave alone, and in which portraits has its colours."""
SHOWN = 8
"""Portraits on a sheet: the first."""


class Bench:
    """Editor and judges, and the portraits that are edited."""

    def __init__(self, editor: Editor, num: int) -> None:
        self.editor = editor
        device = editor.generator.mean_w.device
        self.attributes = load_attribute_judge().to(device)
        self.identity = load_identity(JUDGES / "identity.safetensors").to(device)
        self.cols = held_out(0, num)
        self.photos = editor.invert_photos([editor.open(image) for image in self._drawn(self.cols)])
        self.before = torch.cat([editor.render(self._latent(photo)) for photo in self.photos])
        self.attributes_before = reading(self.attributes, self.before)

    def judge(self, task: Task, after: torch.Tensor, failed: np.ndarray[Any, Any]) -> dict[str, Floats]:
        """Figures of the edited pictures [N, 3, R, R] of one task, N at most that of the portraits."""
        num = len(after)
        before = self.before[:num]
        with torch.inference_mode():
            person = [self.identity.embed_image(images) for images in (before, after)]
            changed = [float(change_outside(a[None], b[None])) for a, b in zip(before, after, strict=True)]
        cut = {name: column[:num] for name, column in self.attributes_before.items()}
        measured = {"identity": cosine(*person), "change_outside": np.asarray(changed)}
        return judge_edits(task, cut, reading(self.attributes, after), measured, failed=failed)

    def edited(
        self, method: str, values: dict[str, Any], task: Task, num: int
    ) -> tuple[torch.Tensor, dict[str, list[Any]]]:
        """Edited pictures of the first portraits, and what it took."""
        requests = self.editor.check(task.prompt(), method=method, values=values)
        images, effort = [], {"seconds": [], "strength": [], "num_channels": [], "goal_met": [], "failed": []}
        for photo in self.photos[:num]:
            begin = time.perf_counter()
            try:
                result = self.editor.edit(photo, requests)
            except EditError:
                images.append(self.editor.render(self._latent(photo)))
                found: dict[str, Any] = {}
            else:
                images.append(result.image)
                found = {"strength": result.record["edits"][0]["strength"]}
                found |= result.record["edits"][0]["automatic"] or {}
            effort["failed"].append(not found)
            effort["seconds"].append(round(time.perf_counter() - begin, 3))
            for name in ("strength", "num_channels", "goal_met"):
                effort[name].append(found.get(name))
        return torch.cat(images), effort

    def controls(self, task: Task) -> dict[str, torch.Tensor]:
        """No edit, and the portraits drawn anew with what is asked for: what the judges can give at most."""
        return {"none": self.before, "drawn": torch.cat(self._drawn(grant(task, self.cols)))}

    def _drawn(self, cols: dict[str, Any]) -> list[torch.Tensor]:
        pixels = torch.from_numpy(render_many(cols, self.editor.generator.resolution, processes=1))
        return list(torch.split(pixels.permute(0, 3, 1, 2).float() / 127.5 - 1, 1))

    @staticmethod
    def _latent(photo: Photo) -> Any:
        assert photo.latent is not None
        return photo.latent


def run(bench: Bench, rows: dict[str, Row], folder: Path) -> dict[str, Any]:
    """Judge every method, and give the results as JSON."""
    out: dict[str, Any] = {"about": about_run(), "domain": bench.editor.domain.name, "methods": {}}
    out["judges"] = "recipes/portraits/judges: attributes and identity, never part of an objective"
    for name in ("none", "drawn"):
        out["methods"][name] = _summary([bench.judge(t, bench.controls(t)[name], _no(bench)) for t in TASKS.values()])
    for row, (method, values, num, keys) in rows.items():
        tables, efforts, by_task = [], [], {}
        for key in keys:
            kept = folder / f"{row}-{key}-{num}.json"
            if kept.is_file():
                found = json.loads(kept.read_text())
                table = {k: np.asarray([np.nan if x is None else x for x in v]) for k, v in found["figures"].items()}
                effort = found["effort"]
            else:
                images, effort = bench.edited(method, values, TASKS[key], num)
                table = bench.judge(TASKS[key], images, np.asarray(effort["failed"]))
                lists = {k: [None if x != x else float(x) for x in v] for k, v in table.items()}
                write_bytes(kept, json.dumps({"figures": lists, "effort": effort}).encode(), overwrite=True)
                shown = torch.cat([bench.before[:SHOWN], images[:SHOWN]])
                sheet = contact_sheet(shown, columns=min(SHOWN, num), title=f"{row}: {TASKS[key].prompt()}")
                write_image(sheet, folder / f"{row}-{key}.jpg", overwrite=True)
            tables.append(table)
            efforts.append(effort)
            by_task[key] = {"prompt": TASKS[key].prompt(), "hit": _mean(table["hit"]), "leak": _mean(table["leak"])}
            print(f"{row:10} {key:9} hit {by_task[key]['hit']}", flush=True)
        seconds = [value for effort in efforts for value in effort["seconds"]]
        about: dict[str, Any] = {
            "method": method,
            "portraits": num,
            "seconds_median": round(float(np.median(seconds)), 2),
        }
        about["fields"] = dict(bench.editor.check("a person", method=method, values=values).main.json["values"])
        out["methods"][row] = about | _summary(tables) | {"tasks": by_task}
    return out


def _summary(tables: list[dict[str, Floats]]) -> dict[str, Any]:
    groups = np.concatenate([np.arange(len(table["hit"])) for table in tables])
    return summarise(joined(tables), groups)


def _mean(values: Floats) -> float | None:
    return None if np.isnan(values).all() else round(float(np.nanmean(values)), 3)


def _no(bench: Bench) -> np.ndarray[Any, Any]:
    return np.zeros(len(bench.before), dtype=bool)


def main(words: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.edits", description=__doc__)
    parser.add_argument("--domain", default=DOMAIN)
    parser.add_argument("--methods", default=",".join(METHODS), help=", ".join(METHODS))
    parser.add_argument("--portraits", type=int, help="at most so many for each method")
    parser.add_argument("--prompts", default=",".join(TASKS), help="keys of the tasks")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--folder", type=Path, default=RUNS)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args(words)
    keep_memory()
    torch.set_num_threads(arguments.threads)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    keys = tuple(arguments.prompts.split(","))
    chosen = {}
    for name in arguments.methods.split(","):
        method, values, num, tasks = METHODS[name]
        tasks = tuple(key for key in tasks if key in keys)
        chosen[name] = (method, values, min(num, arguments.portraits or num), tasks)
    bench = Bench(Editor.from_pretrained(arguments.domain), max(num for _, _, num, _ in chosen.values()))
    found = run(bench, chosen, arguments.folder)
    write_bytes(arguments.results, (json.dumps(found, indent=1) + "\n").encode(), overwrite=True)
    print(f"written: {arguments.results}; sheets in {arguments.folder}")


if __name__ == "__main__":
    main()
