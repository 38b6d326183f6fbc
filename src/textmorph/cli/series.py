"""`grid`, `morph` and `replay`: many pictures of one request, and the same picture again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..files import check_output
from . import console
from .console import MOVING, WRITABLE, command, say, say_warning
from .edit import method_values, request_name
from .networks import load_editor, ready_editor
from .options import (
    DEFAULT_DOMAIN,
    Domain,
    Frame,
    Json,
    Likeness,
    Method,
    Neutral,
    Out,
    Overwrite,
    Photo,
    Seed,
    Settings,
    counts,
    refine_steps,
    strength_steps,
)

if TYPE_CHECKING:
    from ..editing.grids import Series

Request = Annotated[str, typer.Argument(metavar="REQUEST", help="WORDS, or FILE of a saved edit.")]


@command
def grid(
    photo: Photo,
    request: Request,
    strengths: Annotated[
        str, typer.Option(metavar="FROM:TO:STEP", help="Columns; a list such as 0,2,4 also goes.")
    ] = "-4:8:2",
    num_channels: Annotated[
        str, typer.Option("--num-channels", "-k", metavar="N,N,…", help="Rows: numbers of style channels.")
    ] = "5,20,50,100",
    neutral: Neutral = None,
    method: Method = None,
    settings: Settings = None,
    likeness: Likeness = "encoder",
    frame: Frame = "auto",
    seed: Seed = 0,
    domain: Domain = DEFAULT_DOMAIN,
    out: Out = None,
    overwrite: Overwrite = False,
    json: Json = None,
) -> None:
    """Draw strengths against numbers of channels in one labelled picture, as Fig. 6 of the StyleCLIP paper.

    textmorph grid me.png "grey hair" --strengths=-4:8:2 --num-channels 5,20,50,100
    """
    quiet = console.check_json(json, overwrite=overwrite)
    path = Path(photo).expanduser()
    columns, rows = strength_steps(strengths), counts(num_channels, "num-channels")
    name = f"{path.stem}-{request_name(request)}-grid.png"
    target = check_output(console.output_path(out, path.parent, name, suffixes=WRITABLE), overwrite=overwrite)
    name, values = method_values(domain, method, settings)
    console.load_torch()
    from ..editing import grids
    from ..editing.record import write_picture

    editor, agreed = ready_editor(
        domain, [request], strength="1", method=name, values=values, neutral=neutral, seed=seed, frame=frame,
        refine=refine_steps(likeness), quiet=quiet,
    )  # fmt: skip
    with console.progress_bar("drawing") as show:
        opened = editor.open(path, frame=agreed.frame)
        drawn = grids.grid(editor, agreed, opened, strengths=columns, num_channels=rows, progress=show)
    write_picture(drawn.sheet(), target, drawn.record, overwrite=overwrite)
    _say_series(target, drawn.record, json, quiet=quiet, overwrite=overwrite)


@command
def morph(
    photo: Photo,
    request: Request,
    to: Annotated[float, typer.Option(help="Strength of the last frame.")] = 4.0,
    start: Annotated[float, typer.Option("--from", help="Strength of the first frame.")] = 0.0,
    frames: Annotated[int, typer.Option(min=2, max=2000, help="How many.")] = 60,
    fps: Annotated[float, typer.Option(min=1, max=120, help="Frames per second.")] = 30.0,
    bounce: Annotated[bool, typer.Option(help="Also play it backwards, so that it loops.")] = True,
    neutral: Neutral = None,
    method: Method = None,
    settings: Settings = None,
    likeness: Likeness = "encoder",
    frame: Frame = "auto",
    seed: Seed = 0,
    domain: Domain = DEFAULT_DOMAIN,
    out: Out = None,
    overwrite: Overwrite = False,
    json: Json = None,
) -> None:
    """Write a smooth morph, .mp4 or .gif, from one strength to another.

    textmorph morph me.png "grey hair" --to 6 --out morph.mp4
    """
    quiet = console.check_json(json, overwrite=overwrite)
    path = Path(photo).expanduser()
    method, values = method_values(domain, method, settings)
    console.load_torch()
    from ..editing import grids
    from ..editing.record import sidecar_path, write_sidecar
    from ..sheets import check_writer

    name = f"{path.stem}-{request_name(request)}.mp4"
    target = check_output(console.output_path(out, path.parent, name, suffixes=MOVING), overwrite=overwrite)
    check_output(sidecar_path(target), overwrite=overwrite)
    check_writer(target)
    editor, agreed = ready_editor(
        domain, [request], strength=str(to), method=method, values=values, neutral=neutral, seed=seed, frame=frame,
        refine=refine_steps(likeness), quiet=quiet,
    )  # fmt: skip
    strengths = [start + (to - start) * i / (frames - 1) for i in range(frames)]
    with console.progress_bar("drawing") as show:
        opened = editor.open(path, frame=agreed.frame)
        drawn = grids.morph(editor, agreed, opened, strengths=strengths, progress=show)
    record = drawn.record | {"fps": fps, "bounce": bounce}
    _write_morph(drawn, record, target, overwrite=overwrite)
    write_sidecar(target, record, overwrite=overwrite)
    _say_series(target, record, json, quiet=quiet, overwrite=overwrite)


@command
def replay(
    picture: Annotated[str, typer.Argument(metavar="PICTURE", help="A picture made by textmorph, or its sidecar.")],
    domain: Annotated[
        str | None, typer.Option("--domain", "-d", help="Where its networks are. Default: as recorded.")
    ] = None,
    out: Out = None,
    overwrite: Overwrite = False,
) -> None:
    """Make the same picture again from its record, and say whether it came out the same, bit for bit."""
    console.load_torch()
    from ..editing.record import read_record, recorded_domain

    path = Path(picture).expanduser()
    record = read_record(path)
    made = path.with_suffix("") if path.suffix.lower() == ".json" else path
    suffixes = MOVING if record.get("kind") == "morph" else WRITABLE
    suffix = made.suffix.lower() if made.suffix.lower() in suffixes else suffixes[0]
    target = console.output_path(out, path.parent, f"{made.stem}-replay{suffix}", suffixes=suffixes)
    check_output(target, overwrite=overwrite)
    _draw_again(domain or recorded_domain(record), record, target, overwrite=overwrite)
    say(str(target), style="bold")
    if made.is_file() and made.suffix.lower() == target.suffix.lower():
        same = _same_picture(made, target)
        say(f"  the same as {made}, bit for bit" if same else f"  not the same as {made}")
        if not same:
            raise typer.Exit(console.FAILED)


def _draw_again(domain: str, record: dict[str, Any], target: Path, *, overwrite: bool) -> None:
    """Draw what a record describes, and write it."""
    from ..editing import grids
    from ..editing.record import write_picture, write_sidecar

    editor = load_editor(domain)
    with console.progress_bar("drawing") as show:
        if record.get("kind") not in ("grid", "morph"):
            editor.replay(record, progress=show).save(target, overwrite=overwrite)
            return
        again = grids.replay(editor, record, progress=show)
    if record["kind"] == "grid":
        write_picture(again.sheet(), target, record, overwrite=overwrite)
        return
    _write_morph(again, record, target, overwrite=overwrite)
    write_sidecar(target, record, overwrite=overwrite)


def _write_morph(drawn: Series, record: dict[str, Any], target: Path, *, overwrite: bool) -> None:
    from ..sheets import bounced, write_video

    frames = bounced(drawn.frames) if record.get("bounce") else drawn.frames
    with console.busy("writing"):
        write_video(frames, target, fps=record.get("fps", 30), overwrite=overwrite)


def _say_series(target: Path, record: dict[str, Any], json: str | None, *, quiet: bool, overwrite: bool) -> None:
    say(str(target), style="bold", quiet=quiet)
    for warning in record["warnings"]:
        say_warning(warning)
    console.write_json(record, json, overwrite=overwrite)


def _same_picture(one: Path, other: Path) -> bool:
    """Whether two files show the same: equal pixels of pictures, equal bytes of videos."""
    from PIL import Image

    if one.suffix.lower() not in WRITABLE:
        return one.read_bytes() == other.read_bytes()
    with Image.open(one) as first, Image.open(other) as second:
        return first.size == second.size and first.tobytes() == second.tobytes()
