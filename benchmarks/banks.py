"""`python -m benchmarks.banks`: banks that are screened, and directions without one, against an exact channel bank.

On the embedded portraits, for twelve texts that nothing was trained on: which channels each way selects, how near its
relevances come to those of the bank that the domain comes with, what it costs; how many samples adaptive probing takes;
and what judges say of the edits. Writes benchmarks/results/banks.json, where a stage replaces what it found before.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor
from torch.nn import functional as F

from textmorph.banks import bank_choice
from textmorph.banks.bank import ChannelBank
from textmorph.banks.differences import FIRST_LOOK, PRECISIONS, Prober, angle_error, bank_shards, plan_bank, unit_rows
from textmorph.banks.gradients import PRESETS, Screen, Screening
from textmorph.editing.editor import Editor
from textmorph.files import write_bytes
from textmorph.hashing import fingerprint
from textmorph.memory import keep_memory
from textmorph.prompts import text_shift

from . import plain_stylegan2
from .edit_tasks import TASKS
from .machine import about_run

RUNS = Path("runs/benchmarks/banks")
RESULTS = Path("benchmarks/results/banks.json")
JUDGED = ("plain", "auto", "screen", "none")
FIGURES = ("hit", "leak", "identity")
STAGES = ("times", "given", "plain", "adaptive", "judges", "judges_by_count")
WAYS = ("sketch", "first", "screened", "none")
"""To do without a bank: for all texts by gradients; for each by gradients; raced; as a user without a bank has it."""
SKETCH = ("_basis", "_units", "_lengths")
"""What a `Screen` knows of its generator before a text."""
COUNTS = (10, 20, 50, 100)
WANTED = 50
"""Channels whose selection is costed and compared."""
AMONG = (50, 100, 200, 300, 400)
TOLERANCES = (0.8, 0.6, 0.5, 0.4, 0.3, 0.2)
KNOWN = 1.0
"""Error (sine of the angle, `probing.angle_error`) above which a channel's direction is as good as drawn by lot."""
DEFINED_AT = 100
"""Samples of a bank as the paper builds it, to which costs refer."""


