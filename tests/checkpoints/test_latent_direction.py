"""Published directions of w: their shapes, their rows, and files made to harm."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from textmorph import checkpoints
from textmorph.edits import Direction, load_edit
from textmorph.errors import CheckpointMismatchError, CorruptCheckpointError, OptionError, UnsafeCheckpointError
from textmorph.latents import Latent

PUBLISHED = Path(__file__).parents[3] / "shared/data/directions"
SHAPES = [(512,), (1, 512), (18, 512), (1, 18, 512)]


def vector(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def saved(tensor: torch.Tensor, path: Path) -> Path:
    if path.suffix == ".npy":
        np.save(path, tensor.numpy())
    else:
        torch.save(tensor, path)
    return path


@pytest.mark.parametrize("ending", [".pt", ".npy"])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_published_direction_becomes_an_edit(shape: tuple[int, ...], ending: str, tmp_path: Path) -> None:
    out = tmp_path / "age.safetensors"
    checkpoints.convert(saved(vector(*shape), tmp_path / f"age{ending}"), out)
    edit = load_edit(out)
    assert isinstance(edit, Direction)
    assert edit.space == "w+"
    assert torch.equal(edit.vector, vector(*shape).reshape(-1, 512))
    moved = edit(Latent(torch.zeros(2, 16, 512), "w+"), 2.0).value
    assert torch.equal(moved, 2 * edit.vector[:16].expand(2, 16, 512))


@pytest.mark.parametrize("shape", SHAPES)
def test_rows_that_are_not_kept_do_nothing(shape: tuple[int, ...], tmp_path: Path) -> None:
    out = tmp_path / "age.safetensors"
    checkpoints.convert(saved(vector(*shape), tmp_path / "age.pt"), out, rows=(2, 8))
    edit = load_edit(out)
    assert isinstance(edit, Direction)
    full = vector(*shape).reshape(-1, 512).expand(18, 512)
    assert torch.equal(edit.vector[2:8], full[2:8])
    assert not edit.vector[:2].any()
    assert not edit.vector[8:].any()
    for rows in ((3, 3), (0, 19), (-1, 4)):
        with pytest.raises(OptionError, match="within 0:18"):
            checkpoints.convert(tmp_path / "age.pt", tmp_path / "new.safetensors", rows=rows)
    assert not (tmp_path / "new.safetensors").exists()


def test_an_array_in_fortran_order_and_in_halves_is_read_as_it_is_meant(tmp_path: Path) -> None:
    array = np.asfortranarray(vector(18, 512).numpy().astype(">f2"))
    np.save(tmp_path / "age.npy", array)
    edit = load_edit(tmp_path / "age.npy")
    assert isinstance(edit, Direction)
    assert torch.equal(edit.vector, vector(18, 512).half().float())


@pytest.mark.parametrize("shape", [(), (513,), (17, 512), (2, 18, 512), (1, 1, 512), (512, 18)])
def test_other_shapes_are_no_direction(shape: tuple[int, ...], tmp_path: Path) -> None:
    for ending in (".pt", ".npy"):
        with pytest.raises(CheckpointMismatchError, match="a direction of w has one of"):
            checkpoints.read(saved(vector(*shape), tmp_path / f"age{ending}"))


def test_values_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    bad = {"floating-point": torch.ones(512, dtype=torch.int64), "finite": torch.full((512,), torch.inf)}
    for word, tensor in bad.items():
        for ending in (".pt", ".npy"):
            with pytest.raises(CheckpointMismatchError, match=word):
                checkpoints.read(saved(tensor, tmp_path / f"age{ending}"))


class Touch:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.marker,)


def test_an_array_of_objects_runs_nothing(tmp_path: Path) -> None:
    np.save(tmp_path / "age.npy", np.array([Touch(tmp_path / "ran")] * 512, dtype=object), allow_pickle=True)
    (tmp_path / "age.pt").write_bytes(pickle.dumps(Touch(tmp_path / "ran")))
    for name in ("age.npy", "age.pt"):
        with pytest.raises(UnsafeCheckpointError):
            checkpoints.convert(tmp_path / name, tmp_path / "out.safetensors")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["age.npy", "age.pt"]


def test_a_damaged_array_ends_in_our_errors(tmp_path: Path) -> None:
    file = io.BytesIO()
    np.save(file, vector(18, 512).numpy())
    good, path = file.getvalue(), tmp_path / "age.npy"
    head = good[:128]
    lies = [
        head.replace(b"(18, 512)", b"(19, 512)") + good[128:],
        head.replace(b"(18, 512)", b"(-1, 512)") + good[128:],
        head.replace(b"18, 512", b"9**9**9") + good[128:],
        good[:6] + b"\x09" + good[7:],
        *(good[:end] for end in (7, 9, 50, 127, 128, 5000, len(good) - 1)),
        good + b"x",
    ]
    for content in lies:
        path.write_bytes(content)
        with pytest.raises((CorruptCheckpointError, CheckpointMismatchError)):
            checkpoints.read(path)


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="no published directions here")
@pytest.mark.parametrize("name", ["age", "smile", "pose", "rotation"])
def test_the_published_files_are_read(name: str, tmp_path: Path) -> None:
    checkpoints.convert(PUBLISHED / f"{name}.pt", tmp_path / "out.safetensors")
    edit = load_edit(tmp_path / "out.safetensors")
    assert isinstance(edit, Direction)
    torch.testing.assert_close(edit.vector.norm(dim=1), torch.ones(len(edit.vector)), atol=1e-4, rtol=0)
