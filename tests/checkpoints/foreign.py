"""Writers of foreign checkpoint files. Their classes have borrowed names, which exist only while a file is written."""

from __future__ import annotations

import pickle
import re
import sys
import types
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

MODULE_SOURCE = "raise RuntimeError('source code from a checkpoint was run')\n" * 100
Tensors = Mapping[str, Tensor]
Attributes = Mapping[str, dict[str, Any]]

_BUFFERS = ("noise_const", "resample_filter", "w_avg")


class EasyDict(dict):  # type: ignore[type-arg]
    """Stands for dnnlib.util.EasyDict."""


class Network:
    """Stands for dnnlib.tflib.network.Network."""

    def __init__(self, **state: Any) -> None:
        self.state = state

    def __getstate__(self) -> dict[str, Any]:
        return self.state


def _reconstruct_persistent_obj(meta: object) -> object:
    raise AssertionError("never called")


class Persistent:
    """Stands for a module of NVIDIA's persistence."""

    def __init__(self, class_name: str, source: str = MODULE_SOURCE, **state: Any) -> None:
        self.meta = EasyDict(type="class", version=6, module_src=source, class_name=class_name, state=state)

    @property
    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = self.meta["state"]
        return state

    def __reduce__(self) -> tuple[Any, ...]:
        return _reconstruct_persistent_obj, (dict(self.meta),)


@contextmanager
def borrowed(*, everything: Mapping[str, object] | None = None) -> Iterator[None]:
    """Let objects of this file be pickled under the names they have in NVIDIA's code."""
    named: dict[str, Any] = {
        "torch_utils.persistence._reconstruct_persistent_obj": _reconstruct_persistent_obj,
        "dnnlib.util.EasyDict": EasyDict,
        "dnnlib.tflib.network.Network": Network,
        **(everything or {}),
    }
    before = {name: sys.modules.get(name) for path in named for name in _parents(path)}
    own = {path: (value.__module__, value.__qualname__) for path, value in named.items()}
    try:
        for path, value in named.items():
            for name in _parents(path):
                sys.modules.setdefault(name, types.ModuleType(name))
            module, _, name = path.rpartition(".")
            setattr(sys.modules[module], name, value)
            value.__module__, value.__qualname__ = module, name
        yield
    finally:
        for path, (module, name) in own.items():
            named[path].__module__, named[path].__qualname__ = module, name
        for name, old in before.items():
            if old is None:
                sys.modules.pop(name, None)


def _parents(path: str) -> list[str]:
    parts = path.split(".")[:-1]
    return [".".join(parts[: i + 1]) for i in range(len(parts))]


def module(
    class_name: str, tensors: Mapping[str, Tensor], attributes: Mapping[str, dict[str, Any]] | None = None
) -> Persistent:
    """A tree of modules from a flat state dict, with the attributes that torch gives every module.

    Args:
        attributes: more of them, by the path of a module (`synthesis.b4.conv1`; the root is the empty path).
    """
    return _module(class_name, "", tensors, attributes or {})


def _module(
    class_name: str, path: str, tensors: Mapping[str, Tensor], attributes: Mapping[str, dict[str, Any]]
) -> Persistent:
    parameters: OrderedDict[str, Any] = OrderedDict()
    buffers: OrderedDict[str, Any] = OrderedDict()
    children: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        head, _, rest = name.partition(".")
        if rest:
            children.setdefault(head, {})[rest] = tensor
        elif head in _BUFFERS:
            buffers[head] = tensor
        else:
            parameters[head] = torch.nn.Parameter(tensor)
    modules = OrderedDict(
        (name, _module(_CLASSES.get(name, "SynthesisLayer"), f"{path}.{name}".lstrip("."), inner, attributes))
        for name, inner in children.items()
    )
    return Persistent(
        class_name,
        training=False,
        _parameters=parameters,
        _buffers=buffers,
        _non_persistent_buffers_set=set(),
        _backward_hooks=OrderedDict(),
        _forward_hooks=OrderedDict(),
        _modules=modules,
        _init_args=(),
        _init_kwargs=EasyDict(),
        act_gain=np.sqrt(2),
        weight_gain=np.float32(0.5),
        **attributes.get(path, {}),
    )


_CLASSES = {
    "mapping": "MappingNetwork",
    "synthesis": "SynthesisNetwork",
    "torgb": "ToRGBLayer",
    "affine": "FullyConnectedLayer",
}


def generator(
    tensors: Mapping[str, Tensor],
    options: Mapping[str, Any] | None = None,
    attributes: Mapping[str, dict[str, Any]] | None = None,
) -> Persistent:
    """NVIDIA's generator from its flat state dict and the options of its constructor."""
    root = module("Generator", tensors, attributes)
    root.state["_init_kwargs"] = EasyDict(options or {})
    return root


def write_pickle(path: Path, tree: object, *, protocol: int = 4) -> Path:
    with borrowed(), path.open("wb") as file:
        pickle.dump(tree, file, protocol=protocol)
    return path


def write_nvidia(
    path: Path,
    tensors: Tensors,
    options: Mapping[str, Any] | None = None,
    *,
    alone: bool = False,
    protocol: int = 4,
    attributes: Attributes | None = None,
) -> Path:
    """A `.pkl` of stylegan2-ada-pytorch or stylegan3."""
    averaged = generator(tensors, options, attributes)
    if alone:
        return write_pickle(path, averaged, protocol=protocol)
    other = {name: tensor + 1 for name, tensor in tensors.items()}
    tree = {
        "G": generator(other, options, attributes),
        "D": module("Discriminator", {"b4.out.weight": torch.ones(1, 4)}),
        "G_ema": averaged,
        "training_set_kwargs": EasyDict(path="faces.zip", use_labels=False),
        "augment_pipe": None,
    }
    return write_pickle(path, tree, protocol=protocol)


