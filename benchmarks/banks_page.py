# ruff: noqa: E501  (a page of text)
"""Put the measured figures into docs/banks.md: `python -m benchmarks.banks_page`. A test holds that they are the results'.

Reads benchmarks/results/banks.json and the newest speed-steps-*.json; what was not measured is said so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .banks import FIGURES
from .edit_scores import interval
from .speed_steps import CLIP_MULTIPLY_ADDS, multiply_adds, no_bank_work

PAGE = Path("docs/banks.md")
RESULTS = Path("benchmarks/results")
BEGIN, END = "<!-- figures: benchmarks/banks_page.py -->", "<!-- end of figures -->"
WAYS = {
    "bank": "the bank of the domain", "sketch": "gradients for all texts (sketch)",
    "first": "gradients for each text (slopes)", "screened": "screened: slopes, then a race", "none": "no bank",
}  # fmt: skip


def figures(banks: Mapping[str, Any], steps: Mapping[str, Any]) -> str:
    """The page's figures."""
    given, adaptive = banks.get("given"), banks.get("adaptive")
    parts = [_times(banks.get("times"), given), _plain(banks.get("plain")), _agreement(given), _adaptive(adaptive)]
    judged = [
        _judged(banks[name]) for name in sorted(banks) if name.startswith("judges_") and "counts" not in banks[name]
    ]
    judged = [*(judged or [_judged(None)]), *_pooled(banks), _by_count(banks.get("judges_by_count"))]
    return "\n\n".join([*parts, *judged, _large(steps)])


def filled(page: str, banks: Mapping[str, Any], steps: Mapping[str, Any]) -> str:
    """The page with the figures in their place."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n{figures(banks, steps)}\n{END}{rest.split(END)[1]}"


def newest_steps(folder: Path = RESULTS) -> dict[str, Any]:
    """What `benchmarks.speed_steps` last wrote."""
    found = [json.loads(path.read_text()) for path in sorted(folder.glob("speed-steps-*.json"))]
    return max(found, key=lambda one: str(one["about"]["date"]), default={})


def _ran(about: Mapping[str, Any]) -> str:
    machine = about["machine"]
    return f"{machine['processor']}, {machine['torch_threads']} threads, load {machine['load']} at the end"


def _times(found: Mapping[str, Any] | None, given: Mapping[str, Any] | None) -> str:
    if found is None:
        return "What the parts take was not measured."
    second = {name: one["median"] * 1000 for name, one in found["seconds"].items()}
    costs = found["costs"]
    ways = [
        ("an exact bank", costs["exact"]["seconds"], costs["exact_bfloat16"]["seconds"]),
        ("a bank for all texts, by gradients", *_both(costs, "screen", "sketch")),
        ("screened, a first text", *_both(costs, "screen", "first_text")),
        ("screened, a further text, at most", *_both(costs, "screen", "next_text_at_most")),
        ("no bank, a first text", *_both(costs, "none", "first_text")),
        ("no bank, a further text, at most", *_both(costs, "none", "next_text_at_most")),
    ]
    rows = "\n".join(
        f"| {name} | {_time(long)} | {costs['plain'] / long:.{1 if long > 6000 else 0}f} "
        f"| {_time(short)} | {costs['plain'] / short:.{1 if short > 6000 else 0}f} |"
        for name, long, short in ways
    )
    raced = f"{given['differences']['mean']:,.0f} in the mean" if given else "the most that it may take"
    return f"""On the embedded portraits ({_ran(found["about"])}), medians of milliseconds:

| one picture | float32 | bfloat16 |
|---|---|---|
| drawn and embedded by the plain definition, one at a time | {second["plain_render"]:.1f} | |
| the same in an exact bank | {second["exact_render"]:.1f} | {second["exact_render_bfloat16"]:.1f} |
| the same for a candidate that races | {second["raced_render"]:.1f} | {second["raced_render_bfloat16"]:.1f} |
| drawn, embedded and one pass backwards | {second["slope"]:.1f} | {second["slope_bfloat16"]:.1f} |

From these follows what each way takes, by counting passes, for banks of 100 samples and 50 channels wanted. The
plain definition takes {_time(costs["plain"])}. Of a screened text the differences are counted that one took below
({raced}; each is two pictures). *Less* is how many times less than the plain definition (goal for a screened text: 30):

