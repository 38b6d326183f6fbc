"""A run folder: long work writes here, may be killed at any moment, and goes on from the last state that was whole.

config.json         what the run is; work with another configuration does not continue it
state.safetensors   everything needed to go on, replaced as a whole
metrics.jsonl       one JSON object per report
samples/            pictures, as the work goes on
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from importlib import import_module
from pathlib import Path
from typing import IO, Any

import torch
from safetensors import SafetensorError
from safetensors import safe_open as open_safetensors
from safetensors.torch import save
from torch import Tensor

from ..errors import JobError, OutputError
from ..files import written_whole
from .lock import LOCK, locked

FORMAT = 1
CONFIG, STATE, METRICS, SAMPLES = "config.json", "state.safetensors", "metrics.jsonl", "samples"
INPUTS = "inputs-*"
"""What the work is done on may be kept in the folder before the run begins."""

_HEADER = "textmorph-run"
_UNFINISHED = ".*.part*"
"""Names under which `files.written_whole` writes; what is left of them fell with the program that wrote."""


@dataclass(frozen=True, kw_only=True, eq=False)
class State:
    """Where the work stands.

    Args:
        step: how many steps are done.
        values: everything small, as JSON.
        tensors: everything else, by name.
    """

    step: int
    values: dict[str, Any] = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)


class RunFolder:
    """The folder of one run; made by `open_run`, which keeps others out of it while it is open."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._board: Any = None

    def load(self) -> State | None:
        """The last state that was saved; None before the first.

        Raises:
            JobError: the file is truncated, damaged, or no state.
        """
        path = self.path / STATE
        if not path.exists():
            return None
        try:
            with open_safetensors(path, framework="pt") as file:
                header = (file.metadata() or {}).get(_HEADER)
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            told = json.loads(header or "")
            step, values, digest = told["step"], told["values"], told["digest"]
            if type(step) is not int or not isinstance(values, dict):
                raise TypeError("no step")
        except (SafetensorError, OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise JobError(f"{path} is damaged, or no state of a run: {error}; remove {self.path}") from error
        if digest != _digest(step, values, tensors):
            raise JobError(f"{path} is damaged: its content is not what was written; remove {self.path}")
        return State(step=step, values=values, tensors=tensors)

    def save(self, state: State) -> None:
        """Replace the last state; at every moment the old one or the new one is there, whole.

        Raises:
            OutputError: it cannot be written; the old one stays.
        """
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.tensors.items()}
        digest = _digest(state.step, state.values, tensors)
        header = json.dumps({"step": state.step, "values": state.values, "digest": digest}, allow_nan=False)
        content = save(tensors, {_HEADER: header})
        with written_whole(self.path / STATE, overwrite=True) as temporary, temporary.open("wb") as file:
            file.write(content)
            _to_disk(file)  # else a power cut could leave the new name on an empty file

    def log(self, step: int, **values: float | int | str | None) -> None:
        """Add a line to the metrics."""
        with (self.path / METRICS).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")
        for name, value in values.items():
            if self._board is not None and isinstance(value, float | int):
                self._board.add_scalar(name, value, step)

    def metrics(self) -> list[dict[str, Any]]:
        """The lines of the metrics; a last one that was cut off is left out."""
        path = self.path / METRICS
        if not path.is_file():
            return []
        return [line for text in path.read_text(encoding="utf-8").splitlines() if (line := _line(text)) is not None]

    def forget_after(self, step: int) -> None:
        """Drop metrics of later steps: they will be taken again."""
        self._board = _tensorboard(self.path, step + 1)
        kept = [json.dumps(line) + "\n" for line in self.metrics() if line["step"] <= step]
        with written_whole(self.path / METRICS, overwrite=True) as temporary:
            temporary.write_text("".join(kept), encoding="utf-8")

    def close(self) -> None:
        """Let go of TensorBoard's file."""
        if self._board is not None:
            self._board.close()
            self._board = None

    def sample(self, name: str) -> Path:
        """Where a picture of that name goes."""
        folder = self.path / SAMPLES
        folder.mkdir(exist_ok=True)
        return folder / name