class Banks:
    """The networks, the texts, the domain's bank, and the screening of the same samples.

    Args:
        num_texts: how many of the benchmark's prompts, spread over its list.
        phrasing: which of the phrasings of each wish that nothing was trained on, from 0; see `Task.phrase`.
    """

    def __init__(self, domain: str, folder: Path, *, num_texts: int = len(TASKS), phrasing: int = 0) -> None:
        self.editor = Editor.from_pretrained(domain, device="cpu")
        self.generator, self.embedder = self.editor.generator, self.editor.embedder
        if self.editor.domain.bank is None:
            raise SystemExit("this domain comes without a bank")
        self.bank: ChannelBank = self.editor.domain.bank
        names = ("seed", "truncation", "num_statistics", "max_resolution", "to_rgb")
        self.options: dict[str, Any] = {name: self.bank.info[name] for name in names} | {"batch_size": 64}
        self.folder = folder / f"{fingerprint(self.generator)}-{fingerprint(self.embedder)}"
        templates, neutral = self.editor.domain.sentences, self.editor.domain.neutral
        tasks = list(TASKS.values())
        rows = np.linspace(0, len(tasks) - 1, num_texts).round().astype(int)
        self.tasks = [tasks[row] for row in rows]
        self.phrasing = phrasing
        self.prompts = [task.prompt("withheld", phrasing) for task in self.tasks]
        with torch.inference_mode():
            shifts = [
                text_shift(self.embedder, neutral=neutral, target=prompt, templates=templates)
                for prompt in self.prompts
            ]
        self.shifts = torch.stack(shifts).clone()  # [T, D]
        num = int(self.bank.info["num_samples"])
        numbers = dict.fromkeys(("num_samples", "num_differences", "defined_at"), num)
        how = replace(PRESETS["screen"], **numbers)
        self.screen = Screen(self.generator, self.embedder, how, autocast=self.short, **self.options)
        self._recall()

    @property
    def short(self) -> torch.dtype | None:
        """Precision of the bank."""
        return PRECISIONS.get(self.bank.info["autocast"])

    def new_prober(self, autocast: torch.dtype | None = None, num: int = DEFINED_AT) -> Prober:
        plan = plan_bank(self.generator, self.embedder, num_samples=num, autocast=autocast, **self.options)
        return Prober(self.generator, self.embedder, plan)

    @cached_property
    def found(self) -> dict[str, Any]:
        """What each way without the bank finds: relevances of all texts by its name, [P, T], and what it took.

        Without a bank they are found for each number of channels wanted, since few more than those are candidates.
        """
        out: dict[str, Any] = {}
        for name, screen in (("screened", self.screen), ("none", self.none)):
            columns, taken, seconds = [], [], []
            for shift in self.shifts:
                begin = time.perf_counter()
                relevance, differences = refined(screen, shift)
                seconds.append(time.perf_counter() - begin)
                columns.append(relevance)
                taken.append(differences)
                self._keep()
                print(f"{name}: {len(taken)} of {len(self.shifts)} texts, {differences} differences", flush=True)
            out[name] = torch.stack(columns, dim=1)
            out[f"{name}_taken"], out[f"{name}_seconds"] = taken, seconds
        out["none"] = {
            count: torch.stack([refined(self.none, shift, count)[0] for shift in self.shifts], dim=1)
            for count in COUNTS
        }
        out["sketch"] = self.screen.bank().effects @ self.shifts.t()
        out["first"] = torch.stack([self.screen.first_order(shift)[0] for shift in self.shifts], dim=1)
        return out

    @cached_property
    def none(self) -> Screen:
        """The way without a bank, at the first of the same samples."""
        return Screen(self.generator, self.embedder, PRESETS["none"], autocast=self.short, **self.options)

    def plain_bank(self) -> ChannelBank:
        """The bank of the plain definition, of the channels whose differences are known at all samples.

        Of the others it knows nothing; those that may be among the best of the texts are measured first: their best 100
        by the domain's bank here, and by the screening in `plain_stage`.
        """
        exact = self.bank.effects.float() @ self.shifts.t()
        self.measure(torch.cat([best_rows(rows) for rows in exact.t()]))
        screen, bank = self.screen, self.bank
        num, turn = int(bank.info["num_samples"]), screen.prober.turn
        starts, channels = range(0, num, turn), bank.channels.tolist()
        there = [row for row, one in enumerate(channels) if all((one, s) in screen._differences for s in starts)]
        mean = torch.zeros(bank.effects.shape)
        for row in there:
            mean[row] = torch.cat([screen._differences[channels[row], start] for start in starts]).mean(dim=0)
        info = {name: value for name, value in bank.info.items() if name != "mean_samples"} | {"tolerance": None}
        return ChannelBank(unit_rows(mean), mean.norm(dim=1), bank.channels, bank.channel_mean, bank.channel_std, info)

    def measure(self, rows: Tensor, *, tell: Callable[[str], None] = print) -> Tensor:
        """Effects of channels by the plain definition, of all samples; rows in their order, each once: [G, D]."""
        rows, known = rows.unique(), len(self.screen._differences)
        num, turn = int(self.bank.info["num_samples"]), self.screen.prober.turn
        effects: list[Tensor] = []
        for part in torch.split(rows, 64):
            turns = [self.screen._differences_of(part, start, min(start + turn, num)) for start in range(0, num, turn)]
            effects.append(unit_rows(torch.cat(turns, dim=1).mean(dim=1)))
            if len(self.screen._differences) > known:
                known = len(self.screen._differences)
                self._keep()
            tell(f"plain: {sum(map(len, effects))} of {len(rows)} channels at all samples")
        return torch.cat(effects)

    def plain_editor(self) -> Editor:
        """The editor with that bank in place of the domain's."""
        domain = copy.copy(self.editor.domain)
        vars(domain)["bank"] = self.plain_bank()
        return Editor(domain)

    def _keep(self) -> None:
        """Write down the sketch and the differences so far, so that a benchmark that was stopped goes on."""
        self._kept.parent.mkdir(parents=True, exist_ok=True)
        there = {f"{channel} {first}": row for (channel, first), row in self.screen._differences.items()}
        there |= {name: getattr(self.screen, name) for name in SKETCH if getattr(self.screen, name) is not None}
        write_bytes(self._kept, save({name: row.contiguous() for name, row in there.items()}), overwrite=True)

    def _recall(self) -> None:
        for name, row in (load(self._kept.read_bytes()) if self._kept.is_file() else {}).items():
            if name in SKETCH:
                setattr(self.screen, name, row)
            else:
                channel, first = map(int, name.split())
                self.screen._differences[channel, first] = row

    def lend_screen(self) -> None:
        """Let edits with `--bank screen` take this screen: that of the bank's samples, with what it has measured."""
        self._lend("screen", lambda theirs: self.screen)

    def lend_draw(self, seed: int) -> None:
        """Let edits with `--bank none` find their channels at the random samples of a seed; a user's are those of 0."""
        self._lend("none", lambda theirs: self._drawn(theirs, seed))

    def _drawn(self, theirs: Screen, seed: int) -> Screen:
        same = {name: theirs.plan[name] for name in ("truncation", "max_resolution", "to_rgb")}
        return Screen(self.generator, self.embedder, theirs.screening, seed=seed, autocast=self.short, **same)

    def _lend(self, preset: str, make: Callable[[Screen], Screen]) -> None:
        """Put a screen in the place of that which edits with a preset would make."""
        options = {name: self.options[name] for name in ("max_resolution", "to_rgb")}
        options |= {"truncation": self.editor.domain.truncation, "precision": self.bank.info["autocast"] or "float32"}
        bank_choice._SCREENS.clear()
        theirs = bank_choice.screen_for(self.generator, self.embedder, preset, **options)
        (key,) = bank_choice._SCREENS
        bank_choice._SCREENS[key] = make(theirs)

    @property
    def _kept(self) -> Path:
        """Of the same measurements by the same numbers; after a change of the code that measures, remove it."""
        return self.folder / f"differences-{_hashed(self.screen.info)}.safetensors"

    def times(self, repeats: int = 3) -> dict[str, Any]:
        """Seconds of the parts that every way is made of, on this machine as it is now."""
        generator: Any = self.generator
        how = Screening(num_samples=16)
        cases: dict[str, tuple[Callable[[], Any], int]] = {}
        for name, autocast in (("", None), ("_bfloat16", torch.bfloat16)):
            prober = self.new_prober(autocast)
            shards = bank_shards(prober.plan)[::8]
            some = [prober.channels[first : first + 4] for first, _ in shards]
            screen = Screen(self.generator, self.embedder, how, autocast=autocast, **self.options)
            styles, basis = screen.prober.styles[:8], F.normalize(torch.randn(8, self.shifts.shape[1]), dim=1)
            if not name:
                plain_styles = prober.styles[:1]
            cases |= {
                f"exact_render{name}": (_exact(prober, some), 2 * 8 * 4 * len(some)),
                f"raced_render{name}": (_raced(prober, some), 2 * 8 * 4 * len(some)),
                f"slope{name}": (_slopes(screen, styles, basis[:1]), 8),
                f"slopes_8{name}": (_slopes(screen, styles, basis), 8),
            }

        def plain() -> None:
            with torch.inference_mode():
                self.embedder.embed_image(plain_stylegan2.render(generator, plain_styles))

        found = {}
        for name, (run, count) in {"plain_render": (plain, 1), **cases}.items():
            run()
            seconds = []
            for _ in range(repeats):
                begin = time.perf_counter()
                run()
                seconds.append((time.perf_counter() - begin) / count)
            found[name] = {"median": float(np.median(seconds)), "fastest": min(seconds), "slowest": max(seconds)}
            print(name, found[name], flush=True)
        return found


