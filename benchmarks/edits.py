"""`python -m benchmarks.edits`: how well edits hit what was asked for, what else they change, and who stays the same.

Twelve prompts in phrasings that nothing was trained on, for fifty held-out portraits, by every method at automatic
strength; judged only by networks that no edit was found with. Parts are kept in the run folder, so that a run can be
stopped and started again. `--curve` measures fixed strengths instead, on other portraits with training phrasings.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import torch

from recipes.portraits.bundle import JUDGES
from recipes.portraits.report import load_attribute_judge
from textmorph import Editor, load_identity
from textmorph.files import write_bytes, written_whole
from textmorph.memory import keep_memory

from .edit_curve import CURVE_ROWS, CurveSettings, curve_markdown, run_curve
from .edit_report import make_results, markdown, sheet, small_sheet
from .edit_run import WAYS, Bench, Judges, Settings, run
from .edit_tasks import TASKS

RUNS = Path("runs/benchmarks/edits")
RESULTS = Path("benchmarks/results")
IMAGES = Path("docs/images")
DOMAIN = "portraits"
SMALLER = ("optimize_portraits", "variant_portraits", "optimize_steps", "optimize_patience")


def benchmark(
    bench: Bench, *, results: Path, images: Path, fresh: bool = False, say: Callable[[str], None] = print
) -> None:
    """Make or read all parts, then write `edits.json`, `edits.md` and the sheets."""
    for key in bench.settings.tasks:
        say(f"  {key:9} {TASKS[key].prompt(bench.settings.split)}")
    parts = run(bench, fresh=fresh, say=say)
    found = make_results(bench, parts)
    results.mkdir(parents=True, exist_ok=True)
    images.mkdir(parents=True, exist_ok=True)
    write_bytes(results / "edits.json", (json.dumps(found, indent=1) + "\n").encode(), overwrite=True)
    write_bytes(results / "edits.md", markdown(found).encode(), overwrite=True)
    for way, made in parts.items():
        if WAYS[way].method and not WAYS[way].is_variant:
            with written_whole(images / f"edits-{way}.jpg", overwrite=True) as path:
                sheet(bench, made).save(path, quality=86, optimize=True)
    if "global" in parts:
        with written_whole(images / "edits.jpg", overwrite=True) as path:
            small_sheet(bench, parts["global"]).save(path, quality=88, optimize=True)
    for name, goal in found["goals"].items():
        say(f"{'met   ' if goal['met'] else 'MISSED'} {name}: {goal['value']} (goal {goal['goal']})")
    say(f"written: {results / 'edits.json'}, {results / 'edits.md'}, {images}/edits*.jpg")


def curve(editor: Editor, judges: Judges, settings: CurveSettings, *, results: Path, folder: Path) -> None:
    """Measure fixed strengths, then write `edits-curve.json` and `edits-curve.md`."""
    found = run_curve(editor, judges, settings, folder=folder)
    results.mkdir(parents=True, exist_ok=True)
    write_bytes(results / "edits-curve.json", (json.dumps(found, indent=1) + "\n").encode(), overwrite=True)
    write_bytes(results / "edits-curve.md", curve_markdown(found).encode(), overwrite=True)
    print(f"written: {results / 'edits-curve.json'}, {results / 'edits-curve.md'}")


def main(words: Sequence[str] | None = None) -> None:
    """The command line."""
    arguments = _parser().parse_args(words)
    keep_memory()
    torch.set_num_threads(arguments.threads or os.cpu_count() or 1)
    editor = Editor.from_pretrained(arguments.domain, device=arguments.device)
    device = editor.generator.mean_w.device
    judges = Judges(
        attributes=load_attribute_judge().to(device),
        identity=load_identity(JUDGES / "identity.safetensors").to(device),
        witness=editor.domain.witness,
    )
    if arguments.curve:
        first = arguments.first if arguments.first is not None else CURVE_ROWS[0]
        fixed = CurveSettings(
            portraits=arguments.portraits, first=first, tasks=arguments.prompts, channels=arguments.channels,
            strengths=arguments.strengths,
        )  # fmt: skip
        published = fixed == CurveSettings() and arguments.domain == DOMAIN
        results = arguments.results or (RESULTS if published else RUNS / "part")
        return curve(editor, judges, fixed, results=results, folder=RUNS / "curve")
    optimization = {name: getattr(arguments, name) for name in SMALLER}
    settings = Settings(
        portraits=arguments.portraits, first=arguments.first or 0, tasks=arguments.prompts, ways=arguments.methods,
        refine=arguments.refine, seed=arguments.seed, **optimization,
    )  # fmt: skip
    published = settings == Settings(**optimization) and arguments.domain == DOMAIN
    bench = Bench(editor=editor, judges=judges, settings=settings, folder=RUNS, tell=_every_so_often())
    return benchmark(
        bench, fresh=arguments.fresh, results=arguments.results or (RESULTS if published else RUNS / "part"),
        images=arguments.images or (IMAGES if published else RUNS / "part"),
    )  # fmt: skip


def _parser() -> argparse.ArgumentParser:
    usual, usual_curve = Settings(), CurveSettings()
    ways = "\n".join(f"  {name:15} {way.title}" for name, way in WAYS.items())
    prompts = "\n".join(f"  {key:15} {task.prompt()}" for key, task in TASKS.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.edits", formatter_class=argparse.RawDescriptionHelpFormatter,
        description=__doc__, epilog=f"methods:\n{ways}\n\nprompts:\n{prompts}",
    )  # fmt: skip
    add = parser.add_argument
    add("--domain", default=DOMAIN, help=f"name or folder (default: {DOMAIN})")
    add("--portraits", type=int, default=usual.portraits, metavar="N", help=f"how many (default: {usual.portraits})")
    add("--first", type=int, metavar="ROW", help="first row of the set test (default: 0; 1000 with --curve)")
    add("--prompts", type=_names(TASKS), default=usual.tasks, metavar="A,B", help="keys, see below (default: all)")
    add("--methods", type=_names(WAYS), default=usual.ways, metavar="A,B", help="see below (default: all)")
    add("--optimize-portraits", type=int, default=usual.optimize_portraits, metavar="N",
        help=f"for latent optimisation, which takes far longer (default: {usual.optimize_portraits})")  # fmt: skip
    add("--variant-portraits", type=int, default=usual.variant_portraits, metavar="N",
        help=f"with other neutral texts and other retrieval (default: {usual.variant_portraits})")  # fmt: skip
    add("--optimize-steps", type=int, metavar="N", help="(default: the domain's)")
    add("--optimize-patience", type=int, metavar="N",
        help="stop early after so many steps without gain (default: the domain's)")  # fmt: skip
    add("--refine", type=int, default=usual.refine, metavar="N", help="steps after the encoder (default: 0)")
    add("--seed", type=int, default=usual.seed, help="(default: 0)")
    add("--curve", action="store_true", help="global directions at fixed strengths, on validation portraits")
    add("--channels", type=_numbers(int), default=usual_curve.channels, metavar="K,K", help="of the curve (10,20,50)")
    add("--strengths", type=_numbers(float), default=usual_curve.strengths, metavar="A,A", help="of the curve")
    add("--fresh", action="store_true", help="make all parts again")
    add("--results", type=Path, metavar="FOLDER",
        help=f"(default: {RESULTS}; {RUNS / 'part'} for a run that is not the whole)")  # fmt: skip
    add("--images", type=Path, metavar="FOLDER", help=f"(default: {IMAGES}; {RUNS / 'part'} likewise)")
    add("--threads", type=int, help="CPU threads (default: all cores)")
    add("--device", help="cpu, cuda, … (default: a GPU where there is one)")
    return parser


def _names(known: Collection[str]) -> Callable[[str], tuple[str, ...]]:
    def parse(text: str) -> tuple[str, ...]:
        names = tuple(part.strip() for part in text.split(",") if part.strip())
        unknown = [name for name in names if name not in known]
        if unknown or not names:
            raise argparse.ArgumentTypeError(f"no {', '.join(unknown) or 'names'}; there are {', '.join(known)}")
        return names

    return parse


def _numbers(kind: type) -> Callable[[str], tuple[float, ...]]:
    return lambda text: tuple(kind(part) for part in text.split(","))


def _every_so_often(seconds: float = 20.0) -> Callable[[int, int], None]:
    """A listener that prints now and then."""
    last = time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last > seconds:
            last = time.monotonic()
            print(f"  {done} of {total}", flush=True)

    return tell


if __name__ == "__main__":
    main()
