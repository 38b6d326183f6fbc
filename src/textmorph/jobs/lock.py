"""Keep two programs from working in one folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import IO

from ..errors import JobError, OutputError

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows: then nothing keeps two programs apart
    fcntl = None

LOCK = ".lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other programs out of a folder; the system lets go when this one ends, however it ends.

    A lock is a file, not the folder itself: a network file system locks no folders. It is gone at the end.

    Raises:
        JobError: another program works there.
        OutputError: the folder cannot be written.
    """
    file = folder / LOCK
    while (handle := _take(file)) is None:
        pass
    try:
        yield
    finally:
        with suppress(OSError):  # it went with the folder; or Windows, which removes no open file
            file.unlink()
        handle.close()


def _take(file: Path) -> IO[str] | None:
    """The locked file; None where its last owner removed it just now, so that it locks nothing."""
    try:
        handle = file.open("a")
    except OSError as error:
        raise OutputError(f"cannot write in {file.parent}: {error.strerror or error}") from error
    if fcntl is None:
        return handle
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        handle.close()
        raise JobError(f"another program works in {file.parent}; wait for its end, or name another folder") from error
    with suppress(FileNotFoundError):
        if os.path.samestat(os.fstat(handle.fileno()), file.stat()):
            return handle
    handle.close()
    return None