def _hashed(made: dict[str, Any]) -> str:
    """A name for how something was made."""
    return hashlib.sha256(json.dumps(made, sort_keys=True).encode()).hexdigest()[:16]


def _exact(prober: Prober, some: Sequence[Tensor]) -> Callable[[], Any]:
    return lambda: [prober.probe(group, num_samples=8) for group in some]


def _raced(prober: Prober, some: Sequence[Tensor]) -> Callable[[], Any]:
    return lambda: [prober.differences(group, 8) for group in some]


def _slopes(screen: Screen, styles: Tensor, basis: Tensor) -> Callable[[], Any]:
    return lambda: screen._pass(styles, basis, None)


# ------------------------------------------------------------------------------------------------ figures


def overlap(found: Tensor, exact: Tensor, count: int) -> float:
    """Share of the k channels of largest |relevance| that both select, mean over texts; [P, T] each."""
    shares = []
    count = min(count, len(exact))
    for text in range(exact.shape[1]):
        both = [set(rows[:, text].abs().topk(count).indices.tolist()) for rows in (found, exact)]
        shares.append(len(both[0] & both[1]) / count)
    return float(np.mean(shares))


def rank_correlation(found: Tensor, exact: Tensor) -> float:
    """Spearman's, of the relevances, mean over texts."""
    ranks = [rows.double().argsort(dim=0).argsort(dim=0).double() for rows in (found, exact)]
    pairs = zip(ranks[0].t(), ranks[1].t(), strict=True)
    return float(np.mean([torch.corrcoef(torch.stack(pair))[0, 1] for pair in pairs]))


