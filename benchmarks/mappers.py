"""`python -m benchmarks.mappers`: latent mappers on portraits, beside other methods, and the paper's ablations.

A mapper is trained for each wish on pictures that the generator draws and the encoder inverts, and then edits held-out
portraits at strength 1; judged only by networks that no training saw. Trainings lie in the run folder and go on where
they were broken off. `--ablations` trains the variants of the paper's App. A, shorter.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recipes.portraits.bundle import JUDGES
from recipes.portraits.report import load_attribute_judge
from textmorph import Editor, load_identity
from textmorph.editing.metrics import change_outside
from textmorph.editing.wishes import usual_values
from textmorph.edits import Residual
from textmorph.evaluation.consistency import step_consistency
from textmorph.files import write_bytes, written_whole
from textmorph.latents import Latent
from textmorph.memory import keep_memory
from textmorph.methods.latent_mapper import LatentMapping
from textmorph.sheets import contact_sheet

from .edit_run import Bench, Judges, Settings, look, run
from .edit_scores import Floats, cosine, judge_edits, summarise
from .edit_tasks import EVERY
from .machine import about_run, commit

RUNS = Path("runs/benchmarks/mappers")
RESULTS = Path("benchmarks/results")
IMAGES = Path("docs/images")
HELD_OUT_SEED, TRAINING_SEED = 31, 32
PICTURES = 8
BATCH = 25
GOALS = {"hit": 0.95, "identity": 0.80, "training_minutes": 10.0}
"""Hit and identity at least, minutes at most, of each."""
FIGURES = ("hit", "leak", "identity", "drift", "change_outside")


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One way to train a mapper: fields that differ from the domain's."""

    title: str
    options: Mapping[str, Any] = field(default_factory=dict)
    encoded: bool = True
    """Trained on latents that the encoder gives, else on those that the generator draws."""


WISHES = {
    "mohawk": {"levels": ("coarse", "medium")},
    "purple": {},
    "smile": {"levels": ("coarse", "medium")},
    "old": {},
    "young": {},
}
"""A hair style, a hair colour, an expression, age both ways; with the levels that the paper chose for such wishes."""

USUAL = {"usual": Variant(title="as published here")}
ABLATIONS = {
    "usual": Variant(title="three nets, identity 0.1, latent L2 0.8"),
    "single": Variant(title="one net", options={"architecture": "single"}),
    "no-identity": Variant(title="no identity loss", options={"identity": 0.0}),
    "no-identity-l2": Variant(title="no identity loss, latent L2 1.6", options={"identity": 0.0, "latent_l2": 1.6}),
    "no-fine": Variant(title="without the fine net", options={"levels": ("coarse", "medium")}),
    "with-fine": Variant(title="with the fine net", options={"levels": ("coarse", "medium", "fine")}),
    "style": Variant(title="in style space", options={"architecture": "style"}),
    "rows": Variant(title="norm over rows, as the paper's code", options={"norm": "rows"}),
    "channels": Variant(title="norm over channels, as the paper's text", options={"norm": "channels"}),
    "drawn": Variant(title="trained on latents drawn, not inverted", encoded=False),
    "drawn-rows": Variant(title="norm over rows, on latents drawn", options={"norm": "rows"}, encoded=False),
    "directional": Variant(title="directional CLIP loss", options={"clip_loss": "directional"}),
    "ranger": Variant(title="Ranger, as the paper's code", options={"optimizer": "ranger", "rampdown": 0.0}),
}
ABLATED = ("mohawk", "purple")


