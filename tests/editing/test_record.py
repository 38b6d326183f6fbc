"""Records: how a result tells what it is."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from textmorph.editing import record as records
from textmorph.errors import InputError, LatentError, OutputExistsError
from textmorph.latents import Latent

from ..toys import toy_image

RECORD = {"format": records.FORMAT, "prompt": "ein Gruß, 你好", "value": 0.1}


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=12))
def test_a_latent_comes_back_to_the_last_bit(values: list[float]) -> None:
    latent = Latent(torch.tensor([values]), "s")
    again = records.unpack_latent(records.pack_latent(latent))
    assert again.space == "s"
    assert torch.equal(again.value.view(torch.int32), latent.value.view(torch.int32))


@pytest.mark.parametrize(
    "damage",
    [
        {"base64": "AAA"},
        {"base64": "%%"},
        {"shape": [3, 3]},
        {"dtype": "float64"},
        {"space": "q"},
        {"shape": None},
        {"shape": [float("inf")]},
        {"shape": [1.0, 4.0]},
        {"shape": [-1, 4]},
        {"shape": {}},
        {"shape": [[4]]},
        {"shape": "4"},
        {"shape": [2**70]},
        {"base64": None},
        {"base64": "AADAfw==" * 1, "shape": [1, 1]},
        {"space": []},
    ],
)
def test_a_damaged_latent_is_refused(damage: dict[str, object]) -> None:
    packed = records.pack_latent(Latent(torch.ones(1, 4), "w"))
    with pytest.raises(LatentError):
        records.unpack_latent(packed | damage)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp"])
def test_a_picture_gives_its_record_back(tmp_path: Path, name: str) -> None:
    records.write_picture(toy_image(16), tmp_path / name, RECORD)
    assert records.read_record(tmp_path / name) == RECORD
    assert (tmp_path / f"{name}.json").exists() == (name != "a.png")


def test_the_sidecar_itself_can_be_given(tmp_path: Path) -> None:
    records.write_picture(toy_image(16), tmp_path / "a.jpg", RECORD)
    assert records.read_record(tmp_path / "a.jpg.json") == RECORD


def test_an_existing_sidecar_is_kept_and_no_picture_is_written(tmp_path: Path) -> None:
    (tmp_path / "a.jpg.json").write_text("mine")
    with pytest.raises(OutputExistsError):
        records.write_picture(toy_image(16), tmp_path / "a.jpg", RECORD)
    assert [path.name for path in tmp_path.iterdir()] == ["a.jpg.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 99}', "[" * 100_000])
def test_a_damaged_record_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.mp4.json").write_text(text)
    (tmp_path / "a.mp4").write_bytes(b"no picture")
    with pytest.raises(InputError):
        records.read_record(tmp_path / "a.mp4")


def test_a_record_of_an_earlier_format_is_refused_with_both_numbers(tmp_path: Path) -> None:
    records.write_picture(toy_image(16), tmp_path / "a.png", {**RECORD, "format": 1})
    with pytest.raises(InputError, match=r"has format 1, and this version .* reads format 2 alone"):
        records.read_record(tmp_path / "a.png")


def test_a_picture_without_a_record_says_where_records_are(tmp_path: Path) -> None:
    from textmorph.images import write_image

    write_image(toy_image(16), tmp_path / "a.png")
    with pytest.raises(InputError, match="carries no textmorph record"):
        records.read_record(tmp_path / "a.png")
    with pytest.raises(InputError, match="no file"):
        records.read_record(tmp_path / "b.png")


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b.png", "a\0b.json"])
def test_a_file_with_an_impossible_name_is_missing(name: str) -> None:
    with pytest.raises(InputError, match="no file"):
        records.read_record(name)


@pytest.mark.parametrize("folder", ["x" * 5000, "a\0b", None, 3, [], "/no/such/folder"])
def test_a_recorded_folder_that_is_none_leaves_the_name(folder: object) -> None:
    assert records.recorded_domain({"domain": {"name": "portraits", "folder": folder}}) == "portraits"
