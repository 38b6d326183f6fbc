"""`bank build` and `corpus build`: what is made once per domain."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import OptionError
from ..files import check_output
from . import console
from .console import command, say
from .engines import goes_on, job_place, make_engine, worker_device
from .networks import DEVICE, load_networks
from .options import DEFAULT_DOMAIN, Domain, EngineName, JobFolder, Overwrite, Seed, Truncation, Workers, layer_limit

bank_app = typer.Typer(help="The channel bank: what every style channel does, as CLIP sees it.", no_args_is_help=True)
corpus_app = typer.Typer(help="The corpus: embedded images, which the method svm learns from.", no_args_is_help=True)

Limit = Annotated[str, typer.Option("--max-resolution", help="Finest layers measured, in pixels, or 'all'.")]
BatchSize = Annotated[int | None, typer.Option(min=2, help="Pictures drawn at once.")]


@bank_app.command("build")
@command
def build_bank(
    by: Annotated[
        str, typer.Option(metavar="differences|gradients", help="Gradients take minutes instead of hours.")
    ] = "differences",
    num_samples: Annotated[
        int | None,
        typer.Option(
            min=1, help="Pictures that every channel is measured at. Default: 100 for differences, 32 for gradients."
        ),
    ] = None,
    magnitude: Annotated[float, typer.Option(help="How far, in standard deviations.")] = 5.0,
    probe: Annotated[str, typer.Option(help="'paper': s ± 5 σ; 'reference': mean ± 5 σ.")] = "paper",
    max_resolution: Limit = "128",
    to_rgb: Annotated[
        bool | None,
        typer.Option(
            "--to-rgb/--no-to-rgb",
            help="Also the layers that only add colour. Default: where a method of the domain moves them.",
            show_default=False,
        ),
    ] = None,
    truncation: Truncation = None,
    batch_size: BatchSize = None,
    tolerance: Annotated[
        float | None,
        typer.Option(help="Stop probing a channel when its effect is known to this sine, e.g. 0.3."),
    ] = None,
    precision: Annotated[str, typer.Option(help="float32, or bfloat16, which is faster.")] = "float32",
    seed: Seed = 0,
    out: Annotated[str | None, typer.Option("--out", "-o", help="Default: bank.safetensors in the domain.")] = None,
    overwrite: Overwrite = False,
    engine: EngineName = "process",
    workers: Workers = None,
    job: JobFolder = None,
    domain: Domain = DEFAULT_DOMAIN,
) -> None:
    """Measure what every style channel does to pictures. Done once per domain; it takes a while.

    textmorph bank build --domain my-domain
    """
    if by not in ("differences", "gradients"):
        raise OptionError(f"--by is differences or gradients, not {by!r}")
    if precision not in ("float32", "bfloat16"):
        raise OptionError(f"--precision is float32 or bfloat16, not {precision!r}")
    force = make_engine(engine, workers)
    target, place = _places(domain, out, job, kind="bank", overwrite=overwrite)
    layers = layer_limit(max_resolution)
    found = load_networks(domain, ("generator", "embedder"))
    import torch

    options: dict[str, Any] = {
        "num_samples": num_samples or (100 if by == "differences" else 32), "max_resolution": layers,
        "batch_size": batch_size, "seed": seed, "autocast": torch.bfloat16 if precision == "bfloat16" else None,
    }  # fmt: skip
    if by == "gradients":
        from ..banks.gradients import gradient_bank

        psi, colours = found.truncation_or(0.7, truncation), found.bank_layers["to_rgb"] if to_rgb is None else to_rgb
        with console.progress_bar("measuring channels") as show:
            bank = gradient_bank(
                found.generator, found.embedder, truncation=psi, to_rgb=colours, progress=show, **options
            )
        bank.save(target, overwrite=overwrite)
    else:
        from ..editing.tasks import make_bank

        with goes_on(place), console.progress_bar("measuring channels") as show:
            bank = make_bank(
                found, target, engine=force, job=None if job is None else place, overwrite=overwrite, progress=show,
                device=worker_device(force, DEVICE.get()), magnitude=magnitude, probe=probe, to_rgb=to_rgb,
                truncation=truncation, tolerance=tolerance, **options,
            )  # fmt: skip
    moving = int((bank.effects.norm(dim=1) > 0).sum())
    say(str(target), style="bold")
    say(f"  {len(bank.channels)} style channels, {moving} of which change the picture")


@corpus_app.command("build")
@command
def build_corpus(
    images: Annotated[
        str | None, typer.Argument(metavar="IMAGES", help="A folder of pictures; else they are drawn.")
    ] = None,
    num: Annotated[int, typer.Option("--num", "-n", min=2, help="How many to draw.")] = 10_000,
    seed: Seed = 0,
    truncation: Truncation = None,
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
    domain: Domain = DEFAULT_DOMAIN,
) -> None:  # fmt: skip
    """Embed pictures, drawn by the generator or from a folder, for the method svm. Done once per domain.

    textmorph corpus build --domain my-domain photos/
    """
    force = make_engine(engine, workers)
    target, place = _places(domain, out, job, kind="corpus", overwrite=overwrite)
    files = console.pictures_in(Path(images).expanduser()) if images is not None else None
    found = load_networks(domain, ("embedder", "generator" if files is None else "encoder"))
    from ..corpora.corpus import Corpus
    from ..editing.tasks import make_corpus

    psi = found.truncation_or(1.0, truncation)
    options: dict[str, Any] = {"num": num, "seed": seed, "truncation": psi, "batch_size": batch_size or 32}
    with goes_on(place), console.progress_bar("embedding") as show:
        if target.is_dir() and any(target.iterdir()):  # built before, or begun by `Corpus.build`, which goes on
            source, encoder = (found.generator, None) if files is None else (files, found.encoder)
            corpus = Corpus.build(source, found.embedder, encoder=encoder, path=target, progress=show, **options)
        else:
            corpus = make_corpus(
                found, target, files, engine=force, job=None if job is None else place,
                device=worker_device(force, DEVICE.get()), overwrite=overwrite, progress=show, **options,
            )  # fmt: skip
    say(str(target), style="bold")
    say(f"  {len(corpus)} pictures embedded")
    skipped = corpus.info.get("skipped", [])
    for name in skipped:
        console.say_warning(f"{name} could not be read and was left out")
    if skipped:
        raise typer.Exit(console.FAILED)


def _places(domain: str, out: str | None, job: str | None, *, kind: str, overwrite: bool) -> tuple[Path, Path]:
    """The file of a result, and the folder of its job; the file is checked, and a job that has ended is cleared."""
    console.load_torch()
    from ..editing.domain import load_domain
    from ..jobs.job_folder import settle_job

    target = Path(out).expanduser() if out else load_domain(domain).folder / f"{kind}.safetensors"
    place = job_place(job, target)
    settle_job(place, target, kind=kind, overwrite=overwrite)
    if target.suffix == ".safetensors":
        check_output(target, overwrite=overwrite)
    return target, place
