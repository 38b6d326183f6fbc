"""Read a TF.js graph model (a JSON graph beside a flat file of weights) and run it in torch, with gradients.

Only the operations of the networks that the recipe uses are known; any other is refused by its name. Tensors go
through in TensorFlow's order, [B, H, W, C].
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from textmorph.errors import CorruptCheckpointError, UnsupportedCheckpointError

_TYPES: dict[str, type[np.generic]] = {
    "float32": np.float32, "float16": np.float16, "int32": np.int32, "uint8": np.uint8, "uint16": np.uint16,
}  # fmt: skip


class GraphModel(nn.Module):
    """The graph of a `model.json`, frozen.

    Args:
        path: the JSON file; its weights lie beside it, as whole numbers with scale and minimum, or as float16.

    Raises:
        CorruptCheckpointError: the weights are shorter or longer than the JSON says.
        UnsupportedCheckpointError: an operation or a type of numbers that is not known.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        about = json.loads(path.read_text())
        self.nodes: list[dict[str, Any]] = [n for n in about["modelTopology"]["node"] if n["op"] != "Const"]
        for node in self.nodes:
            if node["op"] not in _OPERATIONS and node["op"] != "Placeholder":
                raise UnsupportedCheckpointError(f"{path}: operation {node['op']} is not known")
        self.constants = _weights(path, about["weightsManifest"])

    def forward(self, image: Tensor, wanted: Sequence[str]) -> list[Tensor]:
        """Outputs of the named nodes for an image [B, H, W, 3] in the range that the network expects."""
        values: dict[str, Tensor] = dict(self.constants)
        for node in self.nodes:  # the file lists them in an order in which they can run
            if node["op"] == "Placeholder":
                values[node["name"]] = image
                continue
            inputs = [values[name.split(":")[0]] for name in node["input"]]
            values[node["name"]] = _OPERATIONS[node["op"]](inputs, node.get("attr", {}))
        return [values[name] for name in wanted]


def _weights(path: Path, manifest: list[dict[str, Any]]) -> dict[str, Tensor]:
    found = {}
    for group in manifest:
        flat = b"".join((path.parent / name).read_bytes() for name in group["paths"])
        at = 0
        for entry in group["weights"]:
            packing = entry.get("quantization", {})
            stored = packing.get("dtype", entry["dtype"])
            if stored not in _TYPES:
                raise UnsupportedCheckpointError(f"{path}: weights of type {stored} are not known")
            size = int(np.prod(entry["shape"], dtype=np.int64)) * np.dtype(_TYPES[stored]).itemsize
            if at + size > len(flat):
                raise CorruptCheckpointError(f"{path}: the weights end before {entry['name']}")
            values = np.frombuffer(flat[at : at + size], _TYPES[stored]).reshape(entry["shape"])
            if "scale" in packing:
                values = values.astype(np.float32) * packing["scale"] + packing["min"]
            kept = np.int64 if entry["dtype"] == "int32" else np.float32
            found[entry["name"]] = torch.from_numpy(np.array(values, dtype=kept))
            at += size
        if at != len(flat):
            raise CorruptCheckpointError(f"{path}: {len(flat) - at} bytes of weights are left over")
    return found


Inputs = list[Tensor]
Attributes = dict[str, Any]


def _text(value: dict[str, Any]) -> str:
    return base64.b64decode(value["s"]).decode()


def _padded(x: Tensor, taps: Sequence[int], strides: Sequence[int]) -> Tensor:
    """TensorFlow's SAME padding of [B, C, H, W]: the larger half goes to the right and to the bottom."""
    amounts: list[int] = []
    for side, tap, stride in reversed(list(zip(x.shape[2:], taps, strides, strict=True))):
        total = max((-(-side // stride) - 1) * stride + tap - side, 0)
        amounts += [total // 2, total - total // 2]
    return F.pad(x, amounts)


def _convolution(inputs: Inputs, attributes: Attributes, *, depthwise: bool = False) -> Tensor:
    x, taps = inputs[0].permute(0, 3, 1, 2), inputs[1]
    _, *strides, _ = [int(i) for i in attributes["strides"]["list"]["i"]]
    if _text(attributes["padding"]) == "SAME":
        x = _padded(x, taps.shape[:2], strides)
    weight = taps.permute(2, 3, 0, 1).flatten(0, 1)[:, None] if depthwise else taps.permute(3, 2, 0, 1)
    groups = x.shape[1] if depthwise else 1
    return F.conv2d(x, weight, stride=tuple(strides), groups=groups).permute(0, 2, 3, 1)


def _fused_product(inputs: Inputs, attributes: Attributes) -> Tensor:
    x = inputs[0] @ inputs[1]
    for name, extra in zip(attributes["fused_ops"]["list"]["s"], [inputs[2], None], strict=False):
        x = x + extra if extra is not None else _FUSED[base64.b64decode(name).decode()](x)
    return x


_FUSED: dict[str, Callable[[Tensor], Tensor]] = {"Relu": F.relu, "Relu6": F.relu6}
_OPERATIONS: dict[str, Callable[[Inputs, Attributes], Tensor]] = {
    "Add": lambda i, _: i[0] + i[1],
    "Mul": lambda i, _: i[0] * i[1],
    "Minimum": lambda i, _: torch.minimum(i[0], i[1]),
    "Maximum": lambda i, _: torch.maximum(i[0], i[1]),
    "Relu": lambda i, _: F.relu(i[0]),
    "Sigmoid": lambda i, _: i[0].sigmoid(),
    "Softmax": lambda i, _: i[0].softmax(dim=-1),
    "Mean": lambda i, _: i[0].mean(dim=i[1].flatten().tolist()),
    "Conv2D": _convolution,
    "DepthwiseConv2dNative": lambda i, a: _convolution(i, a, depthwise=True),
    "_FusedMatMul": _fused_product,
}
