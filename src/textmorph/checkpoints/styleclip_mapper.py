"""The latent mappers of StyleCLIP: `.pt` with `mapper.*` and the generator they were trained for in `state_dict`."""

from __future__ import annotations

import re
from typing import Any

from ..errors import CheckpointMismatchError, UnsupportedCheckpointError
from ..fields import shown
from .checkpoint import Checkpoint, Key, find, read_tensors
from .containers import Content
from .pixel2style2pixel import read_decoder, read_options, under

NAME = "mapper-pt"

LEVELS = {"coarse": "course_mapping", "medium": "medium_mapping", "fine": "fine_mapping"}
"""Our level → theirs, spelt as in the files."""
FACTOR = 0.1  # of the residual, applied outside the network and stored nowhere


def matches(content: Content) -> bool:
    return isinstance(content.tree, dict) and bool(under(content.tree.get("state_dict"), "mapper."))


def read(content: Content, kind: str | None) -> Checkpoint:
    """Read the mapper, and its generator as the part `generator`.

    Raises:
        UnsupportedCheckpointError: a mapper of another type.
        CheckpointMismatchError: keys or shapes that do not fit.
    """
    records = under(content.tree["state_dict"], "mapper.")
    architecture, blocks = _blocks(records)
    places = {
        f"{ours}.layers.{i}.{leaf}": Key(f"{theirs}.mapping.{i + 1}.{leaf}")  # mapping.0 normalises
        for ours, theirs in blocks.items()
        for i in range(4)
        for leaf in ("weight", "bias")
    }
    found = find(records, places)
    widths = {ours: _width(ours, found) for ours in blocks}
    config: dict[str, Any]
    if architecture == "style":
        config = _style_config(widths) | {"space": "s"}
    else:
        if len(set(widths.values())) != 1:
            raise CheckpointMismatchError(f"the levels of the mapper have different widths: {widths}")
        levels = list(blocks) if architecture == "levels" else list(LEVELS)
        config = {"w_dim": next(iter(widths.values())), "levels": levels, "norm": "rows", "space": "w+"}
    tensors = read_tensors(content, records, places)
    description = read_options(content.tree).get("description")
    return Checkpoint(
        kind="mapper",
        architecture=architecture,
        config=config | {"factor": FACTOR},
        tensors=tensors,
        format=NAME,
        parts={"generator": read_decoder(content)} if under(content.tree["state_dict"], "decoder.") else {},
        provenance={"target": description} if isinstance(description, str) else {},
    )


PARTS = {"generator": read_decoder}


def _blocks(records: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """Architecture, and its blocks: our name → theirs."""
    present = {name.split(".", 1)[0] for name in records}
    if present <= set(LEVELS.values()):
        return "levels", {ours: theirs for ours, theirs in LEVELS.items() if theirs in present}
    if present == {"mapping"}:
        return "single", {"shared": "mapping"}
    numbers = sorted(int(match[1]) for name in present if (match := re.fullmatch(r"mapper_(\d{1,3})", name)))
    if len(numbers) == len(present):
        return "style", {f"blocks.{i}": f"mapper_{i}" for i in numbers}
    raise UnsupportedCheckpointError(
        f"a mapper with the blocks {', '.join(map(shown, sorted(present)[:5]))}, which is not handled"
    )


def _width(block: str, found: dict[str, tuple[int, ...]]) -> int:
    shape = found[f"{block}.layers.0.weight"]
    width = shape[0] if shape else 0
    for i in range(4):
        if found[f"{block}.layers.{i}.weight"] != (width, width) or found[f"{block}.layers.{i}.bias"] != (width,):
            raise CheckpointMismatchError(f"layer {i + 1} of the mapper's block '{block}' has the wrong shape")
    return width


def _style_config(widths: dict[str, int]) -> dict[str, Any]:
    """Widths of all 26 style layers of a 1024 px generator, the only one these mappers were made for.

    A layer to RGB, which has no block, is as wide as the convolution before it puts out: as the next layer reads.
    """
    mapped = {int(name.removeprefix("blocks.")): width for name, width in widths.items()}
    to_rgb = {i for i in range(26) if i % 3 == 1}
    if set(mapped) != set(range(26)) - to_rgb:
        raise UnsupportedCheckpointError("a mapper in style space for another generator than one of 1024 px")
    last = {25: 32}
    return {
        "widths": [mapped.get(i) or mapped.get(i + 1) or last[i] for i in range(26)],
        "mapped": sorted(mapped),
    }
