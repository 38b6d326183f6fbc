"""The identity network of the paper's loss: `model_ir_se50.pth`, a bare state dict of InsightFace_Pytorch."""

from __future__ import annotations

import math

from ..errors import CheckpointMismatchError
from . import ir_se
from .checkpoint import Checkpoint, Key, check_shapes, find, read_tensors, rename
from .containers import Content

NAME = "arcface-pth"

RENAMES = (
    ("input_layer.", "trunk.input_layer."),
    ("body.", "trunk.body."),
    ("output_layer.", "head."),
    (".res_layer.", ".residual."),
    (".shortcut_layer.", ".shortcut."),
)
"""Theirs → ours, anywhere in a name."""


def matches(content: Content) -> bool:
    tree = content.tree
    return isinstance(tree, dict) and {"input_layer.0.weight", "output_layer.3.weight"} <= tree.keys()


def read(content: Content, kind: str | None) -> Checkpoint:
    records = {name: record for name, record in content.tree.items() if isinstance(name, str)}
    places = {ours: Key(theirs) for theirs in records if (ours := rename(theirs, RENAMES))}
    found = find(records, places)
    widths, blocks = ir_se.infer_trunk(found)
    linear, norm = found["head.3.weight"], found.get("head.4.weight", ())
    side = math.isqrt(linear[1] // widths[-1]) if len(linear) == 2 else 0
    if not side or len(norm) != 1:
        raise CheckpointMismatchError("the file has the wrong shape of output_layer.3.weight or output_layer.4.weight")
    config = {
        "input_size": side << len(widths),
        "widths": widths,
        "blocks": blocks,
        "embedding_dim": norm[0],
        "crop": "ffhq",
    }
    expected = ir_se.identity_shapes(config)
    places = {ours: Key(rename(ours, [(new, old) for old, new in RENAMES])) for ours in expected}
    find(records, places)
    check_shapes(found, expected, places)
    note = "trained on BGR by its authors, fed RGB in [-1, 1] by the paper's loss, as here"
    tensors = read_tensors(content, records, places)
    return Checkpoint(kind="identity", architecture="ir_se", config=config, tensors=tensors, format=NAME, notes=(note,))
