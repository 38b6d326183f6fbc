"""Fixed strengths: hit, leak and identity of global directions over strength and number of channels.

For choosing a domain's first values by hand: on validation portraits, with training phrasings. The domain's own view
(its CLIP's gain, its identity net) stands beside that of the judges; whoever chooses by the judges tunes on them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from textmorph.editing import metrics as evaluation
from textmorph.editing.editor import Editor
from textmorph.edits import apply_edits
from textmorph.files import write_bytes
from textmorph.latents import Latent
from textmorph.prompts import text_embedding

from .edit_run import BATCH, Judges, Settings, Sitters, invite, look
from .edit_scores import Floats, cosine, joined, judge_edits, summarise
from .edit_tasks import TASKS, Task
from .machine import about_run

CURVE_ROWS = (1000, 50)
"""First row and number of the validation portraits, apart from those of the benchmark."""
FIGURES = ("hit", "leak", "identity", "own_clip_gain", "own_identity")


@dataclass(frozen=True, kw_only=True)
class CurveSettings:
    """What is run: validation portraits, tasks, numbers of channels, strengths."""

    portraits: int = CURVE_ROWS[1]
    first: int = CURVE_ROWS[0]
    tasks: tuple[str, ...] = tuple(TASKS)
    channels: tuple[int, ...] = (10, 20, 50)
    strengths: tuple[float, ...] = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0)


def run_curve(
    editor: Editor, judges: Judges, settings: CurveSettings, *, folder: Path, say: Callable[[str], None] = print
) -> dict[str, Any]:
    """Figures for every number of channels and strength, over all tasks; each task is kept in the folder when done."""
    sitters = invite(editor, judges, Settings(portraits=settings.portraits, first=settings.first))
    tables: dict[str, list[dict[str, Floats]]] = {}
    begin, made = time.perf_counter(), 0
    for turn, key in enumerate(settings.tasks):
        stamp = _stamp(editor, judges, settings, TASKS[key])
        path = folder / f"{key}.json"
        found = _kept(path, stamp)
        if found is None:
            found, made = _task(editor, judges, sitters, settings, TASKS[key]), made + 1
            folder.mkdir(parents=True, exist_ok=True)
            write_bytes(path, json.dumps({"stamp": stamp, "found": found}).encode(), overwrite=True)
            left = (time.perf_counter() - begin) / made * (len(settings.tasks) - turn - 1)
            say(f"curve {key}: done; about {left / 60:.1f} min left")
        for point, table in found.items():
            tables.setdefault(point, []).append(
                {name: np.asarray(column, dtype=float) for name, column in table.items()}
            )
    rows = np.arange(settings.portraits)
    points = []
    for point, parts in tables.items():
        total = summarise(joined(parts), np.tile(rows, len(parts)))
        channels, strength = point.split(" at ")
        points.append(
            {"num_channels": int(channels), "strength": float(strength), "edits": total["edits"]}
            | {name: total[name] for name in FIGURES}
        )
    prompts = {key: TASKS[key].prompt("train") for key in settings.tasks}
    return {"about": about_run(), "settings": asdict(settings), "prompts": prompts, "points": points}


def _task(
    editor: Editor, judges: Judges, sitters: Sitters, settings: CurveSettings, task: Task
) -> dict[str, dict[str, list[float | None]]]:
    """Figures of each edit of one task: "K at STRENGTH" → figure → [N]."""
    prompt = task.prompt("train")
    target = text_embedding(editor.embedder, prompt, templates=editor.domain.sentences)
    latents, inverted = Latent.cat(sitters.latents), sitters.images["inverted"]
    view = sitters.views["inverted"]
    out = {}
    for count in settings.channels:
        wish = editor.plan(prompt, num_channels=count, strength=1.0).wish
        assert wish is not None
        edit = editor.find(wish, latents[0])
        for strength in settings.strengths:
            images = torch.cat(
                [
                    editor.render(apply_edits(editor.generator, latents[start : start + BATCH], [(edit, strength)]))
                    for start in range(0, len(latents), BATCH)
                ]
            )
            seen = look(judges, images)
            measured = {
                "identity": cosine(view.person, seen.person),
                "own_clip_gain": evaluation.clip_gain(editor.embedder, inverted, images, target).double().cpu().numpy(),
                "own_identity": np.full(len(images), np.nan) if editor.identity is None
                else evaluation.identity_kept(editor.identity, inverted, images).double().cpu().numpy(),
            }  # fmt: skip
            failed = np.zeros(len(images), dtype=bool)
            table = judge_edits(task, view.attributes, seen.attributes, measured, failed=failed)
            out[f"{count} at {strength:g}"] = {name: _listed(column) for name, column in table.items()}
    return out


def _listed(column: Floats) -> list[float | None]:
    return [None if value != value else round(float(value), 5) for value in column]


def _stamp(editor: Editor, judges: Judges, settings: CurveSettings, task: Task) -> dict[str, Any]:
    plan = editor.plan(task.prompt("train"), num_channels=settings.channels[0], strength=1.0)
    stamp = {
        "prompt": task.prompt("train"), "neutral": editor.domain.neutral, "judges": judges.fingerprints,
        "settings": asdict(settings) | {"tasks": None}, "task": asdict(task), "fingerprints": editor.fingerprints(plan),
    }  # fmt: skip
    found: dict[str, Any] = json.loads(json.dumps(stamp))
    return found


def _kept(path: Path, stamp: dict[str, Any]) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    told = json.loads(path.read_text())
    return dict(told["found"]) if told["stamp"] == stamp else None


def curve_markdown(found: Mapping[str, Any]) -> str:
    """The curve as a page."""
    settings = found["settings"]
    head = "| channels | strength | hit | leak | identity | CLIP gain (own) | identity (own) |"
    rows = [
        f"| {p['num_channels']} | {p['strength']:g} | {_mean(p['hit'], 1, 100)} % | {_mean(p['leak'], 1, 100)} % "
        f"| {_mean(p['identity'], 3)} | {_mean(p['own_clip_gain'], 3)} | {_mean(p['own_identity'], 3)} |"
        for p in found["points"]
    ]
    return "\n".join(
        [
            "# Global directions at fixed strengths",
            "",
            f"{settings['portraits']} validation portraits (set “test”, from row {settings['first']}), "
            f"{len(found['prompts'])} prompts in training phrasings, against the inverted picture. Columns marked "
            "*own* are the domain's own nets; the others are judges, which must not choose what they then measure.",
            "",
            head,
            "|---" * 7 + "|",
            *rows,
            "",
            f"Commit {found['about']['commit']}, {found['about']['date']}.",
            "",
        ]
    )  # fmt: skip


def _mean(figure: Mapping[str, Any], digits: int, factor: float = 1.0) -> str:
    return "–" if figure["mean"] is None else f"{figure['mean'] * factor:.{digits}f}"
