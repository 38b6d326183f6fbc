"""`edit` and `demo`: from words to an edited picture."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import InputError, OptionError, TextmorphError
from ..files import check_output, write_bytes
from . import console
from .console import WRITABLE, command, load_editor, say, say_error, say_warning
from .engines import make_engine, worker_device
from .options import (
    OUTPUT,
    Also,
    Crop,
    Device,
    Domain,
    Edits,
    EngineName,
    Json,
    Method,
    Neutral,
    Out,
    Overwrite,
    Refine,
    Seed,
    Workers,
    also_pairs,
    count_or_auto,
    number_or_auto,
    saved_edits,
    with_method_options,
)

if TYPE_CHECKING:
    from ..editing.editor import Editor, Result
    from ..editing.plans import Plan
    from ..jobs.engine import Engine

BATCH = 8
"""Photos of a folder that are refined together, where a GPU makes that worth while; else each is a shard of its own."""

Channels = Annotated[
    str | None,
    typer.Option("--num-channels", "-k", metavar="N|auto", help="Style channels, or axes, to move. Default: searched."),
]


@command
@with_method_options()
def edit(
    photo: Annotated[str, typer.Argument(metavar="PHOTO|FOLDER", help="A picture, a latent file, or a folder.")],
    prompt: Annotated[str | None, typer.Argument(metavar="TEXT", help="What the picture should show.")] = None,
    strength: Annotated[
        str, typer.Option("--strength", "-s", metavar="N|auto", help="How far; negative for the opposite.")
    ] = "auto",
    neutral: Neutral = None,
    num_channels: Channels = None,
    method: Method = "global",
    also: Also = None,
    edit: Edits = None,
    keep_identity: Annotated[
        float | None,
        typer.Option(help="Least identity (cosine) for automatic strength. Default: the domain's, mostly 0.7."),
    ] = None,
    refine: Refine = 0,
    crop: Crop = "auto",
    seed: Seed = 0,
    out: Out = None,
    before_after: Annotated[
        bool | None,
        typer.Option(help="Also before and after in one picture; default: not for a folder.", rich_help_panel=OUTPUT),
    ] = None,
    show_retrieved: Annotated[
        bool,
        typer.Option(
            "--show-retrieved", help="Also the pictures that the method svm learned from.", rich_help_panel=OUTPUT
        ),
    ] = False,
    overwrite: Overwrite = False,
    json: Json = None,
    engine: EngineName = "process",
    workers: Workers = None,
    domain: Domain = "portraits",
    device: Device = None,
    method_options: dict[str, Any] | None = None,
) -> None:
    """Edit a picture, or every picture of a folder, by a text.

    textmorph edit me.png "a person with purple hair"

    textmorph edit me.png "grey hair" --neutral "hair" --strength 4 --num-channels 20

    textmorph edit me.png "a smile" --strength 2 --also "glasses" 3 --also "a beard" -2

    textmorph edit photos/ "a smiling face" --out edited/
    """
    quiet = console.check_json(json, overwrite=overwrite)
    if prompt is None and not edit:
        raise OptionError("nothing to do: give a text, or a saved edit with --edit")
    if show_retrieved and method != "svm":
        raise OptionError(f"--show-retrieved belongs to the method svm, not to {method!r}")
    force = make_engine(engine, workers)
    path = Path(photo).expanduser()
    if not path.is_dir() and force != make_engine("process", None):
        raise OptionError("--engine and --workers share out the pictures of a folder; one picture has no use for them")
    name = console.slug(prompt if prompt is not None else Path(saved_edits(edit)[0][0]).stem)
    task = _Task(name=name, folder=path.is_dir(), overwrite=overwrite, quiet=quiet, before_after=before_after)
    jobs = list(_jobs(path, out, task))
    if not task.folder:
        for target in task.targets(jobs[0].target):
            check_output(target, overwrite=overwrite)
    where = Path(domain).expanduser()
    editor = load_editor(str(where.absolute()) if task.folder and where.exists() else domain, device)
    request: dict[str, Any] = {
        "prompt": prompt, "strength": number_or_auto(strength, "strength"), "neutral": neutral,
        "num_channels": count_or_auto(num_channels), "method": method, "also": also_pairs(also),
        "edits": [(os.path.abspath(file), factor) for file, factor in saved_edits(edit)],
        "keep_identity": keep_identity, "refine": refine, "seed": seed, "crop": crop,
        **(method_options or {}),
    }  # fmt: skip
    plan = editor.plan(**request)
    console.say_preparation(editor, plan, quiet=quiet)
    if show_retrieved:
        _write_retrieved(plan, editor, jobs[0].target, task)
    if task.folder:
        _edit_folder(editor, request, plan, jobs, task, force, worker_device(force, device))
    else:
        _edit_one(editor, plan, jobs[0], task)
    records = [job.record for job in jobs if job.record is not None]
    console.write_json(records if task.folder else records[0] if records else None, json, overwrite=overwrite)
    _end(jobs, task)


@dataclass
class _Job:
    """One photo of a run, where its result goes, and what became of it."""

    photo: Path
    target: Path
    record: dict[str, Any] | None = None
    skipped: bool = False
    error: TextmorphError | None = None


@dataclass(frozen=True, kw_only=True)
class _Task:
    """What holds for all photos of a run."""

    name: str
    folder: bool
    overwrite: bool
    quiet: bool
    before_after: bool | None

    @property
    def writes_before_after(self) -> bool:
        return not self.folder if self.before_after is None else self.before_after

    def targets(self, target: Path) -> list[Path]:
        """Everything written for one result."""
        from ..editing.record import sidecar_path

        beside = [target.with_name(f"{target.stem}-before-after.png")] if self.writes_before_after else []
        return [target, *beside] + ([sidecar_path(target)] if target.suffix.lower() != ".png" else [])


def _jobs(path: Path, out: str | None, task: _Task) -> Iterable[_Job]:
    if not task.folder:
        if not path.exists():
            raise InputError(f"there is no file {path}")
        yield _Job(path, console.output_path(out, path.parent, f"{path.stem}-{task.name}.png", suffixes=WRITABLE))
        return
    folder = Path(out).expanduser() if out is not None else path.with_name(f"{path.resolve().name}-{task.name}")
    if out is not None and folder.suffix.lower() in WRITABLE:
        raise OptionError(f"{path} is a folder, so --out is one too, not {out!r}")
    photos = console.pictures_in(path)
    console.make_folder(folder)
    stems = [photo.stem for photo in photos]
    for photo in photos:
        stem = photo.stem if stems.count(photo.stem) == 1 else photo.name
        yield _Job(photo, folder / f"{stem}-{task.name}.png")


def _edit_one(editor: Editor, plan: Plan, job: _Job, task: _Task) -> None:
    with console.progress_bar("editing") as tell:
        source = editor.open(job.photo, crop=plan.crop)
        latent = editor.invert_source(source, refine=plan.refine)
        started = time.perf_counter()
        result = editor.carry_out(plan, source, latent=latent, progress=tell)
        _write(result, job, task, time.perf_counter() - started)


def _edit_folder(
    editor: Editor,
    request: dict[str, Any],
    plan: Plan,
    jobs: list[_Job],
    task: _Task,
    engine: Engine,
    device: str | None,
) -> None:
    """Edit those photos that are not done yet; the good ones are written as they come, the bad ones kept for the end.

    The folder of the results is its own job: what is done says so in its record, and is not done again.
    """
    from ..editing.tasks import edit_arguments, edited_photos, usual_threads
    from ..files import remove_unfinished
    from ..jobs.lock import locked

    folder = jobs[0].target.parent
    with locked(folder), console.progress_bar("editing") as tell:
        remove_unfinished(folder)
        todo = []
        for job in jobs:
            with _kept(job):
                if not _is_done(editor, plan, job, task):
                    todo.append(job)
        done = len(jobs) - len(todo)
        tell(done, len(jobs))
        common = edit_arguments(editor, request, plan, before_after=task.writes_before_after, device=device)
        size = BATCH if plan.refine and common["device"] != "cpu" else 1
        groups = dict(enumerate(todo[start : start + size] for start in range(0, len(todo), size)))
        shards = {i: {**common, "photos": [os.path.abspath(job.photo) for job in group]} for i, group in groups.items()}
        function = f"{edited_photos.__module__}:edit_shard"
        with closing(engine.run(function, shards, threads=usual_threads(engine))) as finished:
            for number, content in finished:
                for job, (told, files) in zip(groups[number], edited_photos(content), strict=True):
                    with _kept(job):
                        if isinstance(told, TextmorphError):
                            raise told
                        _write_files(files, job, task)
                        job.record = told
                        for warning in told["warnings"]:
                            say_warning(f"{job.photo.name}: {warning}")
                    done += 1
                tell(done, len(jobs))


def _write_files(files: dict[str, bytes], job: _Job, task: _Task) -> None:
    targets = dict(zip(("picture.png", "before-after.png"), task.targets(job.target), strict=False))
    same = {name for name, target in targets.items() if target.is_file() and target.read_bytes() == files[name]}
    for target in (target for name, target in targets.items() if name not in same):
        check_output(target, overwrite=task.overwrite)
    for name, target in sorted(targets.items()):  # the picture last: it says that all is done
        if name not in same:  # of a run that was killed between the two
            write_bytes(target, files[name], overwrite=task.overwrite)


class _kept:
    """Keeps an error about one photo of a folder, so that the others are done."""

    def __init__(self, job: _Job) -> None:
        self.job = job

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, TextmorphError):
            return False
        self.job.error = error
        return True


def _is_done(editor: Editor, plan: Plan, job: _Job, task: _Task) -> bool:
    """Whether the result is there already, made by this very plan; any other file that is there is an error."""
    from ..editing.record import read_record

    if task.overwrite or not job.target.exists():
        return False
    try:
        record = read_record(job.target)
    except InputError:
        record = {}
    if editor.is_done(record, plan, editor.open(job.photo, crop="middle")):
        job.record, job.skipped = record, True
        return True
    check_output(job.target)
    return False


def _write(result: Result, job: _Job, task: _Task, seconds: float) -> None:
    for target in task.targets(job.target):
        check_output(target, overwrite=task.overwrite)
    result.save(job.target, overwrite=task.overwrite)
    job.record = result.record
    if task.writes_before_after:
        from ..images import write_image

        beside = job.target.with_name(f"{job.target.stem}-before-after.png")
        write_image(result.before_after(), beside, overwrite=task.overwrite)
    say(str(job.target), style="bold", quiet=task.quiet)
    if task.writes_before_after:
        say(f"  before and after: {beside}", quiet=task.quiet)
    _explain(result.record, quiet=task.quiet)
    say(f"  {seconds:.1f} s", style="dim", quiet=task.quiet)
    for warning in result.warnings:
        say_warning(warning)


def _explain(record: dict[str, Any], *, quiet: bool) -> None:
    """What was done and what came of it, in a few lines."""
    from ..editing.strength import counted

    for told in record["edits"]:
        name = f"'{told['prompt']}'" if told["kind"] == "text" else Path(told["file"] or "an edit").name
        moved = "".join(f", {counted(told[kind], kind)}" for kind in ("channels", "axes") if kind in told)
        meets = told["kind"] == "text" and told["values"].get("towards") == "exemplars"
        where = f", towards {told['values']['num_exemplars']} pictures that show it" if meets else ""
        say(f"  {name}: strength {told['strength']:g}{where}{moved}", quiet=quiet)
    if record["automatic"]:
        say(f"  automatic strength: {record['automatic']['reason']}", quiet=quiet)
    scores = record["scores"]
    parts = {
        "CLIP gain": _signed(scores["clip_gain"]),
        "by the witness": _signed(scores["witness_gain"]),
        "identity kept": None if scores["identity"] is None else f"{scores['identity']:.2f}",
        "change outside of the edit": f"{scores['change_outside']:.1%}",
    }
    say("  " + ", ".join(f"{name} {value}" for name, value in parts.items() if value is not None), quiet=quiet)


def _signed(value: float | None) -> str | None:
    return None if value is None else f"{value:+.3f}"


def _end(jobs: list[_Job], task: _Task) -> None:
    """Report on a folder, and choose the exit code."""
    if not task.folder:
        return
    failed = [job for job in jobs if job.error is not None]
    skipped = sum(job.skipped for job in jobs)
    done = len(jobs) - len(failed) - skipped
    before = f", {skipped} were done before" if skipped else ""
    say(f"{jobs[0].target.parent}: {done} of {len(jobs)} pictures edited{before}", style="bold", quiet=task.quiet)
    for job in failed:
        assert job.error is not None
        say_error(job.error, job.photo.name)
    codes = {console.exit_code(job.error) for job in failed if job.error is not None}
    if codes:
        raise typer.Exit(console.FAILED if console.FAILED in codes else console.KEPT)


def _write_retrieved(plan: Plan, editor: Editor, target: Path, task: _Task) -> None:
    from ..editing.grids import retrieved_sheet
    from ..images import write_image

    beside = target.with_name(f"{target.stem}-retrieved.png")
    check_output(beside, overwrite=task.overwrite)
    write_image(retrieved_sheet(editor, plan), beside, overwrite=task.overwrite)
    say(f"retrieved pictures: {beside}", quiet=task.quiet)


@command
def demo(
    prompt: Annotated[
        str, typer.Argument(metavar="TEXT", help="What the picture should show.")
    ] = "a person with purple hair",
    out: Annotated[str, typer.Option("--out", "-o", help="Folder to write to.")] = "out",
    seed: Annotated[int, typer.Option(min=0, help="Of the portrait, where one has to be drawn.")] = 1,
    domain: Domain = "portraits",
    device: Device = None,
) -> None:
    """Edit a sample portrait, and say where the picture is. Run it again and it replaces its own pictures."""
    folder = console.make_folder(Path(out).expanduser())
    started = time.perf_counter()
    editor = load_editor(domain, device)
    plan = editor.plan(prompt)
    with console.busy("loading"):
        for wish in plan.wishes:
            wish.load(editor.domain)
    loaded = time.perf_counter()
    samples = console.sample_pictures(editor.domain.folder)
    psi = editor.domain.truncation_or(0.7)
    photo: Any = samples[0] if samples else editor.generator.sample(1, seed=seed, truncation=psi)
    source = editor.open(photo)
    with console.progress_bar("editing") as tell:
        result = editor.carry_out(plan, source, progress=tell)
    stem = samples[0].stem if samples else "portrait"
    job = _Job(folder, folder / f"{stem}-{console.slug(prompt)}.png")
    task = _Task(name=console.slug(prompt), folder=False, overwrite=True, quiet=False, before_after=True)
    _write(result, job, task, time.perf_counter() - loaded)
    say(f"  and {loaded - started:.1f} s for loading the networks, and what serves every edit", style="dim")
