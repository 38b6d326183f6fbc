"""A job folder: a job's shards lie here, one file each, so that it may be killed at any moment and loses one shard.

job.json       what the job is; another one does not continue it
shards/        one file for each finished shard: a line that names job, shard and digest, then the content
result.…       the joined shards, for the moment before they take their place

A shard's file is there whole or not at all; one that was damaged since is found by its digest and computed again.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import JobError, OutputError, OutputExistsError
from ..files import UNFINISHED, check_output, write_bytes, written_whole
from .engine import Engine
from .lock import LOCK, locked
from .run_folder import differences

FORMAT = 1
JOB, SHARDS = "job.json", "shards"
SUFFIX = ".job"
"""A job that has no folder of its own lies beside its result, under the result's name and this."""

_HEADER = b"textmorph-shard"
_BESIDES = ("fingerprint", "threads", "finished")
"""What job.json holds beside the job itself."""
_MOST_THREADS = 4096
_UNFINISHED = re.compile(UNFINISHED.pattern + r"|\.part-result(\..*)?")

Progress = Callable[[int, int], None]
"""Called with what is done and the total."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is to be computed.

    Args:
        kind: a word for people: bank, corpus.
        function: `module:function`, called with `shared` and one of `shards`; gives bytes.
        shared: arguments that all shards have, JSON; with fingerprints of all that shapes the result.
        shards: arguments of each shard, JSON.
        amounts: how much work each shard is, for progress; None counts shards.
    """

    kind: str
    function: str
    shared: Mapping[str, Any]
    shards: Sequence[Mapping[str, Any]]
    amounts: Sequence[int] | None = None

    @property
    def about(self) -> dict[str, Any]:
        """All of it, as JSON."""
        head = {"format": FORMAT, "job": self.kind, "function": self.function}
        about: dict[str, Any] = _json({**head, **self.shared, SHARDS: list(self.shards)})
        return about

    @property
    def fingerprint(self) -> str:
        """Names this job, 16 hex digits."""
        return _fingerprint(self.about)

    def arguments(self, number: int) -> dict[str, Any]:
        """Arguments of one shard."""
        arguments: dict[str, Any] = _json({**self.shared, **self.shards[number]})
        return arguments


class JobFolder:
    """The folder of one job; made by `open_job`, which keeps others out of it while it is open.

    Attributes:
        threads: of torch, with which every shard of this job is computed.
        damaged: numbers of the shards that were found damaged, and are computed again.
    """

    def __init__(self, path: Path, job: Job, threads: int) -> None:
        self.path, self.job, self.threads = path, job, threads
        self._fingerprint = job.fingerprint
        self.damaged: list[int] = []
        self.done: set[int] = set()
        for number in range(len(job.shards)):
            if self.file(number).exists():
                try:
                    self.content(number)
                    self.done.add(number)
                except JobError:
                    self.damaged.append(number)

    def file(self, number: int) -> Path:
        """Where a shard lies."""
        return self.path / SHARDS / f"{number:05}.shard"

    def content(self, number: int) -> bytes:
        """A finished shard.

        Raises:
            JobError: it is missing, damaged, or of another job.
        """
        try:
            content = self.file(number).read_bytes()
        except OSError as error:
            raise JobError(f"shard {number} of {self.path} cannot be read: {error.strerror or error}") from error
        head, _, body = content.partition(b"\n")
        if head != self._head(number, body):
            raise JobError(f"shard {number} of {self.path} is damaged, or of another job")
        return body

    def run(self, engine: Engine, progress: Progress | None = None) -> None:
        """Compute the shards that are not there yet.

        Args:
            progress: called first with what is done already.

        Raises:
            TextmorphError: as `Engine.run`; what is finished stays.
        """
        amounts = self.job.amounts or [1] * len(self.job.shards)
        done, total = sum(amounts[number] for number in self.done), sum(amounts)
        if progress:
            progress(done, total)
        missing = {i: self.job.arguments(i) for i in range(len(self.job.shards)) if i not in self.done}
        with closing(engine.run(self.job.function, missing, threads=self.threads)) as finished:
            for number, content in finished:
                write_bytes(self.file(number), self._head(number, content) + b"\n" + content, overwrite=True)
                self.done.add(number)
                done += amounts[number]
                if progress:
                    progress(done, total)

    def contents(self) -> Iterator[bytes]:
        """All shards, in order."""
        return (self.content(number) for number in range(len(self.job.shards)))

    def finish(self, make: Callable[[Path], None], target: Path, *, overwrite: bool = False, keep: bool) -> None:
        """Write the result and, unless it is to be kept, remove this folder; a kill leaves nothing half done.

        Args:
            make: writes the result, a file or a folder, to a path of that ending.
            target: where it goes.
            keep: leave the shards where they are.

        Raises:
            OutputError: it cannot be written, or exists.
        """
        result = _result(self.path, target)
        if not result.exists():
            unfinished = result.with_name(f".part-result{target.suffix}")
            make(unfinished)
            os.replace(unfinished, result)
        _refuse(result, target, overwrite=overwrite)
        if not keep:
            self._note(finished={"target": str(target.absolute()), "overwrite": overwrite})
        _move(result, target, overwrite=overwrite)
        if not keep:
            _remove(self.path)

    def _head(self, number: int, body: bytes) -> bytes:
        digest = hashlib.sha256(body).hexdigest()
        return b"%s %d %s %d %s" % (_HEADER, FORMAT, self._fingerprint.encode(), number, digest.encode())

    def _note(self, **values: Any) -> None:
        about = {**self.job.about, "fingerprint": self._fingerprint, "threads": self.threads, **values}
        with written_whole(self.path / JOB, overwrite=True) as temporary:
            temporary.write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