def rank_of_the_best(found: Tensor, exact: Tensor, count: int) -> float:
    """`rank_correlation` of the k channels that are best by `exact`, mean over texts."""
    count = min(count, len(exact))
    best = exact.abs().topk(count, dim=0).indices
    return rank_correlation(found.gather(0, best), exact.gather(0, best))


Found = Tensor | dict[int, Tensor]
"""Relevances [P, T], or those for each number of channels wanted."""


def compared(found: Found, exact: Tensor) -> dict[str, Any]:
    """Overlap and rank correlation of the best for each number of channels, and the rank correlation of all."""
    for_each = found if isinstance(found, dict) else dict.fromkeys(COUNTS, found)
    out: dict[str, Any] = {
        "overlap": {str(count): round(overlap(for_each[count], exact, count), 4) for count in COUNTS},
        "rank_of_the_best": {str(k): round(rank_of_the_best(for_each[k], exact, k), 4) for k in COUNTS},
    }
    if isinstance(found, Tensor):
        out["rank_correlation"] = round(rank_correlation(found, exact), 4)
    return out


def adaptive(units: Tensor, exact: Tensor, shifts: Tensor) -> list[dict[str, Any]]:
    """Tolerance → samples used and agreement, from the differences of all samples, taken in their order."""
    out = []
    num = units.shape[1]
    sums = units.cumsum(dim=1)  # [P, N, D]
    for tolerance in TOLERANCES:
        used = torch.full((len(units),), num)
        for taken in range(FIRST_LOOK, num, FIRST_LOOK):
            known = angle_error(sums[:, taken - 1] / taken, torch.full((len(units),), taken)) <= tolerance
            used = torch.where(known & (used == num), taken, used)
        mean = sums[torch.arange(len(units)), used - 1] / used[:, None]
        figures = compared(unit_rows(mean) @ shifts.t(), exact)
        cosine = F.cosine_similarity(mean, units.mean(dim=1), dim=1)
        out.append({"tolerance": tolerance, "mean_samples": used.double().mean().item(), **figures, **spread(cosine)})
    return out


def spread(cosine: Tensor) -> dict[str, float]:
    return {
        "cosine_mean": cosine.mean().item(),
        "cosine_median": cosine.median().item(),
        "cosine_least_tenth": cosine.quantile(0.1).item(),
    }


def costs(times: dict[str, Any], channels: int, given: dict[str, Any] | None = None) -> dict[str, Any]:
    """Seconds of each way from the times of its parts: of a whole bank, and of the first text, 50 channels wanted.

    Banks are those of the paper, of 100 samples; the plain definition is always in float32.

    Args:
        given: what the stage `given` found: how many differences a text took where candidates race. Without it they
            are those of a race in which nobody is left behind.
    """
    second = {name: figures["median"] for name, figures in times.items()}
    plain = 2 * channels * DEFINED_AT * second["plain_render"]
    out: dict[str, Any] = {"plain": plain}
    for short in ("", "_bfloat16"):
        seconds = 2 * channels * DEFINED_AT * second[f"exact_render{short}"]
        out[f"exact{short}"] = {"seconds": seconds, "plain_over_this": plain / seconds}
        for name, how in PRESETS.items():
            taken = how.num_differences * min(how.most, int(how.candidates * WANTED))
            if name == "screen" and given is not None:
                taken = given["differences"]["mean"]
            out[name + short] = _screening_costs(second, how, taken, short, plain)
    return out


def _screening_costs(
    second: dict[str, float], how: Screening, taken: float, short: str, plain: float
) -> dict[str, float]:
    """Seconds of a screening's parts, and how many times less they are than the plain definition.

    Args:
        taken: differences, each of one channel at one sample.
    """
    backward = (second[f"slopes_8{short}"] - second[f"slope{short}"]) / 7
    forward = second[f"slope{short}"] - backward
    seen = max(how.num_samples, 2 * how.sketch) * forward
    sketch = how.num_samples * (forward + min(how.num_directions, how.sketch) * backward) + seen
    slopes = how.num_samples * (forward + 2 * backward)
    differences = 2 * taken * second[f"raced_render{short}"]
    first = sketch + slopes + differences - how.num_samples * forward  # of one rendering, the slopes and the lengths
    return {
        "sketch": sketch, "slopes": slopes, "differences": differences, "first_text": first,
        "next_text_at_most": slopes + differences, "plain_over_sketch": plain / sketch,
        "plain_over_first_text": plain / first,
    }  # fmt: skip