| | float32 | less | bfloat16 | less |
|---|---|---|---|---|
{rows}"""


def _both(costs: Mapping[str, Any], way: str, part: str) -> tuple[float, float]:
    return costs[way][part], costs[f"{way}_bfloat16"][part]


def _plain(found: Mapping[str, Any] | None) -> str:
    """Against a bank in which no channel was stopped early."""
    if found is None:
        return "Agreement with the plain definition was not measured."
    rows = "\n".join(_row(title, found["overlap"][way]) for way, title in WAYS.items())
    ranks = "\n".join(_row(title, found["rank_of_the_best"][way]) for way, title in WAYS.items())
    return f"""Channels shared with the plain definition: {found["bank_info"]["num_samples"]} samples of every channel, none stopped early, for
the {found["channels"]} channels that are among the best 100 of a prompt by the bank or by screening. All are in
{found["bank_info"]["autocast"] or "float32"} and at the same samples, so that little is left to differ but the method; means over {len(found["prompts"])} prompts that
nothing was trained on:

| | k = 10 | 20 | 50 | 100 |
|---|---|---|---|---|
{rows}

k columns: share of the k channels that both select (goal of a screened text at 50: 0.95), 50 wanted of a screened text,
k without a bank. The domain's bank
is {_bank(found["bank_info"])}. Of the plain
best 50 there are, by slopes, {_recall(found)}.

Spearman's correlation of the relevances with the plain ones, among the k channels that are best by definition:

| | k = 10 | 20 | 50 | 100 |
|---|---|---|---|---|
{ranks}

![Agreement with the exact bank](images/banks.png)"""


def _agreement(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "How well gradients agree with the exact bank was not measured."
    how, none, taken, known = found["screening"], found["none"], found["differences"], found["known"]
    rows = []
    for way, title in WAYS.items():
        if way != "bank":
            one = found["agreement"][way]
            rank = f"{one['rank_correlation']:.3f}" if way in ("sketch", "first") else "–"
            rows.append(_row(f"{title} | {rank}", one["overlap"]))
    return f"""The same against the domain's bank itself, which stops a channel when it is known to the tolerance and so differs
from the definition too:

| | rank correlation | k = 10 | 20 | 50 | 100 |
|---|---|---|---|---|---|
{chr(10).join(rows)}

Of a screened text {how["most"]} channels race, and take {taken["mean"]:,.0f} differences in the mean ({taken["least"]:,.0f} to {taken["most"]:,.0f}; the plain
definition takes {found["bank"]["num_samples"] * known["of"]:,.0f}). Without a bank it is gradients at {none["num_samples"]} samples and {none["num_differences"]} differences of each of {none["most"]} channels.
Of the bank's best 50 there are, by slopes, {_recall(found)}. Of {known["of"]} channels the bank does not
know the direction of {known["of"] - known["channels"]} (error by `probing.angle_error` above {known["error"]:g}); {1 - known["of_the_best_50"]:.1%} of its best 50 are such."""


def _recall(found: Mapping[str, Any]) -> str:
    return ", ".join(f"{one['share']:.3f} among {one['among']}" for one in found["recall_at_50"])


def _adaptive(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "Adaptive sampling was not measured."
    rows = "\n".join(
        f"| {one['tolerance']:g} | {one['mean_samples']:.1f} | {one['cosine_mean']:.3f} "
        f"| {one['cosine_least_tenth']:.3f} |"
        for one in found["adaptive"]
    )
    return f"""Adaptive sampling, {found["channels"]} channels spread over all layers, {found["samples"]} samples at most;
cosines with the effects of all samples (in bfloat16 with 8 samples of float32: {found["bfloat16"]["cosine_mean"]:.3f}
in the mean, {found["bfloat16"]["cosine_least_tenth"]:.3f} for the least tenth):

| tolerance | samples, mean | cosine, mean | cosine, least tenth |
|---|---|---|---|
{rows}"""


TITLES = {"plain": "plain definition", "auto": "the domain's bank", "screen": "screened", "none": "no bank"}


def _by_count(found: Mapping[str, Any] | None) -> str:
    """Edits that move so many channels each."""
    if found is None:
        return "Edits that move a given number of channels were not judged."
    rows = []
    for count, one in found["counts"].items():
        first, *others = one["ways"]
        cells = [f"{one[name][first]['mean']:.3f}" for name in FIGURES]
        rows.append(f"| {count} | {TITLES[first]}, {one['edits']} edits | " + " | ".join(cells) + " |")
        for way in others:
            cells = [_between(one[name][f"{way} minus first"]) for name in FIGURES]
            rows.append(f"| | {TITLES[way]} − {TITLES[first]} | " + " | ".join(cells) + " |")
    table = "\n".join(rows)
    return f"""With the number of channels given instead of chosen by automatic strength, {one["portraits"]} portraits and
{len(one["prompts"])} prompts:

