"""Files that appear whole or not at all."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import OutputError, OutputExistsError

_DIGITS = 6
UNFINISHED = re.compile(rf"\.[0-9a-f]{{{2 * _DIGITS}}}\.part(\..*)?")
"""Names under which `written_whole` writes."""


def check_output(path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Say now, before any work, that a result could not be written.

    Raises:
        OutputExistsError: the file is there and `overwrite` is off.
        OutputError: the path is a folder, or its folder does not exist.
    """
    path = Path(path)
    try:
        os.lstat(path)
        exists = True
    except FileNotFoundError:
        exists = False
    except (OSError, ValueError) as error:  # a name that is too long, or has a null byte
        raise OutputError(f"cannot write {str(path)!r}: {_reason(error)}") from error
    if path.is_dir():
        raise OutputError(f"{path} is a folder; give the name of a file")
    if exists and not overwrite:
        raise OutputExistsError(f"{path} exists and was kept; choose another name or allow overwriting it")
    if not path.parent.is_dir():
        raise OutputError(f"cannot write {path}: there is no folder {path.parent}")
    return path


@contextmanager
def written_whole(path: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary path in the same folder; it takes its name when the block ends well, else it is removed.

    The temporary name keeps the ending, so that writers which choose a format by it can be used.

    Raises:
        OutputExistsError: the file is there and `overwrite` is off; also when it appeared meanwhile.
        OutputError: it cannot be written (no such folder, no permission, disk full); nothing is left behind.
    """
    path = check_output(path, overwrite=overwrite)
    temporary = path.with_name(f".{secrets.token_hex(_DIGITS)}.part{path.suffix}")
    try:
        yield temporary
        check_output(path, overwrite=overwrite)
        os.replace(temporary, path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {_reason(error)}") from error
    finally:
        _remove(temporary)


def write_bytes(path: str | os.PathLike[str], content: bytes, *, overwrite: bool = False) -> None:
    """Write a whole file; errors as in `written_whole`."""
    with written_whole(path, overwrite=overwrite) as temporary:
        temporary.write_bytes(content)


def file_sha256(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file, hex."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def remove_unfinished(folder: str | os.PathLike[str]) -> None:
    """Remove what programs that were killed were just writing here by `written_whole`; no other may be at it now."""
    for path in Path(folder).iterdir():
        if UNFINISHED.fullmatch(path.name):
            _remove(path)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:  # the folder is gone or is no folder: then so is the file
        return
