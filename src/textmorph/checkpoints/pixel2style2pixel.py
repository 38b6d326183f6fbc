"""Encoders of pSp (pixel2style2pixel) and e4e: `.pt` with `encoder.*` and `decoder.*` in `state_dict`.

Which of the two it is stands in `opts` alone: their weights have the same names and shapes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from ..errors import CheckpointMismatchError, UnknownCheckpointError, UnsupportedCheckpointError
from ..fields import shown
from . import ir_se, rosinality
from .checkpoint import Checkpoint, Key, check_shapes, find, read_tensors, rename
from .containers import Content
from .inert_pickle import Instance

NAME = "encoder-pt"

RENAMES = (
    ("input_layer.", "trunk.input_layer."),
    ("body.", "trunk.body."),
    ("styles.", "heads."),
    ("latlayer1.", "lateral1."),
    ("latlayer2.", "lateral2."),
    (".res_layer.", ".residual."),
    (".shortcut_layer.", ".shortcut."),
)
"""Theirs, without `encoder.` → ours."""

VARIANTS = {
    "Encoder4Editing": "e4e",
    "GradualStyleEncoder": "psp",
    "SingleStyleCodeEncoder": "single",
    "BackboneEncoderUsingLastLayerIntoW": "single",
}
"""`opts.encoder_type` → our variant."""


def matches(content: Content) -> bool:
    return isinstance(content.tree, dict) and bool(under(content.tree.get("state_dict"), "encoder."))


def read(content: Content, kind: str | None) -> Checkpoint:
    """Read the encoder, and its decoder as the part `generator`.

    Raises:
        UnknownCheckpointError: neither the file nor `kind` says which encoder it is.
        UnsupportedCheckpointError: an encoder of another type.
        CheckpointMismatchError: keys or shapes that do not fit, or no average latent though it is needed.
    """
    options = read_options(content.tree)
    variant = _variant(options, kind)
    records = under(content.tree["state_dict"], "encoder.")
    records, notes = _needed_heads(content, records, options)
    places = {rename(name, RENAMES): Key(name) for name in records}
    found = find(records, places)
    widths, blocks = ir_se.infer_trunk(found)
    config: dict[str, Any] = {"widths": widths, "blocks": blocks, "variant": variant}
    config |= _single(content, found, options) if variant == "single" else _heads(found, stages=len(widths))
    if str(options.get("dataset_type", "")).startswith("cars"):
        config["input_height"] = config["input_size"] * 3 // 4
    expected = ir_se.encoder_shapes(config)
    places = {ours: Key(rename(ours, [(new, old) for old, new in RENAMES])) for ours in expected if ours != "mean_w"}
    find(records, places)
    check_shapes(found, expected, places)
    tensors = read_tensors(content, records, places)
    tensors["mean_w"] = _mean(content, options, config["num_rows"], config["w_dim"])
    parts = {"generator": read_decoder(content)} if under(content.tree["state_dict"], "decoder.") else {}
    return Checkpoint(
        kind="encoder",
        architecture=variant,
        config=config,
        tensors=tensors,
        format=NAME,
        notes=tuple(notes),
        parts=parts,
    )


def read_decoder(content: Content) -> Checkpoint:
    """Read the generator beside an encoder or a mapper.

    Raises:
        CheckpointMismatchError: there is none, or its keys or shapes do not fit.
    """
    records = under(content.tree["state_dict"], "decoder.")
    if not records:
        raise CheckpointMismatchError("the file has no generator (decoder.*) beside its other network")
    return rosinality.read_generator(content, records, content.tree.get("latent_avg"))


PARTS = {"generator": read_decoder}


def read_options(tree: Mapping[str, Any]) -> dict[str, Any]:
    """The options of the training, where the file has them."""
    options = tree.get("opts")
    options = options.state if isinstance(options, Instance) else options
    return options if isinstance(options, dict) else {}


def under(state: object, prefix: str) -> dict[str, Any]:
    """Records of one network, without its prefix; none where there is no state dict."""
    if not isinstance(state, dict):
        return {}
    named = ((name, record) for name, record in state.items() if isinstance(name, str))
    return {name.removeprefix(prefix): record for name, record in named if name.startswith(prefix)}


def _variant(options: Mapping[str, Any], kind: str | None) -> str:
    if kind is not None:
        return kind
    stated = options.get("encoder_type")
    if stated is None:
        raise UnknownCheckpointError(
            "an encoder of e4e or pSp, and the file does not say which (no opts.encoder_type); "
            "give kind='e4e', 'psp' or 'single'"
        )
    if not isinstance(stated, str) or stated not in VARIANTS:
        raise UnsupportedCheckpointError(f"an encoder of the type {shown(stated)}; known are {', '.join(VARIANTS)}")
    return VARIANTS[stated]


def _rows(options: Mapping[str, Any]) -> int | None:
    """Rows of w+ for the size of the generator in the options."""
    size = options.get("stylegan_size", options.get("output_size"))
    return 2 * size.bit_length() - 4 if type(size) is int and 8 <= size <= 1024 else None


def _needed_heads(
    content: Content, records: dict[str, Any], options: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """Drop the heads that its generator has no rows for, as the reference does for its encoder of cars."""
    rows = _rows(options)
    heads = {int(name.split(".")[1]) for name in records if name.startswith("styles.") and name.split(".")[1].isdigit()}
    if rows is None or not heads or len(heads) <= rows:
        return records, []
    kept = {
        name: record
        for name, record in records.items()
        if not name.startswith("styles.") or int(name.split(".")[1]) < rows
    }
    return kept, [f"{len(heads)} heads for {rows} rows of w+; the others were dropped, as the reference does"]


def _heads(found: Mapping[str, tuple[int, ...]], *, stages: int) -> dict[str, Any]:
    """Input size, rows and widths, from the shapes of the heads; head 0 reads the last stage."""
    linear = found.get("heads.0.linear.weight", ())
    convs = [name for name in found if name.startswith("heads.0.convs.") and name.endswith(".weight")]
    if len(linear) != 2:
        raise CheckpointMismatchError("the file lacks styles.0.linear.weight, or it has the wrong shape")
    return {
        "input_size": 1 << (len(convs) + stages),
        "num_rows": len({name.split(".")[1] for name in found if name.startswith("heads.")}),
        "w_dim": linear[0],
        "head_width": linear[1],
    }


def _single(content: Content, found: Mapping[str, tuple[int, ...]], options: Mapping[str, Any]) -> dict[str, Any]:
    linear: tuple[int, ...] = found.get("linear.weight", ())
    average: tuple[int, ...] = getattr(content.tree.get("latent_avg"), "shape", ())
    rows = _rows(options) or (average[0] if len(average) == 2 else None)
    if len(linear) != 2 or not rows:
        raise CheckpointMismatchError("the file lacks linear.weight, or what says how many rows w+ has")
    return {"input_size": 256, "num_rows": rows, "w_dim": linear[0]}


def _mean(content: Content, options: Mapping[str, Any], rows: int, width: int) -> torch.Tensor:
    """What the encoder's output is added to, [L, W]."""
    if options.get("start_from_latent_avg", True) is False:
        return torch.zeros(rows, width)
    average = content.tree.get("latent_avg")
    if average is None:
        raise CheckpointMismatchError("the file lacks latent_avg, the latent that the encoder starts from")
    mean = content.tensor("latent_avg", average)
    if mean.shape[-1:] != (width,) or mean.numel() not in (width, rows * width) or not mean.isfinite().all():
        raise CheckpointMismatchError(f"latent_avg has shape {list(mean.shape)}, should be {[rows, width]}, and finite")
    return mean.reshape(-1, width).expand(rows, -1).contiguous()
