"""Our own files: safetensors with our names, and in the header kind, architecture, configuration and provenance."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from ..errors import CorruptCheckpointError, OptionError, UnknownCheckpointError, UnsupportedCheckpointError
from ..fields import shown
from ..files import written_whole
from . import stylegan2
from .checkpoint import Checkpoint, check_finite, refuse
from .containers import Content

NAME = "textmorph"
VERSION = 1
_HALVES = (None, torch.float16, torch.bfloat16, torch.float32)


def write(
    path: str | os.PathLike[str],
    tensors: Mapping[str, Tensor],
    *,
    kind: str,
    architecture: str,
    config: Mapping[str, Any],
    provenance: Mapping[str, Any] | None = None,
    dtype: torch.dtype | None = None,
    overwrite: bool = False,
) -> None:
    """Write a checkpoint; the file appears whole or not at all.

    Args:
        tensors: by our names.
        kind, architecture, config: as in `Checkpoint`; the configuration is JSON.
        provenance: where it comes from, as JSON.
        dtype: of floating-point tensors in the file; half precision is read back as float32.

    Raises:
        CheckpointMismatchError: values that are not finite, also after rounding to `dtype`.
        OptionError: another dtype, or a configuration that is no JSON.
        OutputError: it cannot be written, or is there and `overwrite` is off.
    """
    if dtype not in _HALVES:
        raise OptionError(f"weights are written as float32, float16 or bfloat16, not {dtype}")
    stored = {}
    for name, tensor in tensors.items():
        value = tensor.detach().cpu()
        stored[name] = (value.to(dtype) if dtype and value.is_floating_point() else value).clone().contiguous()
    check_finite(stored)
    fields = {"kind": kind, "architecture": architecture, "config": config, "provenance": provenance or {}}
    try:
        header = json.dumps({**fields, "version": VERSION}, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise OptionError(f"configuration and provenance of a checkpoint are JSON: {error}") from error
    with written_whole(path, overwrite=overwrite) as temporary:
        save_file(stored, temporary, {NAME: header})


def matches(content: Content) -> bool:
    return content.packing == "safetensors"


def read(content: Content, kind: str | None) -> Checkpoint:
    """Read one of our files.

    Raises:
        UnknownCheckpointError: safetensors of someone else.
        UnsupportedCheckpointError: written by a newer textmorph.
        CheckpointMismatchError: a generator whose tensors do not fit its configuration, or values not finite.
    """
    if NAME not in content.header:
        if content.header.get("kind") == "latent":
            return _read_latent(content)
        raise UnknownCheckpointError("a safetensors file, but not one of textmorph's, and of no known network")
    fields = _header(content.header[NAME])
    tensors = {name: content.tensor(name, tensor) for name, tensor in content.tree.items()}
    check_finite(tensors)
    if (fields["kind"], fields["architecture"]) == ("generator", "stylegan2"):
        _check_generator(fields["config"], tensors)
    return Checkpoint(**fields, tensors=tensors, format=NAME)


def _header(text: str) -> dict[str, Any]:
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CorruptCheckpointError(f"its header is damaged: {error}") from error
    if not isinstance(fields, dict) or type(fields.get("version")) is not int:
        raise CorruptCheckpointError("its header is damaged: it names no version")
    if fields.pop("version") > VERSION:
        raise UnsupportedCheckpointError("it was written by a newer textmorph; update to read it")
    expected: dict[str, type] = {"kind": str, "architecture": str, "config": dict, "provenance": dict}
    for name, kind in expected.items():
        if type(fields.get(name)) is not kind:
            raise CorruptCheckpointError(f"its header is damaged: {name} is {shown(fields.get(name))}")
    return {name: fields[name] for name in expected}


def _check_generator(config: dict[str, Any], tensors: Mapping[str, Tensor]) -> None:
    expected = stylegan2.shapes(config)
    refuse("lacks", expected.keys() - tensors.keys() - {"mapping.mean_w"})
    refuse("has unknown", tensors.keys() - expected.keys())
    wrong = (
        f"{name} (it is {list(value.shape)}, should be {list(expected[name])})"
        for name, value in tensors.items()
        if tuple(value.shape) != expected[name]
    )
    refuse("has the wrong shape of", wrong)


def _read_latent(content: Content) -> Checkpoint:
    tensors = {name: content.tensor(name, tensor) for name, tensor in content.tree.items()}
    space = content.header.get("space", "")
    return Checkpoint(
        kind="latent", architecture=shown(space), config={"space": space}, tensors=tensors, format="latent"
    )
