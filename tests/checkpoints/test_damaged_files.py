"""Files that hold no weights, or half of them: each its own clear error, and never another exception."""

from __future__ import annotations

import io
import os
import pickle
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import textmorph
from tests.checkpoints import foreign
from tests.toys import toy_generator
from textmorph import checkpoints
from textmorph.errors import (
    CheckpointError,
    CorruptCheckpointError,
    OutputError,
    TextmorphError,
    UnknownCheckpointError,
    UnsupportedCheckpointError,
)


def tar() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("storages"), io.BytesIO(b""))
    return file.getvalue()


def npz() -> bytes:
    file = io.BytesIO()
    np.savez(file, x=np.zeros(2))
    return file.getvalue()


def script() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in ("data.pkl", "constants.pkl", "code/model.py"):
            archive.writestr(f"ViT-B-32/{name}", pickle.dumps({}, 2))
    return file.getvalue()


STRANGE: dict[str, tuple[bytes, type[CheckpointError], str]] = {
    "nothing": (b"", CorruptCheckpointError, "is empty"),
    "one byte": (b"\x80", UnknownCheckpointError, "known format"),
    "a text": ("Grüße aus der Wüste\n".encode() * 50, UnknownCheckpointError, "text file"),
    "a short text": (b"hello", UnknownCheckpointError, "text file"),
    "a text that begins like a pickle": (b"cats and dogs.", UnknownCheckpointError, "text file"),
    "a web page": (b"<!DOCTYPE html><html><title>Google Drive - Quota exceeded", UnknownCheckpointError, "web page"),
    "a git-lfs pointer": (b"version https://git-lfs.github.com/spec/v1\n", UnknownCheckpointError, "git lfs pull"),
    "noise": (bytes(np.random.default_rng(0).integers(128, 256, 500, dtype="u1")), UnknownCheckpointError, "no known"),
    "zeros": (bytes(500), UnknownCheckpointError, "text file|no known"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), UnknownCheckpointError, "no known"),
    "an HDF5 file": (b"\x89HDF\r\n\x1a\n" + bytes(100), UnknownCheckpointError, "HDF5"),
    "a gzip file": (b"\x1f\x8b\x08" + bytes(100), UnknownCheckpointError, "gzip"),
    "a tar file": (tar(), UnknownCheckpointError, "tar"),
    "a numpy array": (b"\x93NUMPY\x01\x00" + bytes(100), CorruptCheckpointError, "numpy"),
    "a zip of something else": (npz(), UnknownCheckpointError, "none that torch wrote"),
    "an empty zip": (b"PK\x05\x06" + bytes(18), UnknownCheckpointError, "none that torch wrote"),
    "a TorchScript archive": (script(), UnsupportedCheckpointError, "TorchScript"),
    "a pickle of a list": (pickle.dumps([1, 2, 3]), UnknownCheckpointError, "known format"),
    "a pickle of nothing": (pickle.dumps(None), UnknownCheckpointError, "known format"),
    "a pickle of an empty dictionary": (pickle.dumps({}), UnknownCheckpointError, "known format"),
    "a pickle of a tuple": (pickle.dumps(()), UnknownCheckpointError, "known format"),
    "a text pickle": (pickle.dumps({"a": 1}, 0), UnknownCheckpointError, "written as text"),
    "two pickles, the first of a number": (pickle.dumps(1) + pickle.dumps(2), UnknownCheckpointError, "known format"),
}


@pytest.mark.parametrize("name", STRANGE)
def test_a_file_without_weights_is_named(name: str, tmp_path: Path) -> None:
    content, error, message = STRANGE[name]
    path, out = tmp_path / "network.pkl", tmp_path / "out.safetensors"
    path.write_bytes(content)
    for use in (checkpoints.inspect, textmorph.load_generator, lambda p: checkpoints.convert(p, out)):
        with pytest.raises(error, match=message) as caught:
            use(path)
        assert type(caught.value) is error
        assert str(caught.value).startswith(f"{path}: ")
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_a_folder_and_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UnknownCheckpointError, match="folder"):
        checkpoints.read(tmp_path)
    with pytest.raises(CheckpointError, match="no such file"):
        checkpoints.read(tmp_path / "absent.pkl")
    with pytest.raises(CheckpointError, match="cannot be opened"):
        checkpoints.read(f"{tmp_path}/a\0b")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CheckpointError, match="no regular file"):
        checkpoints.read(tmp_path / "pipe")


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """One good file of every packing."""
    folder = tmp_path_factory.mktemp("good")
    generator = toy_generator(8, z_dim=4, w_dim=4, mapping_layers=1, channel_base=32, channel_max=4)
    state, mean = foreign.to_rosinality(generator.state_dict())
    tree = {"g_ema": state, "latent_avg": mean}
    checkpoints.native.write(
        folder / "own",
        generator.state_dict(),
        kind="generator",
        architecture="stylegan2",
        config=vars(generator.config),
    )
    foreign.write_nvidia(folder / "nvidia", foreign.to_nvidia(generator.state_dict()), alone=True)
    foreign.write_pickle(folder / "tensorflow", foreign.to_tensorflow(generator.state_dict(), {}))
    foreign.write_torch(folder / "zip", tree)
    foreign.write_torch(folder / "legacy", tree, legacy=True)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


PACKINGS = ("own", "nvidia", "tensorflow", "zip", "legacy")


