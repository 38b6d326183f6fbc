"""Generators of the TensorFlow StyleGAN2 and StyleGAN2-ADA: `.pkl` with the triple (G, D, Gs).

Written from the documented layout; no genuine file was at hand when this was made.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from torch import Tensor

from ..errors import CorruptCheckpointError, UnsupportedCheckpointError
from ..fields import shown
from . import stylegan2
from .checkpoint import Checkpoint, Key, check_finite, check_shapes, find
from .containers import Content
from .inert_pickle import Instance

NAME = "tensorflow-pkl"
MAX_VARIABLES = 2000  # a generator of 1024 px has about 170
NETWORK = "dnnlib.tflib.network.Network"
NOTE = "read by the documented layout; no genuine file was at hand to try it on: compare the images"

_CONVOLUTION = {
    "affine.weight": "mod_weight",
    "affine.bias": "mod_bias",
    "weight": "weight",
    "bias": "bias",
    "noise_strength": "noise_strength",
}
_TO_RGB = {"affine.weight": "mod_weight", "affine.bias": "mod_bias", "weight": "weight", "bias": "bias"}
_LAYERS = (
    ("blocks.0.conv1", "4x4/Conv", _CONVOLUTION),
    ("blocks.{n}.conv0", "{side}x{side}/Conv0_up", _CONVOLUTION),
    ("blocks.{n}.conv1", "{side}x{side}/Conv1", _CONVOLUTION),
    ("blocks.{n}.to_rgb", "{side}x{side}/ToRGB", _TO_RGB),
)
KEYS = {
    "mapping.embed.weight": Key("mapping/LabelEmbed/weight"),
    "mapping.embed.bias": Key("mapping/LabelEmbed/bias"),
    "mapping.layers.{n}.weight": Key("mapping/Dense{n}/weight"),
    "mapping.layers.{n}.bias": Key("mapping/Dense{n}/bias"),
    "mapping.mean_w": Key("dlatent_avg"),
    "blocks.0.const": Key("synthesis/4x4/Const/const", lead=1),
    "blocks.{n}.conv0.noise_const": Key("synthesis/noise{odd}", lead=2),
    "blocks.{n}.conv1.noise_const": Key("synthesis/noise{twice}", lead=2),
} | {
    f"{ours}.{leaf}": Key(f"synthesis/{theirs}/{key}")
    for ours, theirs, leaves in _LAYERS
    for leaf, key in leaves.items()
}
EXTRA = r"(mapping/|synthesis/)?(lod|moments|dlatent_avg|.*_gain|.*/resample_kernel)"

FIXED = {"architecture": "skip", "nonlinearity": "lrelu", "mapping_nonlinearity": "lrelu", "num_channels": 3}
FIXED |= {"normalize_latents": True, "mapping_lrmul": 0.01}
"""Options that are handled with these values alone."""
FILTER_OPTIONS = ("resample_kernel", "resample_filter")


def matches(content: Content) -> bool:
    tree = content.tree
    networks = tree if isinstance(tree, (tuple, list)) else [tree]
    return bool(networks) and all(isinstance(net, Instance) and net.name == NETWORK for net in networks)


def read(content: Content, kind: str | None) -> Checkpoint:
    """Read Gs, the averaged generator.

    Raises:
        UnsupportedCheckpointError: progressive growing, another architecture than skip, or classes as before ADA.
        CheckpointMismatchError: keys or shapes that do not fit.
    """
    tree = content.tree
    network = tree[-1] if isinstance(tree, (tuple, list)) else tree
    records = dict(islice(_variables("", network, depth=0), MAX_VARIABLES))
    if len(records) == MAX_VARIABLES:
        raise CorruptCheckpointError("the file is damaged: its networks hold each other without end")
    options = _attribute(network, "static_kwargs", dict)
    _check_variant(options, records)
    sides = {int(match[1]) for name in records if (match := re.match(r"synthesis/(\d{1,4})x\1/", name))}
    layers = stylegan2.count(records, r"mapping/Dense(\d+)/weight")
    places = stylegan2.keys(KEYS, len(sides), layers, labels="mapping/LabelEmbed/weight" in records)
    found = find(records, places, constants=EXTRA)
    found = {name: order(shape, _axes(name)) for name, shape in found.items()}
    clamp = options.get("conv_clamp")
    if isinstance(clamp, bool) or not isinstance(clamp, (int, float, type(None))):
        raise UnsupportedCheckpointError(f"its clamp is {shown(clamp)}")
    config = stylegan2.infer(found, conv_clamp=None if clamp is None else float(clamp))
    check_shapes(found, stylegan2.shapes(config), places)
    tensors = {name: _translate(name, content.tensor(key.name, records[key.name])) for name, key in places.items()}
    check_finite(tensors)
    return Checkpoint(
        kind="generator", architecture="stylegan2", config=config, tensors=tensors, format=NAME, notes=(NOTE,)
    )


def order(shape: tuple[int, ...], axes: tuple[int, ...] | None) -> tuple[int, ...]:
    """A shape with its axes in our order; as it is where it has another number of them."""
    return tuple(shape[axis] for axis in axes) if axes and len(axes) == len(shape) else shape


def _axes(name: str) -> tuple[int, ...] | None:
    """Theirs in our order: convolutions are stored [k, k, I, O], linear layers [I, O]."""
    if re.search(r"(affine|layers\.\d+|embed)\.weight$", name):
        return (1, 0)
    return (3, 2, 0, 1) if name.endswith(".weight") else None


def _translate(name: str, value: Tensor) -> Tensor:
    axes = _axes(name)
    value = value.permute(axes) if axes else value
    if name.endswith("conv0.weight"):
        value = value.flip((2, 3))  # stored for a convolution, used in a transposed one
    if name.endswith("affine.bias"):
        value = value + 1
    if name == "blocks.0.const":
        value = value[0]
    if name.endswith("noise_const"):
        value = value[0, 0]
    return value.contiguous()


def _variables(path: str, network: Instance, depth: int) -> Iterator[tuple[str, Any]]:
    """Variables of a network and, below their names, of its components."""
    if depth > 4:
        raise CorruptCheckpointError("the file is damaged: its networks are nested too deep")
    for entry in _attribute(network, "variables", list):
        if not isinstance(entry, (tuple, list)) or len(entry) != 2 or not isinstance(entry[0], str):
            raise CorruptCheckpointError("the file is damaged: a variable without a name")
        yield f"{path}{entry[0]}", entry[1]
    for name, component in _attribute(network, "components", dict).items():
        if isinstance(component, Instance):
            yield from _variables(f"{path}{name}/", component, depth + 1)


def _attribute(network: Instance, name: str, kind: type) -> Any:
    state = network.state if isinstance(network.state, dict) else {}
    value = state.get(name, kind())
    if not isinstance(value, kind):
        raise CorruptCheckpointError(f"the file is damaged: {name} of a network is no {kind.__name__}")
    return value


def _check_variant(options: Mapping[str, Any], records: Mapping[str, Any]) -> None:
    for name, value in FIXED.items():
        if options.get(name, value) != value:
            raise UnsupportedCheckpointError(f"it has {name}={shown(options[name])}; only {value!r} is handled")
    for name in FILTER_OPTIONS:
        if list(options.get(name) or stylegan2.TAPS) != list(stylegan2.TAPS):
            raise UnsupportedCheckpointError(f"it has {name}={shown(options[name])}; only [1, 3, 3, 1] is handled")
    if any("ToRGB_lod" in name for name in records):
        raise UnsupportedCheckpointError("this generator grows progressively (configurations A to D): not handled")
    if any("LabelConcat" in name for name in records):
        raise UnsupportedCheckpointError("this generator has classes as before StyleGAN2-ADA; they are not handled")
    if not any(name.startswith("synthesis/") for name in records):
        raise UnsupportedCheckpointError("it holds no StyleGAN2 generator in its last network")
