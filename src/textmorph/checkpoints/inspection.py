"""What a file of weights is, in a few lines."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .checkpoint import Checkpoint

LICENCES = {
    "nvidia-pkl": "NVIDIA's own files: Source Code License, non-commercial; trained by others: ask them",
    "tensorflow-pkl": "NVIDIA's own files: Source Code License-NC, non-commercial; trained by others: ask them",
    "rosinality-pt": "code MIT; weights converted from NVIDIA's stay non-commercial",
    "encoder-pt": "code MIT; a decoder converted from NVIDIA's stays non-commercial",
    "mapper-pt": "code MIT; a decoder converted from NVIDIA's stays non-commercial",
    "arcface-pth": "not stated by its authors",
    "direction-pt": "not in the file; ask who published it",
    "openvino-wheel": "the wheel says Apache-2.0; its teacher (StyleGAN2-FFHQ) and FFHQ are non-commercial",
}
"""What is known of a format's usual licence; no file says it itself."""


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """What a file is.

    Args:
        num_tensors, num_values: how many tensors, and numbers in them, this network has (parts not counted).
        file_size: in bytes.
        licence: what is known of the usual licence of such files.
        parts: other networks in the same file.
    """

    path: str
    format: str
    kind: str
    architecture: str
    config: dict[str, Any]
    num_tensors: int
    num_values: int
    file_size: int
    licence: str | None = None
    notes: tuple[str, ...] = ()
    parts: dict[str, Inspection] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON."""
        return asdict(self)

    def __str__(self) -> str:
        return "\n".join([self.path, *self._lines("  ")])

    def _lines(self, indent: str) -> Iterator[str]:
        yield f"{indent}{self.kind} {self.architecture}, format {self.format}"
        yield f"{indent}{self.num_values:,} values in {self.num_tensors} tensors, file of {self.file_size:,} bytes"
        for name, value in self.config.items():
            yield f"{indent}{name}: {value}"
        if self.licence:
            yield f"{indent}licence: {self.licence}"
        for note in self.notes:
            yield f"{indent}note: {note}"
        for name, part in self.parts.items():
            yield f"{indent}with {name}:"
            yield from part._lines(indent + "  ")


def summarize(path: str | os.PathLike[str], checkpoint: Checkpoint) -> Inspection:
    """Summarise a checkpoint that was read from a path."""
    stated = checkpoint.provenance.get("licence")
    return Inspection(
        path=os.fspath(path),
        format=checkpoint.format,
        kind=checkpoint.kind,
        architecture=checkpoint.architecture,
        config=checkpoint.config,
        num_tensors=len(checkpoint.tensors),
        num_values=sum(tensor.numel() for tensor in checkpoint.tensors.values()),
        file_size=Path(path).stat().st_size,
        licence=stated if isinstance(stated, str) else LICENCES.get(checkpoint.format),
        notes=checkpoint.notes,
        parts={name: summarize(path, part) for name, part in checkpoint.parts.items()},
    )