@pytest.mark.parametrize("packing", PACKINGS)
def test_a_truncated_file_is_corrupt_wherever_it_ends(packing: str, good: dict[str, bytes], tmp_path: Path) -> None:
    content, path, out = good[packing], tmp_path / "file", tmp_path / "out.safetensors"
    for end in (len(content) - 1, len(content) * 9 // 10, len(content) // 2, 100):
        path.write_bytes(content[:end])
        for use in (checkpoints.read, lambda p: checkpoints.convert(p, out)):
            with pytest.raises(CorruptCheckpointError, match="truncated"):
                use(path)
    assert not out.exists()


@pytest.mark.parametrize("packing", PACKINGS)
@given(data=st.data())
def test_a_damaged_file_ends_in_our_errors(
    packing: str, good: dict[str, bytes], tmp_path: Path, data: st.DataObject
) -> None:
    """Bytes overwritten, cut out or doubled: finite weights, or one of our errors, nothing else."""
    content = bytearray(good[packing])
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(content) - 1))
        length = data.draw(st.integers(0, 12))
        change = data.draw(st.sampled_from(["overwrite", "cut", "double", "fill"]))
        if change == "overwrite":
            content[start : start + length] = data.draw(st.binary(min_size=length, max_size=length))
        elif change == "cut":
            del content[start : start + length]
        elif change == "double":
            content[start:start] = content[start : start + length]
        else:
            content[start : start + 1] = bytes([data.draw(st.sampled_from([0, 0x2E, 0x52, 0x62, 0x74, 0x81, 0xFF]))])
    path = tmp_path / "file"
    path.write_bytes(content)
    try:
        found = checkpoints.read(path)
    except TextmorphError:
        return
    assert all(tensor.isfinite().all() for tensor in found.tensors.values())


@given(
    content=st.binary(max_size=400),
    head=st.sampled_from([b"", b"\x80\x02", b"\x80\x04", b"PK\x03\x04", b"c", b"\x80\x05\x95"]),
)
def test_any_bytes_end_in_our_errors(content: bytes, head: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(head + content)
    with pytest.raises(CheckpointError):
        checkpoints.read(path)


PROGRAM = [bytes([code]) for code in b"N()}]tRbsuae012dloQ\x81\x85\x86\x87\x8f\x90\x91\x92\x93\x94"]
PROGRAM += [b"q\x00", b"h\x00", b"K\x02", b"U\x01a", b"C\x01a", b"U\x02f4", b"U\x05G_ema", b"U\x05g_ema", b"U\x05state"]
PROGRAM += [b"ctorch._utils\n_rebuild_tensor_v2\n", b"ctorch.storage\n_load_from_bytes\n", b"ctorch\nSize\n"]
PROGRAM += [b"cnumpy.core.multiarray\n_reconstruct\n", b"cnumpy\ndtype\n", b"cnumpy\nndarray\n"]
PROGRAM += [b"ctorch_utils.persistence\n_reconstruct_persistent_obj\n", b"cdnnlib.tflib.network\nNetwork\n"]
PROGRAM += [b"ccollections\nOrderedDict\n", b"cargparse\nNamespace\n", b"cos\nsystem\n"]


@given(instructions=st.lists(st.sampled_from(PROGRAM), max_size=40))
def test_any_program_ends_in_our_errors(instructions: list[bytes], tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"\x80\x02" + b"".join(instructions) + b".")
    with pytest.raises(CheckpointError):
        checkpoints.read(path)


def test_a_zip_whose_directory_lies_outside_it_is_corrupt(tmp_path: Path) -> None:
    content = script()
    end = content.rindex(b"PK\x05\x06")
    (tmp_path / "file").write_bytes(content[: end + 12] + b"\xff\xff\xff\x7f" * 2 + content[end + 20 :])
    with pytest.raises(CorruptCheckpointError, match="zip file is truncated or damaged"):
        checkpoints.read(tmp_path / "file")


# Writing


def test_nothing_is_left_where_a_file_cannot_be_written(good: dict[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(good["zip"])
    for out in (tmp_path / "absent" / "out.safetensors", tmp_path, path):
        with pytest.raises(OutputError):
            checkpoints.convert(path, out)
    assert path.read_bytes() == good["zip"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_file_can_be_converted_onto_itself(good: dict[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(good["nvidia"])
    before = checkpoints.read(path).tensors
    checkpoints.convert(path, path, overwrite=True)
    after = checkpoints.read(path)
    assert after.format == "textmorph"
    assert all(torch.equal(before[name], after.tensors[name]) for name in before)


def test_weights_too_large_for_half_precision_are_not_written(tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    with pytest.raises(TextmorphError, match="not finite in x"):
        checkpoints.native.write(
            out, {"x": torch.tensor([1e6])}, kind="bank", architecture="bank", config={}, dtype=torch.float16
        )
    assert not out.exists()


@pytest.mark.parametrize("config", [{"x": float("nan")}, {"x": {1, 2}}])
def test_a_configuration_is_json(config: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(TextmorphError, match="JSON"):
        checkpoints.native.write(
            tmp_path / "out", {"x": torch.zeros(1)}, kind="bank", architecture="bank", config=config
        )
    assert not list(tmp_path.iterdir())


def test_our_own_file_keeps_everything(tmp_path: Path) -> None:
    tensors = {"channels": torch.arange(4), "effects": torch.randn(4, 3), "scalar": torch.tensor(2.0)}
    shared = torch.randn(2, 2)
    tensors |= {"one": shared, "other": shared.t()}
    config, provenance = {"threshold": None, "names": ["a", "ü"]}, {"seed": 3, "licence": "CC0"}
    path = tmp_path / "bank.safetensors"
    checkpoints.native.write(path, tensors, kind="bank", architecture="bank", config=config, provenance=provenance)
    found = checkpoints.read(path)
    assert (found.kind, found.architecture, found.config, found.provenance) == ("bank", "bank", config, provenance)
    assert all(torch.equal(found.tensors[name], tensor) for name, tensor in tensors.items())
    assert found.tensors["channels"].dtype == torch.int64
    assert "licence: CC0" in str(checkpoints.inspect(path))
