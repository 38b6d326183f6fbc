"""The record: how a result was made, in the picture (PNG) or in a file beside it (all other formats).

A record is a dict that JSON can hold. `textmorph replay` makes the same picture from it again.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .. import __version__
from ..errors import ImageError, InputError, LatentError, OptionError
from ..fields import check_fields, shown
from ..files import check_output, write_bytes
from ..images import encode_image, read_text, write_image
from ..latents import Latent, Space
from ..sheets import contact_sheet

KEY = "textmorph"
"""Name of the text chunk in a PNG."""
FORMAT = 2
"""Of the record; version 1 was written by textmorph before its second plan."""
MAX_BYTES = 64 << 20
"""Largest sidecar that is read."""
MAX_EDITS = 1000
"""Most edits of one picture that are made again."""

Record = dict[str, Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Result:
    """One edited picture.

    Args:
        image: the edited picture, [1, 3, R, R] in [-1, 1].
        latent: the edited latent.
        source: the square of the photo as it went in, resized, [1, 3, R, R].
        inverted: the photo as the generator draws it: what the edit started from, [1, 3, R, R].
        record: how it was made; JSON.
    """

    image: Tensor
    latent: Latent
    source: Tensor
    inverted: Tensor
    record: Record

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the edited picture and its record: inside a PNG, in a sidecar beside every other format.

        Raises:
            OutputExistsError, OutputError: as `write_image`.
        """
        write_picture(self.image, path, self.record, overwrite=overwrite)

    def encode(self) -> bytes:
        """The bytes of the PNG that `save` writes, the record inside."""
        return encode_image(self.image, text={KEY: to_text(self.record)})

    def before_after(self) -> Image.Image:
        """Photo, inversion and edit side by side; without the first where there was no photo."""
        pictures = {"photo": self.source, "as the generator draws it": self.inverted, "edited": self.image}
        if torch.equal(self.source, self.inverted):  # there was no photo
            pictures = {"before": self.inverted, "after": self.image}
        return contact_sheet(list(pictures.values()), columns=len(pictures), labels=list(pictures), size=256)

    @property
    def warnings(self) -> list[str]:
        """What the user should know about this result."""
        return list(self.record["warnings"])


@contextmanager
def threads_of(record: Mapping[str, Any]) -> Iterator[None]:
    """As many CPU threads as a record was made with, for a while: sums in another order round otherwise."""
    before, then = torch.get_num_threads(), record.get("threads")
    if not isinstance(then, int) or isinstance(then, bool) or not 1 <= then <= 4096:
        yield
        return
    torch.set_num_threads(then)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def versions() -> dict[str, str]:
    """What could make the same record draw another picture."""
    return {
        "textmorph": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
    }


def pack_latent(latent: Latent) -> dict[str, Any]:
    """A latent as JSON, to the last bit."""
    array = latent.value.detach().cpu().contiguous().float().numpy().astype("<f4")
    return {
        "space": latent.space,
        "shape": list(array.shape),
        "dtype": "float32",
        "base64": base64.b64encode(array.tobytes()).decode("ascii"),
    }


def unpack_latent(packed: Any) -> Latent:
    """The latent of `pack_latent`.

    Raises:
        LatentError: the text is damaged.
    """
    try:
        if packed["dtype"] != "float32":
            raise ValueError(f"dtype {packed['dtype']!r}")
        if not all(type(side) is int and 0 < side < 2**31 for side in packed["shape"]):
            raise ValueError("its shape is no list of whole numbers")
        values = np.frombuffer(base64.b64decode(packed["base64"], validate=True), dtype="<f4")
        array = values.reshape(packed["shape"]).astype(np.float32)
        if not np.isfinite(array).all():
            raise ValueError("it has values that are not finite")
        return Latent(torch.from_numpy(array.copy()), cast(Space, packed["space"]))
    except (KeyError, TypeError, ValueError) as error:
        raise LatentError(f"the latent in this record is damaged: {error}") from error


