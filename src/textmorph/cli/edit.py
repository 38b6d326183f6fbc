"""`edit` and `demo`: from words to an edited picture."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import DownloadError, OptionError
from ..files import check_output
from . import console
from .console import command, say, say_warning
from .engines import make_engine
from .folder import edit_folder, report_folder
from .methods import describe_method, parse_fields
from .networks import ready_editor
from .options import (
    DEFAULT_DOMAIN,
    OUTPUT,
    Domain,
    EngineName,
    Frame,
    Json,
    Likeness,
    Method,
    Neutral,
    Out,
    Overwrite,
    Requests,
    Seed,
    Settings,
    Workers,
    refine_steps,
)
from .outputs import Job, Outputs, list_jobs

if TYPE_CHECKING:
    from ..editing.editor import Editor, Result
    from ..editing.request import Requests as Agreed


DEMO = "faces"
"""Domain that the demo shows first."""
DEMO_REQUESTS = {"faces": "a smiling person", "portraits": "a person with glasses"}
"""What the demo asks of the built-in domains."""


@command
def edit(
    photo: Annotated[str, typer.Argument(metavar="PHOTO|FOLDER", help="A picture, a latent file, or a folder.")],
    requests: Requests,
    strength: Annotated[
        str,
        typer.Option("--strength", "-s", metavar="N|auto", help="How far (the paper's α); negative for the opposite."),
    ] = "auto",
    neutral: Neutral = None,
    method: Method = None,
    settings: Settings = None,
    keep_identity: Annotated[
        float | None, typer.Option(help="Least identity (cosine) for automatic strength. Default: the domain's.")
    ] = None,
    likeness: Likeness = "encoder",
    frame: Frame = "auto",
    seed: Seed = 0,
    domain: Domain = DEFAULT_DOMAIN,
    out: Out = None,
    before_after: Annotated[
        bool | None,
        typer.Option(help="Also before and after in one picture; default: not for a folder.", rich_help_panel=OUTPUT),
    ] = None,
    show_retrieved: Annotated[
        bool,
        typer.Option("--show-retrieved", help="Also the pictures that svm learned from.", rich_help_panel=OUTPUT),
    ] = False,
    overwrite: Overwrite = False,
    json: Json = None,
    engine: EngineName = "process",
    workers: Workers = None,
) -> None:
    """Edit a picture, or every picture of a folder.

    textmorph edit me.png "a smile"

    textmorph edit me.png "a smile" glasses:2 beard.safetensors:-1

    textmorph edit me.png "grey hair" --neutral hair --strength 4 --set num_channels=20

    textmorph edit photos/ "a smiling face" --out edited/
    """
    path = Path(photo).expanduser()
    outputs = Outputs(
        name=request_name(requests[0]), folder=path.is_dir(), overwrite=overwrite,
        quiet=console.check_json(json, overwrite=overwrite), before_after=before_after,
    )  # fmt: skip
    force = make_engine(engine, workers)
    if not outputs.folder and force != make_engine("process", None):
        raise OptionError("--engine and --workers share out the pictures of a folder; one picture has no use for them")
    name, values = method_values(domain, method, settings)
    if show_retrieved and "corpus" not in describe_method(name).parameters:
        raise OptionError(f"--show-retrieved needs a method that learns from a corpus, such as svm; not {name!r}")
    console.load_torch()
    jobs = list_jobs(path, out, outputs)
    editor, agreed = ready_editor(
        _absolute(domain) if outputs.folder else domain, requests, strength=strength, keep_identity=keep_identity,
        method=name, values=values, neutral=neutral, refine=refine_steps(likeness), seed=seed, frame=frame,
        quiet=outputs.quiet,
    )  # fmt: skip
    if show_retrieved:
        _write_retrieved(editor, agreed, jobs[0].target, outputs)
    if outputs.folder:
        edit_folder(editor, agreed, jobs, outputs, force)
    else:
        edit_one(editor, agreed, jobs[0].photo, jobs[0], outputs)
    records = [job.record for job in jobs if job.record is not None]
    console.write_json(records if outputs.folder else records[0], json, overwrite=overwrite)
    if outputs.folder:
        report_folder(jobs, outputs)


@command
def demo(
    requests: Annotated[
        list[str] | None, typer.Argument(metavar="REQUEST...", help="As for 'edit'. Default: what suits the domain.")
    ] = None,
    out: Annotated[str, typer.Option("--out", "-o", help="Folder to write to.")] = "out",
    seed: Annotated[int, typer.Option(min=0, help="Of the picture, where one has to be drawn.")] = 1,
    domain: Annotated[
        str | None,
        typer.Option("--domain", "-d", help="Default: faces, or portraits where faces cannot be fetched."),
    ] = None,
) -> None:
    """Edit a sample picture, and say where the result is. Run it again and it replaces its own pictures."""
    folder = console.make_folder(Path(out).expanduser())
    try:
        editor, agreed = ready_editor(domain or DEMO, requests or [DEMO_REQUESTS.get(domain or DEMO, "a smile")])
    except DownloadError as error:
        if domain is not None:
            raise
        say_warning(f"{error} This demo shows the small drawn world 'portraits' instead.")
        domain = DEFAULT_DOMAIN
        editor, agreed = ready_editor(domain, requests or [DEMO_REQUESTS.get(domain, "a smile")])
    samples = [opened for opened, _ in editor.domain.samples.values()]
    truncation = editor.domain.truncation_or(0.7)
    photo: Any = samples[0] if samples else editor.generator.sample(1, seed=seed, truncation=truncation)
    name = request_name(agreed.main.target or "edit")
    job = Job(folder, folder / f"{samples[0].stem if samples else 'picture'}-{name}.png")
    edit_one(
        editor, agreed, photo, job, Outputs(name=name, folder=False, overwrite=True, quiet=False, before_after=True)
    )


def edit_one(editor: Editor, requests: Agreed, photo: Any, job: Job, outputs: Outputs) -> None:
    """Edit one photo, write what belongs to it, and say what was done."""
    started = time.perf_counter()
    with console.progress_bar("editing") as show:
        result = editor.edit(photo, requests, progress=show)
    seconds = time.perf_counter() - started
    outputs.check(job.target)
    result.save(job.target, overwrite=outputs.overwrite)
    job.record = result.record
    say(str(job.target), style="bold", quiet=outputs.quiet)
    if outputs.writes_before_after:
        _write_before_after(result, job.target, outputs)
    for line in explain(result.record):
        say(f"  {line}", quiet=outputs.quiet)
    say(f"  edited in {seconds:.1f} s", style="dim", quiet=outputs.quiet)
    for warning in result.warnings:
        say_warning(warning)


def explain(record: dict[str, Any]) -> list[str]:
    """What was done and what came of it, in a few lines."""
    lines = []
    for edit in record["edits"]:
        name = f"'{edit['prompt']}'" if edit["kind"] == "text" else Path(edit["file"] or "an edit").name
        moved = f", {_channels(edit['channels'])}" if edit.get("channels") else ""
        lines.append(f"{name}: strength {edit['strength']:g}{moved}")
        if edit.get("automatic"):
            lines.append(f"  automatic strength: {edit['automatic']['reason']}")
    scores = record["scores"]
    parts = {
        "CLIP gain": _signed(scores["clip_gain"]),
        "by the witness": _signed(scores["witness_gain"]),
        "identity kept": None if scores["identity"] is None else f"{scores['identity']:.2f}",
        "change outside of the edit": f"{scores['change_outside']:.1%}",
    }
    return [*lines, ", ".join(f"{name} {value}" for name, value in parts.items() if value is not None)]


def method_values(domain: str, method: str | None, settings: list[str] | None) -> tuple[str, dict[str, Any]]:
    """Name of the method that is asked for, or of the domain's, and the fields that `--set` gives it."""
    from ..editing.domain import load_domain

    name = method or load_domain(domain).method
    return name, parse_fields(name, settings)


