"""Networks over an IR-SE trunk as data: the encoders e4e and pSp, and the identity network. Our names and shapes."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import CheckpointMismatchError
from .checkpoint import Shape

NORM = ("weight", "bias", "running_mean", "running_var")
COUNTER = "num_batches_tracked"
"""A norm's count of batches: no weight, but part of every state dict."""


def trunk_shapes(widths: Sequence[int], blocks: Sequence[int]) -> dict[str, Shape]:
    """Shape of each tensor of the trunk, by our names, `trunk.` in front."""
    made: dict[str, Shape] = {"trunk.input_layer.0.weight": (widths[0], 3, 3, 3)}
    made |= _norm("trunk.input_layer.1", widths[0]) | {"trunk.input_layer.2.weight": (widths[0],)}
    inputs, index = widths[0], 0
    for width, count in zip(widths, blocks, strict=True):
        for _ in range(count):
            made |= _block(f"trunk.body.{index}", inputs, width)
            inputs, index = width, index + 1
    return made


def _block(name: str, inputs: int, outputs: int) -> dict[str, Shape]:
    hidden = max(outputs // 16, 4)
    made = _norm(f"{name}.residual.0", inputs) | _norm(f"{name}.residual.4", outputs)
    made |= {
        f"{name}.residual.1.weight": (outputs, inputs, 3, 3),
        f"{name}.residual.2.weight": (outputs,),
        f"{name}.residual.3.weight": (outputs, outputs, 3, 3),
        f"{name}.residual.5.fc1.weight": (hidden, outputs, 1, 1),
        f"{name}.residual.5.fc2.weight": (outputs, hidden, 1, 1),
    }
    if inputs != outputs:
        made |= {f"{name}.shortcut.0.weight": (outputs, inputs, 1, 1)} | _norm(f"{name}.shortcut.1", outputs)
    return made


def _norm(name: str, width: int) -> dict[str, Shape]:
    return {f"{name}.{leaf}": (width,) for leaf in NORM} | {f"{name}.{COUNTER}": ()}


def _linear(name: str, inputs: int, outputs: int) -> dict[str, Shape]:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def _conv(name: str, inputs: int, outputs: int, size: int) -> dict[str, Shape]:
    return {f"{name}.weight": (outputs, inputs, size, size), f"{name}.bias": (outputs,)}


def infer_trunk(found: Mapping[str, Shape]) -> tuple[list[int], list[int]]:
    """Widths and blocks of the stages, from the shapes of the trunk: a stage begins where the width changes.

    Raises:
        CheckpointMismatchError: there is no trunk, or its blocks are not counted through.
    """
    pattern = r"trunk\.body\.(\d{1,3})\.residual\.3\.weight"
    sizes = {int(match[1]): shape for name, shape in found.items() if (match := re.fullmatch(pattern, name))}
    if sorted(sizes) != list(range(len(sizes))) or not sizes or any(len(shape) != 4 for shape in sizes.values()):
        raise CheckpointMismatchError(f"the file has residual blocks {sorted(sizes)} where 0, 1, … belong")
    widths: list[int] = []
    blocks: list[int] = []
    for i in range(len(sizes)):
        if not widths or sizes[i][0] != widths[-1]:
            widths.append(sizes[i][0])
            blocks.append(0)
        blocks[-1] += 1
    return widths, blocks


def identity_shapes(config: Mapping[str, Any]) -> dict[str, Shape]:
    """Shape of each tensor of an identity network, by our names."""
    widths, size = config["widths"], config["embedding_dim"]
    side = config["input_size"] // 2 ** len(widths)
    made = trunk_shapes(widths, config["blocks"])
    made |= _norm("head.0", widths[-1]) | _linear("head.3", widths[-1] * side**2, size) | _norm("head.4", size)
    return made


def encoder_shapes(config: Mapping[str, Any]) -> dict[str, Shape]:
    """Shape of each tensor of an encoder, by our names."""
    widths, rows, w_dim = config["widths"], config["num_rows"], config["w_dim"]
    last = widths[-1]
    made = trunk_shapes(widths, config["blocks"]) | {"mean_w": (rows, w_dim)}
    if config["variant"] == "single":
        return made | _linear("linear", last, w_dim)
    for head in range(rows):
        width = (config.get("base_width") if head == 0 else None) or config.get("head_width") or last
        finer = int(head >= 3) + int(head >= 7)  # coarse, medium and fine heads read ever larger features
        count = math.ceil(math.log2(config["input_size"] // 2 ** (len(widths) - finer)))
        for i in range(count):
            made |= _conv(f"heads.{head}.convs.{2 * i}", width if i else last, width, 3)
        made |= _linear(f"heads.{head}.linear", width if count else last, w_dim)
    return made | _conv("lateral1", widths[-2], last, 1) | _conv("lateral2", widths[-3], last, 1)
