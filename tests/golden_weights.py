"""The weights and inputs of the golden cases, made by the rule in golden/README.md: no weights are stored."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

GOLDEN = Path(__file__).parent / "golden"


def normal(name: str, shape: tuple[int, ...]) -> Tensor:
    """Standard normal numbers that depend on the name and shape alone."""
    random = np.random.default_rng(zlib.crc32(name.encode()))
    return torch.from_numpy(np.asarray(random.standard_normal(shape), dtype=np.float32))


def describe(case: str) -> dict[str, Any]:
    """The JSON of a case."""
    described: dict[str, Any] = json.loads((GOLDEN / f"{case}.json").read_text())
    return described


def arrays(case: str) -> dict[str, Tensor]:
    """The arrays the reference computed."""
    return load_file(GOLDEN / f"{case}.safetensors")


def weights(case: str, part: str | None = None) -> dict[str, Tensor]:
    """State dict of a case by the reference's own keys; `part` chooses one of two networks (mapper)."""
    keys = describe(case)["state_dict"]
    keys = keys[part] if part else keys
    return {key: _value(case, key, tuple(shape), dtype, keys) for key, (shape, dtype) in keys.items()}


def image(batch: int, size: int) -> Tensor:
    """The smooth input picture, [batch, 3, size, size] in [-1, 1]."""
    coarse = normal("input.image", (batch, 3, 32, 32))
    return F.interpolate(coarse, (size, size), mode="bilinear", align_corners=False).clip(-1, 1)


def relative_error(ours: Tensor, golden: Tensor) -> float:
    """Largest difference over the largest golden value."""
    assert ours.shape == golden.shape
    return float((ours - golden).abs().max() / golden.abs().max())


def _value(case: str, key: str, shape: tuple[int, ...], dtype: str, keys: Mapping[str, Any]) -> Tensor:
    """First rule that fits, in the order of the page."""
    if not dtype.startswith("float"):
        return torch.zeros(shape, dtype=torch.int64)
    leaf = key.rpartition(".")[2]
    stem = key[: len(key) - len(leaf)]
    if "kernel" in leaf or "resample_filter" in leaf:
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0])
        return torch.outer(taps, taps) / 64 * (4 if "kernel" in leaf else 1)
    n = normal(key, shape)
    trunk = case in ("arcface_ir_se50", "e4e-1024") and "linear" not in key and "styles" not in key
    if leaf == "running_var":
        return 0.5 + n.abs()
    if leaf == "running_mean":
        return 0.1 * n
    if leaf == "bias":
        return 0.1 * n + (1 if "modulation" in key or ".affine." in key else 0)
    if leaf == "noise_strength" or key.endswith("noise.weight"):
        return 0.1 * n
    if len(shape) >= 2 and (trunk or (case == "e4e-1024" and ".convs." in key)):
        return n / math.sqrt(math.prod(shape[1:]))
    if len(shape) == 1 and leaf == "weight":
        return (1 if f"{stem}running_var" in keys else 0.25) + 0.1 * n
    mapping = key.startswith("style.") or (
        (key.startswith("mapping.") or ".mapping." in key) and not key.startswith("mapping.embed")
    )
    return 100 * n if mapping and leaf == "weight" else n