@contextmanager
def open_job(path: str | os.PathLike[str], job: Job, *, threads: int) -> Iterator[JobFolder]:
    """Begin a job in a new or empty folder, or go on with the same job there.

    Args:
        threads: of torch for each shard, part of the job; one that goes on keeps those it was begun with.

    Raises:
        JobError: the folder holds another job or something else, is damaged, or another program works in it.
        OutputError: the folder cannot be written.
    """
    path = Path(path)
    _check(path)
    if (path / SHARDS).is_symlink():
        raise JobError(f"{path / SHARDS} is a link to another folder; remove {path}")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {path}: {error.strerror or error}") from error
    with locked(path):
        _clean(path)
        there = _read(path) if (path / JOB).exists() else None
        if there is not None:
            threads = _compare(path, there, job)
        (path / SHARDS).mkdir(exist_ok=True)
        folder = JobFolder(path, job, threads)
        if there is None:
            folder._note()
        for number in folder.damaged:
            folder.file(number).unlink(missing_ok=True)
        yield folder


def settle_job(
    path: str | os.PathLike[str], target: str | os.PathLike[str], *, kind: str, overwrite: bool = False
) -> None:
    """Do what a job that was killed at its very end left to do: put the result in its place, remove the folder.

    The folder may be of someone else, so that nothing in it says where the result goes or what may be overwritten.

    Args:
        target: where the result goes, as whoever calls this would have it.
        kind: of the job.
        overwrite: replace a file there.

    Raises:
        JobError: another program works there, or the folder is damaged, of another kind, or of another target.
        OutputError: the result cannot be moved, or something is there.
    """
    path = Path(path)
    if not path.is_dir():
        return
    begun = (path / JOB).exists()
    if (begun and _read(path).get("finished") is None) or (not begun and any(e.name != LOCK for e in path.iterdir())):
        return
    with locked(path):
        target = Path(target)
        result = _result(path, target)
        if begun and result.exists():
            _check_finished(path, _read(path), target, kind)
            _move(result, target, overwrite=overwrite)
        elif begun and any(path.glob("result*")):
            raise JobError(f"the job in {path} ended with another result than {target.name}; see there, or remove it")
        _remove(path)


def _check_finished(path: Path, there: dict[str, Any], target: Path, kind: str) -> None:
    """Refuse the result of a job that is of another kind, was changed by hand, or meant another place."""
    about = {key: value for key, value in there.items() if key not in _BESIDES}
    if there.get("job") != kind or there.get("fingerprint") != _fingerprint(about):
        raise JobError(f"the job in {path} is no {kind}, or was changed since; remove {path}")
    finished = there["finished"]
    if not isinstance(finished, dict) or finished.get("target") != str(target.absolute()):
        raise JobError(f"the job in {path} was to end in another place than {target}; name that one, or remove {path}")