def times_stage(banks: Banks) -> dict[str, Any]:
    """What the parts take, and what each way comes to."""
    return {"seconds": banks.times(), "channels": len(banks.bank.channels)}


def given_stage(banks: Banks, *, tell: Callable[[str], None] = print) -> dict[str, Any]:
    """Screening against the bank that the domain comes with, at the samples and in the precision of that bank.

    That bank may have stopped channels early, by its tolerance; screening goes on to all samples. Beside it the way
    without a bank, at fewer of the samples.
    """
    bank = banks.bank
    exact = bank.effects.float() @ banks.shifts.t()  # [P, T]
    ways, taken = banks.found, banks.found["screened_taken"]
    mean = bank.effects.float() * bank.consistency[:, None]
    error = angle_error(mean, torch.full((len(exact),), bank.info["num_samples"]))  # who is known took fewer
    known = error <= KNOWN
    best = torch.stack([rows.abs().topk(min(WANTED, len(exact))).indices for rows in exact.t()])  # [T, 50]
    found = {
        "bank": bank.info, "screening": asdict(banks.screen.screening), "none": asdict(banks.none.screening),
        "prompts": banks.prompts, "none_seconds": ways["none_seconds"],
        "differences": {"mean": float(np.mean(taken)), "least": min(taken), "most": max(taken)},
        "agreement": {name: compared(ways[name], exact) for name in WAYS},
        "recall_at_50": [_recall(ways["first"], exact, WANTED, m) for m in AMONG],
        "known": {
            "error": KNOWN, "channels": int(known.sum()), "of": len(known),
            "of_the_best_50": float(known[best].double().mean()),
        },
    }  # fmt: skip
    tell(f"{found['differences']} {found['agreement']}")
    return found


def best_rows(relevance: Tensor) -> Tensor:
    """Rows of the channels that may be among the best `WANTED` of a text by another measurement, of relevances [P]."""
    return relevance.abs().topk(min(2 * WANTED, len(relevance))).indices


def refined(screen: Screen, shift: Tensor, wanted: int | None = None) -> tuple[Tensor, int]:
    """Relevances for so many channels wanted (`WANTED`), [P], and how many differences they took."""
    taken, measure = 0, screen._differences_of

    def counted(rows: Tensor, start: int, end: int) -> Tensor:
        nonlocal taken
        taken += len(rows) * (end - start)
        return measure(rows, start, end)

    screen._differences_of = counted  # type: ignore[method-assign]
    try:
        return screen.relevance(shift, num_channels=wanted or WANTED), taken
    finally:
        screen._differences_of = measure  # type: ignore[method-assign]


def plain_stage(banks: Banks, *, tell: Callable[[str], None] = print) -> dict[str, Any]:
    """All ways and the domain's bank against the plain definition: every channel at all samples, none stopped early.

    Taken for the channels that may be among the best 50 of a text: its best 100, by the bank or by the screening.
    """
    bank, shifts, ways = banks.bank, banks.shifts, banks.found
    exact = bank.effects.float() @ shifts.t()
    rows = torch.cat([best_rows(rows) for way in (exact, ways["screened"]) for rows in way.t()]).unique()
    plain = torch.zeros_like(exact)
    plain[rows] = banks.measure(rows, tell=tell) @ shifts.t()
    told = {"bank": compared(exact, plain)} | {name: compared(ways[name], plain) for name in WAYS}
    return {
        "channels": len(rows), "prompts": banks.prompts, "bank_info": bank.info,
        **{figure: {name: one[figure] for name, one in told.items()} for figure in ("overlap", "rank_of_the_best")},
        "recall_at_50": [_recall(ways["first"], plain, WANTED, m) for m in AMONG],
    }  # fmt: skip


