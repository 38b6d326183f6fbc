"""`train`: an edit learnt once for a text by any method that trains, then made in one pass."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import OptionError
from ..files import check_output, write_bytes
from . import console
from .console import command, say
from .engines import make_engine, worker_device
from .latent_sets import Draw, Encode, Latents, Photos, gather_latents
from .methods import Method as Described
from .methods import method_with, parse_fields
from .networks import DEVICE, load_networks
from .options import (
    DEFAULT_DOMAIN,
    OUTPUT,
    Domain,
    EngineName,
    Method,
    Neutral,
    Overwrite,
    Seed,
    Settings,
    Truncation,
    Workers,
)

if TYPE_CHECKING:
    from ..editing.domain import Domain as Networks
    from ..jobs.engine import Engine


@command
def train(
    prompts: Annotated[
        list[str] | None, typer.Argument(metavar="TEXT...", help="What the pictures should show; one edit for each.")
    ] = None,
    method: Method = None,
    settings: Settings = None,
    photo: Annotated[
        str | None, typer.Option(metavar="FILE", help="A photo instead of a text, for a method that takes one.")
    ] = None,
    neutral: Neutral = None,
    latents: Latents = None,
    photos: Photos = None,
    num_latents: Draw = 2000,
    truncation: Truncation = None,
    encode: Encode = None,
    seed: Seed = 0,
    domain: Domain = DEFAULT_DOMAIN,
    out: Annotated[
        str | None, typer.Option("--out", "-o", help="Default: TEXT.safetensors.", rich_help_panel=OUTPUT)
    ] = None,
    run: Annotated[
        str | None, typer.Option(help="Folder that the training goes on in. Default: TEXT.run.", rich_help_panel=OUTPUT)
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with what lies in the run folder.", rich_help_panel=OUTPUT)
    ] = False,
    save_seconds: Annotated[
        float, typer.Option(min=0, help="Between two states of it.", rich_help_panel=OUTPUT)
    ] = 30.0,
    overwrite: Overwrite = False,
    engine: EngineName = "process",
    workers: Workers = None,
) -> None:
    """Train an edit for each text. It may be stopped at any moment; --resume goes on.

    textmorph train "a person with a mohawk" --set levels=coarse,medium
    """
    chosen = method_with("train", method)
    values = parse_fields(chosen.name, settings)
    targets = _targets(chosen, prompts or [], photo)
    force = make_engine(engine, workers)
    spread = force != make_engine("process", None)
    if spread and photo is not None:
        raise OptionError("--engine and --workers share out several texts; one --photo has no use for them")
    folders = {name: _run_folder(run, name, alone=len(targets) == 1) for name in targets}
    files = _output_files(out, list(targets), overwrite=overwrite or resume)
    going_on = {name: resume and (len(targets) == 1 or folder.is_dir()) for name, folder in folders.items()}
    _check_runs(folders, going_on)
    found = load_networks(domain, tuple(dict.fromkeys((*chosen.networks, "encoder", "identity"))))
    from ..editing.request import make_method

    trainer = make_method(found, chosen.name, values, seed=seed)
    psi = found.truncation_or(1.0, truncation)
    kept = next(iter(folders.values())) / f"inputs-{num_latents}-{psi}-{seed}.safetensors"
    data = gather_latents(found, latents, photos, num_latents, psi, seed, encode, keep=kept)
    common = _inputs(chosen, trainer, found, neutral, photo) | {"latents": data, "save_seconds": save_seconds}
    if spread:
        shared = console.make_folder(kept.parent) / "inputs-of-all.safetensors"
        data.save(shared, overwrite=True)
        _train_apart(force, found, chosen.name, trainer, targets, common, shared, folders)
        for name, folder in folders.items():
            content = (folder / "mapper.safetensors").read_bytes()
            write_bytes(files[name], content, overwrite=overwrite or resume)
    for name, text in targets.items():
        if not spread:
            with console.progress_bar(text or f"towards {photo}") as show:
                networks = [getattr(found, part) for part in chosen.networks]
                trained = trainer.train(
                    *networks, target=text, run=folders[name], resume=going_on[name], progress=show, **common
                )
            trained.save(files[name], overwrite=overwrite or resume)
        _say_trained(files[name])


def _targets(method: Described, prompts: list[str], photo: str | None) -> dict[str, str | None]:
    """Name of each edit → its text.

    Raises:
        OptionError: neither text nor photo, both, a photo that the method does not take, or two texts of one name.
    """
    if photo is not None:
        if prompts:
            raise OptionError("give a TEXT or a --photo, not both")
        if "photo" not in method.parameters:
            raise OptionError(f"the method {method.name!r} takes no --photo")
        return {console.slug(Path(photo).stem): None}
    if not prompts:
        raise OptionError('say what the pictures should show, e.g. "a person with a mohawk"')
    targets: dict[str, str | None] = {console.slug(text): text for text in prompts}
    if len(targets) < len(prompts):
        raise OptionError("two of these texts would get the same name; train them one by one, with --run and --out")
    return targets


def _run_folder(run: str | None, name: str, *, alone: bool) -> Path:
    if run is None:
        return Path(f"{name}.run")
    folder = Path(run).expanduser()
    return folder if alone else folder / name


def _output_files(out: str | None, names: list[str], *, overwrite: bool) -> dict[str, Path]:
    if out is not None and len(names) > 1 and Path(out).suffix:
        raise OptionError(f"--out is a folder where there are several texts, not the file {out}")
    files = {
        name: console.output_path(out, Path(), f"{name}.safetensors", suffixes=(".safetensors",)) for name in names
    }
    return {name: check_output(file, overwrite=overwrite) for name, file in files.items()}


def _check_runs(folders: dict[str, Path], going_on: dict[str, bool]) -> None:
    console.load_torch()
    from ..jobs.run_folder import check_run

    for name, folder in folders.items():
        check_run(folder, resume=going_on[name])


def _inputs(method: Described, trainer: Any, found: Networks, neutral: str | None, photo: str | None) -> dict[str, Any]:
    """What the method takes by keyword and the domain or the user has."""
    from ..images import read_image

    offers: dict[str, Any] = {
        "neutral": lambda: (neutral or found.neutral) if getattr(trainer, "reads_neutral", True) else neutral,
        "identity_embedder": lambda: found.identity,
        "photo": lambda: None if photo is None else read_image(Path(photo).expanduser()),
        "bank": lambda: found.bank,
    }
    return {name: offer() for name, offer in offers.items() if name in method.parameters}


def _train_apart(
    engine: Engine,
    found: Networks,
    method: str,
    trainer: Any,
    targets: dict[str, str | None],
    inputs: dict[str, Any],
    latents: Path,
    folders: dict[str, Path],
) -> None:
    """Train every edit in a worker, each in its own run folder; what a killed worker has saved is gone on with."""
    from ..editing.editor import Editor
    from ..editing.tasks import mapper_parts, mapper_shard, remember, usual_threads

    if method != "mapper":
        raise OptionError(f"--engine and --workers train mappers; train {method!r} without them")
    editor = Editor(found)
    common: dict[str, Any] = {
        **remember(editor, worker_device(engine, DEVICE.get())), "parts": mapper_parts(editor),
        "method": asdict(trainer), "neutral": inputs["neutral"], "latents": str(latents.absolute()),
        "save_seconds": inputs["save_seconds"],
    }  # fmt: skip
    shards = {
        number: {**common, "target": text, "run": str(folders[name].absolute())}
        for number, (name, text) in enumerate(targets.items())
    }
    function = f"{mapper_shard.__module__}:{mapper_shard.__name__}"
    names = list(targets)
    with (
        console.progress_bar("training") as show,
        closing(engine.run(function, shards, threads=usual_threads(engine))) as finished,
    ):
        show(0, len(shards))
        for done, (number, content) in enumerate(finished, 1):
            result = console.make_folder(folders[names[number]]) / "mapper.safetensors"  # of another machine, perhaps
            write_bytes(result, content, overwrite=True)
            show(done, len(shards))


def _say_trained(file: Path) -> None:
    from ..edits import load_edit

    about = load_edit(file).provenance
    say(str(file), style="bold")
    say(f"  {about['steps']} steps; best on held-out latents at {about['best_step']}: {about['held_out_loss']:.4f}")
    say(f"  textmorph edit PHOTO {file}:1")
