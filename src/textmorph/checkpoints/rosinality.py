"""Generators of the widespread PyTorch port of StyleGAN2 by rosinality: `.pt` with `g_ema`.

Converted files have `latent_avg` beside it; files from training have `g`, `d`, optimizers and `args` instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import CheckpointMismatchError
from . import stylegan2
from .checkpoint import Checkpoint, Key
from .containers import Content

NAME = "rosinality-pt"

_CONVOLUTION = {
    "affine.weight": Key("{layer}.conv.modulation.weight"),
    "affine.bias": Key("{layer}.conv.modulation.bias"),
    "weight": Key("{layer}.conv.weight", lead=1),
    "bias": Key("{layer}.activate.bias"),
    "noise_strength": Key("{layer}.noise.weight", trail=1),
}
_TO_RGB = {
    "affine.weight": Key("{layer}.conv.modulation.weight"),
    "affine.bias": Key("{layer}.conv.modulation.bias"),
    "weight": Key("{layer}.conv.weight", lead=1),
    "bias": Key("{layer}.bias", lead=1, trail=2),
}
_LAYERS = (
    ("blocks.0.conv1", "conv1", _CONVOLUTION),
    ("blocks.0.to_rgb", "to_rgb1", _TO_RGB),
    ("blocks.{n}.conv0", "convs.{even}", _CONVOLUTION),
    ("blocks.{n}.conv1", "convs.{odd}", _CONVOLUTION),
    ("blocks.{n}.to_rgb", "to_rgbs.{before}", _TO_RGB),
)
KEYS = {
    "mapping.layers.{n}.weight": Key("style.{next}.weight"),  # style.0 normalises and has no weights
    "mapping.layers.{n}.bias": Key("style.{next}.bias"),
    "mapping.mean_w": Key("latent_avg"),
    "blocks.0.const": Key("input.input", lead=1),
    "blocks.{n}.conv0.noise_const": Key("noises.noise_{odd}", lead=2),
    "blocks.{n}.conv1.noise_const": Key("noises.noise_{twice}", lead=2),
} | {
    f"{ours}.{leaf}": Key(key.name.replace("{layer}", theirs), key.lead, key.trail)
    for ours, theirs, leaves in _LAYERS
    for leaf, key in leaves.items()
}
FILTERS = r"(convs\.\d+\.conv\.blur|to_rgbs\.\d+\.upsample)\.kernel"


def matches(content: Content) -> bool:
    tree = content.tree
    return content.packing == "torch" and isinstance(tree, dict) and isinstance(tree.get("g_ema"), dict)


def read(content: Content, kind: str | None) -> Checkpoint:
    notes = [] if "args" not in content.tree else ["from training; only the averaged generator was read"]
    return read_generator(content, content.tree["g_ema"], content.tree.get("latent_avg"), notes=notes)


def read_generator(
    content: Content, records: Mapping[str, Any], mean: object, *, notes: list[str] | None = None
) -> Checkpoint:
    """Read a generator from its state dict.

    Args:
        mean: average of w, [W] or one row per layer (then their mean); None where the file has none.
    """
    notes = list(notes or [])
    levels = 1 + stylegan2.count(records, r"to_rgbs\.(\d+)\.conv\.weight")
    places = stylegan2.keys(KEYS, levels, stylegan2.count(records, r"style\.(\d+)\.weight"))
    records = dict(records)
    if mean is None:
        del places["mapping.mean_w"]
        notes.append("no average of w in the file; it is estimated from 10 000 samples when loaded")
    else:
        average = content.tensor("latent_avg", mean)
        if average.ndim not in (1, 2):
            raise CheckpointMismatchError(f"latent_avg has shape {list(average.shape)}, should be [W] or [L, W]")
        records["latent_avg"] = average.reshape(-1, average.shape[-1]).mean(dim=0)
    stylegan2.check_filters(content, records, FILTERS, total=4)
    config, tensors = stylegan2.assemble(content, records, places, constants=FILTERS)
    return Checkpoint(
        kind="generator", architecture="stylegan2", config=config, tensors=tensors, format=NAME, notes=tuple(notes)
    )