def adaptive_stage(banks: Banks, *, num: int = 40, samples: int = 48) -> dict[str, Any]:
    """Samples that adaptive probing takes, and bfloat16, on channels spread over all layers."""
    prober = banks.new_prober(num=samples)
    rows = torch.linspace(0, len(prober.channels) - 1, num).long()
    picked = [prober.channels[row : row + 1] for row in rows.tolist()]
    units = torch.cat([prober.differences(channel, samples) for channel in picked])
    exact = units.mean(dim=1) @ banks.shifts.t()
    left_out = ("overlap", "rank_of_the_best", "rank_correlation")
    told = [
        {name: value for name, value in row.items() if name not in left_out}
        for row in adaptive(units, exact, banks.shifts)
    ]
    short = banks.new_prober(torch.bfloat16, samples)
    again = torch.cat([short.differences(channel, FIRST_LOOK) for channel in picked])
    cosine = F.cosine_similarity(again.mean(dim=1), units[:, :FIRST_LOOK].mean(dim=1), dim=1)
    fewer = [
        {"samples": n, **spread(F.cosine_similarity(units[:, :n].mean(dim=1), units.mean(dim=1), dim=1))}
        for n in (4, 8, 16, 24, 32)
        if n < samples
    ]
    return {"channels": num, "samples": samples, "adaptive": told, "fewer_samples": fewer, "bfloat16": spread(cosine)}


def _recall(found: Tensor, exact: Tensor, count: int, among: int) -> dict[str, float]:
    """Share of the exact best k that are among the m best found."""
    count, among = min(count, len(exact)), min(among, len(exact))
    shares = [
        len(set(exact[:, t].abs().topk(count).indices.tolist()) & set(found[:, t].abs().topk(among).indices.tolist()))
        for t in range(exact.shape[1])
    ]
    return {"among": among, "share": float(np.mean(shares)) / count}


# ------------------------------------------------------------------------------------------------ judges


