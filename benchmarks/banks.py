"""`python -m benchmarks.banks`: banks that are screened, and directions without one, against the exact channel bank.

On the embedded portraits, for twelve texts that nothing was trained on: which channels each way selects, how near its
relevances come, what it costs; how many samples adaptive probing takes; and what judges say of the edits. Every stage
is kept in the run folder, so that a run can be stopped and started again. Writes benchmarks/results/banks.json.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save
from torch import Tensor
from torch.nn import functional as F

from textmorph.channel_bank import ChannelBank
from textmorph.editor import Editor
from textmorph.files import write_bytes
from textmorph.fingerprint import fingerprint
from textmorph.memory import keep_memory
from textmorph.probing import FIRST_LOOK, PRECISIONS, Prober, angle_error, bank_shards, plan_bank, unit_rows
from textmorph.prompts import text_shift
from textmorph.screening import PRESETS, Screen, Screening

from . import plain_stylegan2
from .edit_tasks import TASKS
from .machine import about_run

RUNS = Path("runs/benchmarks/banks")
RESULTS = Path("benchmarks/results/banks.json")
STAGES = ("times", "given", "adaptive", "channels", "judges")
COUNTS = (10, 20, 50, 100)
SHARD = 4
TURN = 8
"""Samples of the exact bank that are kept in one file."""
TOLERANCES = (0.8, 0.6, 0.5, 0.4, 0.3, 0.2)
KNOWN = 1.0
"""Error (sine of the angle, `probing.angle_error`) above which a channel's direction is as good as drawn by lot."""
DEFINED_AT = 100
"""Samples of a bank as the paper builds it, to which costs refer."""


