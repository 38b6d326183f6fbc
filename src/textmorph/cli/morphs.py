"""`grid`, `sweep` and `replay`: many pictures of one wish, and the same picture again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..files import check_output
from . import console
from .console import MOVING, WRITABLE, command, load_editor, say, say_warning
from .options import (
    Crop,
    Device,
    Domain,
    Json,
    Method,
    Neutral,
    Out,
    Overwrite,
    Photo,
    Refine,
    Seed,
    counts,
    strength_steps,
    with_method_options,
)


@command
@with_method_options("global", "svm")
def grid(
    photo: Photo,
    prompt: Annotated[str, typer.Argument(metavar="TEXT", help="What the picture should show.")],
    strengths: Annotated[
        str, typer.Option(metavar="FROM:TO:STEP", help="Columns; a list such as 0,2,4 also goes.")
    ] = "-4:8:2",
    num_channels: Annotated[
        str, typer.Option("--num-channels", "-k", metavar="N,N,…", help="Rows: numbers of style channels, or of axes.")
    ] = "5,20,50,100",
    neutral: Neutral = None,
    method: Method = "global",
    refine: Refine = 0,
    crop: Crop = "auto",
    seed: Seed = 0,
    out: Out = None,
    overwrite: Overwrite = False,
    json: Json = None,
    domain: Domain = "portraits",
    device: Device = None,
    method_options: dict[str, Any] | None = None,
) -> None:
    """Lay strengths against numbers of channels in one labelled picture, as Fig. 6 of the StyleCLIP paper.

    textmorph grid me.png "grey hair" --strengths=-4:8:2 --num-channels 5,20,50,100
    """
    from ..editing import grids as series
    from ..editing.record import write_picture

    quiet = console.check_json(json, overwrite=overwrite)
    path = Path(photo).expanduser()
    name = f"{path.stem}-{console.slug(prompt)}-grid.png"
    target = check_output(console.output_path(out, path.parent, name, suffixes=WRITABLE), overwrite=overwrite)
    columns, rows = strength_steps(strengths), counts(num_channels)
    editor = load_editor(domain, device)
    plan = editor.plan(
        prompt, strength=1.0, neutral=neutral, num_channels=rows[0], method=method, refine=refine, seed=seed,
        crop=crop, **(method_options or {}),
    )  # fmt: skip
    console.say_preparation(editor, plan, quiet=quiet)
    with console.progress_bar("drawing") as tell:
        drawn = series.grid(
            editor, plan, editor.open(path, crop=plan.crop), strengths=columns, channel_counts=rows, progress=tell
        )
    write_picture(drawn.sheet(), target, drawn.record, overwrite=overwrite)
    say(str(target), style="bold", quiet=quiet)
    for warning in drawn.record["warnings"]:
        say_warning(warning)
    console.write_json(drawn.record, json, overwrite=overwrite)


@command
@with_method_options()
def sweep(
    photo: Photo,
    prompt: Annotated[str, typer.Argument(metavar="TEXT", help="What the picture should show.")],
    to: Annotated[float, typer.Option(help="Strength of the last frame.")] = 4.0,
    start: Annotated[float, typer.Option("--from", help="Strength of the first frame.")] = 0.0,
    frames: Annotated[int, typer.Option(min=2, max=2000, help="How many.")] = 60,
    fps: Annotated[float, typer.Option(min=1, max=120, help="Frames per second.")] = 30.0,
    bounce: Annotated[bool, typer.Option(help="Also play it backwards, so that it loops.")] = True,
    neutral: Neutral = None,
    num_channels: Annotated[
        int | None, typer.Option("--num-channels", "-k", min=1, help="Style channels, or axes, to move.")
    ] = None,
    method: Method = "global",
    refine: Refine = 0,
    crop: Crop = "auto",
    seed: Seed = 0,
    out: Out = None,
    overwrite: Overwrite = False,
    json: Json = None,
    domain: Domain = "portraits",
    device: Device = None,
    method_options: dict[str, Any] | None = None,
) -> None:
    """Write a smooth morph, .mp4 or .gif, from one strength to another.

    textmorph sweep me.png "grey hair" --to 6 --out morph.mp4
    """
    from .. import sheets as videos
    from ..editing import grids as series
    from ..editing.record import sidecar_path, write_sidecar

    quiet = console.check_json(json, overwrite=overwrite)
    path = Path(photo).expanduser()
    name = f"{path.stem}-{console.slug(prompt)}.mp4"
    target = check_output(console.output_path(out, path.parent, name, suffixes=MOVING), overwrite=overwrite)
    check_output(sidecar_path(target), overwrite=overwrite)
    videos.check_writer(target)
    editor = load_editor(domain, device)
    plan = editor.plan(
        prompt, strength=to, neutral=neutral, num_channels=num_channels, method=method, refine=refine, seed=seed,
        crop=crop, **(method_options or {}),
    )  # fmt: skip
    strengths = [start + (to - start) * i / (frames - 1) for i in range(frames)]
    console.say_preparation(editor, plan, quiet=quiet)
    with console.progress_bar("drawing") as tell:
        swept = series.sweep(editor, plan, editor.open(path, crop=plan.crop), strengths=strengths, progress=tell)
    record = swept.record | {"fps": fps, "bounce": bounce}
    with console.busy("writing"):
        videos.write_video(
            videos.bounced(swept.frames) if bounce else swept.frames, target, fps=fps, overwrite=overwrite
        )
    write_sidecar(target, record, overwrite=overwrite)
    say(str(target), style="bold", quiet=quiet)
    for warning in record["warnings"]:
        say_warning(warning)
    console.write_json(record, json, overwrite=overwrite)


@command
def replay(
    picture: Annotated[str, typer.Argument(metavar="PICTURE", help="A picture made by textmorph, or its sidecar.")],
    out: Out = None,
    overwrite: Overwrite = False,
    domain: Annotated[
        str | None, typer.Option("--domain", "-d", help="Where its networks are. Default: as recorded.")
    ] = None,
    device: Device = None,
) -> None:
    """Make the same picture again from its record, and say whether it came out the same, bit for bit."""
    from .. import sheets as videos
    from ..editing import grids as series
    from ..editing.record import read_record, recorded_domain, write_picture, write_sidecar

    path = Path(picture).expanduser()
    record = read_record(path)
    kind = record.get("kind")
    made = path.with_suffix("") if path.suffix.lower() == ".json" else path
    suffixes = MOVING if kind == "sweep" else WRITABLE
    suffix = made.suffix.lower() if made.suffix.lower() in suffixes else suffixes[0]
    target = console.output_path(out, path.parent, f"{made.stem}-replay{suffix}", suffixes=suffixes)
    check_output(target, overwrite=overwrite)
    editor = load_editor(domain or recorded_domain(record), device)
    if kind in ("grid", "sweep"):
        with console.progress_bar("drawing") as tell:
            again = series.replay(editor, record, progress=tell)
        if kind == "grid":
            write_picture(again.sheet(), target, record, overwrite=overwrite)
        else:
            frames = videos.bounced(again.frames) if record.get("bounce") else again.frames
            videos.write_video(frames, target, fps=record.get("fps", 30), overwrite=overwrite)
            write_sidecar(target, record, overwrite=overwrite)
    else:
        with console.busy("drawing"):
            editor.replay(record).save(target, overwrite=overwrite)
    say(str(target), style="bold")
    if made.is_file() and made.suffix.lower() == target.suffix.lower():
        same = _same_picture(made, target)
        say(f"  the same as {made}, bit for bit" if same else f"  not the same as {made}")
        if not same:
            raise typer.Exit(console.FAILED)


def _same_picture(one: Path, other: Path) -> bool:
    """Whether two files show the same: equal pixels of pictures, equal bytes of videos."""
    from PIL import Image

    if one.suffix.lower() not in WRITABLE:
        return one.read_bytes() == other.read_bytes()
    with Image.open(one) as first, Image.open(other) as second:
        return first.size == second.size and first.tobytes() == second.tobytes()
