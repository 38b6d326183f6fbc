"""What a `domain.toml` may say: its entries, read and checked."""

from __future__ import annotations

import difflib
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any

from ..errors import DomainError, OptionError
from ..fields import LARGEST, check_fields, shown
from ..methods import METHODS
from .strength import StrengthSearch

tomllib: Any = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")

FILE = "domain.toml"
PARTS = ("generator", "encoder", "embedder", "identity", "witness", "bank", "corpus")
REQUIRED = ("generator", "embedder", "neutral")
TABLES = ("strength", *METHODS)
"""Tables of tuned values: of automatic strength, and of each method."""
MOVED = {
    "strength": "it is a table now: [strength] strengths = [...]",
    "strengths": "move it to [strength] strengths",
    "scales": "move it to [strength] scales",
    "keep_identity": "move it to [strength] keep_identity",
    "plain_share": "move it to [strength] min_effect",
    "channel_counts": "move it to [strength] num_channels",
    "num_channels": "move it to [global] num_channels or [svm] num_channels",
    "to_rgb": "move it to [global] to_rgb or [svm] to_rgb",
    "crop": "it is gone; the frame is chosen for each photo",
    **dict.fromkeys(("axis_counts", "sideways", "beyond", "astray"), "it is gone; remove it"),
}
"""Entries of earlier versions, and what to do with each."""
DEFAULT_FILES = {"bank": ("bank.safetensors",), "corpus": ("corpus.safetensors", "corpus")}
"""Where a bank and a corpus are looked for when `domain.toml` does not name them: where `textmorph` puts them."""

MAX_BYTES = 1 << 20
"""Longest `domain.toml` that is read."""


def registry_part(value: str) -> str | None:
    """NAME of a value `registry:NAME` of a part, see `registry.PARTS`; None of any other."""
    return value.removeprefix("registry:") if value.startswith("registry:") else None


def read_domain_file(folder: Path) -> dict[str, Any]:
    """Fields of a `Domain` from the `domain.toml` of its folder, checked.

    Raises:
        DomainError: it cannot be read, or says something wrong.
    """
    where = folder / FILE
    try:
        if where.stat().st_size > MAX_BYTES:
            raise DomainError(f"{where} has more than {MAX_BYTES >> 10} KiB; it is a text of some lines")
        entries = tomllib.loads(where.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DomainError(f"{where} cannot be read: {error}") from error
    settings = set(_CHECKS)
    for key, value in entries.items():
        if key in MOVED and not (key == "strength" and isinstance(value, dict)):
            raise DomainError(f"{where}: {key!r} is an entry of an earlier version; {MOVED[key]}")
        if key not in settings and key not in PARTS and key not in TABLES:
            close = difflib.get_close_matches(key[:40], [*settings, *PARTS, *TABLES], n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise DomainError(f"{where}: unknown entry '{shown(key)}'{hint}")
    for key in REQUIRED:
        if key not in entries:
            raise DomainError(f"{where}: {key!r} is missing; every domain needs {', '.join(REQUIRED)}")
    files = {part: _text(where, part, entries[part]) for part in PARTS if part in entries}
    for part, candidates in DEFAULT_FILES.items():
        found = next((name for name in candidates if (folder / name).exists()), None)
        if part not in files and found is not None:
            files[part] = found
    values: dict[str, Any] = {key: _CHECKS[key](where, key, value) for key, value in entries.items() if key in settings}
    _check_hashed(where, entries.get("hashes", {}), files)
    tables = {name: _options(where, name, entries[name]) for name in TABLES if name in entries}
    _check_strength(where, tables.get("strength", {}))
    return {"name": folder.resolve().name, **values, "files": files, "tables": tables}


def _text(where: Path, key: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise DomainError(f"{where}: {key} is a text, not {shown(value)}")
    return value


def _number(where: Path, key: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not -LARGEST <= value <= LARGEST:
        raise DomainError(f"{where}: {key} is a number, not {shown(value)}")
    return float(value)


def _share(where: Path, key: str, value: object) -> float:
    number = _number(where, key, value)
    if not 0 <= number <= 1:
        raise DomainError(f"{where}: {key} is a number from 0 to 1, not {shown(value)}")
    return number


def _templates(where: Path, key: str, value: object) -> str | tuple[str, ...]:
    if value == "imagenet":
        return "imagenet"
    if isinstance(value, list) and value and all(isinstance(item, str) and item.count("{}") == 1 for item in value):
        return tuple(value)
    raise DomainError(f'{where}: templates is "imagenet" or a list of sentences with one {{}} each, not {shown(value)}')


def _clip_input(where: Path, key: str, value: object) -> str:
    if value not in ("standard", "paper"):
        raise DomainError(f"{where}: clip_input is standard or paper, not {shown(value)}")
    return str(value)


def _method(where: Path, key: str, value: object) -> str:
    if value not in METHODS:
        raise DomainError(f"{where}: method is one of {', '.join(METHODS)}, not {shown(value)}")
    return str(value)


def _check_strength(where: Path, table: dict[str, Any]) -> None:
    unknown = sorted(table.keys() - {each.name for each in fields(StrengthSearch)})
    if unknown:
        raise DomainError(f"{where}: [strength] has no {', '.join(map(shown, unknown))}")
    try:
        check_fields(StrengthSearch, table)
        StrengthSearch(**table)
    except OptionError as error:
        raise DomainError(f"{where}: [strength] {error}") from error


def _hashes(where: Path, key: str, value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise DomainError(f"{where}: [hashes] is a table of file names and SHA-256 sums")
    for name, digest in value.items():
        if not isinstance(digest, str) or not re.fullmatch(r"[0-9a-fA-F]{64}", digest):
            raise DomainError(
                f"{where}: the hash of '{shown(name)}' is 64 hexadecimal digits (SHA-256), not {shown(digest)}"
            )
    return dict(value)


def _check_hashed(where: Path, hashes: object, files: Mapping[str, str]) -> None:
    """Refuse the hash of a file that no part loads: it would be believed to be checked."""
    usual = [name for names in DEFAULT_FILES.values() for name in names]
    parts = {where.parent / os.path.expanduser(name) for name in [*files.values(), *usual]}
    for name in hashes if isinstance(hashes, dict) else ():
        file = where.parent / name
        if not parts & {file, *file.parents}:
            raise DomainError(f"{where}: [hashes] names '{shown(name)}', which is no file of any part")


def _options(where: Path, key: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DomainError(f"{where}: [{key}] is a table of options, not {shown(value)}")
    for name, option in value.items():
        for each in option if isinstance(option, list) else [option]:
            if not isinstance(each, str | bool):
                _number(where, f"[{key}] {name}", each)
    return dict(value)


_CHECKS = {
    "name": _text,
    "neutral": _text,
    "title": _text,
    "description": _text,
    "licence": _text,
    "templates": _templates,
    "truncation": _share,
    "far_distance": _number,
    "clip_input": _clip_input,
    "method": _method,
    "hashes": _hashes,
}
