"""Generators of NVIDIA's stylegan2-ada-pytorch and of the StyleGAN2 in its stylegan3: `.pkl` with `G_ema`.

Their modules are pickled with the source code of their class, which is dropped: attributes and tensors are enough.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import torch

from ..errors import CorruptCheckpointError, UnsupportedCheckpointError
from ..fields import shown
from . import stylegan2
from .checkpoint import Checkpoint, Key
from .containers import Content
from .inert_pickle import Module

NAME = "nvidia-pkl"
MAX_MODULES = 2000  # a generator of 1024 px has about 80

_CONVOLUTION = ("affine.weight", "affine.bias", "weight", "bias", "noise_strength", "noise_const")
_TO_RGB = ("affine.weight", "affine.bias", "weight", "bias")
KEYS = {
    "mapping.embed.weight": Key("mapping.embed.weight"),
    "mapping.embed.bias": Key("mapping.embed.bias"),
    "mapping.layers.{n}.weight": Key("mapping.fc{n}.weight"),
    "mapping.layers.{n}.bias": Key("mapping.fc{n}.bias"),
    "mapping.mean_w": Key("mapping.w_avg"),
    "blocks.0.const": Key("synthesis.b4.const"),
} | {
    f"blocks.{{n}}.{ours}.{leaf}": Key(f"synthesis.b{{side}}.{theirs}.{leaf}")
    for ours, theirs, leaves in (
        ("conv0", "conv0", _CONVOLUTION),
        ("conv1", "conv1", _CONVOLUTION),
        ("to_rgb", "torgb", _TO_RGB),
    )
    for leaf in leaves
}
FILTERS = r"synthesis\.b\d+\.((conv0|conv1)\.)?resample_filter"
FIXED = {"activation": "lrelu", "normalize_latents": True, "img_channels": 3, "lr_multiplier": 0.01}
"""Options that files may state and that are handled with these values alone."""


def matches(content: Content) -> bool:
    tree = content.tree
    if isinstance(tree, dict) and any(isinstance(tree.get(name), Module) for name in ("G_ema", "G", "D")):
        return True
    return isinstance(tree, Module)


def read(content: Content, kind: str | None) -> Checkpoint:
    """Read `G_ema`, or the generator that stands alone.

    Raises:
        UnsupportedCheckpointError: a StyleGAN3, a discriminator, or another variant than skip connections.
    """
    tree, notes = content.tree, []
    generator = tree if isinstance(tree, Module) else tree.get("G_ema") or tree.get("G")
    if isinstance(tree, dict) and not isinstance(tree.get("G_ema"), Module):
        notes.append("no averaged generator (G_ema) in the file; the one in training (G) was read")
    if not isinstance(generator, Module):
        raise UnsupportedCheckpointError("it holds a discriminator without its generator")
    modules = dict(islice(_modules("", generator, depth=0), MAX_MODULES))
    if len(modules) == MAX_MODULES:
        raise CorruptCheckpointError("the file is damaged: its modules hold each other without end")
    records = dict(_tensors(modules))
    _check_variant(generator, modules, records)
    options = _options(generator)
    levels = _levels(records)
    labels = "mapping.embed.weight" in records
    places = stylegan2.keys(KEYS, levels, stylegan2.count(records, r"mapping\.fc(\d+)\.weight"), labels=labels)
    if "mapping.w_avg" not in records:
        del places["mapping.mean_w"]
        notes.append("no average of w in the file; it is estimated from 10 000 samples when loaded")
    silent = {name: key for name, key in places.items() if "noise_" in name and options.get("use_noise") is False}
    for name in silent:
        del places[name]
    stylegan2.check_filters(content, records, FILTERS, total=1)
    clamp, stated = _clamp(modules, options)
    notes += [] if stated else ["the file does not say whether features are clamped (conv_clamp); taken as not"]
    config, tensors = stylegan2.assemble(content, records, places, conv_clamp=clamp, constants=FILTERS)
    expected = stylegan2.shapes(config)
    tensors |= {name: torch.zeros(expected[name]) for name in silent}
    return Checkpoint(
        kind="generator", architecture="stylegan2", config=config, tensors=tensors, format=NAME, notes=tuple(notes)
    )


def _modules(path: str, module: Module, depth: int) -> Iterator[tuple[str, Module]]:
    """A module and all below it, by path."""
    if depth > 8:
        raise CorruptCheckpointError("the file is damaged: its modules are nested too deep")
    yield path, module
    for name, child in _dictionary(module, "_modules").items():
        if isinstance(child, Module):
            yield from _modules(f"{path}{name}.", child, depth + 1)


def _tensors(modules: Mapping[str, Module]) -> Iterator[tuple[str, Any]]:
    for path, module in modules.items():
        for group in ("_parameters", "_buffers"):
            for name, record in _dictionary(module, group).items():
                if record is not None:
                    yield f"{path}{name}", record


def _dictionary(module: Module, name: str) -> dict[str, Any]:
    found = module.state.get(name, {})
    if not isinstance(found, dict):
        raise CorruptCheckpointError(f"the file is damaged: {name} of {shown(module.class_name)} is no dictionary")
    return found


def _options(module: Module) -> dict[str, Any]:
    """Arguments of a module's constructor; those of the synthesis network stand flat or nested."""
    options = module.state.get("_init_kwargs")
    options = dict(options) if isinstance(options, dict) else {}
    for group in ("synthesis_kwargs", "mapping_kwargs"):
        inner = options.get(group)
        options |= inner if isinstance(inner, dict) else {}
    return options


