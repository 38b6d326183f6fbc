"""StyleGAN2 as data: our names and shapes, and how a foreign file's keys and shapes become them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..errors import CheckpointMismatchError, UnsupportedCheckpointError
from ..fields import shown
from .checkpoint import Key, Shape, check_shapes, find, read_tensors
from .containers import Content

CONVOLUTION = ("affine.weight", "affine.bias", "weight", "bias", "noise_strength", "noise_const")
TO_RGB = ("affine.weight", "affine.bias", "weight", "bias")
TAPS = (1.0, 3.0, 3.0, 1.0)  # of the filter between resolutions, the only one that is handled


def names(levels: int, mapping_layers: int, *, labels: bool = False) -> list[str]:
    """Our names of all tensors; level i works at 4·2^i pixels."""
    found = [f"mapping.embed.{leaf}" for leaf in ("weight", "bias") if labels]
    found += [f"mapping.layers.{i}.{leaf}" for i in range(mapping_layers) for leaf in ("weight", "bias")]
    found += ["mapping.mean_w", "blocks.0.const"]
    for level in range(levels):
        found += [f"blocks.{level}.conv0.{leaf}" for leaf in CONVOLUTION if level]
        found += [f"blocks.{level}.conv1.{leaf}" for leaf in CONVOLUTION]
        found += [f"blocks.{level}.to_rgb.{leaf}" for leaf in TO_RGB]
    return found


def shapes(config: Mapping[str, Any]) -> dict[str, Shape]:
    """Shape of each tensor of a generator with this configuration.

    Raises:
        CheckpointMismatchError: a field is missing or is no sensible number.
    """
    resolution, layers, label_dim, z, w, base, most = (_number(config, field) for field in _FIELDS)
    if resolution not in _RESOLUTIONS or not 1 <= layers <= 8 or min(z, w, base, most) < 1:
        raise CheckpointMismatchError(f"the file has a configuration that no StyleGAN2 has: {shown(str(dict(config)))}")
    levels = resolution.bit_length() - 2
    width = [min(base // (4 << level), most) for level in range(levels)]
    made: dict[str, Shape] = {"mapping.mean_w": (w,), "blocks.0.const": (width[0], 4, 4)}
    if label_dim:
        made |= {"mapping.embed.weight": (w, label_dim), "mapping.embed.bias": (w,)}
    for i in range(layers):
        inputs = w if i else z + (w if label_dim else 0)
        made |= {f"mapping.layers.{i}.weight": (w, inputs), f"mapping.layers.{i}.bias": (w,)}
    for level in range(levels):
        side, outputs = 4 << level, width[level]
        for layer, inputs in (("conv0", width[level - 1]), ("conv1", outputs)):
            if layer == "conv1" or level:
                sizes = ((inputs, w), (inputs,), (outputs, inputs, 3, 3), (outputs,), (), (side, side))
                made |= {f"blocks.{level}.{layer}.{leaf}": size for leaf, size in zip(CONVOLUTION, sizes, strict=True)}
        rgb = ((outputs, w), (outputs,), (3, outputs, 1, 1), (3,))
        made |= {f"blocks.{level}.to_rgb.{leaf}": size for leaf, size in zip(TO_RGB, rgb, strict=True)}
    return made


_FIELDS = ("resolution", "mapping_layers", "label_dim", "z_dim", "w_dim", "channel_base", "channel_max")
_RESOLUTIONS = tuple(2**i for i in range(3, 11))


def _number(config: Mapping[str, Any], field: str) -> int:
    value = config.get(field)
    if type(value) is not int or not 0 <= value <= 1 << 30:
        raise CheckpointMismatchError(f"the file's configuration has no sensible {field}: {shown(value)}")
    return value


def keys(table: Mapping[str, Key], levels: int, mapping_layers: int, *, labels: bool = False) -> dict[str, Key]:
    """Where each tensor of ours stands in a foreign file.

    Args:
        table: our name → theirs; `{n}` stands for the number of the block or layer in ours, and a name with its
            number goes first. Theirs may have `{n}`, `{next}` = n + 1, `{before}` = n − 1, `{side}` = 4·2^n,
            `{twice}` = 2n, `{odd}` = 2n − 1 and `{even}` = 2n − 2.
    """
    found: dict[str, Key] = {}
    for name in names(levels, mapping_layers, labels=labels):
        number = re.search(r"\d+", name)
        n = int(number[0]) if number else 0
        key = table.get(name) or table[re.sub(r"\d+", "{n}", name, count=1)]
        fields = {"next": n + 1, "before": n - 1, "side": 4 << n, "twice": 2 * n, "odd": 2 * n - 1, "even": 2 * n - 2}
        found[name] = key.at(n=n, **fields)
    return found


def count(records: Mapping[str, Any], pattern: str) -> int:
    """How many numbers, from the first one on without a gap, the pattern's group takes in the names.

    Raises:
        CheckpointMismatchError: none, or there is a gap.
    """
    numbers = sorted({int(match[1]) for name in records if (match := re.fullmatch(pattern, name))})
    if not numbers or len(numbers) > 64 or numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        raise CheckpointMismatchError(f"the file has layers {numbers[:64]} where an unbroken row of them belongs")
    return len(numbers)


def infer(found: Mapping[str, Shape], *, conv_clamp: float | None) -> dict[str, Any]:
    """Read the configuration from shapes.

    Args:
        found: shapes by our names, all of them there.
        conv_clamp: what no shape tells.

    Raises:
        CheckpointMismatchError: the widths belong to no StyleGAN2.
        UnsupportedCheckpointError: not three colours, or not 8 to 1024 px.
    """
    mapping = sorted(name for name in found if re.fullmatch(r"mapping\.layers\.\d+\.weight", name))
    levels = sum(name.endswith(".to_rgb.weight") for name in found)
    first, rgb = found[mapping[0]], [found[f"blocks.{level}.to_rgb.weight"] for level in range(levels)]
    label = found.get("mapping.embed.weight", (0, 0))
    if len(first) != 2 or len(label) != 2 or any(len(shape) != 4 for shape in rgb):
        raise CheckpointMismatchError("the file's mapping network or toRGB layers have the wrong number of dimensions")
    if any(shape[0] != 3 for shape in rgb):
        raise UnsupportedCheckpointError(f"this generator makes {rgb[0][0]} colours; only 3 are handled")
    if not 2 <= levels <= 9:
        raise UnsupportedCheckpointError(f"this generator makes {4 << max(levels - 1, 0)} px; 8 to 1024 are handled")
    base, most = _channels([shape[1] for shape in rgb])
    w_dim = first[0]
    return {
        "resolution": 4 << (levels - 1),
        "z_dim": first[1] - (w_dim if label[1] else 0),
        "w_dim": w_dim,
        "label_dim": label[1],
        "mapping_layers": len(mapping),
        "channel_base": base,
        "channel_max": most,
        "conv_clamp": conv_clamp,
    }


def _channels(widths: list[int]) -> tuple[int, int]:
    """Base and maximum such that level i has min(base / (4·2^i), maximum) channels."""
    most = max(widths)
    narrow = [width * (4 << level) for level, width in enumerate(widths) if width < most]
    base = max(narrow, default=most * (4 << (len(widths) - 1)))
    if [min(base // (4 << level), most) for level in range(len(widths))] != widths:
        raise CheckpointMismatchError(f"the file's widths {widths} from 4 px up are not those of a StyleGAN2")
    return base, most


def assemble(
    content: Content,
    records: Mapping[str, Any],
    places: Mapping[str, Key],
    *,
    conv_clamp: float | None = None,
    constants: str = r"(?!)",
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Turn a foreign generator into our configuration and tensors, strictly.

    Args:
        records: the file's tensors, not yet read.
        places: from `keys`.
        constants: pattern of the file's names that are no weights.
    """
    found = find(records, places, constants=constants)
    config = infer(found, conv_clamp=conv_clamp)
    check_shapes(found, shapes(config), places)
    return config, read_tensors(content, records, places)


def check_filters(content: Content, records: Mapping[str, Any], pattern: str, *, total: float) -> None:
    """Check the filters that a file stores though they are constants.

    Args:
        pattern: of their names.
        total: sum of their values.

    Raises:
        UnsupportedCheckpointError: one is another than [1, 3, 3, 1].
    """
    taps = torch.tensor(TAPS)
    expected = taps[:, None] * taps * (total / 64)
    for name in (name for name in records if re.fullmatch(pattern, name)):
        filtered = content.tensor(name, records[name])
        if filtered.shape != expected.shape or not torch.allclose(filtered, expected, atol=1e-6):
            raise UnsupportedCheckpointError(f"{name} is another filter than [1, 3, 3, 1], the only one handled")
