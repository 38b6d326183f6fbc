"""`invert` and `sample`: a picture into the generator's own terms, and new pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import InputError
from ..files import check_output
from . import console
from .console import WRITABLE, command, load_editor, say, say_warning
from .options import Crop, Device, Domain, Json, Overwrite, Refine, Seed, with_method_options


@command
def invert(
    photo: Annotated[str, typer.Argument(metavar="PHOTO", help="A picture.")],
    refine: Refine = 0,
    crop: Crop = "auto",
    out: Annotated[
        str | None, typer.Option("--out", "-o", help="The reconstruction; the latent goes beside it.")
    ] = None,
    overwrite: Overwrite = False,
    json: Json = None,
    domain: Domain = "portraits",
    device: Device = None,
) -> None:
    """Find the latent of a picture; write it, and the picture as the generator draws it.

    textmorph invert me.png --refine 100
    """
    quiet = console.check_json(json, overwrite=overwrite)
    path = Path(photo).expanduser()
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    picture = console.output_path(out, path.parent, f"{path.stem}-inverted.png", suffixes=WRITABLE)
    latent_file = picture.with_name(f"{picture.stem.removesuffix('-inverted')}-latent.safetensors")
    for target in (picture, latent_file):
        check_output(target, overwrite=overwrite)
    editor = load_editor(domain, device)
    source = editor.open(path, crop=crop)
    with console.progress_bar("refining") as tell:
        latent = editor.invert_source(source, refine=refine, progress=tell)
    result = editor.present(latent, source=source, request={"invert": {"refine": refine, "crop": crop}})
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
@with_method_options("optimize")
def sample(
    prompt: Annotated[str | None, typer.Argument(metavar="TEXT", help="What the pictures should show.")] = None,
    num: Annotated[int, typer.Option("--num", "-n", min=1, max=1000, help="How many.")] = 1,
    seed: Seed = 0,
    truncation: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="0 is the mean picture, 1 the full variety.  [default: the domain's, or 0.7]",
            show_default=False,
        ),
    ] = None,
    out: Annotated[str, typer.Option("--out", "-o", help="Folder to write to.")] = ".",
    overwrite: Overwrite = False,
    json: Json = None,
    domain: Domain = "portraits",
    device: Device = None,
    method_options: dict[str, Any] | None = None,
) -> None:  # fmt: skip
    """Draw new pictures: at random, or by optimisation towards a text.

    textmorph sample "a man with a beard" -n 9
    """
    from ..editing.grids import sample as draw
    from ..images import write_image
    from ..sheets import contact_sheet

    quiet = console.check_json(json, overwrite=overwrite)
    folder = console.make_folder(Path(out).expanduser())
    stem = f"sample-{console.slug(prompt)}" if prompt is not None else f"sample-{seed}"
    files = [folder / f"{stem}.png"] if num == 1 else [folder / f"{stem}-{i + 1}.png" for i in range(num)]
    sheet = folder / f"{stem}-sheet.png"
    for target in [*files, sheet] if num > 1 else files:
        check_output(target, overwrite=overwrite)
    editor = load_editor(domain, device)
    with console.progress_bar("drawing") as tell:
        results = draw(
            editor, num, prompt=prompt, seed=seed, truncation=truncation, progress=tell, **(method_options or {})
        )
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
