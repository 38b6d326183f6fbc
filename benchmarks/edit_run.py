"""Make the edits of the benchmark and put them before the judges, part by part: one part is one way and one task.

A finished part lies in the run folder and is not made again while nothing that shapes it has changed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import Tensor

from recipes.portraits import captions
from recipes.portraits.render import render_many
from textmorph.editing.editor import Editor
from textmorph.editing.metrics import change_outside
from textmorph.editing.photos import Source
from textmorph.editing.plans import Plan
from textmorph.edits import Direction
from textmorph.errors import EditError
from textmorph.files import write_bytes
from textmorph.hashing import fingerprint
from textmorph.latents import Latent
from textmorph.prompts import text_embedding

from .edit_scores import Floats, cosine, reading
from .edit_tasks import EVERY, TASKS, Columns, Task, grant, held_out
from .machine import commit

BASES = ("inverted", "original")
"""What an edited picture is compared with: the portrait as the generator draws it, and the portrait itself."""
PICTURES = 8
"""Portraits whose edited pictures are kept for the sheets: the first."""
BATCH = 25
"""Pictures rendered and judged at once."""
TOGETHER = 12
"""Pictures optimised at once."""


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way to make the picture that is judged.

    Args:
        title: for people.
        method: of the editor; None for a control.
        neutral: the text that the edit is measured against: `domain` (the domain's own), `face`, `gender` ("a man" or
            "a woman", as the judge sees the inverted picture) or `caption` (a full description of the portrait).
        options: of the method, beside the settings'.
    """

    title: str
    method: str | None = None
    neutral: str = "domain"
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_variant(self) -> bool:
        return self.neutral != "domain" or bool(self.options)


WAYS = {
    "none": Way(title="no edit (control)"),
    "drawn": Way(title="drawn anew with the wish granted (control)"),
    "global": Way(title="global direction", method="global"),
    "svm": Way(title="SVM direction", method="svm"),
    "optimize": Way(title="latent optimisation", method="optimize"),
    "global-face": Way(title='global, neutral "a face"', method="global", neutral="face"),
    "global-gender": Way(title='global, neutral "a man" / "a woman"', method="global", neutral="gender"),
    "global-caption": Way(title="global, neutral a full caption", method="global", neutral="caption"),
    "global-channels": Way(title="global, style channels (as in the paper)", method="global", options={"space": "s"}),
    "svm-channels": Way(
        title="SVM, style channels, a hundred of each end (as in the paper)",
        method="svm",
        options={"space": "s", "negatives": "farthest", "num_positives": 100, "num_negatives": 100},
    ),
    "global-straight": Way(title="global, straight steps alone", method="global", options={"towards": "shift"}),
    "svm-straight": Way(title="SVM, straight steps alone", method="svm", options={"towards": "shift"}),
    "svm-random": Way(title="SVM, random negatives", method="svm", options={"negatives": "random"}),
    "svm-ensemble": Way(title="SVM, query over templates", method="svm", options={"query": "ensemble"}),
}
"""The methods, two controls that bound what the judges can give, and variants: other neutral texts, other retrieval."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is run.

    Args:
        portraits: held-out portraits, from `first` on; rows of the set "test".
        optimize_portraits: how many of them latent optimisation edits, which takes far longer.
        variant_portraits: how many are edited with other neutral texts and other retrieval.
        optimize_steps, optimize_patience: of latent optimisation; None takes the domain's, or the method's own.
        refine: optimisation steps after the encoder.
        seed: of methods and captions.
        split, phrasing: which of a task's phrasings is its prompt, see `Task.phrase`.
        options: method → further options.
    """

    portraits: int = 50
    first: int = 0
    tasks: tuple[str, ...] = tuple(TASKS)
    ways: tuple[str, ...] = tuple(WAYS)
    optimize_portraits: int = 12
    variant_portraits: int = 25
    optimize_steps: int | None = None
    optimize_patience: int | None = None
    refine: int = 0
    seed: int = 0
    split: str = "withheld"
    phrasing: int = 0
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def prompt(self, task: Task) -> str:
        """What is asked for, in words."""
        return task.prompt(self.split, self.phrasing)

    def count(self, way: str) -> int:
        """Portraits that a way edits."""
        if WAYS[way].method == "optimize":
            return min(self.portraits, self.optimize_portraits)
        return min(self.portraits, self.variant_portraits) if WAYS[way].is_variant else self.portraits

    def method_options(self, method: str) -> dict[str, Any]:
        """The options of the editor for a method."""
        steps = {"steps": self.optimize_steps, "patience": self.optimize_patience} if method == "optimize" else {}
        asked = {name: value for name, value in steps.items() if value is not None}
        return {**asked, **self.options.get(method, {})}


