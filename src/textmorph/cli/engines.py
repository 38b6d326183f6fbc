"""`--engine`, `--workers` and `--job`: who computes long work, and where its finished parts lie meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import OptionError
from . import console

if TYPE_CHECKING:
    from ..jobs.engine import Engine

ENGINES = ("process", "ray")


def make_engine(name: str, workers: int | None) -> Engine:
    """The engine of these options.

    Raises:
        OptionError: no such engine.
    """
    if name not in ENGINES:
        raise OptionError(f"--engine is {' or '.join(ENGINES)}, not {name!r}")
    if name == "ray":
        from ..jobs.ray_engine import RayEngine

        return RayEngine(workers=workers)
    from ..jobs.engine import ProcessEngine

    return ProcessEngine(workers=workers or 1)


def worker_device(engine: Engine, device: str | None) -> str | None:
    """Where workers keep the networks: as asked for; else, on a cluster with GPUs, there; None leaves it open."""
    if device is None and getattr(engine, "has_gpus", False):
        return "cuda"
    return device


def job_place(option: str | None, target: Path) -> Path:
    """The folder of a job: that of `--job`, or one beside the result."""
    from ..jobs.job_folder import SUFFIX

    return Path(option).expanduser() if option is not None else target.with_name(target.name + SUFFIX)


@contextmanager
def goes_on(folder: Path) -> Iterator[None]:
    """Tell who stops a job that it can be gone on with."""
    try:
        yield
    except KeyboardInterrupt:
        from ..jobs.job_folder import JOB

        if (folder / JOB).exists():
            console.err.print(f"finished parts are kept in {folder}; the same command goes on", markup=False)
        raise