| k | | hit | leak | identity |
|---|---|---|---|---|
{table}"""


def _judged(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "Whether edits by screened banks and without a bank are as good, the judges have not been asked yet."
    ways = found["ways"]
    others = ways[1:]
    header = [TITLES[way] for way in ways] + [f"{TITLES[way]} − {TITLES[ways[0]]}" for way in others]
    rows = ["| | " + " | ".join(header) + " |", "|---" * (1 + len(header)) + "|"]
    for name in FIGURES:
        one = found[name]
        cells = [f"{one[way]['mean']:.3f}" for way in ways] + [_between(one[f"{way} minus first"]) for way in others]
        rows.append(f"| {name} | " + " | ".join(cells) + " |")
    table = "\n".join(rows)
    over = "; ".join(
        f"{TITLES[way]} " + ", ".join(_between(found[name][f"{way} minus first, over prompts"]) for name in FIGURES)
        for way in others
    )
    prompts = f"{len(found['prompts'])} prompts" + (
        ", other words for the same wishes" if found.get("phrasing") else ""
    )
    which = f" The domain's bank is {_bank(found['bank'])}." if "auto" in ways else ""
    return f"""Edits of {found["portraits"]} held-out portraits by {prompts} ({found["edits"]} edits), seen by judges that no
edit was found with.{which}
The differences are paired, with 95 % intervals over portraits (goal: within 0.02):

{table}

Each way found its channels for {len(found["prompts"])} texts, and what it happened to find for a text all portraits share. Intervals over
prompts, of hit, leak and identity, tell what another dozen might have given: {over}.{_draws(found)}"""


def _pooled(banks: Mapping[str, Any]) -> list[str]:
    """Differences over all prompts of several phrasings, a wish being drawn with all of them; nothing for only one."""
    tables = [banks[name] for name in sorted(banks) if name.startswith("judges_") and "edits_by_prompt" in banks[name]]
    ways = [way for way in tables[0]["ways"][1:] if all(way in one["ways"][1:] for one in tables)] if tables else []
    if len({one["phrasing"] for one in tables}) < 2 or len({one["ways"][0] for one in tables}) > 1:
        return []
    prompts = sum(len(one["prompts"]) for one in tables)
    edits = sum(one["edits"] for one in tables)
    told = []
    for way in ways:
        cells = [_between(_over_wishes(tables, name, f"{way} minus first, by prompt")) for name in FIGURES]
        told.append(f"{TITLES[way]} " + ", ".join(f"{name} {cell}" for name, cell in zip(FIGURES, cells, strict=True)))
    return [
        f"Over these {prompts} prompts together ({edits} edits), less the {TITLES[tables[0]['ways'][0]]}, with intervals over "
        f"wishes: {'; '.join(told)}."
    ]


def _over_wishes(tables: Sequence[Mapping[str, Any]], name: str, difference: str) -> dict[str, Any]:
    values = [mean for one in tables for mean in one[name][difference]]
    edits = [num for one in tables for num in one["edits_by_prompt"]]
    wishes = [wish for one in tables for wish in range(len(one["prompts"]))]
    return interval(np.repeat(np.array(values, dtype=float), edits), np.repeat(wishes, edits))


def _draws(found: Mapping[str, Any]) -> str:
    draws = found.get("draws", [])
    if not draws:
        return ""
    each = "; ".join(", ".join(_between(one[name]) for name in FIGURES) for one in draws)
    return f"""

