"""MobileStyleGAN for faces in the wheel `random-face`: two networks of OpenVINO, each an XML graph and a flat file.

The graph is read as data, to find the constants of the file: nothing of it runs. Only the kinds of layers that these
two networks have are known; any other network is refused by the name of what is strange in it. The XML has bounds
(`_MAX_…`), no document type and no entities.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any
from xml.parsers import expat

import numpy as np
import torch
from torch import Tensor

from ..errors import CheckpointMismatchError, CorruptCheckpointError, UnsafeCheckpointError, UnsupportedCheckpointError
from ..fields import shown
from .checkpoint import Checkpoint, check_finite, refuse
from .containers import Content

NAME = "openvino-wheel"

_MAPPING, _SYNTHESIS = "MappingNetwork", "SynthesisNetwork"
_FILES = tuple(f"{net}.{ending}" for net in (_MAPPING, _SYNTHESIS) for ending in ("xml", "bin"))
_MAX_XML = 1 << 22  # bytes
_MAX_ELEMENTS = 100_000
_MAX_DEPTH = 16
_MAX_LAYERS = 4096
_TYPES: dict[str, type] = {"f32": np.float32, "i64": np.int64, "i32": np.int32}
_KINDS = {
    "Add", "Broadcast", "Concat", "Const", "Convolution", "Gather", "GroupConvolution", "GroupConvolutionBackpropData",
    "MatMul", "Multiply", "PReLU", "Parameter", "Power", "ReduceMean", "Reshape", "Result", "ShapeOf", "Squeeze",
    "Tile", "Unsqueeze", "VariadicSplit",
}  # fmt: skip
_LR_MULTIPLIER = 0.01  # of the mapping network, folded into the file's values


@dataclass(eq=False)
class Layer:
    """One layer of a graph: what it is, its attributes, and which layers it reads, by port."""

    name: str
    kind: str
    attributes: dict[str, str] = field(default_factory=dict)
    inputs: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Graph:
    """A network as data: its layers by number, and the flat file that its constants stand in."""

    name: str
    layers: Mapping[int, Layer]
    flat: bytes

    def reads(self, number: int, kind: str) -> int | None:
        """The first of the layers that this one reads that is of a kind."""
        layer = self.layers[number]
        found = (source for _, source in sorted(layer.inputs.items()) if self.layers[source].kind == kind)
        return next(found, None)

    def tensor(self, number: int | None) -> Tensor:
        """A constant of floating-point numbers.

        Raises:
            CorruptCheckpointError: it is none, or stands outside the file, or shape and size do not fit.
        """
        layer = self.layers.get(-1 if number is None else number)
        if layer is None or layer.kind != "Const":
            raise CorruptCheckpointError(f"{self.name}: a layer reads no constant where its weights belong")
        shape, kind, start, size = _constant(self.name, layer, len(self.flat))
        if kind != "f32":
            raise CorruptCheckpointError(f"{self.name}: {shown(layer.name)} is {kind}, weights are f32")
        array = np.frombuffer(self.flat, np.dtype("<f4"), count=size // 4, offset=start)
        return torch.from_numpy(array.astype(np.float32).reshape(shape))


def matches(content: Content) -> bool:
    return content.packing == "zip" and all(_entry(content, name) is not None for name in _FILES)


def read(content: Content, kind: str | None) -> Checkpoint:
    """Read the generator.

    Raises:
        UnsafeCheckpointError: the XML declares entities, or is larger or deeper than any network's.
        CorruptCheckpointError: it is damaged, or a constant stands outside the flat file.
        UnsupportedCheckpointError: a layer of another kind, or a graph of another network.
        CheckpointMismatchError: parts are missing or of other shapes.
    """
    tensors = {**_mapping(_graph(content, _MAPPING)), **_synthesis(_graph(content, _SYNTHESIS))}
    check_finite(tensors)
    depth = sum(name.startswith("mapping.layers.") for name in tensors) // 2
    convolutions = [name for name in tensors if name.endswith(".noise_const")]
    widths = [len(tensors[name.replace("noise_const", "bias")]) for name in convolutions]
    first = tensors["mapping.layers.0.weight"]
    config = {"widths": widths[::2], "z_dim": first.shape[1], "w_dim": first.shape[0], "mapping_layers": depth}
    _check(tensors, config)
    return Checkpoint(
        kind="generator", architecture="mobile_stylegan", config={**config, "heads": []}, tensors=tensors, format=NAME
    )


def shapes(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Shape of each tensor in a file, by our names."""
    z, w, widths = config["z_dim"], config["w_dim"], config["widths"]
    made: dict[str, tuple[int, ...]] = {"const": (widths[0], 4, 4)}
    for i in range(config["mapping_layers"]):
        made |= {f"mapping.layers.{i}.weight": (w, w if i else z), f"mapping.layers.{i}.bias": (w,)}

    def add(inputs: int, outputs: int | None = None, side: int = 0) -> None:
        layer = f"layers.{sum(name.endswith('affine.bias') for name in made)}"
        made.update({f"{layer}.affine.weight": (inputs, w), f"{layer}.affine.bias": (inputs,)})
        if outputs is None:
            return
        if side > 4:
            made[f"{layer}.depthwise"] = (inputs, 1, 3, 3)
        size = 1 if side > 4 else 3
        made.update({f"{layer}.weight": (outputs, inputs, size, size), f"{layer}.bias": (outputs,)})
        made.update({f"{layer}.noise_strength": (), f"{layer}.noise_const": (side, side)})

    add(widths[0], widths[0], 4)
    for block, (inputs, outputs) in enumerate(pairwise(widths), start=1):
        add(inputs)
        add(inputs // 4, outputs, 4 << block)
        add(outputs, outputs, 4 << block)
    add(widths[-1])
    last = f"layers.{3 * len(widths) - 2}"
    return made | {f"{last}.weight": (12, widths[-1]), f"{last}.bias": (12,)}


def _check(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> None:
    expected = shapes(config)
    refuse("lacks", expected.keys() - tensors.keys())
    refuse("has unknown", tensors.keys() - expected.keys())
    wrong = (
        f"{name} (it is {list(value.shape)}, should be {list(expected[name])})"
        for name, value in tensors.items()
        if tuple(value.shape) != expected[name]
    )
    refuse("has the wrong shape of", wrong)


def _mapping(graph: Graph) -> dict[str, Tensor]:
    """Linear layers in their order, scaled back to the unit weights that our layers hold."""
    tensors: dict[str, Tensor] = {}
    products = [number for number, layer in graph.layers.items() if layer.kind == "MatMul"]
    biases = [n for n, layer in graph.layers.items() if layer.kind == "Reshape" and graph.reads(n, "Const") is not None]
    biases = [n for n in biases if graph.layers[graph.layers[n].inputs.get(0, -1)].kind == "Const"]
    if not products or len(products) != len(biases):
        raise CheckpointMismatchError(f"{graph.name} has {len(products)} weights and {len(biases)} biases")
    for i, (product, bias) in enumerate(zip(products, biases, strict=True)):
        weight = graph.tensor(graph.reads(product, "Const"))
        if weight.ndim != 2:
            raise CheckpointMismatchError(f"{graph.name}: weight {i} has shape {list(weight.shape)}")
        gain = _LR_MULTIPLIER / math.sqrt(weight.shape[1])
        tensors[f"mapping.layers.{i}.weight"] = weight / gain
        tensors[f"mapping.layers.{i}.bias"] = graph.tensor(graph.layers[bias].inputs[0]).flatten() / _LR_MULTIPLIER
    _check_slopes(graph)
    return tensors


def _synthesis(graph: Graph) -> dict[str, Tensor]:
    """Style layers in network order, by the names of their constants."""
    _check_slopes(graph)
    named = {layer.name: n for n, layer in graph.layers.items() if layer.kind == "Const" and layer.name[:2] == "m."}
    blocks = 1 + max((int(m[1]) for name in named if (m := re.match(r"m\.layers\.(\d{1,2})\.", name))), default=-1)
    parts = ["conv1"]
    for i in range(blocks):
        parts += [f"layers.{i}.up", f"layers.{i}.conv1", f"layers.{i}.conv2"]
    parts.append(f"layers.{blocks - 1}.to_img")
    tensors = {"const": _take(graph, named, "m.input.input").squeeze(0)}
    for i, part in enumerate(parts):
        style = f"m.{part}.modulation" if part.endswith("up") else f"m.{part}.conv.modulation"
        tensors[f"layers.{i}.affine.weight"] = _take(graph, named, f"{style}.weight")
        tensors[f"layers.{i}.affine.bias"] = _take(graph, named, f"{style}.bias").flatten()
        if part.endswith("up"):
            continue
        if f"m.{part}.conv.weight_dw" in named:
            tensors[f"layers.{i}.depthwise"] = _take(graph, named, f"m.{part}.conv.weight_dw").flatten(1, 2)
        bias = named.get(f"m.{part}.bias")
        tensors[f"layers.{i}.bias"] = _take(graph, named, f"m.{part}.bias").flatten()
        if part.endswith("to_img"):
            tensors[f"layers.{i}.weight"] = _take(graph, named, f"m.{part}.conv.weight").flatten(1)
            continue
        weight, noise = _before_bias(graph, bias)
        strength = noise.double().std(correction=0).float()
        tensors[f"layers.{i}.weight"] = weight
        tensors[f"layers.{i}.noise_strength"] = strength
        tensors[f"layers.{i}.noise_const"] = noise / strength.clamp(min=1e-12)
    refuse("has unknown", named)
    return tensors


def _before_bias(graph: Graph, bias: int | None) -> tuple[Tensor, Tensor]:
    """The weights of a convolution and the noise after it: the bias is added to the sum of both."""
    sums = [n for n, layer in graph.layers.items() if layer.kind == "Add" and bias in layer.inputs.values()]
    inner = graph.reads(sums[0], "Add") if sums else None
    convolution = graph.reads(inner, "Convolution") if inner is not None else None
    if inner is None or convolution is None:
        raise UnsupportedCheckpointError(f"{graph.name}: a bias follows no convolution with noise")
    noise = graph.tensor(graph.reads(inner, "Const"))
    if noise.ndim != 4 or noise.shape[:2] != (1, 1):
        raise CheckpointMismatchError(f"{graph.name} has noise of shape {list(noise.shape)}")
    return graph.tensor(graph.reads(convolution, "Const")), noise[0, 0]


def _take(graph: Graph, named: dict[str, int], name: str) -> Tensor:
    """A constant by its name; it is then no longer among the names."""
    if name not in named:
        raise CheckpointMismatchError(f"{graph.name} lacks {name}")
    return graph.tensor(named.pop(name))


def _check_slopes(graph: Graph) -> None:
    for number, layer in graph.layers.items():
        if layer.kind == "PReLU" and not torch.allclose(
            slope := graph.tensor(graph.reads(number, "Const")), torch.tensor(0.2)
        ):
            raise UnsupportedCheckpointError(
                f"{graph.name}: {shown(layer.name)} has slope {slope.flatten()[:1].tolist()}"
            )


# From files to graphs


def _entry(content: Content, name: str) -> str | None:
    """Full name of the one entry of the zip file with this last part."""
    found = [entry for entry in content.tree if entry.rsplit("/", 1)[-1] == name]
    return found[0] if len(found) == 1 else None


def _graph(content: Content, name: str) -> Graph:
    text, flat = (content.tree[_entry(content, f"{name}.{ending}")] for ending in ("xml", "bin"))
    if text.size > _MAX_XML:
        raise UnsafeCheckpointError(f"{name}.xml is larger than {_MAX_XML >> 20} MB, which no known network is")
    content.spend(flat.size)
    layers = _Parser(name).parse(text.read())
    graph = Graph(name, layers, flat.read())
    for layer in layers.values():
        if layer.kind == "Const":
            _constant(name, layer, len(graph.flat))
    return graph


def _constant(source: str, layer: Layer, available: int) -> tuple[tuple[int, ...], str, int, int]:
    """Shape, element type, offset and size of a constant, which lies inside the file."""
    label = f"{source}: {shown(layer.name)}"
    kind = layer.attributes.get("element_type", "")
    if kind not in _TYPES:
        raise UnsupportedCheckpointError(f"{label} has the element type {shown(kind)}; known are {', '.join(_TYPES)}")
    shape = tuple(_number(label, side) for side in layer.attributes.get("shape", "").split(",") if side.strip())
    start, size = (_number(label, layer.attributes.get(name, "")) for name in ("offset", "size"))
    if len(shape) > 8 or math.prod(shape) * np.dtype(_TYPES[kind]).itemsize != size:
        raise CorruptCheckpointError(f"{label} has shape {list(shape)}, which does not fit its {size} bytes")
    if start + size > available:
        raise CorruptCheckpointError(f"{label} stands outside the flat file of {available} bytes")
    return shape, kind, start, size


def _number(label: str, text: str) -> int:
    text = text.strip()
    if not re.fullmatch(r"[0-9]{1,10}", text):
        raise CorruptCheckpointError(f"{label} has {shown(text)} where a number belongs")
    return int(text)


class _Parser:
    """Layers and edges of one XML file, read element by element; nothing else of it is kept."""

    def __init__(self, name: str) -> None:
        self.name, self.depth, self.count = name, 0, 0
        self.path: list[str] = []
        self.layers: dict[int, Layer] = {}
        self.edges: list[tuple[int, int, int]] = []
        self.layer: Layer | None = None

    def parse(self, text: bytes) -> dict[int, Layer]:
        parser = expat.ParserCreate()
        parser.StartElementHandler, parser.EndElementHandler = self._start, self._end
        parser.StartDoctypeDeclHandler = self._refuse
        parser.EntityDeclHandler = self._refuse
        parser.ExternalEntityRefHandler = self._refuse
        parser.ProcessingInstructionHandler = self._refuse
        try:
            parser.Parse(text, True)
        except expat.ExpatError as error:
            raise CorruptCheckpointError(f"{self.name}.xml is damaged: {error}") from error
        for source, target, port in self.edges:
            if source not in self.layers or target not in self.layers:
                raise CorruptCheckpointError(f"{self.name}.xml has an edge from or to a layer that is not there")
            self.layers[target].inputs[port] = source
        if not self.layers:
            raise CorruptCheckpointError(f"{self.name}.xml has no layers")
        return self.layers

    def _refuse(self, *_: object) -> int:
        raise UnsafeCheckpointError(f"{self.name}.xml declares a document type, an entity or an instruction")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self.count += 1
        self.path.append(tag)
        if self.count > _MAX_ELEMENTS or len(self.path) > _MAX_DEPTH or len(self.layers) > _MAX_LAYERS:
            raise UnsafeCheckpointError(f"{self.name}.xml has more or deeper elements than any known network")
        if self.path == ["net", "layers", "layer"]:
            self._add(attributes)
        elif self.path == ["net", "layers", "layer", "data"] and self.layer is not None:
            self.layer.attributes = dict(attributes)
        elif self.path == ["net", "edges", "edge"]:
            source, target, port = (attributes.get(key, "") for key in ("from-layer", "to-layer", "to-port"))
            label = f"{self.name}.xml: an edge"
            self.edges.append((_number(label, source), _number(label, target), _number(label, port)))
        elif self.path[0] != "net":
            raise UnsupportedCheckpointError(f"{self.name}.xml holds {shown(tag)}, not a network of OpenVINO")

    def _end(self, tag: str) -> None:
        self.path.pop()

    def _add(self, attributes: dict[str, str]) -> None:
        kind, name = attributes.get("type", ""), attributes.get("name", "")
        if kind not in _KINDS:
            raise UnsupportedCheckpointError(
                f"{self.name}.xml has a layer of the kind {shown(kind)}, which is not known"
            )
        number = _number(f"{self.name}.xml: {shown(name)}", attributes.get("id", ""))
        if number in self.layers:
            raise CorruptCheckpointError(f"{self.name}.xml has two layers of number {number}")
        self.layer = self.layers[number] = Layer(name, kind)
