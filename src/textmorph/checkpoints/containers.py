"""From a path to a tree of plain objects, inert records and tensors not yet read, whatever the file is packed in.

Knows a bare pickle, both of torch's packings (zip, and the older five pickles with raw data behind them) and
safetensors. `torch.load` is not used, nested bytes included: `weights_only=True` too has run code (CVE-2025-32434) and
allocates what a file declares before it looks whether that much is there.
"""

from __future__ import annotations

import io
import math
import mmap
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..errors import (
    CheckpointError,
    CorruptCheckpointError,
    TextmorphError,
    UnknownCheckpointError,
    UnsafeCheckpointError,
    UnsupportedCheckpointError,
)
from ..fields import shown
from . import inert_pickle
from .inert_pickle import ArrayRecord, DtypeRecord, Global, TensorRecord

Packing = Literal["pickle", "torch", "safetensors", "zip", "numpy"]

MAX_RATIO = 20  # a zip of weights hardly shrinks
MAX_ENTRIES = 100_000
MAX_DIMS = 8
MAX_PICKLE = 1 << 28  # of the object tree in a zip, in bytes; the weights stand beside it
_SLACK = 1 << 24
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001


@dataclass(frozen=True, eq=False)
class Storage:
    """One block of numbers in the file, read when asked."""

    dtype: torch.dtype
    numel: int
    read: Callable[[], bytes | memoryview]


@dataclass(frozen=True, eq=False)
class Entry:
    """One file in a zip file, unfolded when asked; `size` is what it will be."""

    size: int
    read: Callable[[], bytes]


@dataclass(eq=False)
class Content:
    """An opened file: what it is packed in, the object in it, and how much may still be read from it.

    Args:
        path: for messages.
        packing: see `Packing`.
        tree: the object; in safetensors the tensors by name, in a zip of other files an `Entry` by name.
        header: the metadata of a safetensors file.
        budget: bytes of tensors that may be made from it; views that share a storage must not multiply it.
    """

    path: Path
    packing: Packing
    tree: Any
    header: dict[str, str] = field(default_factory=dict)
    budget: int = 0

    def tensor(self, name: str, record: object) -> Tensor:
        """Read one tensor or number; floating point becomes float32.

        Raises:
            CorruptCheckpointError: shape, strides or size do not fit what is stored.
        """
        try:
            value = record if isinstance(record, Tensor) else _read_tensor(record, self)
        except TextmorphError as error:
            raise type(error)(f"{shown(name)}: {error}") from error
        except (TypeError, ValueError, AttributeError, RuntimeError, MemoryError, OverflowError) as error:
            raise CorruptCheckpointError(f"{shown(name)} cannot be read: {error}") from error
        return value.float() if value.is_floating_point() else value

    def spend(self, count: int) -> None:
        self.budget -= count
        if self.budget < 0:
            raise UnsafeCheckpointError("its tensors would take far more memory than the file holds")


def open_file(path: str | os.PathLike[str]) -> Content:
    """Open a file of weights, recognised by content.

    Raises:
        CheckpointError: there is no such file, or it cannot be opened.
        UnknownCheckpointError: a folder, a text, or anything else that holds no weights.
        UnsafeCheckpointError: it asks for code to run, or for far more memory than it holds.
        CorruptCheckpointError: empty, truncated or damaged.
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise UnknownCheckpointError("this is a folder, not a file of weights; name one of the files in it")
        if path.exists() and not path.is_file():
            raise UnknownCheckpointError("this is no regular file")
        size = path.stat().st_size
        if size == 0:
            raise CorruptCheckpointError("the file is empty; fetch it again")
        with path.open("rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)  # lives as long as what was read from it
        content = _open(path, data)
    except FileNotFoundError as error:
        raise CheckpointError("there is no such file") from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f"it cannot be opened: {error}") from error
    content.budget = 4 * size + _SLACK
    return content


def _open(path: Path, data: mmap.mmap) -> Content:
    if data[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return _read_zip(path)
    if data[8:9] == b"{" and struct.unpack("<Q", data[:8])[0] <= len(data) - 8:
        return _read_safetensors(path, len(data))  # before the pickle: the length 0x280 of a header begins like one
    if data[:1] == b"\x80" and len(data) > 1 and data[1] <= 5:
        if _is_legacy(data):
            return Content(path, "torch", _read_legacy(data, memoryview(data)))
        return Content(path, "pickle", inert_pickle.load(data, nested=_read_nested))  # type: ignore[arg-type]
    if data[:6] == b"\x93NUMPY":
        return Content(path, "numpy", _read_npy(data))
    if data[8:9] == b"{" and struct.unpack("<Q", data[:8])[0] < MAX_PICKLE:
        return _read_safetensors(path, len(data))
    raise UnknownCheckpointError(_describe(data))


def _is_legacy(data: mmap.mmap | bytes) -> bool:
    """Whether the first thing in the file is torch's magic number."""
    magic = b"\x8a\x0a" + _LEGACY_MAGIC.to_bytes(10, "little")
    return magic in data[:32]


