"""What is in a file of weights, and the strict way from a file's names to ours."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from ..errors import CheckpointMismatchError
from ..fields import shown
from .containers import Content

Shape = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A network or an edit as data: nothing is built.

    Args:
        kind: `generator`, `encoder`, `identity`, `mapper`, `direction`, `bank`, …
        architecture: which network, a name in the table of that kind.
        config: fields of the network's configuration, as JSON.
        tensors: weights by our names, floating point as float32, on the CPU.
        format: what the file was, e.g. `nvidia-pkl`.
        notes: what a reader should know.
        parts: other checkpoints in the same file, e.g. the decoder of an e4e file under `generator`.
        provenance: where it comes from, in our own files.
    """

    kind: str
    architecture: str
    config: dict[str, Any]
    tensors: dict[str, Tensor]
    format: str
    notes: tuple[str, ...] = ()
    parts: dict[str, Checkpoint] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Key:
    """Where a tensor of ours stands in a foreign file.

    Args:
        name: its key there.
        lead, trail: how many dimensions of length 1 the file has before and after ours.
    """

    name: str
    lead: int = 0
    trail: int = 0

    def at(self, **fields: int) -> Key:
        """The same with the numbers of a layer filled in."""
        return Key(self.name.format(**fields), self.lead, self.trail)


def find(records: Mapping[str, Any], keys: Mapping[str, Key], *, constants: str = r"(?!)") -> dict[str, Shape]:
    """Check that a file has exactly these keys and give the shape of each tensor by our name.

    Args:
        records: the file's tensors, not yet read, by its own names.
        keys: our names and where they stand.
        constants: pattern of the file's names that are no weights.

    Raises:
        CheckpointMismatchError: missing or extra keys, or dimensions that are not where they should be.
    """
    wanted = {key.name for key in keys.values()}
    refuse("lacks", wanted - records.keys())
    refuse("has unknown", (name for name in records.keys() - wanted if not re.fullmatch(constants, name)))
    shapes: dict[str, Shape] = {}
    wrong: list[str] = []
    for name, key in keys.items():
        shape = getattr(records[key.name], "shape", None)
        if not isinstance(shape, tuple) or any(type(n) is not int for n in shape):
            wrong.append(f"{key.name} (no tensor)")
            continue
        end = len(shape) - key.trail
        shapes[name] = tuple(shape[key.lead : end])
        if end < key.lead or {*shape[: key.lead], *shape[end:]} - {1}:
            wrong.append(f"{key.name} {list(shape)}")
    refuse("has the wrong shape of", wrong)
    return shapes


def check_shapes(found: Mapping[str, Shape], expected: Mapping[str, Shape], keys: Mapping[str, Key]) -> None:
    """Raises CheckpointMismatchError that names, as the file does, each tensor of another shape than expected."""
    wrong = (
        f"{keys[name].name} (it is {list(found[name])}, should be {list(shape)})"
        for name, shape in expected.items()
        if name in found and tuple(found[name]) != tuple(shape)
    )
    refuse("has the wrong shape of", wrong)


def read_tensors(content: Content, records: Mapping[str, Any], keys: Mapping[str, Key]) -> dict[str, Tensor]:
    """Read the tensors by our names, without the extra dimensions of the file.

    Raises:
        CorruptCheckpointError: one cannot be read.
        CheckpointMismatchError: one has values that are not finite.
    """
    tensors: dict[str, Tensor] = {}
    for name, key in keys.items():
        tensor = content.tensor(key.name, records[key.name])
        tensors[name] = tensor.reshape(tensor.shape[key.lead : tensor.ndim - key.trail])
    check_finite(tensors, {name: key.name for name, key in keys.items()})
    return tensors


def check_finite(tensors: Mapping[str, Tensor], names: Mapping[str, str] | None = None) -> None:
    """Raises CheckpointMismatchError that names each tensor with values that are not finite."""
    broken = (name for name, value in tensors.items() if value.is_floating_point() and not value.isfinite().all())
    refuse("has values that are not finite in", (names[name] if names else name for name in broken))


def refuse(what: str, names: Iterable[str]) -> None:
    """Raises CheckpointMismatchError if there are any names."""
    listed = sorted(map(shown, names))
    if listed:
        rest = f" and {len(listed) - 5} more" if len(listed) > 5 else ""
        raise CheckpointMismatchError(f"the file {what} {', '.join(listed[:5])}{rest}")


def rename(name: str, renames: Iterable[tuple[str, str]]) -> str:
    """Replace parts of a name, whole parts between dots only."""
    padded = f".{name}"
    for old, new in renames:
        lead = "" if old.startswith(".") else "."
        padded = padded.replace(lead + old, lead + new)
    return padded[1:]
