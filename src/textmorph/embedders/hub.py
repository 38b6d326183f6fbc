"""From the name of a model on the Hugging Face hub, or a local folder, to a folder of files that run no code."""

from __future__ import annotations

import os
import re
from pathlib import Path

from huggingface_hub import constants, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from ..errors import DownloadError, OfflineError, UnknownCheckpointError

DESCRIPTION = ["*.json", "*.txt", "*.model"]  # configuration and tokenizer
SAFE_WEIGHTS = ["model.safetensors", "model-*.safetensors"]
PICKLED_WEIGHTS = ["pytorch_model.bin", "pytorch_model-*.bin"]


def find_folder(
    name_or_folder: str | os.PathLike[str], *, offline: bool | None = None, revision: str | None = None
) -> Path:
    """Return a local folder with a model's configuration, tokenizer and weights, fetched once and cached by the hub.

    Safetensors are preferred; pickled weights are fetched only where there is nothing else. Scripts never are.

    Args:
        name_or_folder: a local folder, or a name on the hub such as `openai/clip-vit-base-patch32`.
        offline: take the hub's models from the cache alone; None follows `HF_HUB_OFFLINE`.
        revision: branch, tag or commit on the hub.

    Raises:
        UnknownCheckpointError: neither a folder nor a name on the hub, or a repository without such weights.
        OfflineError: not in the cache, and the network is off.
        DownloadError: it could not be fetched.
    """
    if os.path.isdir(name_or_folder):
        return Path(name_or_folder)
    name = os.fspath(name_or_folder)
    if not re.fullmatch(r"[\w-][\w.-]*(/[\w-][\w.-]*)?", name) or os.path.exists(name):
        raise UnknownCheckpointError(f"{name} is neither a folder nor the name of a model on the hub (owner/model)")
    offline = constants.HF_HUB_OFFLINE if offline is None else offline
    try:
        folder = Path(
            snapshot_download(
                name, revision=revision, local_files_only=offline, allow_patterns=DESCRIPTION + SAFE_WEIGHTS
            )
        )
        if not offline and not _has_any(folder, SAFE_WEIGHTS):
            snapshot_download(name, revision=revision, allow_patterns=PICKLED_WEIGHTS)
    except LocalEntryNotFoundError as error:
        reason = "the network is switched off" if offline else "the hub cannot be reached"
        raise OfflineError(
            f"the model {name} is not in the cache and {reason}; fetch it once on-line, or give a folder"
        ) from error
    except GatedRepoError as error:
        raise DownloadError(f"the model {name} is gated: accept its terms on the hub and log in there first") from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise DownloadError(f"there is no model {name} on the hub, and no such folder") from error
    except RevisionNotFoundError as error:
        raise DownloadError(f"the model {name} has no revision {revision}") from error
    except (HfHubHTTPError, OSError) as error:
        raise DownloadError(f"the model {name} could not be fetched from the hub: {error}") from error
    if not _has_any(folder, SAFE_WEIGHTS + PICKLED_WEIGHTS):
        raise UnknownCheckpointError(f"the model {name} on the hub has no weights for PyTorch")
    return folder


def _has_any(folder: Path, patterns: list[str]) -> bool:
    return any(True for pattern in patterns for _ in folder.glob(pattern))
