"""Files of weights: what is in them, in our names, with no code from them run and no network built.

    checkpoint = checkpoints.read("ffhq.pkl")     # kind, architecture, config, tensors
    print(checkpoints.inspect("ffhq.pkl"))
    checkpoints.convert("ffhq.pkl", "ffhq.safetensors")

A format is one file with `NAME`, `matches(content)`, `read(content, kind)`, its key map as data and perhaps
`PARTS`, and one line in `FORMATS`. They are recognised by content, never by the ending of a name.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import cast

import torch

from ..errors import CorruptCheckpointError, OptionError, TextmorphError, UnknownCheckpointError
from ..files import check_output
from . import native as native
from .checkpoint import Checkpoint as Checkpoint
from .containers import open_file
from .inspection import Inspection as Inspection
from .inspection import summarize
from .latent_direction import keep_rows

FORMATS = {
    "textmorph": "textmorph.checkpoints.native",
    "nvidia-pkl": "textmorph.checkpoints.nvidia",
    "tensorflow-pkl": "textmorph.checkpoints.tensorflow",
    "rosinality-pt": "textmorph.checkpoints.rosinality",
    "encoder-pt": "textmorph.checkpoints.pixel2style2pixel",
    "mapper-pt": "textmorph.checkpoints.styleclip_mapper",
    "arcface-pth": "textmorph.checkpoints.arcface",
    "openvino-wheel": "textmorph.checkpoints.openvino",
    "direction-pt": "textmorph.checkpoints.latent_direction",
}
"""Name of a format → its module, in the order in which they are tried."""

KINDS = ("e4e", "psp", "single")


def read(path: str | os.PathLike[str], *, kind: str | None = None, part: str | None = None) -> Checkpoint:
    """Read a file of weights in any known format.

    Args:
        path: the file.
        kind: `e4e`, `psp` or `single`, for an encoder's file that does not say which of them it is.
        part: read this part alone where the file has it, e.g. the `generator` beside an encoder; else the whole.

    Raises:
        CheckpointError: it cannot be used; see the tree in `errors`. The message begins with the path.
        OptionError: no such kind.
    """
    if kind is not None and kind not in KINDS:
        raise OptionError(f"kind is one of {', '.join(KINDS)}, not {kind!r}")
    try:
        return _read(path, kind, part)
    except TextmorphError as error:
        raise type(error)(f"{os.fspath(path)}: {error}") from error
    except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RuntimeError, MemoryError) as error:
        # An object of a type that a format does not have there: no list of checks is as long as what can be damaged.
        raise CorruptCheckpointError(f"{os.fspath(path)}: the file is damaged: {error}") from error


def _read(path: str | os.PathLike[str], kind: str | None, part: str | None) -> Checkpoint:
    content = open_file(path)
    for module in map(import_module, FORMATS.values()):
        if module.matches(content):
            if part in getattr(module, "PARTS", {}):
                return cast(Checkpoint, module.PARTS[part](content))
            return cast(Checkpoint, module.read(content, kind))
    raise UnknownCheckpointError(f"no network of a known format; these are known: {', '.join(FORMATS)}")


def inspect(path: str | os.PathLike[str], *, kind: str | None = None) -> Inspection:
    """Say what a file is, without building its network; errors as in `read`."""
    return summarize(path, read(path, kind=kind))


def convert(
    path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    kind: str | None = None,
    part: str | None = None,
    overwrite: bool = False,
    half: bool = False,
    rows: tuple[int, int] | None = None,
) -> Inspection:
    """Write a file of weights anew as safetensors, with our names, its configuration in the header.

    Args:
        path, kind, part: as in `read`.
        out: the new file; it appears whole or not at all. Parts beside the main network are left out.
        overwrite: replace it where it exists.
        half: store float16; read back as float32.
        rows: of a direction in w+: keep those from the first to before the second, the others become zero.

    Returns:
        What was written.

    Raises:
        CheckpointError: as in `read`.
        OutputError: it cannot be written, or is there and `overwrite` is off.
        OptionError: rows of what has none.
    """
    check_output(out, overwrite=overwrite)
    checkpoint = read(path, kind=kind, part=part)
    if rows is not None:
        keep_rows(checkpoint, rows)
    native.write(
        out,
        checkpoint.tensors,
        kind=checkpoint.kind,
        architecture=checkpoint.architecture,
        config=checkpoint.config,
        provenance={**checkpoint.provenance, "converted_from": checkpoint.format, "notes": list(checkpoint.notes)},
        dtype=torch.float16 if half else None,
        overwrite=overwrite,
    )
    return inspect(out)
