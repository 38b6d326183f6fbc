"""`evaluate`: good values for a method on a set of pictures, and how alike the steps of an edit are."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import OptionError
from . import console
from .console import command, say
from .edit import method_values
from .latent_sets import Draw, Encode, Latents, Photos, gather_latents
from .networks import load_networks, ready_editor
from .options import (
    DEFAULT_DOMAIN,
    Domain,
    Json,
    Method,
    Neutral,
    Overwrite,
    Seed,
    Settings,
    Truncation,
    counts,
    strength_steps,
)

if TYPE_CHECKING:
    from ..editing.editor import Editor
    from ..evaluation.search import Trial
    from ..latents import Latent

evaluate_app = typer.Typer(help="Measure methods and edits.", no_args_is_help=True)


@evaluate_app.command("search")
@command
def search(
    prompts: Annotated[list[str], typer.Argument(metavar="TEXT...", help="The texts to search for.")],
    images: Annotated[str | None, typer.Option(metavar="FOLDER", help="Pictures to search on; else drawn.")] = None,
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
    settings: Settings = None,
    seed: Seed = 0,
    domain: Domain = DEFAULT_DOMAIN,
    json: Json = None,
    overwrite: Overwrite = False,
) -> None:
    """Search strength and threshold of highest CLIP cosine over a set of pictures, as StyleCLIP-FEU chose them.

    textmorph evaluate search "a smiling face" "glasses" --images validation/
    """
    quiet = console.check_json(json, overwrite=overwrite)
    name, values = method_values(domain, method, settings)
    if {"threshold", "num_channels"} & values.keys():
        raise OptionError("threshold and num_channels are searched; give lists by --thresholds or --num-channels")
    columns = strength_steps(strengths)
    rows = None if thresholds is None else strength_steps(thresholds)
    numbers = None if num_channels is None else counts(num_channels, "num-channels")
    editor, agreed = ready_editor(
        domain, prompts, strength="1", method=name, values=values, neutral=neutral, seed=seed, quiet=quiet
    )
    from ..evaluation.search import search as search_values

    latents = _latents(editor, images, num, seed)
    main = agreed.main
    with console.progress_bar("searching") as show:
        found = search_values(
            main.method, editor.generator, editor.embedder, targets=prompts, latents=latents, strengths=columns,
            thresholds=rows, num_channels=numbers, progress=show, **main.inputs(editor.domain),
        )  # fmt: skip
    for trial in sorted(found.trials, key=lambda trial: -trial.score)[:10]:
        say(f"  {_trial(trial)}", quiet=quiet)
    say(f"best: {_trial(found.best)}", style="bold", quiet=quiet)
    console.write_json(found.json, json, overwrite=overwrite)


@evaluate_app.command("consistency")
@command
def consistency(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Mappers, or other edits.")],
    latents: Latents = None,
    photos: Photos = None,
    num_latents: Draw = 200,
    truncation: Truncation = None,
    encode: Encode = None,
    seed: Seed = 1,
    domain: Domain = DEFAULT_DOMAIN,
    json: Json = None,
    overwrite: Overwrite = False,
) -> None:
    """Say how alike the steps are that an edit takes for different faces: mean and deviation of their cosines.

    textmorph evaluate consistency mohawk.safetensors
    """
    quiet = console.check_json(json, overwrite=overwrite)
    console.load_torch()
    from ..edits import load_edit
    from ..evaluation.consistency import step_consistency

    edits = {name: load_edit(Path(name).expanduser()) for name in files}
    found = load_networks(domain, ("generator", "encoder"))
    psi = found.truncation_or(1.0, truncation)
    data = gather_latents(found, latents, photos, num_latents, psi, seed, encode)
    measured: dict[str, Any] = {}
    for name, edit in edits.items():
        mapper = getattr(edit, "mapper", None)
        if mapper is not None:
            mapper.to(found.generator.mean_w)
        figures = step_consistency(edit, found.generator.to_space(data.to(found.generator.mean_w), edit.space))
        measured[name] = asdict(figures)
        say(f"{name}: cosine {figures.mean:.3f} ± {figures.std:.3f} over {figures.num} faces", quiet=quiet)
    console.write_json(measured, json, overwrite=overwrite)


def _latents(editor: Editor, images: str | None, num: int, seed: int) -> Latent:
    from ..latents import Latent

    if images is None:
        return editor.generator.sample(num, seed=seed, truncation=editor.domain.truncation_or(0.7))
    photos = [editor.open(file) for file in console.pictures_in(Path(images).expanduser())]
    return Latent.cat([photo.latent for photo in editor.invert_photos(photos) if photo.latent is not None])


def _trial(trial: Trial) -> str:
    from ..editing.strength import channels_text

    rule = f"threshold {trial.threshold:g}" if trial.num_channels is None else channels_text(trial.num_channels)
    empty = f", nothing selected for {trial.empty} texts" if trial.empty else ""
    return f"strength {trial.strength:g}, {rule}: CLIP cosine {trial.score:.4f}{empty}"