def _read_legacy(stream: Any, view: memoryview) -> Any:
    """Five pickles (magic number, protocol, system, the object, the keys of its storages), then the raw storages."""
    if inert_pickle.load(stream) != _LEGACY_MAGIC or inert_pickle.load(stream) != _LEGACY_PROTOCOL:
        raise CorruptCheckpointError("it is no torch file of a known version")
    system = inert_pickle.load(stream)
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise UnsupportedCheckpointError("it was written on a big-endian machine, which is not handled")
    storages: dict[str, Storage] = {}
    places: dict[str, memoryview] = {}

    def resolve(reference: Any) -> Storage:
        key, dtype, numel = _reference(reference)
        return storages.setdefault(key, Storage(dtype, numel, lambda: places[key]))

    tree = inert_pickle.load(stream, persistent=resolve)
    keys = inert_pickle.load(stream)
    if not isinstance(keys, list) or any(type(key) is not str for key in keys) or set(keys) != storages.keys():
        raise CorruptCheckpointError("its list of storages does not fit its tensors")
    position = stream.tell()
    for key in keys:
        storage = storages[key]
        count = storage.numel * storage.dtype.itemsize
        if position + 8 + count > len(view):
            raise CorruptCheckpointError("the file is truncated: it ends within the weights; fetch it again")
        if struct.unpack_from("<q", view, position)[0] != storage.numel:
            raise CorruptCheckpointError("the file is damaged: a block of weights has another size than announced")
        places[key] = view[position + 8 : position + 8 + count]
        position += 8 + count
    return tree


def _read_nested(content: bytes) -> Storage:
    if not _is_legacy(content):
        raise UnsafeCheckpointError("a torch file within the pickle is in no packing that torch writes there")
    storage = _read_legacy(io.BytesIO(content), memoryview(content))
    if not isinstance(storage, Storage):
        raise CorruptCheckpointError("a torch file within the pickle holds no block of weights")
    return storage


def _reference(reference: Any) -> tuple[str, torch.dtype, int]:
    """Key, element type and number of elements of a storage named by a persistent id."""
    if type(reference) is tuple and reference[:1] == ("module",):
        raise UnsafeCheckpointError("it holds a whole module with its source code; save its state dict instead")
    if type(reference) is not tuple or len(reference) not in (5, 6) or reference[0] != "storage":
        raise UnsafeCheckpointError("it refers to something that is no storage")
    if reference[5:] not in ((), (None,)):
        raise UnsupportedCheckpointError("it uses views of storages, which only very old versions of torch wrote")
    kind, key, numel = reference[1], reference[2], reference[4]
    if not isinstance(kind, Global) or kind.name not in inert_pickle.STORAGES or type(key) is not str:
        raise CorruptCheckpointError("the file is damaged: a block of weights has no type or no name")
    if type(numel) is not int or numel < 0:
        raise CorruptCheckpointError("the file is damaged: a block of weights has no size")
    return key, getattr(torch, inert_pickle.STORAGES[kind.name]), numel


