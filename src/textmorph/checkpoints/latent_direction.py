"""Published directions of w of StyleGAN2-FFHQ: `.pt` or `.npy` files of one tensor, as InterFaceGAN's are passed on."""

from __future__ import annotations

import torch

from ..errors import CheckpointMismatchError, OptionError
from ..fields import shown
from .checkpoint import Checkpoint, check_finite
from .containers import Content
from .inert_pickle import ArrayRecord, TensorRecord

NAME = "direction-pt"

ROWS, WIDTH = 18, 512
SHAPES = ((WIDTH,), (1, WIDTH), (ROWS, WIDTH), (1, ROWS, WIDTH))
NOTE = f"{ROWS} rows, as a StyleGAN2 of 1024 px has; a generator with fewer uses the first of them"


def matches(content: Content) -> bool:
    return isinstance(content.tree, TensorRecord | ArrayRecord)


def read(content: Content, kind: str | None) -> Checkpoint:
    """Read the direction: [1, 512], the same for every row, or [18, 512].

    Raises:
        CheckpointMismatchError: another shape, numbers that are no floating point, or values that are not finite.
    """
    shape = getattr(content.tree, "shape", None)
    if shape not in SHAPES:
        known = ", ".join(str(list(one)) for one in SHAPES)
        raise CheckpointMismatchError(f"one tensor of shape {shown(shape)}; a direction of w has one of {known}")
    vector = content.tensor("the direction", content.tree)
    if not vector.is_floating_point():
        raise CheckpointMismatchError(f"one tensor of {vector.dtype}; a direction of w has floating-point values")
    check_finite({"the direction": vector})
    vector = vector.reshape(-1, WIDTH)
    return Checkpoint(
        kind="direction",
        architecture="direction",
        config={"space": "w+"},
        tensors={"vector": vector},
        format=NAME,
        notes=(NOTE,) if len(vector) == ROWS else (),
        provenance={"file": content.path.name},
    )


def keep_rows(checkpoint: Checkpoint, rows: tuple[int, int]) -> None:
    """Limit a direction in w+ to the rows from the first to before the second; the others become zero.

    Raises:
        OptionError: it is no direction in w+, or has no such rows.
    """
    if checkpoint.kind != "direction" or checkpoint.config.get("space") != "w+":
        raise OptionError(f"rows can be chosen of a direction in w+, not of a {checkpoint.kind}")
    vector = checkpoint.tensors["vector"]
    vector = vector.expand(ROWS, -1) if vector.ndim == 2 and len(vector) == 1 else vector
    start, stop = rows
    count = vector.shape[-2]
    if not 0 <= start < stop <= count:
        raise OptionError(f"rows are FIRST:END within 0:{count}, not {start}:{stop}")
    kept = torch.zeros_like(vector, memory_format=torch.contiguous_format)
    kept[..., start:stop, :] = vector[..., start:stop, :]
    checkpoint.tensors["vector"] = kept
    checkpoint.provenance["rows"] = [start, stop]