@dataclass(frozen=True, kw_only=True, eq=False)
class Shop:
    """Everything that trainings share.

    Args:
        bench: editor, judges and held-out portraits.
        folder: of the runs.
        num_latents: to train on.
        overrides: fields of all trainings.
    """

    bench: Bench
    folder: Path
    num_latents: int
    overrides: Mapping[str, Any]

    def latents(self, *, encoded: bool) -> Latent:
        """To train on; those inverted are kept in a file."""
        editor = self.bench.editor
        psi = editor.domain.truncation_or(1.0)
        drawn = editor.generator.sample(self.num_latents, seed=TRAINING_SEED, truncation=psi)
        if not encoded:
            return drawn
        path = self.folder / f"latents-{self.num_latents}.safetensors"
        if not path.exists():
            assert editor.encoder is not None
            parts = []
            with torch.no_grad():
                for i in range(0, len(drawn), BATCH):
                    image = editor.generator(drawn[i : i + BATCH]).clamp(-1, 1)
                    parts.append(editor.generator.to_space(editor.encoder(image), "w+"))
            Latent.cat(parts).save(path)
        return Latent.load(path).to(editor.generator.mean_w)

    def method(self, key: str, variant: Variant) -> LatentMapping:
        usual = usual_values(self.bench.editor.domain, "mapper", LatentMapping)
        if variant.options.get("architecture") == "style":
            usual.pop("head_start", None)  # a step in w+
        return LatentMapping(**{**usual, **WISHES.get(key, {}), **self.overrides, **variant.options})

    def train(self, key: str, name: str, variant: Variant, latents: Latent) -> tuple[Residual, float]:
        """A mapper, and the seconds that its training took, over all runs together."""
        editor, folder = self.bench.editor, self.folder / f"{key}-{name}"
        clock = folder.with_suffix(".seconds")
        spent = float(clock.read_text()) if clock.exists() and folder.exists() else 0.0
        begin = last = time.monotonic()

        def tell(done: int, total: int) -> None:
            nonlocal last
            if (now := time.monotonic()) - last > 20 or done == total:
                last = now
                write_bytes(clock, f"{spent + now - begin}".encode(), overwrite=True)
                print(f"  {key} {name}: {done} of {total}, {(spent + now - begin) / 60:.1f} min", flush=True)

        method = self.method(key, variant)
        edit = method.train(
            editor.generator, editor.embedder, target=EVERY[key].prompt(self.bench.settings.split),
            neutral=editor.domain.neutral if method.reads_neutral else None, latents=latents,
            corpus=editor.domain.corpus if method.head_start else None,
            identity_embedder=editor.identity, run=folder, resume=folder.exists(), progress=tell,
        )  # fmt: skip
        return edit, float(clock.read_text())

    def measure(self, key: str, edit: Residual) -> tuple[dict[str, Any], Tensor]:
        """What the judges see in the held-out portraits after the edit; and the first pictures."""
        sitters, editor, task = self.bench.sitters, self.bench.editor, EVERY[key]
        latents = Latent.cat(sitters.latents)
        start = editor.generator.to_space(latents, edit.space)
        with torch.no_grad():
            edited = edit(start)
            images = torch.cat([editor.render(edited[i : i + BATCH]) for i in range(0, len(start), BATCH)])
            editor.render(edit(start[0]))
            begin = time.perf_counter()
            for row in range(min(10, len(start))):
                editor.render(edit(editor.generator.to_space(latents[row], edit.space)))
            seconds = (time.perf_counter() - begin) / min(10, len(start))
        before, view = sitters.views["inverted"], look(self.bench.judges, images)
        measured: dict[str, Floats] = {
            "identity": cosine(before.person, view.person),
            "change_outside": change_outside(sitters.images["inverted"], images).double().cpu().numpy(),
        }
        failed = np.zeros(len(images), dtype=bool)
        figures = judge_edits(task, before.attributes, view.attributes, measured, failed=failed)
        alike = step_consistency(edit, start)
        return summarise(figures, np.arange(len(images))) | {
            "seconds_per_edit": round(seconds, 4), "consistency": asdict(alike),
        }, images[:PICTURES]  # fmt: skip


