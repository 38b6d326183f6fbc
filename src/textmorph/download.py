"""Files from the network: fetched once, checked, kept; and a switch that keeps the network out of it.

The cache is `$TEXTMORPH_CACHE`, else `textmorph` in the user's cache folder. `TEXTMORPH_OFFLINE=1` (or
`HF_HUB_OFFLINE=1`) switches the network off: what is kept is used, what is missing raises.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import unquote, urlsplit
from urllib.request import Request, urlopen

from .errors import DownloadError, OfflineError, OptionError, OutputError
from .files import written_whole

Progress = Callable[[int, int | None], None]
"""Called with the bytes received so far, and how many there will be, where the server says so."""

TIMEOUT = 30.0  # seconds without a byte
_CHUNK = 1 << 18
_HEX = re.compile(r"[0-9a-f]{64}")


def cache_folder() -> Path:
    """Where downloads are kept; it need not exist yet."""
    if own := os.environ.get("TEXTMORPH_CACHE"):
        return Path(own).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "textmorph"


def is_offline() -> bool:
    """Whether the user switched the network off."""
    values = (os.environ.get(name, "") for name in ("TEXTMORPH_OFFLINE", "HF_HUB_OFFLINE"))
    return any(value.strip().lower() in ("1", "true", "yes", "on") for value in values)


def fetch(url: str, *, sha256: str, progress: Progress | None = None) -> Path:
    """Path of a file from the web: from the cache, or downloaded, checked and put there.

    A file enters the cache only after its hash was found right, under a name that begins with the hash.

    Args:
        url: http or https.
        sha256: of the whole file, 64 hexadecimal digits.
        progress: told about every piece that arrives.

    Raises:
        OptionError: the hash or the address is not one.
        OfflineError: the file is not in the cache and the network is switched off.
        DownloadError: the server refuses or breaks off, or the file has another hash; nothing is kept.
        OutputError: the cache cannot be written.
    """
    sha256 = sha256.lower()
    if not _HEX.fullmatch(sha256):
        raise OptionError(f"a SHA-256 has 64 hexadecimal digits, not {sha256!r}")
    if urlsplit(url).scheme not in ("http", "https"):
        raise OptionError(f"only http and https are fetched, not {url!r}")
    path = cache_folder() / f"{sha256[:16]}-{_file_name(url)}"
    if path.is_file():
        return path
    if is_offline():
        raise OfflineError(f"{url} is not in {path.parent}, and the network is switched off; unset TEXTMORPH_OFFLINE")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the cache folder {path.parent}: {error.strerror}") from error
    digest = hashlib.sha256()
    with written_whole(path, overwrite=True) as temporary:
        with temporary.open("wb") as file:
            received = 0
            for piece, total in _pieces(url):
                digest.update(piece)
                file.write(piece)
                received += len(piece)
                if progress is not None:
                    progress(received, total)
        if digest.hexdigest() != sha256:
            raise DownloadError(f"{url} has SHA-256 {digest.hexdigest()}, expected {sha256}; it was not kept")
    return path


def fetch_hub(
    name: str, *, revision: str | None = None, patterns: Sequence[str] | None = None, offline: bool | None = None
) -> Path:
    """Folder of a model on the Hugging Face hub: from its own cache, or downloaded there.

    Args:
        name: `owner/model`.
        revision: branch, tag or commit; None: the main branch.
        patterns: only files of these names, e.g. `["*.json", "*.safetensors"]`.
        offline: keep to the cache; None: as the user switched it.

    Raises:
        OfflineError: it is not in the cache and the network is switched off.
        DownloadError: no such model, or it could not be fetched.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    offline = is_offline() if offline is None else offline
    allowed = list(patterns) if patterns is not None else None
    try:
        folder = snapshot_download(name, revision=revision, allow_patterns=allowed, local_files_only=offline)
    except HFValidationError as error:
        raise DownloadError(f"{name!r} is neither a folder nor a name on the hub: {error}") from error
    except LocalEntryNotFoundError as error:
        if offline:
            raise OfflineError(f"{name} was not downloaded before, and the network is switched off") from error
        raise DownloadError(f"{name} could not be fetched from the hub: {error}") from error
    except GatedRepoError as error:
        raise DownloadError(f"{name} is gated: accept its terms on the hub and log in there first") from error
    except RepositoryNotFoundError as error:
        raise DownloadError(f"there is no model {name} on the hub, or it is private") from error
    except (HfHubHTTPError, OSError) as error:
        raise DownloadError(f"{name} could not be fetched from the hub: {error}") from error
    return Path(folder)


def _pieces(url: str) -> Iterator[tuple[bytes, int | None]]:
    """The content piece by piece, each with the length of the whole where the server says it."""
    received = 0
    try:
        with urlopen(Request(url, headers={"User-Agent": "textmorph"}), timeout=TIMEOUT) as response:
            length = response.headers.get("Content-Length", "")
            total = int(length) if length.isdecimal() else None
            while piece := response.read(_CHUNK):
                received += len(piece)
                yield piece, total
    except HTTPError as error:
        raise DownloadError(f"{url} answered {error.code} {error.reason}") from error
    except (OSError, HTTPException, ValueError) as error:  # ValueError: an address that is no address
        raise DownloadError(f"{url} could not be fetched: {getattr(error, 'reason', None) or error}") from error
    if total is not None and received < total:
        raise DownloadError(f"{url} broke off after {received} of {total} bytes")


def _file_name(url: str) -> str:
    """Last part of the address, with nothing in it that a file system could take amiss."""
    name = unquote(urlsplit(url).path).rsplit("/", 1)[-1]
    return re.sub(r"[^A-Za-z0-9._-]", "_", name)[-100:].lstrip(".") or "file"