@dataclass(frozen=True, kw_only=True, eq=False)
class Judges:
    """Networks that no edit was found with: attributes (logits, recipes.portraits.judge), identity, witness CLIP."""

    attributes: Callable[[Tensor], Tensor]
    identity: Any
    witness: Any | None

    @property
    def fingerprints(self) -> dict[str, str | None]:
        networks = {"attributes": self.attributes, "identity": self.identity, "witness": self.witness}
        return {name: None if network is None else fingerprint(network) for name, network in networks.items()}


@dataclass(frozen=True, kw_only=True, eq=False)
class View:
    """What the judges see in N images: attributes, identities [N, D], and the witness's embeddings [N, D]."""

    attributes: Columns
    person: Tensor
    seen: Tensor | None


def look(judges: Judges, images: Tensor) -> View:
    """Show images [N, 3, H, W] to the judges."""
    with torch.inference_mode():
        batches = torch.split(images, BATCH)
        person = torch.cat([judges.identity.embed_image(batch) for batch in batches])
        seen = None
        if judges.witness is not None:
            seen = torch.cat([judges.witness.embed_image(batch) for batch in batches])
    return View(attributes=reading(judges.attributes, images), person=person, seen=seen)


@dataclass(frozen=True, kw_only=True, eq=False)
class Sitters:
    """The portraits that are edited: their records, the pictures, their inversions, and what the judges see in both."""

    cols: Columns
    sources: list[Source]
    latents: list[Latent]
    images: dict[str, Tensor]  # base → [N, 3, R, R]
    views: dict[str, View]
    seconds: float
    """To invert one, in a batch."""

    def __len__(self) -> int:
        return len(self.sources)


def invite(editor: Editor, judges: Judges, settings: Settings) -> Sitters:
    """Draw the portraits, invert them, and show both to the judges."""
    cols = held_out(settings.first, settings.portraits)
    drawn = drawings(cols, editor.generator.resolution)
    sources = [editor.open(image) for image in drawn]
    editor.invert_sources(sources[:1], refine=settings.refine)  # the first call also loads
    begin = time.perf_counter()
    latents = [
        latent
        for start in range(0, len(sources), BATCH)
        for latent in editor.invert_sources(sources[start : start + BATCH], refine=settings.refine)
    ]
    seconds = (time.perf_counter() - begin) / len(sources)
    images = {
        "original": torch.cat([source.image for source in sources]),
        "inverted": torch.cat([editor.render(latent) for latent in latents]),
    }
    views = {base: look(judges, images[base]) for base in BASES}
    return Sitters(cols=cols, sources=sources, latents=latents, images=images, views=views, seconds=seconds)


def drawings(cols: Columns, resolution: int) -> Tensor:
    """Portraits as images [N, 3, R, R] in [-1, 1]."""
    pixels = torch.from_numpy(render_many(cols, resolution, processes=1))
    return pixels.permute(0, 3, 1, 2).float() / 127.5 - 1


# ------------------------------------------------------------------------------------------------ one part


@dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """What came of one way and one task, for the first N sitters.

    Args:
        stamp: everything that shaped it.
        attributes: what the judge sees in the edited pictures.
        figures: base → figure → [N].
        effort: figure → [N]: seconds, strength, num_channels, goal_met, and the domain's own view of the edit.
        neutral: the neutral text of each.
        pictures: the first edited pictures, uint8 [P, 3, R, R].
        seen: the witness's embeddings [N, D], or [N, 0] without one.
    """

    stamp: dict[str, Any]
    commit: str | None
    attributes: Columns
    figures: dict[str, dict[str, Floats]]
    effort: dict[str, Floats]
    neutral: list[str | None]
    pictures: Tensor
    seen: Tensor

    @property
    def failed(self) -> NDArray[np.bool_]:
        """Where no edit was found, [N]."""
        return np.equal(self.effort["failed"], 1)

    def save(self, path: Path) -> None:
        """Write the tensors, then the figures: a part is done when its JSON is there."""
        tensors = {"pictures": self.pictures.contiguous(), "seen": self.seen.contiguous()}
        write_bytes(path.with_suffix(".safetensors"), safetensors.torch.save(tensors), overwrite=True)
        told = {
            "stamp": self.stamp, "commit": self.commit, "attributes": _lists(self.attributes),
            "figures": {base: _lists(table) for base, table in self.figures.items()},
            "effort": _lists(self.effort), "neutral": self.neutral,
        }  # fmt: skip
        write_bytes(path, (json.dumps(told) + "\n").encode(), overwrite=True)

    @staticmethod
    def load(path: Path, stamp: dict[str, Any]) -> Part | None:
        """The part that lies there, if it was shaped by the same; else None."""
        if not path.is_file():
            return None
        told = json.loads(path.read_text())
        if told["stamp"] != json.loads(json.dumps(stamp)):
            return None
        tensors = safetensors.torch.load(path.with_suffix(".safetensors").read_bytes())
        return Part(
            stamp=told["stamp"], commit=told["commit"], attributes=_arrays(told["attributes"]),
            figures={base: _arrays(table) for base, table in told["figures"].items()}, effort=_arrays(told["effort"]),
            neutral=told["neutral"], pictures=tensors["pictures"], seen=tensors["seen"],
        )  # fmt: skip