def _levels(records: Mapping[str, Any]) -> int:
    sides = sorted({int(match[1]) for name in records if (match := re.match(r"synthesis\.b(\d{1,5})\.", name))})
    if sides != [4 << level for level in range(len(sides))]:
        raise CorruptCheckpointError(f"the file has blocks at {sides} px where 4, 8, … belong")
    return len(sides)


def _check_variant(generator: Module, modules: Mapping[str, Module], records: Mapping[str, Any]) -> None:
    if any(re.match(r"synthesis\.(input|L\d+_)", name) for name in (*modules, *records)):
        raise UnsupportedCheckpointError(
            "this is a StyleGAN3 generator, which is not handled yet; StyleGAN2 files of the same pages are"
        )
    if "synthesis." not in modules or "mapping." not in modules:
        raise UnsupportedCheckpointError(f"it holds a {shown(generator.class_name)}, which is no StyleGAN2 generator")
    options = _options(generator)
    variants = {shown(module.state.get("architecture", "skip")) for module in modules.values()}
    variants.add(shown(options.get("architecture", "skip")))
    if any(name.endswith(".skip.weight") for name in records):
        variants.add("resnet")
    for variant in variants - {"skip"}:
        raise UnsupportedCheckpointError(f"this StyleGAN2 has the architecture '{variant}'; only 'skip' is handled")
    for name, value in FIXED.items():
        if options.get(name, value) != value:
            raise UnsupportedCheckpointError(
                f"this StyleGAN2 has {name}={shown(options[name])}; only {value!r} is handled"
            )


def _clamp(modules: Mapping[str, Module], options: Mapping[str, Any]) -> tuple[float | None, bool]:
    """The clamp of the features, and whether the file states it: in its layers, or to its constructor."""
    layers = [module.state for path, module in modules.items() if re.search(r"\.(conv[01]|torgb)\.$", path)]
    stated = [layer["conv_clamp"] for layer in layers if "conv_clamp" in layer]
    if not stated and "conv_clamp" in options:
        stated = [options["conv_clamp"]]
    if any(type(clamp) not in (int, float, type(None)) for clamp in stated) or len(set(stated)) > 1:
        raise UnsupportedCheckpointError("its layers have different clamps (conv_clamp), or one that is no number")
    clamp = stated[0] if stated else None
    return (None if clamp is None else float(clamp)), bool(stated)