def benchmark(
    shop: Shop, wishes: Sequence[str], variants: Mapping[str, Variant]
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Train and measure every wish in every variant."""
    shop.folder.mkdir(parents=True, exist_ok=True)
    told: dict[str, Any] = {}
    pictures: dict[str, Tensor] = {}
    for name, variant in variants.items():
        latents = shop.latents(encoded=variant.encoded)
        for key in wishes:
            edit, seconds = shop.train(key, name, variant, latents)
            figures, pictures[f"{key}-{name}"] = shop.measure(key, edit)
            about = {name: edit.provenance[name] for name in ("options", "steps", "best_step", "held_out_loss")}
            told.setdefault(name, {"title": variant.title, "wishes": {}})["wishes"][key] = {
                **figures, **about, "prompt": edit.provenance["target"], "training_minutes": round(seconds / 60, 2),
                "commit": commit(),
            }  # fmt: skip
            shown = {figure: _mean(figures, figure) for figure in ("hit", "leak", "identity")}
            print(f"{key} {name}: {shown}, {seconds / 60:.1f} min", flush=True)
    return told, pictures


def beside(bench: Bench, wishes: Sequence[str], ways: Sequence[str]) -> dict[str, Any]:
    """The other methods for the same wishes and portraits, from the benchmark of edits."""
    parts = run(replace(bench, settings=replace(bench.settings, tasks=tuple(wishes), ways=tuple(ways))))
    told: dict[str, Any] = {}
    for way, made in parts.items():
        num = bench.settings.count(way)
        for key, part in made.items():
            before = {name: column[:num] for name, column in bench.sitters.views["inverted"].attributes.items()}
            figures = judge_edits(EVERY[key], before, part.attributes, part.figures["inverted"], failed=part.failed)
            seconds = part.effort["seconds"][np.isfinite(part.effort["seconds"])]
            told.setdefault(way, {})[key] = summarise(figures, np.arange(num)) | {
                "seconds_per_edit": round(float(seconds.mean()), 3) if len(seconds) else None  # a control takes none
            }
    return told


def goals(wishes: Mapping[str, Any]) -> dict[str, bool]:
    """Which goals each wish meets."""
    return {
        f"{key} {name}": bool(
            figures[name] <= goal if name == "training_minutes" else (_mean(figures, name) or 0.0) >= goal
        )
        for key, figures in wishes.items()
        for name, goal in GOALS.items()
    }


def markdown(found: Mapping[str, Any]) -> str:
    """Tables for the docs."""
    lines = ["# Latent mappers", "", f"Commit {found['about']['commit']}, {found['about']['date']}.", ""]
    wishes = found["mappers"]["usual"]["wishes"]
    others = [f"{key} {one['commit']}" for key, one in wishes.items() if one["commit"] != found["about"]["commit"]]
    if others:
        lines += [f"Mappers measured at other commits: {', '.join(others)}.", ""]
    if "beside_about" in found:
        later = found["beside_about"]
        lines += [f"The other methods: commit {later['commit']}, {later['date']}.", ""]
    head = "| wish | method | hit | leak | identity | training, min | per edit, s |"
    lines += [head, "|---|---|---|---|---|---|---|"]
    for key, figures in found["mappers"]["usual"]["wishes"].items():
        rows = [("mapper", figures, f"{figures['training_minutes']:.1f}")]
        rows += [(way, wishes[key], "0") for way, wishes in found["beside"].items() if key in wishes]
        for name, told, minutes in rows:
            cells = " | ".join(_cell(told, figure) for figure in ("hit", "leak", "identity"))
            seconds = told["seconds_per_edit"]
            ends = f"{minutes} | {seconds:.3f}" if seconds is not None else "– | –"
            lines.append(f"| {key} | {name} | {cells} | {ends} |")
    lines += ["", "Cosine between the steps for different faces (the paper's Table 2):", "", "| wish | mean | std |"]
    lines.append("|---|---|---|")
    for key, figures in found["mappers"]["usual"]["wishes"].items():
        lines.append(f"| {key} | {figures['consistency']['mean']:.3f} | {figures['consistency']['std']:.3f} |")
    if found["ablations"]:
        earlier = " (seen by the attribute classifier before the present one)" if earlier_judge(found) else ""
        lines += ["", f"Ablations{earlier}:", "", "| variant | wish | hit | leak | identity | held-out loss |"]
        lines.append("|---|---|---|---|---|---|")
        for told in found["ablations"].values():
            for key, figures in told["wishes"].items():
                cells = " | ".join(_cell(figures, figure) for figure in ("hit", "leak", "identity"))
                lines.append(f"| {told['title']} | {key} | {cells} | {figures['held_out_loss']:.4f} |")
    lines += ["", *(f"- {'met' if met else 'MISSED'}: {name}" for name, met in found["goals"].items())]
    return "\n".join(lines) + "\n"


def sheet(shop: Shop, pictures: Mapping[str, Tensor]) -> Any:
    """Held-out portraits as the generator draws them, and below each what the mappers make of them."""
    rows = {"inverted": shop.bench.sitters.images["inverted"][:PICTURES], **pictures}
    images = torch.cat([row.cpu() for row in rows.values()])
    return contact_sheet(images, columns=len(images) // len(rows), row_titles=list(rows))


def earlier_judge(found: Mapping[str, Any]) -> bool:
    """Whether the ablations that mappers.json keeps were seen by another attribute classifier than the mappers."""
    told = (found["about"], found.get("ablations_about") or {})
    return len({about.get("judges", {}).get("attributes") for about in told}) > 1


def _mean(figures: Mapping[str, Any], name: str) -> float | None:
    value: float | None = figures[name]["mean"]
    return value


def _cell(figures: Mapping[str, Any], name: str) -> str:
    told = figures[name]
    return "–" if told["mean"] is None else f"{told['mean']:.3f} [{told['low']:.3f}, {told['high']:.3f}]"


def main(words: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mappers", description=__doc__)
    add = parser.add_argument
    add("--domain", default="portraits")
    add("--wishes", default=",".join(WISHES), help=f"some of {', '.join(EVERY)} (default: {', '.join(WISHES)})")
    add("--portraits", type=int, default=50, help="held out (default: 50)")
    add("--num-latents", type=int, default=1500, help="to train on (default: 1500)")
    add("--beside", default="drawn,global,optimize", help="other ways, or nothing (default: drawn,global,optimize)")
    add("--beside-only", action="store_true", help="the other methods again, beside the mappers of mappers.json")
    add("--add", action="store_true", help="keep what mappers.json tells of other wishes, measured before")
    add(
        "--ablations",
        action="store_true",
        help="also train the variants of the paper's App. A (else earlier ones are kept)",
    )
    add("--ablation-steps", type=int, default=300, help="of each (default: 300)")
    add("--variants", default=",".join(ABLATIONS), help="which ablations")
    add("--set", action="append", default=[], metavar="FIELD=JSON", help="a field of all trainings; repeatable")
    add("--runs", type=Path, default=RUNS)
    add("--results", type=Path, default=RESULTS)
    add("--images", type=Path, default=IMAGES)
    add("--threads", type=int)
    add("--device")
    arguments = parser.parse_args(words)
    keep_memory()
    torch.set_num_threads(arguments.threads or os.cpu_count() or 1)
    overrides = {name: json.loads(value) for name, _, value in (text.partition("=") for text in arguments.set)}
    editor = Editor.from_pretrained(arguments.domain, device=arguments.device)
    device = editor.generator.mean_w.device
    judges = Judges(
        attributes=load_attribute_judge().to(device),
        identity=load_identity(JUDGES / "identity.safetensors").to(device), witness=editor.domain.witness,
    )  # fmt: skip
    bench = Bench(
        editor=editor, judges=judges, folder=Path("runs/benchmarks/edits"),
        settings=Settings(portraits=arguments.portraits, optimize_portraits=arguments.portraits),
    )  # fmt: skip
    if arguments.beside_only:
        compare_again(bench, arguments)
    else:
        publish(bench, arguments, overrides)


def compare_again(bench: Bench, arguments: argparse.Namespace) -> None:
    """Put the other methods as they are now beside the mappers that were measured."""
    path = arguments.results / "mappers.json"
    found = json.loads(path.read_text())
    found["beside"] = beside(bench, list(found["mappers"]["usual"]["wishes"]), arguments.beside.split(","))
    found["beside_about"] = about_run()
    write_bytes(path, (json.dumps(found, indent=1) + "\n").encode(), overwrite=True)
    write_bytes(arguments.results / "mappers.md", markdown(found).encode(), overwrite=True)


def publish(bench: Bench, arguments: argparse.Namespace, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Train, measure, write `mappers.json`, `mappers.md` and the sheet."""
    wishes = arguments.wishes.split(",")
    unknown = [key for key in wishes if key not in EVERY]
    if unknown:
        raise SystemExit(f"no wish {', '.join(unknown)}; there are {', '.join(EVERY)}")
    shop = Shop(bench=bench, folder=arguments.runs, num_latents=arguments.num_latents, overrides=overrides)
    told, pictures = benchmark(shop, wishes, USUAL)
    path = arguments.results / "mappers.json"
    before = json.loads(path.read_text()) if path.is_file() else {}
    about = about_run() | {"judges": bench.judges.fingerprints, "portraits": bench.settings.portraits}
    if arguments.add and before:
        made = told["usual"]["wishes"]
        earlier = before["mappers"]["usual"]["wishes"]
        kept = {key: {"commit": before["about"]["commit"]} | earlier[key] for key in earlier if key not in made}
        told["usual"]["wishes"] = kept | made
        wishes = list(told["usual"]["wishes"])
    others = beside(bench, wishes, arguments.beside.split(",")) if arguments.beside else {}
    ablations: dict[str, Any] = before.get("ablations", {})
    ablations_about = before.get("ablations_about", before.get("about"))
    if arguments.ablations:
        chosen = {name: ABLATIONS[name] for name in arguments.variants.split(",")}
        short = replace(
            shop, folder=shop.folder / "ablations", overrides={**overrides, "steps": arguments.ablation_steps}
        )
        ablations, _ = benchmark(short, [key for key in wishes if key in ABLATED], chosen)
        ablations_about = about
    found = {
        "about": about, "mappers": told, "beside": others, "goals": goals(told["usual"]["wishes"]),
        "ablations": ablations, "ablations_about": ablations_about if ablations else None,
    }  # fmt: skip
    for folder in (arguments.results, arguments.images):
        folder.mkdir(parents=True, exist_ok=True)
    write_bytes(path, (json.dumps(found, indent=1) + "\n").encode(), overwrite=True)
    write_bytes(arguments.results / "mappers.md", markdown(found).encode(), overwrite=True)
    with written_whole(arguments.images / "mappers.jpg", overwrite=True) as path:
        sheet(shop, pictures).save(path, quality=86, optimize=True)
    for name, met in found["goals"].items():
        print(f"{'met   ' if met else 'MISSED'} {name}")
    return found


if __name__ == "__main__":
    main()
