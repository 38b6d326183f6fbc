# ruff: noqa: E501  (a page of text)
"""Put the measured figures into docs/banks.md: `python -m benchmarks.banks_page`. A test holds that they are the results'.

Reads benchmarks/results/banks.json and the newest speed-steps-*.json; what was not measured is said so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .speed_steps import CLIP_MULTIPLY_ADDS, multiply_adds

PAGE = Path("docs/banks.md")
RESULTS = Path("benchmarks/results")
BEGIN, END = "<!-- figures: benchmarks/banks_page.py -->", "<!-- end of figures -->"
WAYS = {"sketch": "for all texts (sketch)", "first": "for each text (slopes)"}


def figures(banks: Mapping[str, Any], steps: Mapping[str, Any]) -> str:
    """The page's figures."""
    given, adaptive = banks.get("given"), banks.get("adaptive")
    others = [_agreement_with(banks[name]) for name in sorted(banks) if name.startswith("given_")]
    parts = [_times(banks.get("times")), _agreement(given), *others, _adaptive(adaptive)]
    if given and adaptive and given["generator"] != adaptive["generator"]:
        parts.append("(Adaptive sampling was measured on the generator that came before the present one.)")
    judged = [_judged(banks[name]) for name in sorted(banks) if name.startswith("judges")] or [_judged(None)]
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


