"""What the command line says, and how it ends: one clear line for every error of ours."""

from __future__ import annotations

import functools
import json
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from ..editing.domain import DomainWarning
from ..errors import InputError, OptionError, OutputError, OutputExistsError, TextmorphError
from ..files import check_output, write_bytes

FAILED = 1
KEPT = 2
USAGE = 2
INTERRUPTED = 130
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif", ".ppm")
"""Endings by which pictures are found in a folder."""

SPEED_PERIOD = 600.0
"""Seconds over which the speed is averaged for the remaining time: a part of a job may take minutes."""

WRITABLE = (".png", ".jpg", ".jpeg", ".webp")
MOVING = (".mp4", ".gif")

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

Function = TypeVar("Function", bound=Callable[..., Any])


def command(function: Function) -> Function:
    """Turn errors of ours into one line on stderr and an exit code, warnings into a line each, and Ctrl-C into 130."""

    @functools.wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # of libraries, about their own future
                warnings.simplefilter("always", DomainWarning)
                warnings.showwarning = lambda message, *_, **__: say_warning(str(message))
                return function(*args, **kwargs)
        except TextmorphError as error:
            say_error(error)
            raise typer.Exit(exit_code(error)) from None
        except KeyboardInterrupt:
            err.print("interrupted; nothing half-written was left behind")
            raise typer.Exit(INTERRUPTED) from None

    return guarded  # type: ignore[return-value]


def exit_code(error: TextmorphError) -> int:
    """2 where an output was kept or the command is wrong, else 1."""
    return KEPT if isinstance(error, OutputExistsError | OptionError) else FAILED


def say_error(error: TextmorphError, about: str = "") -> None:
    kept = isinstance(error, OutputExistsError)
    text = str(error).replace("allow overwriting it", "give --overwrite") if kept else str(error)
    prefix = f"{about}: " if about and about not in text else ""
    err.print(f"[bold {'yellow' if kept else 'red'}]{'kept' if kept else 'error'}:[/] ", end="")
    err.print(prefix + " ".join(text.split()), markup=False)


def say_warning(text: str) -> None:
    err.print("[bold yellow]warning:[/] ", end="")
    err.print(text, markup=False)


def say(text: str = "", *, style: str | None = None, quiet: bool = False) -> None:
    """A line for people: on stdout, or on stderr where stdout belongs to JSON."""
    (err if quiet else out).print(text, style=style, markup=False)


@contextmanager
def progress_bar(text: str) -> Iterator[Callable[[int, int], None]]:
    """A bar, on a terminal, for work that calls (done, total). It moves from the start, and leaves no trace.

    What the first call names as done does not count for the remaining time: a job that goes on has it from before.
    """
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    hidden = not err.is_terminal
    with Progress(*columns, console=err, transient=True, disable=hidden, speed_estimate_period=SPEED_PERIOD) as bar:
        waiting = bar.add_task(text, total=None)
        task: TaskID | None = None

        def show(done: int, total: int) -> None:
            nonlocal task
            if task is None:
                bar.remove_task(waiting)
                task = bar.add_task(text, total=total, completed=done)
                return
            bar.update(task, completed=done, total=total)

        yield show


@contextmanager
def busy(text: str) -> Iterator[Callable[[str], None]]:
    """Something that moves on a terminal, for work of unknown length; gives a function that changes the text."""
    if not err.is_terminal:
        yield lambda _: None
        return
    with err.status(text) as status:
        yield status.update


def load_torch() -> None:
    """Import torch, which takes seconds; commands check what they can before."""
    with busy("loading torch"):
        import_module("torch")


def slug(text: str, *, limit: int = 60) -> str:
    """A text as part of a file name: `A person, with purple hair` → `a-person-with-purple-hair`."""
    words = re.sub(r"[^\w]+", "-", text.casefold(), flags=re.UNICODE).strip("-_")
    return words[:limit].rstrip("-") or "edit"


def make_folder(folder: Path) -> Path:
    """Make the folder that outputs go to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder}: {error.strerror or error}") from error
    return folder


def output_path(out_option: str | None, folder: Path, name: str, *, suffixes: Sequence[str]) -> Path:
    """Where one result goes: `--out` as a file, `--out` as a folder, or `name` in `folder`.

    Raises:
        OptionError: the file has an ending that cannot be written.
        OutputError: the folder cannot be made.
    """
    if out_option is None:
        return folder / name
    path = Path(out_option).expanduser()
    if out_option.endswith(os.sep) or path.is_dir() or not path.suffix:
        return make_folder(path) / name
    if path.suffix.lower() not in suffixes:
        raise OptionError(f"--out ends in {', '.join(suffixes)}, not {path.name!r}; or it names a folder")
    make_folder(path.parent)
    return path


def pictures_in(folder: Path) -> list[Path]:
    """The pictures of a folder, by their endings, in order of their names.

    Raises:
        InputError: there are none, or the folder cannot be read.
    """
    try:
        found = sorted(p for p in folder.iterdir() if p.suffix.lower() in PICTURES and not p.name.startswith("."))
    except OSError as error:
        raise InputError(f"the folder {folder} cannot be read: {error.strerror or error}") from error
    if not found:
        raise InputError(f"the folder {folder} holds no pictures ({', '.join(PICTURES)})")
    return found


def write_json(content: Any, target: str | None, *, overwrite: bool) -> None:
    """Write JSON to a file, or to stdout for `-`; nothing for None."""
    if target is None:
        return
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    if target == "-":
        sys.stdout.write(text)
        return
    write_bytes(target, text.encode(), overwrite=overwrite)


def check_json(target: str | None, *, overwrite: bool) -> bool:
    """Check the target of `--json` before any work; says whether stdout belongs to JSON."""
    if target is not None and target != "-":
        check_output(target, overwrite=overwrite)
    return target == "-"