def request_name(request: str) -> str:
    """A part of a file name: the words of a request, or the name of its file."""
    from ..editing.request import is_saved_edit, parse_request

    what, _ = parse_request(request)
    return console.slug(Path(what).stem if is_saved_edit(what) else what)


def _absolute(domain: str) -> str:
    """A domain as workers in other folders find it."""
    where = Path(domain).expanduser()
    return str(where.absolute()) if where.exists() else domain


def _channels(number: int) -> str:
    from ..editing.strength import channels_text

    return channels_text(number)


def _signed(value: float | None) -> str | None:
    return None if value is None else f"{value:+.3f}"


def _write_before_after(result: Result, target: Path, outputs: Outputs) -> None:
    from ..images import write_image

    beside = target.with_name(f"{target.stem}-before-after.png")
    write_image(result.before_after(), beside, overwrite=outputs.overwrite)
    say(f"  before and after: {beside}", quiet=outputs.quiet)


def _write_retrieved(editor: Editor, requests: Agreed, target: Path, outputs: Outputs) -> None:
    from ..editing.grids import retrieved_sheet
    from ..images import write_image

    beside = check_output(target.with_name(f"{target.stem}-retrieved.png"), overwrite=outputs.overwrite)
    write_image(retrieved_sheet(editor, requests), beside, overwrite=outputs.overwrite)
    say(f"retrieved pictures: {beside}", quiet=outputs.quiet)
