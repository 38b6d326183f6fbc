"""The command line: words in, calls out. Nothing here imports torch before a command needs it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

EXIT_INTERRUPTED = 130
PATIENCE = {"GOMP_SPINCOUNT": "10000"}
"""Threads that wait for each other (GCC's OpenMP, which torch has on Linux) soon go to sleep. By default they spin, and
where another program keeps a core busy, against it: edits then took ten times as long. Read when torch is loaded, and
by the processes that this one starts."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `textmorph`; leaves by SystemExit with 0 (fine), 1 (failed), 2 (output kept, or usage) or 130 (Ctrl-C)."""
    for name, value in PATIENCE.items():
        os.environ.setdefault(name, value)
    try:
        from .app import app

        app(list(sys.argv[1:] if arguments is None else arguments), prog_name="textmorph")
    except KeyboardInterrupt:
        raise SystemExit(EXIT_INTERRUPTED) from None
