"""`bank build`, `corpus build` and `tune`: what is made once per domain, and the search for good values."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..editing.strength import counted
from ..errors import OptionError
from ..files import check_output
from . import console
from .console import command, load_editor, say
from .engines import goes_on, job_place, make_engine, worker_device
from .options import (
    Device,
    Domain,
    EngineName,
    JobFolder,
    Json,
    Method,
    Neutral,
    Overwrite,
    Seed,
    Workers,
    counts,
    strength_steps,
    with_method_options,
)

bank_app = typer.Typer(help="The channel bank: what every style channel does, as CLIP sees it.", no_args_is_help=True)
corpus_app = typer.Typer(help="The corpus: embedded images, which the method svm learns from.", no_args_is_help=True)

Limit = Annotated[str, typer.Option("--max-resolution", help="Finest layers probed, in pixels, or 'all'.")]
BatchSize = Annotated[int | None, typer.Option(min=2, help="Pictures drawn at once.")]


@bank_app.command("build")
@command
def build_bank(
    num_samples: Annotated[int, typer.Option(min=1, help="Samples that every channel is probed at.")] = 100,
    magnitude: Annotated[float, typer.Option(help="How far, in standard deviations.")] = 5.0,
    probe: Annotated[str, typer.Option(help="'paper': s ± 5 σ; 'reference': mean ± 5 σ.")] = "paper",
    max_resolution: Limit = "128",
    to_rgb: Annotated[
        bool | None,
        typer.Option(
            "--to-rgb/--no-to-rgb",
            help="Also the layers that only add colour.  [default: as the domain says]",
            show_default=False,
        ),
    ] = None,
    truncation: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Of the samples.  [default: the domain's, or 0.7]", show_default=False),
    ] = None,
    batch_size: BatchSize = None,
    tolerance: Annotated[
        float | None,
        typer.Option(help="Stop probing a channel when its effect is known to this sine, e.g. 0.3."),
    ] = None,
    precision: Annotated[str, typer.Option(help="float32, or bfloat16, which is faster.")] = "float32",
    screened: Annotated[
        bool, typer.Option("--screened", help="By gradients alone, in minutes instead of hours; see docs/banks.md.")
    ] = False,
    seed: Seed = 0,
    out: Annotated[str | None, typer.Option("--out", "-o", help="Default: bank.safetensors in the domain.")] = None,
    overwrite: Overwrite = False,
    engine: EngineName = "process",
    workers: Workers = None,
    job: JobFolder = None,
    domain: Domain = "portraits",
    device: Device = None,
) -> None:
    """Measure what every style channel does to pictures. Done once per domain; it takes a while.

    textmorph bank build --domain my-domain
    """
    from ..editing.domain import load_domain
    from ..jobs.job_folder import settle_job

    layers = _layers(max_resolution)
    if precision not in ("float32", "bfloat16"):
        raise OptionError(f"--precision is float32 or bfloat16, not {precision!r}")
    force = make_engine(engine, workers)
    found = load_domain(domain, device=device or "cpu")
    target = Path(out).expanduser() if out else found.folder / "bank.safetensors"
    place = job_place(job, target)
    settle_job(place, target, kind="bank", overwrite=overwrite)
    check_output(target, overwrite=overwrite)
    with console.busy("loading"):
        import torch

        from ..editing.tasks import make_bank

        _ = found.generator, found.embedder
    short = torch.bfloat16 if precision == "bfloat16" else None
    if screened:
        from ..banks.gradients import PRESETS, Screen

        with console.progress_bar("screening channels") as tell:
            screen = Screen(
                found.generator, found.embedder, PRESETS["screen"], magnitude=magnitude, max_resolution=layers,
                to_rgb=found.to_rgb if to_rgb is None else to_rgb, truncation=found.truncation_or(0.7, truncation),
                batch_size=batch_size, seed=seed, autocast=short,
            )  # fmt: skip
            bank = screen.bank(progress=tell)
        bank.save(target, overwrite=overwrite)
        say(str(target), style="bold")
        say(f"  {len(bank.channels)} style channels screened by gradients at {screen.screening.num_samples} samples")
        return
    with goes_on(place), console.progress_bar("probing channels") as tell:
        bank = make_bank(
            found, target, engine=force, job=None if job is None else place, device=worker_device(force, device),
            overwrite=overwrite, progress=tell, num_samples=num_samples, magnitude=magnitude, probe=probe,
            max_resolution=layers, to_rgb=to_rgb, truncation=truncation, batch_size=batch_size, seed=seed,
            tolerance=tolerance, autocast=short,
        )  # fmt: skip
    moving = int((bank.effects.norm(dim=1) > 0).sum())
    say(str(target), style="bold")
    say(f"  {len(bank.channels)} style channels probed at {num_samples} samples; {moving} of them change the picture")


@corpus_app.command("build")
@command
def build_corpus(
    images: Annotated[
        str | None, typer.Argument(metavar="IMAGES", help="A folder of pictures; else they are drawn.")
    ] = None,
    num: Annotated[int, typer.Option("--num", "-n", min=2, help="How many to draw.")] = 10_000,
    seed: Seed = 0,
    truncation: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Of the drawn pictures.  [default: the domain's, or 1]", show_default=False),
    ] = None,
    batch_size: BatchSize = None,
    out: Annotated[
        str | None,
        typer.Option(
            "--out", "-o",
            help="A .safetensors file, or a folder, in which an interrupted build goes on."
            " Default: corpus.safetensors in the domain.",
        ),
    ] = None,
    overwrite: Overwrite = False,
    engine: EngineName = "process",
    workers: Workers = None,
    job: JobFolder = None,
    domain: Domain = "portraits",
    device: Device = None,
) -> None:  # fmt: skip
    """Embed pictures, drawn by the generator or from a folder, for the method svm. Done once per domain.

    textmorph corpus build --domain my-domain photos/
    """
    from ..editing.domain import load_domain
    from ..jobs.job_folder import settle_job

    force = make_engine(engine, workers)
    found = load_domain(domain, device=device or "cpu")
    target = Path(out).expanduser() if out else found.folder / "corpus.safetensors"
    place = job_place(job, target)
    settle_job(place, target, kind="corpus", overwrite=overwrite)
    if target.suffix == ".safetensors":
        check_output(target, overwrite=overwrite)
    files = console.pictures_in(Path(images).expanduser()) if images is not None else None
    with console.busy("loading"):
        from ..corpora.corpus import Corpus
        from ..editing.tasks import make_corpus

        source: Any = found.generator if files is None else files
        encoder = found.encoder if files is not None else None
        _ = found.embedder
    psi = found.truncation_or(1.0, truncation)
    options: dict[str, Any] = {"num": num, "seed": seed, "truncation": psi, "batch_size": batch_size or 32}
    with goes_on(place), console.progress_bar("embedding") as tell:
        if target.is_dir() and any(target.iterdir()):  # built before, or begun by `Corpus.build`, which goes on
            corpus = Corpus.build(source, found.embedder, encoder=encoder, path=target, progress=tell, **options)
        else:
            corpus = make_corpus(
                found, target, files, engine=force, job=None if job is None else place,
                device=worker_device(force, device), overwrite=overwrite, progress=tell, **options,
            )  # fmt: skip
    say(str(target), style="bold")
    say(f"  {len(corpus)} pictures embedded")
    skipped = corpus.info.get("skipped", [])
    for name in skipped:
        console.say_warning(f"{name} could not be read and was left out")
    if skipped:
        raise typer.Exit(console.FAILED)


@command
@with_method_options("global", "svm")
def tune(
    prompts: Annotated[list[str], typer.Argument(metavar="TEXT...", help="The texts to tune for.")],
    images: Annotated[str | None, typer.Option(help="A folder of pictures to tune on; else they are drawn.")] = None,
    num: Annotated[int, typer.Option("--num", "-n", min=1, help="How many to draw.")] = 20,
    strengths: Annotated[str, typer.Option(metavar="FROM:TO:STEP", help="Strengths to try.")] = "2:6:0.5",
    thresholds: Annotated[
        str | None, typer.Option(metavar="B,B,…", help="Thresholds to try. Default: those of the paper.")
    ] = None,
    num_channels: Annotated[
        str | None, typer.Option("--num-channels", "-k", metavar="N,N,…", help="Numbers of channels to try instead.")
    ] = None,
    neutral: Neutral = None,
    method: Method = "svm",
    seed: Seed = 0,
    json: Json = None,
    overwrite: Overwrite = False,
    domain: Domain = "portraits",
    device: Device = None,
    method_options: dict[str, Any] | None = None,
) -> None:
    """Search strength and threshold of highest CLIP cosine over a set of pictures, as StyleCLIP-FEU chose them.

    textmorph tune "a smiling face" "glasses" --images validation/ --method svm
    """
    quiet = console.check_json(json, overwrite=overwrite)
    if (method_options or {}).get("threshold") is not None:
        raise OptionError("tune searches the threshold; give a list by --thresholds")
    columns = strength_steps(strengths)
    rows = None if thresholds is None else strength_steps(thresholds)
    numbers = None if num_channels is None else counts(num_channels)
    files = console.pictures_in(Path(images).expanduser()) if images is not None else None
    editor = load_editor(domain, device)
    from ..evaluation.search import THRESHOLDS
    from ..evaluation.search import tune as search

    if numbers is None:  # thresholds are for style channels
        method_options = {**(method_options or {}), "threshold": rows[0] if rows else THRESHOLDS[0]}
    plans = [
        editor.plan(text, strength=1.0, neutral=neutral, method=method, seed=seed, **(method_options or {}))
        for text in prompts
    ]
    wish = plans[0].wish
    assert wish is not None
    if wish.meets:
        raise OptionError("tune searches thresholds and numbers, which lead to straight steps; leave towards out")
    from ..latents import Latent

    if files is None:
        latents = editor.generator.sample(num, seed=seed, truncation=editor.domain.truncation_or(0.7))
    else:
        latents = Latent.cat(editor.invert_sources([editor.open(file) for file in files]))
    with console.progress_bar("tuning") as tell:
        tuning = search(
            wish.recipe, editor.generator, editor.embedder, targets=prompts, latents=latents, strengths=columns,
            thresholds=rows, num_channels=numbers, progress=tell, **wish.inputs(editor.domain),
        )  # fmt: skip
    for trial in sorted(tuning.trials, key=lambda trial: -trial.score)[:10]:
        say(f"  {_trial(trial, wish.moves)}", quiet=quiet)
    say(f"best: {_trial(tuning.best, wish.moves)}", style="bold", quiet=quiet)
    console.write_json(tuning.json, json, overwrite=overwrite)


def _trial(trial: Any, moves: str) -> str:
    rule = f"threshold {trial.threshold:g}" if trial.threshold is not None else counted(trial.num_channels, moves)
    empty = f", nothing selected for {trial.empty} texts" if trial.empty else ""
    return f"strength {trial.strength:g}, {rule}: CLIP cosine {trial.score:.4f}{empty}"


def _layers(text: str) -> int | None:
    if text == "all":
        return None
    if not text.isdigit():
        raise OptionError(f"--max-resolution is a number of pixels, or 'all'; not {text!r}")
    return int(text)