def _times(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "What the parts take was not measured."
    second = {name: one["median"] * 1000 for name, one in found["seconds"].items()}
    costs = found["costs"]
    exact, short, screen, none = (costs[name] for name in ("exact", "exact_bfloat16", "screen", "none"))
    return f"""On the embedded portraits ({_ran(found["about"])}), medians:

| one picture | milliseconds |
|---|---|
| drawn and embedded by the plain definition, one at a time | {second["plain_render"]:.1f} |
| the same in the exact bank, float32 | {second["exact_render"]:.1f} |
| in bfloat16 | {second["exact_render_bfloat16"]:.1f} |
| drawn, embedded and one pass backwards | {second["slope"]:.1f} |

From these follow, by counting passes, for banks of 100 samples: the plain definition takes {_time(costs["plain"])}; the
exact bank {_time(exact["seconds"])} ({exact["plain_over_this"]:.1f} times less), in bfloat16 {_time(short["seconds"])}
({short["plain_over_this"]:.1f}); a bank for all texts by gradients {_time(screen["sketch"])}
({screen["plain_over_sketch"]:.0f} times less than the plain one); screened, with the differences of a first text's best
candidates, {_time(screen["first_text"])} ({screen["plain_over_first_text"]:.0f} times less; goal: 30); a first text
without a bank {_time(none["first_text"])}, each further one {_time(none["next_text_at_most"])} at most.{_compared(costs)}"""


def _compared(costs: Mapping[str, Any]) -> str:
    """The cost of what the agreement below was measured for."""
    if "compared" not in costs:
        return ""
    same = costs["compared"]
    return f"""

What is compared next, samples and precision of both alike, costs {_time(same["first_text"])} for a first text where the plain
definition takes {_time(same["plain"])}: {same["plain_over_first_text"]:.0f} times less (goal: 30)."""


def _agreement(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "How well gradients agree with the exact bank was not measured."
    num, taken = found["bank"]["num_samples"], found["screening"]["num_differences"]
    fewer = " (differences alone are taken at fewer)" if taken < num else ""
    return f"""Agreement with the exact bank that the domain comes with ({num} samples), at the same samples, so that
little is left to chance but the method{fewer}; means over {len(found["prompts"])} prompts that nothing was trained on:

{_shares(found)}

![Agreement with the exact bank](images/banks.png)"""


def _agreement_with(found: Mapping[str, Any]) -> str:
    """With another bank than the domain's, of more samples than screening takes."""
    bank, taken = found["bank"], found["screening"]["num_differences"]
    mean = f", {bank['mean_samples']:.0f} in the mean" if "mean_samples" in bank else ""
    return f"""Agreement with an exact bank of at most {bank["num_samples"]} samples (tolerance {bank["tolerance"]:g}{mean}), of
which screening takes differences at {taken}: the chance that the fewer samples bring counts too. Means over
{len(found["prompts"])} prompts that nothing was trained on:

{_shares(found)}"""


def _shares(found: Mapping[str, Any]) -> str:
    """How much of what an exact bank selects the other ways select, too."""
    rows = [_row(title, found[way]) for way, title in WAYS.items()]
    taken = found["screening"]["num_differences"]
    rows.append(_row(f"screened: differences at {taken} samples", {**found["refined"], "rank_correlation": None}))
    among = {one["among"]: one["share"] for one in found["recall_at_50"]}
    return f"""| by gradients | rank correlation | k = 10 | 20 | 50 | 100 |
|---|---|---|---|---|---|
{chr(10).join(rows)}

k columns: share of the k channels that both select (goal at 50: 0.95). Of the exact best 50, {among[100]:.3f} are among
the first 100 by slopes, and {among[200]:.3f} among the first 200.{_known(found.get("known"))}"""


def _known(found: Mapping[str, Any] | None) -> str:
    """What is left of the disagreement where the exact bank itself knows a direction."""
    if found is None:
        return ""
    at = {way: found[way]["overlap"]["50"] for way in ("first", "refined")}
    return f"""

The exact bank itself does not know every direction: of {found["of"]} channels {found["of"] - found["channels"]} do so
little that the mean over its samples is within what chance gives (error by `probing.angle_error` above
{found["error"]:g}), and {1 - found["of_the_best_50"]:.1%} of its best 50 are such. Among the others, screening shares
{at["refined"]:.3f} of the best 50, and slopes alone {at["first"]:.3f}."""


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


def _judged(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "Whether edits by screened banks and without a bank are as good, the judges have not been asked yet."
    titles = {"auto": "exact", "screen": "screened", "none": "no bank"}
    ways = [way for way in titles if way in found["hit"]]
    others = [way for way in ways if way != "auto"]
    header = [titles[way] for way in ways] + [f"{titles[way]} − exact" for way in others]
    rows = ["| | " + " | ".join(header) + " |", "|---" * (1 + len(header)) + "|"]
    for name in ("hit", "leak", "identity"):
        one = found[name]
        cells = [f"{one[way]['mean']:.3f}" for way in ways] + [_between(one[f"{way} minus exact"]) for way in others]
        rows.append(f"| {name} | " + " | ".join(cells) + " |")
    table = "\n".join(rows)
    return f"""Edits of {found["portraits"]} held-out portraits by {len(found["prompts"])} prompts ({found["edits"]} edits), seen by judges that no
edit was found with. *Exact* is {_bank(found["bank"])}.
The differences are paired, with 95 % intervals (goal: within 0.02):

{table}"""


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
        f"bfloat16 {cosine['bfloat16']['median']:.2f} with float32; random weights have small effects, which rounding "
        "hides more than those of a trained generator. No ratio is claimed: "
        f"{found['rule'][0].lower()}{found['rule'][1:]}, and a plain render takes {probes['plain']['median'] / 2:.1f} s here."
    ]
    work = 2 * (multiply_adds(cosine["resolution"]["of"]) + CLIP_MULTIPLY_ADDS)
    rates = found["multiply_adds_a_second"]
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
    for precision, one in found.get("no-bank", {}).items():
        lines.append(
            f"A direction without a bank for a 256 px generator nobody has prepared takes {one['seconds']:.0f} s in "
            f"{precision} (goal: under 120 s), a second text {one['next_text_seconds']:.0f} s."
        )
    return "\n\n".join(lines)


def _row(title: str, found: Mapping[str, Any]) -> str:
    shares = " | ".join(f"{found['overlap'][str(k)]:.3f}" for k in (10, 20, 50, 100))
    rank = "–" if found["rank_correlation"] is None else f"{found['rank_correlation']:.3f}"
    return f"| {title} | {rank} | {shares} |"


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