def _read_zip(path: Path) -> Content:
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError, struct.error, ValueError, OSError) as error:
        raise CorruptCheckpointError("the zip file is truncated or damaged; fetch it again") from error
    entries = {entry.filename: entry for entry in archive.infolist()}
    _check_zip(path.stat().st_size, archive.infolist())
    roots = [name.removesuffix("data.pkl") for name in entries if name == "data.pkl" or name.endswith("/data.pkl")]
    if not roots and any(name.endswith(".xml") for name in entries):
        return Content(path, "zip", {name: _lazy(archive, entry) for name, entry in entries.items()})
    if len(roots) != 1:
        raise UnknownCheckpointError("a zip file, but none that torch wrote; unpack it and name the file of weights")
    root = roots[0]
    for entry in archive.infolist():
        if entry.compress_type != zipfile.ZIP_STORED:
            raise UnsafeCheckpointError(f"its part {shown(entry.filename)} is packed, and torch packs nothing")
    if f"{root}constants.pkl" in entries:
        raise UnsupportedCheckpointError(
            "a TorchScript archive, whose network is code; use the model's state dict, or CLIP by its name on the hub"
        )
    if f"{root}byteorder" in entries and _entry(archive, f"{root}byteorder") != b"little":
        raise UnsupportedCheckpointError("it was written on a big-endian machine, which is not handled")
    if entries[f"{root}data.pkl"].file_size > MAX_PICKLE:
        raise UnsafeCheckpointError(f"the pickle in it is larger than {MAX_PICKLE >> 20} MB, weights not counted")
    last: dict[str, bytes] = {}  # the storage read last: views of one storage mostly follow each other

    def read(name: str) -> bytes:
        if name not in last:
            last.clear()
            last[name] = _entry(archive, name)
        return last[name]

    def resolve(reference: Any) -> Storage:
        key, dtype, numel = _reference(reference)
        name = f"{root}data/{key}"
        if name not in entries or entries[name].file_size != numel * dtype.itemsize:
            raise CorruptCheckpointError("the file is damaged: a block of weights is missing or has another size")
        return Storage(dtype, numel, lambda: read(name))

    tree = inert_pickle.load(io.BytesIO(_entry(archive, f"{root}data.pkl")), persistent=resolve)
    return Content(path, "torch", tree)


def _lazy(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Entry:
    return Entry(entry.file_size, lambda: _entry(archive, entry.filename))


def _check_zip(size: int, entries: list[zipfile.ZipInfo]) -> None:
    """Refuse an archive that would unfold to far more than it is, before anything in it is read."""
    unfolded = sum(entry.file_size for entry in entries)
    if len(entries) > MAX_ENTRIES or unfolded > MAX_RATIO * size:
        raise UnsafeCheckpointError(f"a zip bomb: {size} bytes would unfold to {unfolded} in {len(entries)} files")
    for entry in entries:
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise UnsafeCheckpointError(f"its part {shown(entry.filename)} is packed in a way that cannot be bounded")
        if entry.compress_type == zipfile.ZIP_STORED and entry.compress_size != entry.file_size:
            raise UnsafeCheckpointError(f"its part {shown(entry.filename)} states two sizes")
    if len({entry.filename for entry in entries}) != len(entries):
        raise CorruptCheckpointError("the zip file is damaged: it has two entries of one name")


def _entry(archive: zipfile.ZipFile, name: str) -> bytes:
    try:
        with archive.open(name) as file:
            return file.read(archive.getinfo(name).file_size + 1)  # not `read()`, which unfolds more than is stated
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, KeyError) as error:
        raise CorruptCheckpointError(f"the zip file is truncated or damaged: {error}") from error


def _read_safetensors(path: Path, size: int) -> Content:
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dict)
            return Content(path, "safetensors", tensors, file.metadata() or {})
    except (SafetensorError, OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError) as error:
        raise CorruptCheckpointError(f"the safetensors file is truncated or damaged: {error}") from error


def _read_npy(data: mmap.mmap) -> ArrayRecord:
    """The array of an .npy file: numbers alone, their count as its header says."""
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        form = np.lib.format
        read_header = {(1, 0): form.read_array_header_1_0, (2, 0): form.read_array_header_2_0}[version]
        shape, fortran, dtype = read_header(stream, max_header_size=10_000)
    except (ValueError, KeyError, EOFError, SyntaxError, TypeError, RecursionError, MemoryError) as error:
        raise CorruptCheckpointError(f"the header of its numpy array is damaged: {shown(str(error))}") from error
    code = dtype.str[1:]
    if dtype.names or code not in inert_pickle.NUMPY_TYPES:
        raise UnsafeCheckpointError(f"it holds a numpy array of type {shown(code)}; weights are numbers")
    return ArrayRecord(shape=shape, dtype=DtypeRecord(code, dtype.str[0]), fortran=fortran, content=stream.read())


