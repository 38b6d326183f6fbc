"""Where a run lies and how large its pictures are: settled when it begins, then kept in `run.json` in its folder."""

from __future__ import annotations

import json
import os
from pathlib import Path

from textmorph.errors import OptionError

RUNS = Path(os.environ.get("PORTRAITS_RUNS", "runs/portraits"))
RESOLUTION = "PORTRAITS_RESOLUTION"
"""Set by `--resolution`, or by hand where a module is used without the command line."""

RESOLUTIONS = (128, 256)


def resolution() -> int:
    """Side of the pictures that the modules work with.

    Raises:
        OptionError: another one than the recipe knows.
    """
    told = os.environ.get(RESOLUTION, str(RESOLUTIONS[0]))
    if told not in map(str, RESOLUTIONS):
        raise OptionError(f"{RESOLUTION} is one of {', '.join(map(str, RESOLUTIONS))}, not {told}")
    return int(told)


def settle(wanted: int | None = None) -> int:
    """Give the resolution of the run folder, and write it down where the run begins; also into the environment.

    Args:
        wanted: what was asked for; None takes the run's own, else that of the environment, else the smallest.

    Raises:
        OptionError: the run was begun at another resolution.
    """
    kept = recorded()
    if wanted is None and RESOLUTION in os.environ:
        wanted = resolution()
    if kept is not None and wanted not in (None, kept):
        raise OptionError(
            f"{RUNS} was begun at {kept} px and goes on so; "
            f"for {wanted} px choose another folder: PORTRAITS_RUNS=runs/portraits-{wanted}"
        )
    size = kept or wanted or RESOLUTIONS[0]
    if not (RUNS / "run.json").exists():
        RUNS.mkdir(parents=True, exist_ok=True)
        temporary = RUNS / "run.json.part"
        temporary.write_text(json.dumps({"resolution": size}) + "\n")
        os.replace(temporary, RUNS / "run.json")
    os.environ[RESOLUTION] = str(size)
    return size


def recorded() -> int | None:
    """The resolution that the run folder was begun at; None for a new one."""
    for path, field in ((RUNS / "run.json", "resolution"), (RUNS / "data" / "base.json", "size")):  # older runs
        if path.exists():
            return int(json.loads(path.read_text())[field])
    return None
