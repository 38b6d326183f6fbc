"""`invert`, `sample` and `paint`: the latent of a picture, and new pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import InputError, OptionError
from ..files import check_output
from . import console
from .console import WRITABLE, command, say, say_warning
from .methods import method_with, parse_fields
from .networks import load_editor, load_networks
from .options import (
    DEFAULT_DOMAIN,
    Domain,
    Frame,
    Json,
    Likeness,
    Method,
    Overwrite,
    Seed,
    Settings,
    Truncation,
    refine_steps,
)


@command
def invert(
    photo: Annotated[str, typer.Argument(metavar="PHOTO", help="A picture.")],
    likeness: Likeness = "encoder",
    frame: Frame = "auto",
    domain: Domain = DEFAULT_DOMAIN,
    out: Annotated[
        str | None, typer.Option("--out", "-o", help="The reconstruction; the latent goes beside it.")
    ] = None,
    overwrite: Overwrite = False,
    json: Json = None,
) -> None:
    """Find the latent of a picture; write it, and the picture as the generator draws it.

    textmorph invert me.png --likeness refined:100
    """
    quiet = console.check_json(json, overwrite=overwrite)
    path = Path(photo).expanduser()
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    picture = console.output_path(out, path.parent, f"{path.stem}-inverted.png", suffixes=WRITABLE)
    latent_file = picture.with_name(f"{picture.stem.removesuffix('-inverted')}-latent.safetensors")
    for target in (picture, latent_file):
        check_output(target, overwrite=overwrite)
    refine = refine_steps(likeness)
    editor = load_editor(domain)
    with console.progress_bar("inverting") as show:
        opened = editor.open(path, frame=frame)
        latent = editor.invert(opened, refine=refine, progress=show)
    result = editor.present(latent, photo=opened, request={"invert": {"refine": refine, "frame": frame}})
    latent.save(latent_file, overwrite=overwrite)
    result.save(picture, overwrite=overwrite)
    say(str(picture), style="bold", quiet=quiet)
    say(f"  latent: {latent_file}", quiet=quiet)
    scores = result.record["scores"]
    parts = [f"reconstruction distance {scores['reconstruction_distance']:.3f}"]
    if scores["reconstruction_identity"] is not None:
        parts.append(f"identity {scores['reconstruction_identity']:.2f}")
    say("  " + ", ".join(parts), quiet=quiet)
    for warning in result.warnings:
        say_warning(warning)
    console.write_json(result.record, json, overwrite=overwrite)


@command
def sample(
    prompt: Annotated[str | None, typer.Argument(metavar="TEXT", help="What the pictures should show.")] = None,
    num: Annotated[int, typer.Option("--num", "-n", min=1, max=1000, help="How many.")] = 1,
    settings: Settings = None,
    truncation: Truncation = None,
    seed: Seed = 0,
    domain: Domain = DEFAULT_DOMAIN,
    out: Annotated[str, typer.Option("--out", "-o", help="Folder to write to.")] = ".",
    overwrite: Overwrite = False,
    json: Json = None,
) -> None:
    """Draw new pictures: at random, or by optimisation (the method optimize) towards a text.

    textmorph sample "a man with a beard" -n 9
    """
    if settings and prompt is None:
        raise OptionError("--set is for pictures of a text; give one, or leave it out")
    values = parse_fields("optimize", settings)
    console.load_torch()
    from ..editing.request import make_method
    from ..images import write_image
    from ..sheets import contact_sheet

    quiet = console.check_json(json, overwrite=overwrite)
    folder = console.make_folder(Path(out).expanduser())
    stem = f"sample-{console.slug(prompt)}" if prompt is not None else f"sample-{seed}"
    files = [folder / f"{stem}.png"] if num == 1 else [folder / f"{stem}-{i + 1}.png" for i in range(num)]
    sheet = folder / f"{stem}-sheet.png"
    for target in [*files, sheet] if num > 1 else files:
        check_output(target, overwrite=overwrite)
    editor = load_editor(domain)
    with console.progress_bar("drawing") as show:
        method = None if prompt is None else make_method(editor.domain, "optimize", values, seed=seed)
        results = editor.sample(num, prompt=prompt, method=method, seed=seed, truncation=truncation, progress=show)
    for result, target in zip(results, files, strict=True):
        result.save(target, overwrite=overwrite)
    if num > 1:
        columns = min(num, max(3, round(num**0.5)))
        write_image(contact_sheet([r.image for r in results], columns=columns), sheet, overwrite=overwrite)
        say(f"{sheet}, and {num} pictures beside it", style="bold", quiet=quiet)
    else:
        say(str(files[0]), style="bold", quiet=quiet)
    for warning in dict.fromkeys(warning for result in results for warning in result.warnings):
        say_warning(warning)
    console.write_json([result.record for result in results], json, overwrite=overwrite)


@command
def paint(
    prompt: Annotated[str, typer.Argument(metavar="TEXT", help="What the picture should show.")],
    method: Method = None,
    settings: Settings = None,
    domain: Domain = DEFAULT_DOMAIN,
    out: Annotated[str | None, typer.Option("--out", "-o", help="Default: TEXT.png here.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Paint a picture of a text without a photo, by a method with the verb paint."""
    chosen = method_with("paint", method)
    values = parse_fields(chosen.name, settings)
    target = console.output_path(out, Path(), f"{console.slug(prompt)}.png", suffixes=WRITABLE)
    check_output(target, overwrite=overwrite)
    found = load_networks(domain, chosen.networks)
    from ..editing.request import make_method
    from ..images import write_image

    with console.progress_bar("painting") as show:
        networks = [getattr(found, name) for name in chosen.networks]
        image = make_method(found, chosen.name, values).paint(*networks, target=prompt, progress=show)
    write_image(image, target, overwrite=overwrite)
    say(str(target), style="bold")