def tensor_sha256(*tensors: Tensor) -> str:
    """SHA-256 over shape and float32 bytes of tensors, hex."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(repr(list(tensor.shape)).encode())
        digest.update(tensor.detach().cpu().contiguous().float().numpy().astype("<f4").tobytes())
    return digest.hexdigest()


def to_text(record: Record) -> str:
    """The record as JSON text; ASCII, since that is what every PNG reader takes."""
    return json.dumps(record, ensure_ascii=True, allow_nan=False)


def write_picture(
    image: Tensor | Image.Image, path: str | os.PathLike[str], record: Record, *, overwrite: bool = False
) -> None:
    """Write a picture and its record: inside a PNG, in a sidecar beside every other format.

    Raises:
        OutputExistsError: either file is there already.
        OutputError: they cannot be written.
    """
    if Path(path).suffix.lower() == ".png":
        write_image(image, path, overwrite=overwrite, text={KEY: to_text(record)})
        return
    check_output(sidecar_path(path), overwrite=overwrite)
    write_image(image, path, overwrite=overwrite)
    write_sidecar(path, record, overwrite=overwrite)


@dataclass(frozen=True)
class _Text:
    """What a record holds of an edit found for a text."""

    prompt: str
    neutral: str | None
    method: str
    strength: float


@dataclass(frozen=True)
class _Saved:
    """What a record holds of a saved edit."""

    file: str | None
    sha256: str | None
    strength: float


@dataclass(frozen=True)
class _Series:
    """What the record of a grid or a morph holds of all its pictures."""

    num_channels: tuple[int | None, ...]
    strengths: tuple[float, ...]


def recorded_edits(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The edits of a record as JSON, checked: those found for a text, and saved ones.

    Raises:
        InputError: the record is damaged.
    """
    edits = record.get("edits")
    if not isinstance(edits, list) or len(edits) > MAX_EDITS:
        raise InputError(f"this record is damaged: edits is a list of at most {MAX_EDITS}, not {shown(edits)}")
    for edit in edits:
        if not isinstance(edit, dict) or edit.get("kind") not in ("text", "saved"):
            raise InputError("this record is damaged: it holds an edit that is neither found for a text nor saved")
        _check(_Saved if edit["kind"] == "saved" else _Text, edit)
        if edit["kind"] == "text" and not isinstance(edit.get("values"), dict):
            raise InputError("this record is damaged: it does not hold the options of a method")
    return edits


def recorded_series(record: Mapping[str, Any]) -> tuple[dict[str, Any], list[int | None], list[float]]:
    """The one edit of a grid or a morph, its numbers of channels and its strengths, checked.

    Raises:
        InputError: the record is damaged.
    """
    edits = recorded_edits({**record, "edits": [{**edit, "strength": 1.0} for edit in _dicts(record.get("edits"))]})
    if len(edits) != 1:
        raise InputError("this record is damaged: a grid or a morph has one edit")
    _check(_Series, record)
    return edits[0], list(record["num_channels"]), [float(strength) for strength in record["strengths"]]


def _dicts(value: object) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _check(cls: type, values: Mapping[str, Any]) -> None:
    missing = [field.name for field in fields(cls) if field.name not in values]
    if missing:
        raise InputError(f"this record is damaged: it lacks {', '.join(missing)}")
    try:
        check_fields(cls, values)
    except OptionError as error:
        raise InputError(f"this record is damaged: {error}") from error


def recorded_domain(record: Record) -> str:
    """Where the networks of a record are: a folder, or the name of a built-in domain.

    Raises:
        InputError: the record does not say.
    """
    domain = record.get("domain")
    if not isinstance(domain, dict) or not isinstance(domain.get("name"), str):
        raise InputError("this record is damaged: it names no domain")
    folder = domain.get("folder")
    return folder if isinstance(folder, str) and os.path.isdir(folder) else str(domain["name"])


def write_sidecar(path: str | os.PathLike[str], record: Record, *, overwrite: bool = False) -> None:
    """Write the record beside a picture or video."""
    write_bytes(sidecar_path(path), (to_text(record) + "\n").encode("ascii"), overwrite=overwrite)


def sidecar_path(path: str | os.PathLike[str]) -> Path:
    """Where the record of a picture that is no PNG lies: `me.jpg` → `me.jpg.json`."""
    path = Path(path)
    return path.with_name(path.name + ".json")


def read_record(path: str | os.PathLike[str]) -> Record:
    """The record of a picture made by textmorph: from the PNG itself, from its sidecar, or the sidecar itself.

    Raises:
        InputError: there is no such file, no record, or a damaged one.
    """
    path = Path(path)
    if not os.path.isfile(path):
        raise InputError(f"there is no file {path}")
    text = _sidecar_text(path) if path.suffix.lower() == ".json" else _png_text(path)
    if text is None and os.path.isfile(sidecar_path(path)):
        text = _sidecar_text(sidecar_path(path))
    if text is None:
        raise InputError(
            f"{path} carries no textmorph record; records are in the PNGs that textmorph writes, "
            f"and for other formats in a file such as {sidecar_path(path).name}"
        )
    try:
        record = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"the record of {path} is damaged: {error}") from error
    if not isinstance(record, dict) or type(record.get("format")) is not int:
        raise InputError(f"the record of {path} is not one that textmorph wrote")
    if record["format"] != FORMAT:
        raise InputError(
            f"the record of {path} has format {shown(record['format'])}, and this version ({__version__}) reads format "
            f"{FORMAT} alone; make the picture again from its photo, or use the version that made it"
        )
    return record


def _png_text(path: Path) -> str | None:
    try:
        return read_text(path).get(KEY)
    except ImageError:
        return None  # no picture: a video, perhaps, with a sidecar


def _sidecar_text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path} is too large to be a record")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
