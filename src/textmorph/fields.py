"""The fields of a dataclass against its annotations, for values that come from a file or a user."""

from __future__ import annotations

import math
import types
from collections.abc import Mapping
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from .errors import OptionError

LARGEST = 2**53
"""Whole numbers above it are no count of anything, and a float cannot hold them all."""


def check_fields(cls: type, values: Mapping[str, Any], *, largest: int = LARGEST, entries: int = 10_000) -> None:
    """Refuse a value that is not of the kind its field is annotated with.

    Known are bool, int, float, str, None, Literal, unions of them and tuples of any length (a list will do); a field
    with another annotation takes any value. Names that are no field are not looked at.

    Args:
        cls: the dataclass.
        values: field → value.
        largest: size of a whole number.
        entries: length of a tuple.

    Raises:
        OptionError: a value of another kind, a number that is not finite or too large, or too many entries.
    """
    hints = get_type_hints(cls)
    for name, value in values.items():
        if name in hints and not fits(hints[name], value, largest=largest, entries=entries):
            given = f"'{shown(value)}'" if isinstance(value, str) else shown(value)
            raise OptionError(f"{name} is {described(hints[name])}, not {given}")


def shown(value: object) -> str:
    """Something from a file, made fit for a message: one short printable line.

    Of a container only its type, save for a few numbers: lists that hold each other twice have texts of any length.
    """
    if isinstance(value, int) and value.bit_length() > 128:
        return f"a number of {value.bit_length()} bits"
    line = type(value).__name__
    if isinstance(value, str | int | float | types.NoneType):
        line = str(value)[:200]
    elif isinstance(value, list | tuple) and len(value) <= 4 and all(type(one) in (int, float) for one in value):
        line = f"[{', '.join(map(shown, value))}]"
    line = line if line.isprintable() else ascii(line)[1:-1]
    return line if len(line) <= 80 else f"{line[:77]}..."


def fits(hint: Any, value: object, *, largest: int = LARGEST, entries: int = 10_000) -> bool:
    """Whether a value is of the kind that an annotation names; limits as in `check_fields`."""
    kind, inner = get_origin(hint), get_args(hint)
    if kind in (Union, types.UnionType):
        return any(fits(each, value, largest=largest, entries=entries) for each in inner)
    if kind is Literal:
        return isinstance(value, str | int | bool) and any(value == one and type(value) is type(one) for one in inner)
    if kind is tuple and len(inner) == 2 and inner[1] is ...:
        if not isinstance(value, tuple | list) or len(value) > entries:
            return False
        return all(fits(inner[0], each, largest=largest, entries=entries) for each in value)
    if hint is int:
        return type(value) is int and abs(value) <= largest
    if hint is float:
        return (type(value) is int and abs(value) <= largest) or (isinstance(value, float) and math.isfinite(value))
    if hint in (bool, str, types.NoneType):
        return type(value) is hint
    return True


def described(hint: Any) -> str:
    """What an annotation asks for, in words."""
    kind, inner = get_origin(hint), get_args(hint)
    if kind in (Union, types.UnionType):
        return " or ".join(described(each) for each in inner)
    if kind is Literal:
        return f"one of {', '.join(map(str, inner))}"
    if kind is tuple:
        return f"a list, each entry {described(inner[0])}"
    words = {int: "a whole number", float: "a finite number", bool: "true or false", str: "a text"}
    return words.get(hint, "none")
