"""The photos of a folder, edited: shared out, gone on with, the bad ones listed at the end."""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING

import typer

from ..errors import InputError, TextmorphError
from ..files import check_output, write_bytes
from . import console
from .console import say, say_error, say_warning
from .engines import worker_device
from .networks import DEVICE
from .outputs import Job, Outputs

if TYPE_CHECKING:
    from ..editing.editor import Editor
    from ..editing.request import Requests
    from ..jobs.engine import Engine

BATCH = 8
"""Photos that are refined together, where a GPU makes that worth while; else each is a shard of its own."""


def edit_folder(editor: Editor, requests: Requests, jobs: list[Job], outputs: Outputs, engine: Engine) -> None:
    """Edit those photos that are not done yet; the good ones are written as they come, the bad ones kept for the end.

    The folder of the results is its own job: what is done says so in its record, and is not done again.
    """
    from ..editing.tasks import edit_arguments, edited_photos, usual_threads
    from ..files import remove_unfinished
    from ..jobs.lock import locked

    folder = jobs[0].target.parent
    with locked(folder), console.progress_bar("editing") as show:
        remove_unfinished(folder)
        todo = [job for job in jobs if not _is_settled(editor, requests, job, outputs)]
        done = len(jobs) - len(todo)
        show(done, len(jobs))
        device = worker_device(engine, DEVICE.get())
        common = edit_arguments(editor, requests, before_after=outputs.writes_before_after, device=device)
        size = BATCH if requests.refine and common["device"] != "cpu" else 1
        groups = dict(enumerate(todo[start : start + size] for start in range(0, len(todo), size)))
        shards = {i: {**common, "photos": [os.path.abspath(job.photo) for job in group]} for i, group in groups.items()}
        function = f"{edited_photos.__module__}:edit_shard"
        with closing(engine.run(function, shards, threads=usual_threads(engine))) as finished:
            for number, content in finished:
                for job, (result, files) in zip(groups[number], edited_photos(content), strict=True):
                    with _kept(job):
                        if isinstance(result, TextmorphError):
                            raise result
                        _write_files(files, job, outputs)
                        job.record = result
                        for warning in result["warnings"]:
                            say_warning(f"{job.photo.name}: {warning}")
                    done += 1
                show(done, len(jobs))


def report_folder(jobs: list[Job], outputs: Outputs) -> None:
    """Say how many are done and which failed, and leave with the exit code where some did."""
    failed = [(job, job.error) for job in jobs if job.error is not None]
    skipped = sum(job.skipped for job in jobs)
    before = f", {skipped} were done before" if skipped else ""
    done = len(jobs) - len(failed) - skipped
    say(f"{jobs[0].target.parent}: {done} of {len(jobs)} pictures edited{before}", style="bold", quiet=outputs.quiet)
    for job, error in failed:
        say_error(error, job.photo.name)
    codes = {console.exit_code(error) for _, error in failed}
    if codes:
        raise typer.Exit(console.FAILED if console.FAILED in codes else console.KEPT)


def _is_settled(editor: Editor, requests: Requests, job: Job, outputs: Outputs) -> bool:
    """Whether a photo is done already or cannot be done; the job says which."""
    with _kept(job):
        job.skipped = _is_done(editor, requests, job, outputs)
    return job.skipped or job.error is not None


def _is_done(editor: Editor, requests: Requests, job: Job, outputs: Outputs) -> bool:
    """Whether the result is there already, made by these very requests; any other file that is there is an error."""
    from ..editing.record import read_record

    if outputs.overwrite or not job.target.exists():
        return False
    try:
        record = read_record(job.target)
    except InputError:
        record = {}
    if editor.is_done(record, requests, editor.open(job.photo, frame="middle")):
        job.record = record
        return True
    check_output(job.target)
    return False


def _write_files(files: dict[str, bytes], job: Job, outputs: Outputs) -> None:
    targets = dict(zip(("picture.png", "before-after.png"), outputs.targets(job.target), strict=False))
    same = {name for name, target in targets.items() if target.is_file() and target.read_bytes() == files[name]}
    for target in (target for name, target in targets.items() if name not in same):
        check_output(target, overwrite=outputs.overwrite)
    for name, target in sorted(targets.items()):  # the picture last: it says that all is done
        if name not in same:  # of a run that was killed between the two
            write_bytes(target, files[name], overwrite=outputs.overwrite)


class _kept:
    """Keeps an error about one photo of a folder, so that the others are done."""

    def __init__(self, job: Job) -> None:
        self.job = job

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, TextmorphError):
            return False
        self.job.error = error
        return True