Without a bank, channels were found {len(draws)} times, each time at other random samples; the table has means over them. Each by
itself, less the plain definition, over portraits: {each}."""


def _bank(about: Mapping[str, Any]) -> str:
    """Which exact bank it was."""
    told = f"a bank of {about['num_samples']} samples"
    if about.get("tolerance"):
        told += f" at most (tolerance {about['tolerance']:g}, {about['mean_samples']:.0f} in the mean)"
    return told + (f" in {about['autocast']}" if about.get("autocast") else "")


def _large(found: Mapping[str, Any]) -> str:
    if "probes" not in found:
        return "At 1024 px nothing was measured."
    probes, cosine = found["probes"], found["probes"]["cosine"]
    lines = [
        f"At 1024 px, with random weights of the FFHQ generator's size and CLIP ViT-B/32 ({_ran(found['about'])}): one "
        f"channel at one sample takes {probes['plain']['median']:.2f} s by the plain procedure, "
        f"{probes['ours float32']['median']:.2f} s here, {probes['ours bfloat16']['median']:.2f} s in bfloat16. Effects "
        f"at 256 px have a cosine of {cosine['resolution']['median']:.2f} (median) with those at 1024 px, those in "
        f"bfloat16 {cosine['bfloat16']['median']:.2f} with float32. No ratio is claimed: "
        f"{found['rule'][0].lower()}{found['rule'][1:]}, and a plain render takes {probes['plain']['median'] / 2:.1f} s here."
    ]
    work = 2 * (multiply_adds(cosine["resolution"]["of"]) + CLIP_MULTIPLY_ADDS)
    rates = found["multiply_adds_a_second"]["probes"]
    shares = [
        f"{work / probes[f'ours {kind}']['median'] / rates[kind]:.0%} of the {rates[kind]:.0f}·10⁹ that a large matrix "
        f"product reaches in {kind}"
        for kind in ("float32", "bfloat16")
    ]
    lines.append(
        f"What bounds it is arithmetic: two pictures of 256 px, drawn and seen whole, take {work:.0f}·10⁹ multiply-adds, "
        f"CLIP {2 * CLIP_MULTIPLY_ADDS / work:.0%} of them. By that count a channel at one sample runs at {shares[0]}, "
        f"and at {shares[1]}; layers that are shared between channels count as if they were computed each time."
    )
    if "clip" in found:
        passes = found["clip"]
        back = {name: passes[f"backwards {name}"]["median"] * 1e3 for name in ("plain bfloat16", "ours bfloat16")}
        long = {name: passes[f"backwards {name}"]["median"] * 1e3 for name in ("plain float32", "ours float32")}
        lines.append(
            f"One pass back through CLIP takes {back['ours bfloat16']:.0f} ms an image in bfloat16, with the layers as "
            f"published {back['plain bfloat16']:.0f} ms; in float32 {long['ours float32']:.0f} and "
            f"{long['plain float32']:.0f} ms ({passes['batch']} images of 256 px; cosine of the bfloat16 gradient with "
            f"the published one in float32 {passes['cosine']['ours bfloat16']['median']:.4f})."
        )
    if "up" in found:
        up = {name: [found["up"][name][way] * 1e3 for way in ("plain", "ours")] for name in ("1024", "256")}
        lines.append(
            f"The convolutions that double the resolution, up to 256 px, take {up['1024'][1]:.0f} ms an image of the 1024 px "
            f"generator in bfloat16, oneDNN's {up['1024'][0]:.0f} ms; of a 256 px generator {up['256'][1]:.0f} and "
            f"{up['256'][0]:.0f} ms ({found['up']['batch']} images at a time)."
        )
    for precision, one in found.get("no-bank", {}).items():
        rate = found["multiply_adds_a_second"]["no-bank"][precision]
        lines.append(
            f"A direction without a bank for a 256 px generator nobody has prepared takes {one['seconds']:.0f} s in "
            f"{precision} (goal: under 120 s), a second text {one['next_text_seconds']:.0f} s; a large matrix product "
            f"reached {rate:.0f}·10⁹ multiply-adds a second just before, at which the multiply-adds of the first alone "
            f"take {no_bank_work(one) / rate:.0f} s."
        )
    return "\n\n".join(lines)


def _row(title: str, overlap: Mapping[str, float]) -> str:
    return f"| {title} | " + " | ".join(f"{overlap[str(k)]:.3f}" for k in (10, 20, 50, 100)) + " |"


def _between(interval: Mapping[str, Any]) -> str:
    return f"{interval['mean']:+.3f} ({interval['low']:+.3f} to {interval['high']:+.3f})"


def _time(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 6000 else f"{seconds / 3600:.1f} hours"


def main() -> None:
    banks = json.loads((RESULTS / "banks.json").read_text())
    PAGE.write_text(filled(PAGE.read_text(), banks, newest_steps()))


if __name__ == "__main__":
    main()
