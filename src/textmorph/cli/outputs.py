"""Where the results of `edit` go, and what became of each photo."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError, OptionError, TextmorphError
from ..files import check_output
from . import console
from .console import WRITABLE


@dataclass
class Job:
    """One photo of a run, where its result goes, and what became of it."""

    photo: Path
    target: Path
    record: dict[str, Any] | None = None
    skipped: bool = False
    error: TextmorphError | None = None


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """What is written for each photo of a run."""

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

    def check(self, target: Path) -> None:
        """Refuse to replace files that are there already."""
        for path in self.targets(target):
            check_output(path, overwrite=self.overwrite)


def list_jobs(path: Path, out: str | None, outputs: Outputs) -> list[Job]:
    """The photos of a run; a single one with its outputs checked.

    Raises:
        InputError: no such file, or a folder without pictures.
        OptionError: --out does not fit.
        OutputExistsError: the result is there already.
    """
    jobs = list(_folder_jobs(path, out, outputs) if outputs.folder else _one_job(path, out, outputs))
    if not outputs.folder:
        outputs.check(jobs[0].target)
    return jobs


def _one_job(path: Path, out: str | None, outputs: Outputs) -> Iterator[Job]:
    if not path.exists():
        raise InputError(f"there is no file {path}")
    yield Job(path, console.output_path(out, path.parent, f"{path.stem}-{outputs.name}.png", suffixes=WRITABLE))


def _folder_jobs(path: Path, out: str | None, outputs: Outputs) -> Iterator[Job]:
    folder = Path(out).expanduser() if out is not None else path.with_name(f"{path.resolve().name}-{outputs.name}")
    if out is not None and folder.suffix.lower() in WRITABLE:
        raise OptionError(f"{path} is a folder, so --out is one too, not {out!r}")
    photos = console.pictures_in(path)
    console.make_folder(folder)
    stems = [photo.stem for photo in photos]
    for photo in photos:
        stem = photo.stem if stems.count(photo.stem) == 1 else photo.name
        yield Job(photo, folder / f"{stem}-{outputs.name}.png")
