"""From the name of a model on the Hugging Face hub, or a local folder, to a folder of files that run no code."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from ..download import fetch_hub
from ..errors import UnknownCheckpointError

DESCRIPTION = ("*.json", "*.txt", "*.model")  # configuration and tokenizer
SAFE_WEIGHTS = ("model.safetensors", "model-*.safetensors")
PICKLED_WEIGHTS = ("pytorch_model.bin", "pytorch_model-*.bin")


def find_folder(
    name_or_folder: str | os.PathLike[str], *, offline: bool | None = None, revision: str | None = None
) -> Path:
    """Return a local folder with a model's configuration, tokenizer and weights, fetched once and cached by the hub.

    Safetensors are preferred; pickled weights are fetched only where there is nothing else. Scripts never are.

    Args:
        name_or_folder: a local folder, or a name on the hub such as `openai/clip-vit-base-patch32`.
        offline: take the hub's models from the cache alone; None: as the user switched it.
        revision: branch, tag or commit on the hub.

    Raises:
        UnknownCheckpointError: neither a folder nor a name on the hub, or a repository without such weights.
        OfflineError: not in the cache, and the network is switched off.
        DownloadError: it could not be fetched.
    """
    if os.path.isdir(name_or_folder):
        return Path(name_or_folder)
    name = os.fspath(name_or_folder)
    if not re.fullmatch(r"[\w-][\w.-]*(/[\w-][\w.-]*)?", name) or os.path.exists(name):
        raise UnknownCheckpointError(f"{name} is neither a folder nor the name of a model on the hub (owner/model)")
    folder = fetch_hub(name, revision=revision, patterns=DESCRIPTION + SAFE_WEIGHTS, offline=offline)
    if not has_any(folder, SAFE_WEIGHTS):
        folder = fetch_hub(name, revision=revision, patterns=DESCRIPTION + PICKLED_WEIGHTS, offline=offline)
    if not has_any(folder, SAFE_WEIGHTS + PICKLED_WEIGHTS):
        raise UnknownCheckpointError(f"the model {name} on the hub has no weights for PyTorch")
    return folder


def has_any(folder: Path, patterns: Sequence[str]) -> bool:
    """Whether a folder has a file of one of these names."""
    return any(True for pattern in patterns for _ in folder.glob(pattern))
