"""Writers of foreign checkpoint files, by classes under borrowed module names that exist only while a file is written."""

from __future__ import annotations

import pickle
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
    attributes = attributes or {}
    return _module(class_name, "", tensors, attributes)


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
    tensors: Mapping[str, Tensor],
    options: Mapping[str, Any] | None = None,
    *,
    alone: bool = False,
    protocol: int = 4,
    attributes: Mapping[str, dict[str, Any]] | None = None,
) -> Path:
    """A `.pkl` of stylegan2-ada-pytorch or stylegan3."""
    averaged = generator(tensors, options, attributes)
    if alone:
        return write_pickle(path, averaged, protocol=protocol)
    other = {name: tensor + 1 for name, tensor in list(tensors.items())[:3]}
    tree = {
        "G": module("Generator", other),
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