@contextmanager
def open_run(path: str | os.PathLike[str], config: Mapping[str, Any], *, resume: bool = False) -> Iterator[RunFolder]:
    """Begin a run in a new or empty folder, or go on with one.

    Args:
        path: the folder.
        config: everything that shapes the result, as JSON.
        resume: go on with the run that lies there.

    Raises:
        JobError: there is a run already and `resume` is off; there is none and it is on; the folder holds something
            else, was begun with another configuration, is damaged, or another program works in it.
        OutputError: the folder cannot be written.
    """
    path = Path(path)
    check_run(path, resume=resume)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {path}: {error.strerror or error}") from error
    with locked(path):
        for leftover in path.glob(_UNFINISHED):
            leftover.unlink(missing_ok=True)
        _settle(path, json.loads(json.dumps({"format": FORMAT, **config}, allow_nan=False)))
        run = RunFolder(path)
        try:
            yield run
        finally:
            run.close()


def check_run(path: Path, *, resume: bool = False) -> None:
    """Say now, before any work, that a run cannot be begun or gone on with here.

    Raises:
        JobError: as in `open_run`, as far as it shows without the configuration.
    """
    if resume and not path.is_dir():
        raise JobError(f"there is no run to go on with at {path}; leave out resume to begin it")
    if path.exists() and not path.is_dir():
        raise JobError(f"{path} is a file; a run needs a folder")
    if not path.exists():
        return
    if (path / CONFIG).exists():
        if not resume:
            raise JobError(f"a run lies in {path} already; resume it, or name another folder")
        return
    own = (LOCK, INPUTS, _UNFINISHED)
    others = sorted(e.name for e in path.iterdir() if not any(fnmatchcase(e.name, pattern) for pattern in own))
    if others:
        listed = ", ".join(others[:3]) + (", …" if len(others) > 3 else "")
        raise JobError(f"{path} holds other things ({listed}) and is no run folder; name a new one")


def _settle(path: Path, config: dict[str, Any]) -> None:
    """Write the configuration of a new run, or compare it with that of the one that lies there."""
    if not (path / CONFIG).exists():
        with written_whole(path / CONFIG) as temporary:
            temporary.write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        return
    try:
        there = json.loads((path / CONFIG).read_text(encoding="utf-8"))
        if not isinstance(there, dict) or type(there.get("format")) is not int:
            raise ValueError("it is no configuration")
    except (OSError, ValueError, RecursionError) as error:
        raise JobError(f"{path / CONFIG} is damaged, or of no run of ours ({error})") from error
    if there["format"] > FORMAT:
        raise JobError(f"the run in {path} was begun by a newer textmorph; update to go on with it")
    differing = sorted(differences(there, config))
    if differing:
        raise JobError(f"the run in {path} is another one: {'; '.join(differing[:4])}; name another folder")


def differences(there: Any, here: Any, name: str = "") -> Iterator[str]:
    """What differs between two configurations, in words."""
    if isinstance(there, dict) and isinstance(here, dict):
        for key in there.keys() | here.keys():
            yield from differences(there.get(key), here.get(key), f"{name}.{key}" if name else key)
    elif there != here:
        yield f"{name} was {_short(there)} and is {_short(here)}"


def _short(value: Any) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False)
    except RecursionError:
        return "deeply nested"
    return text if len(text) <= 60 else text[:57] + "…"


def _tensorboard(path: Path, step: int) -> Any:
    """A writer of TensorBoard's event files, which hides what it had of this step and later ones; None without it."""
    try:
        module = import_module("torch.utils.tensorboard")
    except ImportError:
        return None
    return module.SummaryWriter(str(path), purge_step=step)


def _digest(step: int, values: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(json.dumps([step, values], sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _line(text: str) -> dict[str, Any] | None:
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return line if isinstance(line, dict) and type(line.get("step")) is int else None


def _to_disk(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())