class Banks:
    """The networks, the texts, and the stages.

    Args:
        num: samples of the exact bank that the others are measured against.
        seconds: time after which a stage stops between two parts, to go on in the next run; None for no limit.
        num_texts: how many of the benchmark's prompts, spread over its list.
    """

    def __init__(
        self,
        domain: str,
        folder: Path,
        num: int,
        seconds: float | None,
        *,
        num_texts: int = len(TASKS),
        precision: str = "float32",
    ) -> None:
        self.editor = Editor.from_pretrained(domain, device="cpu")
        self.generator, self.embedder = self.editor.generator, self.editor.embedder
        psi, to_rgb = self.editor.domain.truncation_or(0.7), self.editor.domain.to_rgb
        bank = self.editor.domain.bank
        seed = 0 if bank is None else bank.info["seed"]
        self.options: dict[str, Any] = {
            "truncation": psi, "to_rgb": to_rgb, "seed": seed, "autocast": PRECISIONS.get(precision),
        }  # fmt: skip
        kind = f"-{psi:g}{'-to-rgb' if to_rgb else ''}-{seed}-{precision}"
        self.folder = folder / f"{fingerprint(self.generator)}-{fingerprint(self.embedder)}{kind}"
        self.num, self.end = num, None if seconds is None else time.monotonic() + seconds
        templates = self.editor.domain.sentences
        neutral = self.editor.domain.neutral
        tasks = list(TASKS.values())
        rows = np.linspace(0, len(tasks) - 1, num_texts).round().astype(int)
        self.tasks = [tasks[row] for row in rows]
        self.prompts = [task.prompt("withheld") for task in self.tasks]
        with torch.inference_mode():
            shifts = [
                text_shift(self.embedder, neutral=neutral, target=prompt, templates=templates)
                for prompt in self.prompts
            ]
        self.shifts = torch.stack(shifts).clone()  # [T, D]
        self.plan = plan_bank(self.generator, self.embedder, num_samples=num, batch_size=64, **self.options)
        self.prober = Prober(self.generator, self.embedder, self.plan)

    @property
    def late(self) -> bool:
        return self.end is not None and time.monotonic() > self.end

    # The exact bank, with the unit difference of every channel at every sample

    def units(self) -> Tensor | None:
        """Unit differences, [P, N, D]; None where there was no time for all."""
        rows = []
        for first, last in bank_shards(self.plan):
            turns = [self._turn(first, last, start) for start in range(0, self.num, TURN)]
            if any(turn is None for turn in turns):
                return None
            rows.append(torch.cat([turn for turn in turns if turn is not None], dim=1))
        return torch.cat(rows).float()

    def _turn(self, first: int, last: int, start: int) -> Tensor | None:
        path = self.folder / f"units-{first}-{start}.safetensors"
        if path.is_file():
            return load_file(path)["units"]
        if self.late:
            return None
        begin = time.perf_counter()
        layer = self.prober._layer(self.prober.channels[first:last])
        styles = self.prober.styles[start : start + TURN]
        paused = self.prober._pause(styles, layer)
        with torch.inference_mode():
            parts = [
                self.prober._differences(styles, paused, rows)
                for rows in torch.split(self.prober.channels[first:last], 64 // (2 * TURN))
            ]
        units = torch.cat(parts).half().contiguous().clone()
        seconds = time.perf_counter() - begin
        self.folder.mkdir(parents=True, exist_ok=True)
        write_bytes(path, save({"units": units}), overwrite=True)
        print(f"exact: channels {first} to {last}, samples from {start}: {seconds:.1f} s", flush=True)
        return units

    def bank(self, units: Tensor, num: int | None = None) -> ChannelBank:
        """The bank of the first samples."""
        mean = units[:, :num].mean(dim=1)
        prober = self.prober
        info = {**self.plan, "num_samples": num or self.num}
        return ChannelBank(unit_rows(mean), mean.norm(dim=1), prober.channels, prober.mean, prober.std, info)

    # Times

    def times(self, repeats: int = 3) -> dict[str, Any]:
        """Seconds of the parts that every way is made of, on this machine as it is now; kept, see the stage `times`."""
        generator: Any = self.generator
        prober, shard = self.prober, self.prober.channels[:SHARD]
        short = self.short_prober()
        taken = self.options | {"batch_size": 64}
        some = torch.cat([self.prober.channels[first : first + 4] for first, _ in bank_shards(self.plan)[::8]])
        how = Screening(num_samples=16)
        screen = Screen(self.generator, self.embedder, how, **taken)
        half = Screen(self.generator, self.embedder, how, autocast=torch.bfloat16, **taken)
        styles, basis = screen.prober.styles[:8], F.normalize(torch.randn(8, self.shifts.shape[1]), dim=1)

        def plain() -> None:
            with torch.inference_mode():
                self.embedder.embed_image(plain_stylegan2.render(generator, prober.styles[:1]))

        def exact(by: Prober) -> None:
            for group in torch.split(some, 4):
                by.differences(group, 8)

        cases: dict[str, tuple[Callable[[], Any], int]] = {
            "plain_render": (plain, 1),
            "exact_render": (lambda: exact(prober), 2 * 8 * len(some)),
            "exact_render_bfloat16": (lambda: exact(short), 2 * 8 * len(some)),
            "one_channel_render": (lambda: prober.differences(shard[:1], 8), 16),
            "one_channel_render_bfloat16": (lambda: short.differences(shard[:1], 8), 16),
            "slope": (lambda: screen._pass(styles, basis[:1], None), 8),
            "slopes_8": (lambda: screen._pass(styles, basis, None), 8),
            "slope_bfloat16": (lambda: half._pass(styles, basis[:1], None), 8),
            "slopes_8_bfloat16": (lambda: half._pass(styles, basis, None), 8),
        }
        found = {}
        for name, (run, count) in cases.items():
            run()
            seconds = []
            for _ in range(repeats):
                begin = time.perf_counter()
                run()
                seconds.append((time.perf_counter() - begin) / count)
            found[name] = {"median": float(np.median(seconds)), "fastest": min(seconds), "slowest": max(seconds)}
            print(name, found[name], flush=True)
        return found

    def short(self, units: Tensor, num: int = 48) -> dict[str, float]:
        """Cosine of effects in bfloat16 with those in float32, of channels spread over all layers."""
        path = self.folder / "bfloat16.json"
        if not path.is_file():
            prober = self.short_prober()
            rows = torch.linspace(0, len(units) - 1, num).long()
            found = torch.cat([prober.differences(prober.channels[row : row + 1], self.num) for row in rows.tolist()])
            cosine = F.cosine_similarity(found.mean(dim=1), units[rows].mean(dim=1), dim=1)
            write_bytes(path, json.dumps(spread(cosine)).encode())
        told: dict[str, float] = json.loads(path.read_text())
        return told

    def short_prober(self) -> Prober:
        plan = plan_bank(
            self.generator, self.embedder, num_samples=self.num, batch_size=64, autocast=torch.bfloat16, **self.options
        )
        return Prober(self.generator, self.embedder, plan)

    # The other ways

    def screened(self, name: str, screening: Screening, *, wanted: Sequence[int]) -> dict[str, Tensor] | None:
        """Relevances of a way, [P, T]: by the sketch, by first order, and refined for each number of channels; kept."""
        path = self.folder / f"{name}.safetensors"
        about = json.dumps(asdict(screening) | {"wanted": list(wanted), "prompts": self.prompts})
        if not path.is_file():
            if self.late:
                return None
            screen = Screen(self.generator, self.embedder, screening, batch_size=64, **self.options)
            begin = time.perf_counter()
            tensors = {"sketch": screen.bank().effects @ self.shifts.t()}
            tensors["first"] = torch.stack([screen.first_order(shift)[0] for shift in self.shifts], dim=1)
            for count in wanted:
                found = [screen.relevance(shift, num_channels=count) for shift in self.shifts]
                tensors[f"refined-{count}"] = torch.stack(found, dim=1)
            tensors = {key: value.contiguous() for key, value in tensors.items()}
            self.folder.mkdir(parents=True, exist_ok=True)
            write_bytes(path, save(tensors, {"about": about}))
            print(f"{name}: {time.perf_counter() - begin:.0f} s", flush=True)
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
            if file.metadata()["about"] != about:
                raise SystemExit(f"{path} was made with other numbers; remove it")
            return {key: file.get_tensor(key) for key in names}


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


def compared(found: Tensor, exact: Tensor) -> dict[str, Any]:
    """Overlap for each number of channels, and the rank correlation."""
    return {
        "overlap": {str(count): round(overlap(found, exact, count), 4) for count in COUNTS},
        "rank_correlation": round(rank_correlation(found, exact), 4),
    }


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


def sizes(units: Tensor, exact: Tensor, shifts: Tensor) -> list[dict[str, Any]]:
    """Number of samples → agreement with all of them: what a plain bank of fewer samples loses."""
    steps = [n for n in (2, 4, 8, 12, 16, 24, 32, 48, 64) if n < units.shape[1]]
    return [{"samples": n, **compared(unit_rows(units[:, :n].mean(dim=1)) @ shifts.t(), exact)} for n in steps]


def halves(units: Tensor, shifts: Tensor) -> dict[str, Any]:
    """Agreement of the exact banks of two halves of the samples: what chance alone leaves."""
    odd, even = (unit_rows(units[:, start::2].mean(dim=1)) @ shifts.t() for start in (0, 1))
    return {"samples_each": units.shape[1] // 2, **compared(odd, even)}


def costs(times: dict[str, Any], channels: int, given: dict[str, Any] | None = None) -> dict[str, Any]:
    """Seconds of each way from the times of its parts: of a whole bank, and of the first text, 50 channels wanted.

    Banks are those of the paper, of 100 samples; the plain definition is always in float32.

    Args:
        given: what the stage `given` found: adds `compared`, the screening that it held against the domain's bank, in
            its precision, and the plain definition of a bank of as many samples.
    """
    second = {name: figures["median"] for name, figures in times.items()}
    plain = 2 * channels * DEFINED_AT * second["plain_render"]
    out: dict[str, Any] = {"plain": plain}
    for short in ("", "_bfloat16"):
        seconds = 2 * channels * DEFINED_AT * second[f"exact_render{short}"]
        out[f"exact{short}"] = {"seconds": seconds, "plain_over_this": plain / seconds}
        for name, how in PRESETS.items():
            out[name + short] = _screening_costs(second, how, short, plain)
    if given is not None:
        num, precision = given["bank"]["num_samples"], given["bank"]["autocast"]
        plain_bank = 2 * channels * num * second["plain_render"]
        compared_to = _screening_costs(
            second, Screening(**given["screening"]), f"_{precision}" if precision else "", plain_bank
        )
        out["compared"] = {"plain": plain_bank, **compared_to}
    return out


def _screening_costs(second: dict[str, float], how: Screening, short: str, plain: float) -> dict[str, float]:
    """Seconds of a screening's parts, and how many times less they are than the plain definition."""
    backward = (second[f"slopes_8{short}"] - second[f"slope{short}"]) / 7
    forward = second[f"slope{short}"] - backward
    seen = max(0, 2 * how.sketch - how.num_samples) * forward
    sketch = how.num_lengths * (forward + how.sketch * backward) + seen
    slopes = how.num_samples * second[f"slope{short}"]
    probed = min(how.most, int(how.candidates * 50))
    differences = 2 * how.num_differences * probed * second[f"one_channel_render{short}"]
    first = sketch + slopes + differences
    return {
        "sketch": sketch, "slopes": slopes, "differences": differences, "first_text": first,
        "next_text_at_most": slopes + differences, "plain_over_sketch": plain / sketch,
        "plain_over_first_text": plain / first,
    }  # fmt: skip


def channels_stage(banks: Banks) -> dict[str, Any] | None:
    """Which channels each way selects, and at what cost."""
    units = banks.units()
    if units is None:
        return None
    num = banks.num
    exact = banks.bank(units).effects @ banks.shifts.t()  # [P, T]
    same = {"defined_at": num}
    ways = {
        "screen": Screening(**{**asdict(PRESETS["screen"]), **same}),
        "none": Screening(**{**asdict(PRESETS["none"]), **same}),
        "screen, same samples": Screening(
            num_samples=num, num_lengths=num, sketch=48, candidates=2, most=200, num_differences=min(8, num), **same
        ),
    }
    found: dict[str, Any] = {
        "samples": num, "channels": len(units), "prompts": banks.prompts,
        "ways": {}, "bfloat16": banks.short(units), "halves": halves(units, banks.shifts),
        "fewer_samples": sizes(units, exact, banks.shifts), "adaptive": adaptive(units, exact, banks.shifts),
    }  # fmt: skip
    for name, screening in ways.items():
        wanted = (20, 50) if name == "none" else (50,)
        way = banks.screened(name, screening, wanted=wanted)
        if way is None:
            return None
        told: dict[str, Any] = {"screening": asdict(screening)}
        for stage in ("sketch", "first", *(f"refined-{count}" for count in wanted)):
            told[stage] = compared(way[stage], exact)
        recall = [_recall(way["first"], exact, 50, m) for m in (50, 75, 100, 150, 200, 300)]
        found["ways"][name] = told | {"recall_at_50": recall}
    return found


def given_stage(banks: Banks) -> dict[str, Any]:
    """Screening against the bank that the domain comes with, at the very samples of that bank.

    It costs no exact bank, and leaves little to chance: differences alone are taken at fewer samples. In the precision
    of the bank.
    """
    bank = banks.editor.domain.bank
    if bank is None:
        raise SystemExit("this domain comes without a bank")
    info, shifts = bank.info, banks.shifts
    num, usual = int(info["num_samples"]), PRESETS["screen"]
    how = Screening(
        num_samples=num, num_lengths=num, sketch=usual.sketch, candidates=usual.candidates, most=usual.most,
        num_differences=min(num, usual.num_differences), defined_at=num,
    )  # fmt: skip
    options = {name: info[name] for name in ("seed", "truncation", "num_statistics", "max_resolution", "to_rgb")}
    options["autocast"] = PRECISIONS.get(info["autocast"])
    screen = Screen(banks.generator, banks.embedder, how, batch_size=64, **options)
    exact = bank.effects.float() @ shifts.t()  # [P, T]
    found: dict[str, Any] = {"bank": info, "screening": asdict(how), "prompts": banks.prompts}
    found["sketch"] = compared(screen.bank().effects @ shifts.t(), exact)
    print(found["sketch"], flush=True)
    first = torch.stack([screen.first_order(shift)[0] for shift in shifts], dim=1)
    found["first"] = compared(first, exact)
    found["recall_at_50"] = [_recall(first, exact, 50, m) for m in (50, 75, 100, 150, 200, 300)]
    print(found["first"], found["recall_at_50"], flush=True)
    refined = torch.stack([screen.relevance(shift, num_channels=50) for shift in shifts], dim=1)
    found["refined"] = compared(refined, exact)
    print(found["refined"], flush=True)
    error = angle_error(bank.effects.float() * bank.consistency[:, None], torch.full((len(exact),), num))
    known = error <= KNOWN
    best = torch.stack([rows.abs().topk(50).indices for rows in exact.t()])  # [T, 50]
    found["known"] = {
        "error": KNOWN, "channels": int(known.sum()), "of": len(known),
        "of_the_best_50": float(known[best].double().mean()),
        **{name: compared(rows[known], exact[known]) for name, rows in (("first", first), ("refined", refined))},
    }  # fmt: skip
    print(found["known"], flush=True)
    return found


def adaptive_stage(banks: Banks, *, num: int = 40, samples: int = 48) -> dict[str, Any]:
    """Samples that adaptive probing takes, and bfloat16, on channels spread over all layers."""
    plan = plan_bank(banks.generator, banks.embedder, num_samples=samples, batch_size=64, **banks.options)
    prober = Prober(banks.generator, banks.embedder, plan)
    rows = torch.linspace(0, len(prober.channels) - 1, num).long()
    picked = [prober.channels[row : row + 1] for row in rows.tolist()]
    units = torch.cat([prober.differences(channel, samples) for channel in picked])
    exact = units.mean(dim=1) @ banks.shifts.t()
    left_out = ("overlap", "rank_correlation")
    told = [
        {name: value for name, value in row.items() if name not in left_out}
        for row in adaptive(units, exact, banks.shifts)
    ]
    short = Prober(banks.generator, banks.embedder, {**plan, "autocast": "bfloat16"})
    again = torch.cat([short.differences(channel, FIRST_LOOK) for channel in picked])
    cosine = F.cosine_similarity(again.mean(dim=1), units[:, :FIRST_LOOK].mean(dim=1), dim=1)
    fewer = [
        {"samples": n, **spread(F.cosine_similarity(units[:, :n].mean(dim=1), units.mean(dim=1), dim=1))}
        for n in (4, 8, 16, 24, 32)
        if n < samples
    ]
    return {"channels": num, "samples": samples, "adaptive": told, "fewer_samples": fewer, "bfloat16": spread(cosine)}


def times_stage(banks: Banks) -> dict[str, Any]:
    """What the parts take, and what each way comes to."""
    return {"seconds": banks.times(), "channels": len(banks.prober.channels)}


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
    banks: Banks, portraits: int, ways: Sequence[str] = ("screen", "none"), tell: Callable[[str], None] = print
) -> dict[str, Any]:
    """Hit, leak and identity of edits by the domain's exact bank, screened and without a bank; paired differences."""
    from recipes.portraits.bundle import JUDGES
    from recipes.portraits.report import load_attribute_judge
    from textmorph import load_identity

    from .edit_run import Bench, Judges, Settings, run
    from .edit_scores import interval, joined, judge_edits

    domain = banks.editor.domain
    if domain.bank is None:
        raise SystemExit("this domain comes without a bank")
    judges = Judges(
        attributes=load_attribute_judge(), identity=load_identity(JUDGES / "identity.safetensors"),
        witness=domain.witness,
    )  # fmt: skip
    tables: dict[str, dict[str, Any]] = {}
    for choice in ("auto", *ways):
        settings = Settings(
            portraits=portraits, tasks=tuple(task.key for task in banks.tasks), ways=("global",),
            options={"global": {"bank": choice, "space": "s"}},
        )  # fmt: skip
        bench = Bench(editor=banks.editor, judges=judges, settings=settings, folder=banks.folder / choice)
        parts = run(bench, say=lambda text, choice=choice: tell(f"{choice}: {text}"))["global"]
        base = bench.sitters.views["inverted"].attributes
        rows = [
            judge_edits(
                TASKS[key], {name: column[:portraits] for name, column in base.items()}, part.attributes,
                part.figures["inverted"], failed=part.failed,
            )
            for key, part in parts.items()
        ]  # fmt: skip
        tables[choice] = joined(rows)
    groups = np.tile(np.arange(portraits), len(banks.tasks))
    edits = int(np.isfinite(tables["auto"]["hit"]).sum())
    out: dict[str, Any] = {
        "portraits": portraits, "prompts": banks.prompts, "bank": domain.bank.info, "edits": edits
    }  # fmt: skip
    for name in ("hit", "leak", "identity"):
        out[name] = {choice: interval(table[name], groups) for choice, table in tables.items()}
        for choice in ways:
            out[name][f"{choice} minus exact"] = interval(tables[choice][name] - tables["auto"][name], groups)
    return out


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.banks", description=__doc__)
    add = parser.add_argument
    add("--domain", default="portraits")
    add("--samples", type=int, default=DEFINED_AT, help="of the exact bank (default: 100, an hour on two cores)")
    add("--portraits", type=int, default=20, help="that edits are judged on (default: 20)")
    add("--judged", nargs="+", choices=("screen", "none"), default=["screen", "none"], help="beside the exact bank")
    add("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    add("--texts", type=int, default=len(TASKS), help="prompts, spread over the list (default: all)")
    add("--seconds", type=float, help="stop after so long, to go on in the next run")
    add("--threads", type=int, help="CPU threads (default: all cores)")
    add("--folder", type=Path, default=RUNS)
    add("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args(words)
    keep_memory()
    torch.set_num_threads(arguments.threads or os.cpu_count() or 1)
    banks = Banks(arguments.domain, arguments.folder, arguments.samples, arguments.seconds, num_texts=arguments.texts)
    stages: dict[str, Callable[[], dict[str, Any] | None]] = {
        "times": lambda: times_stage(banks),
        "given": lambda: given_stage(banks),
        "adaptive": lambda: adaptive_stage(banks),
        "channels": lambda: channels_stage(banks),
        "judges": lambda: judged(banks, arguments.portraits, arguments.judged),
    }
    results: dict[str, Any] = json.loads(arguments.results.read_text()) if arguments.results.is_file() else {}
    for stage in arguments.stages:
        found = stages[stage]()
        if found is None:
            raise SystemExit("not done yet; run it again to go on")
        name = stage
        if stage == "given" and arguments.domain != "portraits":
            name = f"given_{found['bank']['num_samples']}"
        if stage == "judges":  # each choice of ways for itself, and each bank
            name = "_".join([stage, *arguments.judged, str(found["bank"]["num_samples"])])
        results[name] = {"about": about_run(), "generator": fingerprint(banks.generator), **found}
        if timed := results.get("times"):
            timed["costs"] = costs(timed["seconds"], timed["channels"], results.get("given"))
        arguments.results.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(arguments.results, (json.dumps(results, indent=1) + "\n").encode(), overwrite=True)
    print(arguments.results)


if __name__ == "__main__":
    main()
