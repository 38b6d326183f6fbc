"""From a folder as `transformers` writes it to a model, a tokenizer and an image processor; nothing in it chooses code.

What a configuration may name beside sizes is other people's code: kernels fetched from the hub, quantisers that import
packages. It is read here first, before `transformers` sees it.
"""

from __future__ import annotations

import json
import os
import pickle
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError
from torch import nn

from ..errors import (
    CheckpointMismatchError,
    CorruptCheckpointError,
    TextmorphError,
    UnknownCheckpointError,
    UnsafeCheckpointError,
    UnsupportedCheckpointError,
)
from ..fields import shown
from ..layers.patches import PatchConv2d
from .hub import PICKLED_WEIGHTS, SAFE_WEIGHTS, has_any

CONFIG, ADAPTER = "config.json", "adapter_config.json"
INDICES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
MAX_CONFIG = 4 << 20
"""Bytes of a configuration, or of an index of weights, that are read."""
MAX_NUMBER = 2**24
"""Largest whole number in a configuration: above any vocabulary."""
MAX_LAYERS = 1000
"""Largest number under a name such as `num_hidden_layers`."""
MAX_MODULES = 50_000
"""Most modules of a model."""
ATTENTION = (None, "eager", "sdpa")
"""What a configuration may say of attention; anything else is the name of a package or of a repository of kernels."""

_CHOOSES_ATTENTION = re.compile(r"_?attn_implementation(_internal)?")
_CHOOSES_CODE = re.compile(
    r"quantization_config|_?experts_implementation(_internal)?|.*kernel_config|transformers_weights"
)
_LAYERS = re.compile(r".*(layers|depths?|blocks|stages)")


def load_folder(folder: Path, source: object) -> tuple[Any, Any, Any]:
    """Model, tokenizer and image processor of a folder, the model strictly.

    Args:
        source: what the user called it, for messages.

    Raises:
        CheckpointError: see the tree in `errors`; within `checkpoint_errors`.
    """
    check_folder(folder, source)
    model = _load_model(folder, source)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    processor = transformers.AutoImageProcessor.from_pretrained(
        folder, local_files_only=True, trust_remote_code=False, backend="pil"
    )
    return model, tokenizer, processor


def check_folder(folder: Path, source: object) -> None:
    """Refuse a configuration that chooses code or is of no possible size, and weights outside of the folder.

    Raises:
        UnsafeCheckpointError: it names an implementation, a quantisation, or a file elsewhere.
        UnsupportedCheckpointError: it is an adapter, whose model would be fetched.
        UnknownCheckpointError: it is missing, too large or no JSON, or holds a number that no model has.
    """
    if (folder / ADAPTER).exists():
        raise UnsupportedCheckpointError(f"{source} holds an adapter ({ADAPTER}), not a whole model; merge it first")
    config = _read_json(folder / CONFIG, source)
    for path, value in _walk(config):
        name = path[-1] if path else ""
        if _CHOOSES_ATTENTION.fullmatch(name) and value not in ATTENTION:
            raise UnsafeCheckpointError(
                f"{source}: its {name} is '{shown(value)}', code that is not ours; nothing was run"
            )
        if _CHOOSES_CODE.fullmatch(name) and value is not None:
            raise UnsafeCheckpointError(f"{source}: it asks for code by {name}, which is refused; nothing was run")
        layers = any(map(_LAYERS.fullmatch, path))
        if isinstance(value, int) and abs(value) > (MAX_LAYERS if layers else MAX_NUMBER):
            raise UnknownCheckpointError(f"{source}: its {'.'.join(path)} is {shown(value)}, which no model has")
        if isinstance(value, list) and len(value) > (MAX_LAYERS if layers else MAX_NUMBER):
            raise UnknownCheckpointError(f"{source}: its {'.'.join(path)} has {len(value)} entries")
    for index in INDICES:
        if (folder / index).exists():
            files = _read_json(folder / index, source).get("weight_map")
            for file in files.values() if isinstance(files, dict) else [files]:
                if not isinstance(file, str) or os.path.basename(file) != file or "\\" in file:
                    raise UnsafeCheckpointError(f"{source}: {index} names '{shown(file)}', no file of this folder")


def _read_json(path: Path, source: object) -> dict[str, Any]:
    try:
        if not path.is_file():
            raise UnknownCheckpointError(f"{source} is no model folder: it has no {path.name}")
        if path.stat().st_size > MAX_CONFIG:
            raise UnknownCheckpointError(f"{source}: {path.name} has more than {MAX_CONFIG >> 20} MiB")
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise UnknownCheckpointError(f"{source}: {path.name} is damaged: {error}") from error
    if not isinstance(content, dict):
        raise UnknownCheckpointError(f"{source}: {path.name} is damaged: it is no table")
    return content


