"""The command line: words in, calls out. Nothing here imports torch before a command needs it."""

from __future__ import annotations

import sys
from collections.abc import Sequence

EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `textmorph`; leaves by SystemExit with 0 (fine), 1 (failed), 2 (output kept, or usage) or 130 (Ctrl-C)."""
    try:
        from .app import app
        from .options import join_pairs

        app(join_pairs(list(sys.argv[1:] if arguments is None else arguments)), prog_name="textmorph")
    except KeyboardInterrupt:
        raise SystemExit(EXIT_INTERRUPTED) from None