def write_torch(path: Path, tree: object, *, legacy: bool = False) -> Path:
    """A file of torch.save, in today's zip or in the older packing."""
    with borrowed():
        torch.save(tree, path, _use_new_zipfile_serialization=not legacy)
    return path


# Our state dict in the layouts of others. Written from their documentation, not from the tables under test.

FILTER = torch.outer(torch.tensor([1.0, 3, 3, 1]), torch.tensor([1.0, 3, 3, 1])) / 64


def to_nvidia(state: Tensors) -> dict[str, Tensor]:
    """Names of stylegan2-ada-pytorch."""
    theirs: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if name.startswith("mapping."):
            theirs[re.sub(r"layers\.(\d+)", r"fc\1", name).replace("mean_w", "w_avg")] = tensor
            continue
        _, level, rest = name.split(".", 2)
        theirs[f"synthesis.b{4 * 2 ** int(level)}.{rest.replace('to_rgb', 'torgb')}"] = tensor
    levels = {name.split(".")[1] for name in theirs if name.startswith("synthesis")}
    return theirs | {f"synthesis.{level}.resample_filter": FILTER for level in levels}


def to_rosinality(state: Tensors) -> tuple[dict[str, Tensor], Tensor]:
    """State dict of rosinality's generator, and latent_avg."""
    theirs: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if match := re.fullmatch(r"mapping\.layers\.(\d+)\.(weight|bias)", name):
            theirs[f"style.{int(match[1]) + 1}.{match[2]}"] = tensor
        elif match := re.fullmatch(r"blocks\.(\d+)\.(conv0|conv1|to_rgb)\.(.*)", name):
            i, part, leaf = int(match[1]) + 2, match[2], match[3]  # resolution 2 ** i
            if part == "to_rgb":
                layer = "to_rgb1" if i == 2 else f"to_rgbs.{i - 3}"
            else:
                layer = "conv1" if i == 2 else f"convs.{2 * (i - 3) + (part == 'conv1')}"
            if leaf == "noise_const":
                j = 0 if i == 2 else 2 * (i - 3) + (1 if part == "conv0" else 2)
                theirs[f"noises.noise_{j}"] = tensor[None, None]
            elif leaf == "noise_strength":
                theirs[f"{layer}.noise.weight"] = tensor[None]
            elif leaf == "bias":
                theirs[f"{layer}.bias" if part == "to_rgb" else f"{layer}.activate.bias"] = (
                    tensor[None, :, None, None] if part == "to_rgb" else tensor
                )
            elif leaf == "weight":
                theirs[f"{layer}.conv.weight"] = tensor[None]
            else:
                theirs[f"{layer}.conv.modulation.{leaf.removeprefix('affine.')}"] = tensor
        elif name == "blocks.0.const":
            theirs["input.input"] = tensor[None]
    for i in range(sum(name.startswith("to_rgbs.") and name.endswith(".conv.weight") for name in theirs)):
        theirs[f"convs.{2 * i}.conv.blur.kernel"] = theirs[f"to_rgbs.{i}.upsample.kernel"] = FILTER * 4
    return theirs, state["mapping.mean_w"]


def to_tensorflow(state: Tensors, options: Mapping[str, Any]) -> tuple[Network, Network, Network]:
    """The triple (G, D, Gs) of StyleGAN2 and its ADA in TensorFlow."""
    root: list[tuple[str, Any]] = [("lod", np.float32(0)), ("dlatent_avg", state["mapping.mean_w"].numpy())]
    mapping: list[tuple[str, Any]] = []
    synthesis: list[tuple[str, Any]] = [("4x4/Const/const", state["blocks.0.const"][None].numpy())]
    for name, tensor in state.items():
        value = tensor.numpy()
        if match := re.fullmatch(r"mapping\.(layers\.(\d+)|embed)\.(weight|bias)", name):
            layer = "LabelEmbed" if match[1] == "embed" else f"Dense{match[2]}"
            mapping.append((f"{layer}/{match[3]}", value.T if match[3] == "weight" else value))
        elif match := re.fullmatch(r"blocks\.(\d+)\.(conv0|conv1|to_rgb)\.(.*)", name):
            log, part, leaf = int(match[1]) + 2, match[2], match[3]
            kind = {"conv0": "Conv0_up", "conv1": "Conv" if log == 2 else "Conv1", "to_rgb": "ToRGB"}[part]
            if leaf == "noise_const":
                synthesis.append((f"noise{2 * log - 5 if part == 'conv0' else 2 * log - 4}", value[None, None]))
                continue
            if leaf == "weight":
                value = value.transpose(2, 3, 1, 0)
                value = value[::-1, ::-1] if part == "conv0" else value
            stored = {"affine.weight": ("mod_weight", value.T), "affine.bias": ("mod_bias", value - 1)}
            leaf, value = stored.get(leaf, (leaf, value))
            synthesis.append((f"{2**log}x{2**log}/{kind}/{leaf}", np.asarray(value, np.float32)))

    def network(name: str, variables: list[tuple[str, Any]], **components: Network) -> Network:
        return Network(
            version=5,
            name=name,
            static_kwargs=EasyDict(options),
            components=EasyDict(components),
            build_module_src=MODULE_SOURCE,
            build_func_name="G_main",
            variables=variables,
        )

    averaged = network("Gs", root, mapping=network("mapping", mapping), synthesis=network("synthesis", synthesis))
    return network("G", []), network("D", []), averaged