def noted_job(path: str | os.PathLike[str]) -> dict[str, Any] | None:
    """What was noted of the job in this folder, see `Job.about`; None where none was begun.

    Raises:
        JobError: the note is damaged.
    """
    return _read(Path(path)) if (Path(path) / JOB).exists() else None


def _check(path: Path) -> None:
    if path.exists() and not path.is_dir():
        raise JobError(f"{path} is a file; a job needs a folder")
    if (path / JOB).exists():
        if _read(path).get("finished") is not None and not any(path.glob("result*")):  # which was in its place already
            with locked(path):
                _remove(path)
        return
    if not path.exists():
        return
    others = sorted(
        e.name for e in path.iterdir() if e.name not in (LOCK, SHARDS) and not _UNFINISHED.fullmatch(e.name)
    )
    if others:
        listed = ", ".join(others[:3]) + (", …" if len(others) > 3 else "")
        raise JobError(f"{path} holds other things ({listed}) and is no job folder; name a new one")


def _clean(path: Path) -> None:
    """Remove what a killed program was just writing."""
    for folder in (path, path / SHARDS):
        for entry in folder.iterdir() if folder.is_dir() else ():
            if _UNFINISHED.fullmatch(entry.name):
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def _read(path: Path) -> dict[str, Any]:
    try:
        there = json.loads((path / JOB).read_text(encoding="utf-8"))
        if not isinstance(there, dict) or type(there.get("format")) is not int or type(there.get("threads")) is not int:
            raise ValueError("it is no job")
        if not 1 <= there["threads"] <= _MOST_THREADS:
            raise ValueError(f"threads are 1 to {_MOST_THREADS}")
    except (OSError, ValueError, RecursionError) as error:
        raise JobError(f"{path / JOB} is damaged, or of no job of ours ({error}); remove {path}") from error
    if there["format"] > FORMAT:
        raise JobError(f"the job in {path} was begun by a newer textmorph; update to go on with it")
    return there


def _compare(path: Path, there: dict[str, Any], job: Job) -> int:
    """Refuse another job; gives the number of threads of this one."""
    noted = {key: value for key, value in there.items() if key not in _BESIDES}
    differing = sorted(differences(noted, job.about))
    if differing:
        raise JobError(
            f"the job in {path} is another one: {'; '.join(differing[:4])}; name another folder, or remove that one"
        )
    threads: int = there["threads"]
    return threads


def _refuse(result: Path, target: Path, *, overwrite: bool) -> None:
    """Keep what is there already."""
    if not result.is_dir():
        check_output(target, overwrite=overwrite)
    elif target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise OutputExistsError(f"{target} exists and was kept; choose another name")


def _move(result: Path, target: Path, *, overwrite: bool) -> None:
    """Let a file or a folder take its place, whole."""
    _refuse(result, target, overwrite=overwrite)
    try:
        try:
            os.replace(result, target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            near = target.with_name(f".{target.name}.part")  # another file system: first beside it
            shutil.rmtree(near, ignore_errors=True)
            shutil.copytree(result, near) if result.is_dir() else shutil.copyfile(result, near)
            os.replace(near, target)
            shutil.rmtree(result) if result.is_dir() else result.unlink()
    except OSError as error:
        raise OutputError(f"cannot write {target}: {error.strerror or error}") from error


def _remove(path: Path) -> None:
    """Remove a job's folder; job.json last, since it says that this was meant."""
    shutil.rmtree(path / SHARDS, ignore_errors=True)
    _clean(path)
    for name in (JOB, LOCK):
        (path / name).unlink(missing_ok=True)
    try:
        path.rmdir()
    except OSError:  # somebody else put something there
        return


def _result(path: Path, target: Path) -> Path:
    """Where the result waits to be moved."""
    return path / f"result{target.suffix}"


def _fingerprint(about: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]


def _json(value: Any) -> Any:
    return json.loads(json.dumps(value, allow_nan=False))