def judged(
    banks: Banks,
    portraits: int,
    ways: Sequence[str] = JUDGED,
    *,
    num_channels: int | None = None,
    draws: int = 1,
    tell: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Hit, leak and identity of edits by several ways, and paired differences of each with the first.

    Their intervals are over portraits, as if these prompts were all there are, and over prompts.

    Args:
        ways: the plain definition, the domain's bank (auto), screened, without a bank.
        num_channels: that each edit moves; None lets automatic strength choose, as a user's edit does.
        draws: how many times channels are found without a bank, each time at other samples, from seed 0 on; its
            figures are means over them.
    """
    from .edit_scores import interval

    judges = _judges(banks)
    drawn = {
        way: [
            _judged_edits(banks, judges, way, portraits, num_channels=num_channels, draw=draw, tell=tell)
            for draw in range(draws if way == "none" else 1)
        ]
        for way in ways
    }
    tables = {
        way: {name: np.mean([table[name] for table in each], axis=0) for name in FIGURES} for way, each in drawn.items()
    }
    groups = np.tile(np.arange(portraits), len(banks.tasks))
    by_prompt = np.repeat(np.arange(len(banks.tasks)), portraits)
    counted = np.isfinite(tables[ways[0]]["hit"]).reshape(len(banks.tasks), portraits).sum(axis=1)
    out: dict[str, Any] = {
        "portraits": portraits, "prompts": banks.prompts, "phrasing": banks.phrasing, "bank": banks.bank.info,
        "edits": int(counted.sum()), "edits_by_prompt": counted.tolist(), "ways": list(ways),
    }  # fmt: skip
    for name in FIGURES:
        out[name] = {way: interval(table[name], groups) for way, table in tables.items()}
        for way in ways[1:]:
            difference = tables[way][name] - tables[ways[0]][name]
            out[name][f"{way} minus first"] = interval(difference, groups)
            out[name][f"{way} minus first, over prompts"] = interval(difference, by_prompt)
            each = np.split(difference, len(banks.tasks))
            out[name][f"{way} minus first, by prompt"] = [interval(one)["mean"] for one in each]
    if draws > 1:
        first = tables[ways[0]]
        out["draws"] = [
            {name: interval(table[name] - first[name], groups) for name in FIGURES} for table in drawn.get("none", [])
        ]
    return out


def _judges(banks: Banks) -> Any:
    """What no edit was found with."""
    from recipes.portraits.bundle import JUDGES
    from recipes.portraits.report import load_attribute_judge
    from textmorph import load_identity

    from .edit_run import Judges

    return Judges(
        attributes=load_attribute_judge(), identity=load_identity(JUDGES / "identity.safetensors"),
        witness=banks.editor.domain.witness,
    )  # fmt: skip


def _judged_edits(
    banks: Banks,
    judges: Any,
    way: str,
    portraits: int,
    *,
    num_channels: int | None,
    draw: int,
    tell: Callable[[str], None],
) -> dict[str, Any]:
    """Figures of each edit by one way, a row for every prompt and portrait; the edits are kept in the folder.

    Args:
        draw: seed of the samples, where there is no bank.
    """
    from .edit_run import Bench, Settings, run
    from .edit_scores import joined, judge_edits

    name = way if num_channels is None else f"{way}-{num_channels}"
    name += f"-phrasing-{banks.phrasing}" if banks.phrasing else ""
    if way == "screen":
        banks.lend_screen()
    if way == "none":
        banks.lend_draw(draw)
        name += f"-draw-{draw}" if draw else ""
    if way in PRESETS:  # which parts do not tell
        name += f"-{_hashed(asdict(PRESETS[way]))}"
    settings = Settings(
        portraits=portraits, tasks=tuple(task.key for task in banks.tasks), ways=("global",), phrasing=banks.phrasing,
        options={"global": {
            "bank": "auto" if way == "plain" else way, "space": "s",
            "precision": banks.bank.info["autocast"] or "float32",
            **({} if num_channels is None else {"num_channels": num_channels}),
        }},
    )  # fmt: skip
    editor = banks.plain_editor() if way == "plain" else banks.editor
    bench = Bench(editor=editor, judges=judges, settings=settings, folder=banks.folder / name)
    parts = run(bench, say=lambda text: tell(f"{name}: {text}"))["global"]
    base = bench.sitters.views["inverted"].attributes
    rows = [
        judge_edits(
            TASKS[key], {name: column[:portraits] for name, column in base.items()}, part.attributes,
            part.figures["inverted"], failed=part.failed,
        )
        for key, part in parts.items()
    ]  # fmt: skip
    return joined(rows)


def judged_by_count(banks: Banks, portraits: int, ways: Sequence[str]) -> dict[str, Any]:
    """`judged` for each number of channels."""
    return {"counts": {str(count): judged(banks, portraits, ways, num_channels=count) for count in COUNTS}}


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.banks", description=__doc__)
    add = parser.add_argument
    add("--domain", default="portraits")
    add("--portraits", type=int, default=20, help="that edits are judged on (default: 20)")
    add("--judged", nargs="+", choices=JUDGED, default=list(JUDGED), help="ways to judge, against the first")
    add(
        "--phrasing",
        type=int,
        choices=(0, 1),
        default=0,
        help="which of a wish's phrasings, from 0: of the judges (default: 0)",
    )
    add("--draws", type=int, default=1, help="of the samples without a bank, over which judges' figures are means")
    add("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    add("--texts", type=int, default=len(TASKS), help="prompts, spread over the list (default: all)")
    add("--threads", type=int, help="CPU threads (default: all cores)")
    add("--folder", type=Path, default=RUNS)
    add("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args(words)
    keep_memory()
    torch.set_num_threads(arguments.threads or os.cpu_count() or 1)
    banks = Banks(arguments.domain, arguments.folder, num_texts=arguments.texts, phrasing=arguments.phrasing)
    stages: dict[str, Callable[[], dict[str, Any]]] = {
        "times": lambda: times_stage(banks),
        "given": lambda: given_stage(banks),
        "plain": lambda: plain_stage(banks),
        "adaptive": lambda: adaptive_stage(banks),
        "judges": lambda: judged(banks, arguments.portraits, arguments.judged, draws=arguments.draws),
        "judges_by_count": lambda: judged_by_count(banks, arguments.portraits, arguments.judged),
    }
    results: dict[str, Any] = json.loads(arguments.results.read_text()) if arguments.results.is_file() else {}
    for stage in arguments.stages:
        found = stages[stage]()
        name = "_".join([stage, *arguments.judged]) if stage == "judges" else stage  # each choice of ways for itself
        name += f"_phrasing_{arguments.phrasing}" if arguments.phrasing else ""
        results[name] = {"about": about_run(), "generator": fingerprint(banks.generator), **found}
        if stage in ("times", "given") and (timed := results.get("times")):
            timed["costs"] = costs(timed["seconds"], timed["channels"], results.get("given"))
        arguments.results.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(arguments.results, (json.dumps(results, indent=1) + "\n").encode(), overwrite=True)
    print(arguments.results)


if __name__ == "__main__":
    main()