def _lists(columns: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Columns as JSON; nan becomes null."""
    return {
        name: [None if value != value else round(value, 5) for value in np.asarray(column).tolist()]
        for name, column in columns.items()
    }


def _arrays(lists: Mapping[str, list[Any]]) -> dict[str, Any]:
    return {
        name: np.asarray([np.nan if value is None else value for value in column]) for name, column in lists.items()
    }


@dataclass(frozen=True)
class Found:
    """A method whose search is over: it gives the direction that was found for one row of a batch."""

    edit: Direction
    sideways: float
    """That of the method, by which a wish knows whether its edit is complete."""

    def find(self, generator: Any, embedder: Any, *, target: str, latent: Latent) -> Direction:
        return self.edit


@dataclass(frozen=True, kw_only=True, eq=False)
class Bench:
    """Editor, judges and sitters: makes parts.

    Args:
        tell: called with the edits of a part done and their total.
    """

    editor: Editor
    judges: Judges
    settings: Settings
    folder: Path
    tell: Callable[[int, int], None] = lambda done, total: None

    @cached_property
    def commit(self) -> str | None:
        """Of the code when the run began."""
        return commit()

    @cached_property
    def sitters(self) -> Sitters:
        return invite(self.editor, self.judges, self.settings)

    def kept(self, way: str, task: Task) -> Part | None:
        """A part made before."""
        return Part.load(self._path(way, task), self.stamp(way, task))

    def make(self, way: str, task: Task) -> Part:
        """Make a part, and keep it."""
        num = self.settings.count(way)
        images, effort, neutral = self._edit(way, task, num)
        view = look(self.judges, images)
        part = Part(
            stamp=self.stamp(way, task), commit=self.commit, attributes=view.attributes,
            figures={base: self._measure(task, base, images, view) for base in BASES},
            effort={name: np.asarray([float(row.get(name, np.nan)) for row in effort]) for name in EFFORT},
            neutral=neutral, pictures=_pixels(images[:PICTURES]),
            seen=torch.zeros(num, 0) if view.seen is None else view.seen.float().cpu(),
        )  # fmt: skip
        self.folder.mkdir(parents=True, exist_ok=True)
        part.save(self._path(way, task))
        return part

    def stamp(self, way: str, task: Task) -> dict[str, Any]:
        """Everything that shapes a part, as JSON; not the code, which the commit names."""
        settings, domain = self.settings, self.editor.domain
        method = WAYS[way].method
        plan = self._plan(way, task, None) if method else None
        parts = {name: getattr(domain, name) for name in ("generator", "encoder")}
        return {
            "way": asdict(WAYS[way]),
            "task": asdict(task),
            "prompt": settings.prompt(task),
            "first": settings.first,
            "portraits": settings.count(way),
            "refine": settings.refine,
            "seed": settings.seed,
            "judges": self.judges.fingerprints,
            "domain": {
                "name": domain.name, "strengths": domain.strengths, "channel_counts": domain.channel_counts,
                "axis_counts": domain.axis_counts, "scales": domain.scales, "plain_share": domain.plain_share,
                "sideways": domain.sideways, "beyond": domain.beyond, "astray": domain.astray,
            },
            "plan": plan.about if plan else None,
            "fingerprints": self.editor.fingerprints(plan) if plan else
                {name: None if part is None else fingerprint(part) for name, part in parts.items()},
        }  # fmt: skip

    def _path(self, way: str, task: Task) -> Path:
        return self.folder / f"{way}.{task.key}.{self.settings.first}-{self.settings.count(way)}.json"

    def _plan(self, way: str, task: Task, neutral: str | None) -> Plan:
        method = WAYS[way].method
        assert method is not None
        options = {"seed": self.settings.seed, **WAYS[way].options, **self.settings.method_options(method)}
        if neutral is not None:
            options["neutral"] = neutral
        return self.editor.plan(self.settings.prompt(task), method=method, refine=self.settings.refine, **options)

    def _edit(self, way: str, task: Task, num: int) -> tuple[Tensor, list[dict[str, Any]], list[str | None]]:
        """The edited pictures, what each took, and the neutral texts."""
        sitters = self.sitters
        if WAYS[way].method is None:
            still = sitters.images["inverted"][:num]
            if way == "drawn":
                cols = {name: column[:num] for name, column in sitters.cols.items()}
                still = drawings(grant(task, cols, seed=self.settings.seed), still.shape[-1]).to(still)
            return still, [{"failed": 0.0}] * num, [None] * num
        neutral = self._neutral(WAYS[way].neutral, num)
        plans: Iterator[tuple[Plan, float]]
        if WAYS[way].method == "optimize":
            plans = self._searched(self._plan(way, task, None), num)
        else:
            plans = ((self._plan(way, task, text), 0.0) for text in neutral)
        images, effort = [], []
        for row, (plan, spent) in enumerate(plans):
            image, told = self._carry_out(plan, row, warm=row == 0)
            images.append(image)
            effort.append(told | {"seconds": told["seconds"] + spent})
            self.tell(row + 1, num)
        return torch.cat(images), effort, neutral

    def _carry_out(self, plan: Plan, row: int, *, warm: bool) -> tuple[Tensor, dict[str, Any]]:
        """One edit; where none can be found, the picture as it was."""
        source, latent = self.sitters.sources[row], self.sitters.latents[row]
        try:
            if warm:
                self.editor.carry_out(plan, source, latent=latent)  # the first one also loads
            begin = time.perf_counter()
            result = self.editor.carry_out(plan, source, latent=latent)
        except EditError:
            return self.sitters.images["inverted"][row : row + 1], {"failed": 1.0, "seconds": np.nan}
        seconds = time.perf_counter() - begin
        automatic, scores = result.record["automatic"], result.record["scores"]
        told = {name: automatic[name] for name in ("strength", "num_channels", "goal_met")}
        told |= {"own_clip_gain": scores["clip_gain"], "own_identity": scores["identity"]}
        known = {name: float(value) for name, value in told.items() if value is not None}
        return result.image, {"failed": 0.0, "seconds": seconds, **known}

    def _searched(self, plan: Plan, num: int) -> Iterator[tuple[Plan, float]]:
        """Latent optimisation, many pictures at a time: a plan for each that holds what was found, and the seconds."""
        assert plan.wish is not None
        for start in range(0, num, TOGETHER):
            latents = self.sitters.latents[start : min(start + TOGETHER, num)]
            begin = time.perf_counter()
            found = self.editor.find(plan.wish, Latent.cat(latents))
            seconds = (time.perf_counter() - begin) / len(latents)
            assert isinstance(found, Direction)
            for row in range(len(latents)):
                recipe = Found(found[row], plan.wish.values["sideways"])
                yield replace(plan, wish=replace(plan.wish, recipe=recipe)), seconds

    def _neutral(self, kind: str, num: int) -> list[str | None]:
        """The neutral text for each sitter; None leaves the domain's."""
        if kind == "domain":
            return [None] * num
        if kind == "face":
            return ["a face"] * num
        if kind == "gender":
            feminine = self.sitters.views["inverted"].attributes["femininity"][:num]
            return ["a woman" if value > 0.5 else "a man" for value in feminine]
        random = np.random.default_rng(self.settings.seed)
        texts, _ = captions.caption(self.sitters.cols, range(num), random, num_attributes=(5, 8))
        return list(texts)

    def _measure(self, task: Task, base: str, images: Tensor, view: View) -> dict[str, Floats]:
        """Figures against one base, of identity, witness and pixels."""
        num = len(images)
        before, were = self.sitters.images[base][:num], self.sitters.views[base]
        gain = np.full(num, np.nan)
        if self.judges.witness is not None and view.seen is not None and were.seen is not None:
            prompt = self.settings.prompt(task)
            text = text_embedding(self.judges.witness, prompt, templates=self.editor.domain.sentences).to(view.seen)
            gain = ((view.seen - were.seen[:num]) @ text).double().cpu().numpy()
        return {
            "identity": cosine(were.person[:num], view.person),
            "witness_gain": gain,
            "change_outside": change_outside(before, images).double().cpu().numpy(),
        }


EFFORT = ("failed", "seconds", "strength", "num_channels", "goal_met", "own_clip_gain", "own_identity")


def _pixels(images: Tensor) -> Tensor:
    return ((images.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).cpu()


# ------------------------------------------------------------------------------------------------ all parts


def remaining(pending: Sequence[tuple[str, int]], rates: Mapping[str, float]) -> float | None:
    """Seconds left for pending parts (way, edits), from the seconds per edit of ways known; None before any is known.

    A way not known yet counts as the slowest known.
    """
    if not pending:
        return 0.0
    return sum(num * rates.get(way, max(rates.values())) for way, num in pending) if rates else None


def run(bench: Bench, *, fresh: bool = False, say: Callable[[str], None] = print) -> dict[str, dict[str, Part]]:
    """Every part, way by way: those kept from before are read, the others made.

    Args:
        fresh: make all of them again.
        say: told what goes on, with the time remaining.

    Returns:
        way → task → part.
    """
    settings = bench.settings
    parts: dict[str, dict[str, Part]] = {way: {} for way in settings.ways}
    if not fresh:
        for way in settings.ways:
            found = {key: bench.kept(way, EVERY[key]) for key in settings.tasks}
            parts[way] = {key: part for key, part in found.items() if part is not None}
    pending = [(way, key) for way in settings.ways for key in settings.tasks if key not in parts[way]]
    done = sum(len(made) for made in parts.values())
    say(f"{done} of {done + len(pending)} parts are there, from before" if done else f"{len(pending)} parts to make")
    spent: dict[str, list[float]] = {}  # way → seconds per edit, of this run
    while pending:
        way, key = pending.pop(0)
        begin = time.perf_counter()
        parts[way][key] = part = bench.make(way, EVERY[key])
        num = settings.count(way)
        spent.setdefault(way, []).append((time.perf_counter() - begin) / num)
        rates = {name: float(np.mean(values)) for name, values in spent.items()}
        left = remaining([(name, settings.count(name)) for name, _ in pending], rates)
        failed = f", {int(part.failed.sum())} failed" if part.failed.any() else ""
        say(f"{way} {key}: {num} pictures, {rates[way]:.2f} s each{failed}; about {(left or 0) / 60:.1f} min left")
    return {way: {key: parts[way][key] for key in settings.tasks} for way in settings.ways}