_SIGNATURES = (
    (b"version https://git-lfs", "a pointer of git-lfs; the weights themselves were not fetched ('git lfs pull')"),
    (b"<!doctype html", "a web page; the download went wrong"),
    (b"<html", "a web page; the download went wrong"),
    (b"\x89HDF", "an HDF5 file, which is not handled"),
    (b"\x1f\x8b", "a gzip file; unpack it first"),
    (b"7z\xbc\xaf", "a 7z file; unpack it first"),
    (b"Rar!", "a RAR file; unpack it first"),
    (b"GGUF", "a GGUF file, which is not handled"),
)


def _describe(data: mmap.mmap) -> str:
    """Say what a file is that holds no weights; a pickle written as text is read, for what it asks for."""
    head = data[:4096]
    for signature, name in _SIGNATURES:
        if head[: len(signature)].lower() == signature.lower():
            return f"this is {name}"
    if head[257:262] == b"ustar":
        return "this is a tar file; if torch wrote it, load and save it with a newer version, else unpack it"
    if data[:1] in b"c(]}i" and data[-16:].rstrip().endswith(b"."):
        try:
            inert_pickle.load(data)  # type: ignore[arg-type]
        except CorruptCheckpointError:
            pass
        else:
            return "this is a pickle written as text, as no known format is"
    try:
        text = b"\0" not in head and bool(head.decode())
    except UnicodeDecodeError as error:
        text = error.reason == "unexpected end of data" and error.start > 0  # a letter cut in two by our own reading
    return "this is a text file, not weights" if text else "no known format of weights"


def _read_tensor(record: object, content: Content) -> Tensor:
    if isinstance(record, ArrayRecord):
        return _read_array(record, content)
    if not isinstance(record, TensorRecord) or not isinstance(record.storage, Storage):
        raise CorruptCheckpointError(f"is no tensor but {type(record).__name__}")
    storage, shape, stride, offset = record.storage, record.shape, record.stride, record.offset
    if not _are_sizes(shape) or not _are_sizes(stride) or not _are_sizes((offset,)) or len(shape) != len(stride):
        raise CorruptCheckpointError("has a shape that is none")
    numel = math.prod(shape)
    span = 1 + sum((side - 1) * step for side, step in zip(shape, stride, strict=True)) if numel else 0
    if offset + span > storage.numel or numel > max(storage.numel, 1 << 20):
        raise CorruptCheckpointError(f"has shape {list(shape)}, which does not fit its {storage.numel} stored values")
    width = storage.dtype.itemsize
    content.spend(max(span, numel) * width)
    block = memoryview(storage.read())[offset * width : (offset + span) * width]
    if len(block) != span * width:
        raise CorruptCheckpointError("ends early")
    if not numel:
        return torch.empty(shape, dtype=storage.dtype)
    return torch.frombuffer(bytearray(block), dtype=storage.dtype).as_strided(shape, stride).contiguous()


def _are_sizes(sizes: Any) -> bool:
    """Whether these are the sizes of a tensor: looked at before they are multiplied."""
    if not isinstance(sizes, (tuple, list)) or len(sizes) > MAX_DIMS:
        return False
    return all(type(n) is int and 0 <= n < 2**62 for n in sizes)


def _read_array(record: ArrayRecord, content: Content) -> Tensor:
    dtype = record.dtype
    if not isinstance(dtype, DtypeRecord) or not _are_sizes(record.shape):
        raise CorruptCheckpointError("is an array without shape or type")
    content.spend(8 * len(record.content))
    raw = inert_pickle.raw_bytes(record.content)
    order = dtype.order if dtype.order in ("<", ">") else "="
    array = np.frombuffer(raw, dtype=np.dtype(f"{order}{dtype.code}"))
    if array.size != math.prod(record.shape):
        raise CorruptCheckpointError(f"has shape {list(record.shape)}, which does not fit its {array.size} values")
    array = array.reshape(record.shape, order="F" if record.fortran else "C")
    native = np.float32 if array.dtype.kind == "f" else np.int64
    return torch.from_numpy(np.ascontiguousarray(array).astype(native).reshape(record.shape))