def _walk(config: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every value in a table, and the names that lead to it."""
    rest: list[tuple[tuple[str, ...], Any]] = [((), config)]
    while rest:
        path, value = rest.pop()
        yield path, value
        if isinstance(value, dict):
            rest += [((*path, name), each) for name, each in value.items()]
        elif isinstance(value, list):
            rest += [(path, each) for each in value]


@contextmanager
def _at_most_modules(limit: int, source: object) -> Iterator[None]:
    """Stop whoever builds more than so many modules in this thread, whatever name their number goes by."""
    thread, built = threading.get_ident(), 0

    def count(*_: object) -> None:
        nonlocal built
        if threading.get_ident() == thread:
            built += 1
            if built > limit:
                raise UnknownCheckpointError(f"{source}: its configuration asks for more than {limit} modules")

    handle = nn.modules.module.register_module_module_registration_hook(count)
    try:
        yield
    finally:
        handle.remove()


def _check_size(config: Any, folder: Path, source: object) -> None:
    """Refuse a configuration of more numbers than the weights can hold, before any memory is taken."""
    with _at_most_modules(MAX_MODULES, source), torch.device("meta"):
        model = transformers.AutoModel.from_config(config, trust_remote_code=False)
    numbers = sum(parameter.numel() for parameter in model.parameters())
    buffers = sum(buffer.numel() for buffer in model.buffers())
    patterns = SAFE_WEIGHTS if has_any(folder, SAFE_WEIGHTS) else PICKLED_WEIGHTS
    held = sum(path.stat().st_size for pattern in patterns for path in folder.glob(pattern))
    if numbers + buffers > held + MAX_NUMBER:  # a number takes a byte or more
        raise CheckpointMismatchError(
            f"{source} does not fit its configuration: {numbers + buffers} numbers, and weights of {held} bytes"
        )


def _check_kind(config: Any, source: object) -> None:
    """Refuse what is no model of texts and images in one space, before its weights are read."""
    kind = transformers.MODEL_MAPPING.get(type(config), None)
    if not all(hasattr(kind, name) for name in ("get_text_features", "get_image_features")):
        raise UnknownCheckpointError(
            f"{source} is a model of type {config.model_type}, which embeds no texts and images"
        )
    size = getattr(getattr(config, "vision_config", None), "image_size", None)
    if not isinstance(size, int) or not hasattr(getattr(config, "text_config", None), "max_position_embeddings"):
        raise UnsupportedCheckpointError(
            f"{source} is a model of type {config.model_type} without a square image or a context of fixed size"
        )


def _load_model(folder: Path, source: object) -> nn.Module:
    """Read config and weights of a folder into a model, strictly."""
    config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    _check_kind(config, source)
    safe = has_any(folder, SAFE_WEIGHTS)
    if not safe and not has_any(folder, PICKLED_WEIGHTS):
        raise UnknownCheckpointError(f"{source} has no weights: expected model.safetensors")
    _check_size(config, folder, source)
    model, report = transformers.AutoModel.from_pretrained(
        folder,
        config=config,
        local_files_only=True,
        trust_remote_code=False,
        use_safetensors=safe,
        weights_only=True,
        dtype=torch.float32,
        output_loading_info=True,
    )
    wrong = {
        "lacks": report["missing_keys"],
        "has unknown": [name for name in report["unexpected_keys"] if not name.endswith("position_ids")],
        "has the wrong shape of": report["mismatched_keys"],
        "has values that are not finite in": [n for n, p in model.named_parameters() if not p.isfinite().all()],
    }
    for what, names in wrong.items():
        if names:
            raise CheckpointMismatchError(f"{source} {what} {', '.join(sorted(map(str, names))[:5])}")
    return fast_backwards(model)


def fast_backwards(model: Any) -> nn.Module:
    """Exchange the two layers of the image side whose gradients take a CPU long as `transformers` has them."""
    model.set_attn_implementation({"vision_config": "eager"})  # few tokens: their matrix of weights is small
    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            if PatchConv2d.fits(layer):
                setattr(parent, name, PatchConv2d.of(layer))
    network: nn.Module = model
    return network


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the library's progress bars and load reports off the terminal; we check and raise ourselves."""
    logging = transformers.utils.logging
    bars, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Detected pickle protocol", UserWarning)
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


@contextmanager
def checkpoint_errors(source: object) -> Iterator[None]:
    """Turn the errors of reading a folder into ours; on damaged files `transformers` raises anything."""
    try:
        yield
    except TextmorphError:
        raise
    except pickle.UnpicklingError as error:
        raise UnsafeCheckpointError(f"{source}: the pickled weights hold more than tensors, nothing was run") from error
    except (SafetensorError, EOFError) as error:
        raise CorruptCheckpointError(f"{source}: the weights are truncated or damaged: {_line(error)}") from error
    except RuntimeError as error:
        raise CheckpointMismatchError(f"{source} does not fit its configuration: {_line(error)}") from error
    except Exception as error:
        if "trust_remote_code" in str(error):
            raise UnsafeCheckpointError(f"{source} needs code of its own to run, which is refused") from error
        raise UnknownCheckpointError(f"{source} is not a model folder that can be read: {_line(error)}") from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # of the tokenizer's Rust, which is no Exception
            raise
        raise UnknownCheckpointError(f"{source}: the tokenizer is damaged: {_line(error)}") from error


def _line(error: BaseException) -> str:
    """What an error says, or else is, in one line."""
    return shown(" ".join(str(error).split())) or type(error).__name__
