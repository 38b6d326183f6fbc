from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from tests.toys import toy_generator
from textmorph.errors import LatentError, OutputError, OutputExistsError, SpaceError
from textmorph.latents import SPACES, Latent, StyleLayout

LAYOUT = toy_generator(16).style_layout


def latent(space: str, num: int = 3) -> Latent:
    shape = (num, 4, 5) if space == "w+" else (num, 5)
    return Latent(torch.randn(shape, generator=torch.Generator().manual_seed(num)), space)  # type: ignore[arg-type]


# The value


@pytest.mark.parametrize("space", SPACES)
def test_arithmetic_works_in_every_space(space: str) -> None:
    a, b = latent(space), latent(space) * 2
    assert torch.equal((a + b).value, a.value + b.value)
    assert torch.equal((a - b).value, a.value - b.value)
    assert torch.equal((a + b.value).value, (a + b).value)
    assert {(a + b).space, (a - b).space, (a * 3).space} == {space}


@pytest.mark.parametrize("space", SPACES)
def test_rows_are_taken_like_rows_of_a_list(space: str) -> None:
    a = latent(space, 4)
    assert len(a) == 4
    assert torch.equal(a[1].value, a.value[1:2])
    assert torch.equal(a[-1].value, a.value[3:])
    assert torch.equal(a[1:3].value, a.value[1:3])
    assert torch.equal(a[[0, 2]].value, a.value[[0, 2]])
    assert torch.equal(Latent.cat(list(a)).value, a.value)
    with pytest.raises(IndexError, match="row 4 of a latent with 4 rows"):
        a[4]


def test_spaces_do_not_mix() -> None:
    with pytest.raises(SpaceError, match="in w with one in s"):
        latent("w") + latent("s")
    with pytest.raises(SpaceError, match="one space"):
        Latent.cat([latent("w"), latent("s")])


@pytest.mark.parametrize(
    ("value", "space"),
    [
        (torch.zeros(1, 2, 3), "w"),
        (torch.zeros(1, 2), "w+"),
        (torch.zeros(5), "s"),
        (torch.zeros(1, 5, dtype=torch.int64), "z"),
    ],
)
def test_a_shape_or_kind_that_is_no_latent_is_refused(value: torch.Tensor, space: str) -> None:
    with pytest.raises(LatentError):
        Latent(value, space)  # type: ignore[arg-type]


def test_an_unknown_space_is_refused_with_the_list() -> None:
    with pytest.raises(SpaceError, match=r"'v'; use one of z, w, w\+, s"):
        Latent(torch.zeros(1, 2), "v")  # type: ignore[arg-type]


def test_a_latent_is_frozen_and_moves_and_detaches() -> None:
    a = Latent(torch.ones(1, 2, requires_grad=True), "w")
    assert not a.detach().value.requires_grad
    assert a.to(torch.float64).value.dtype == torch.float64
    assert a.device.type == "cpu"
    with pytest.raises(AttributeError):
        a.space = "z"  # type: ignore[misc]


# Files


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.float64, torch.bfloat16])
def test_a_file_brings_the_latent_back_bit_for_bit(tmp_path: Path, space: str, dtype: torch.dtype) -> None:
    a = latent(space).to(dtype)
    a.save(tmp_path / "a.safetensors")
    b = Latent.load(tmp_path / "a.safetensors")
    assert b.space == space
    assert b.value.dtype == dtype
    assert torch.equal(a.value, b.value)
    assert len(list(tmp_path.iterdir())) == 1


def test_an_existing_file_is_kept_unless_told(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    latent("w").save(path)
    with pytest.raises(OutputExistsError):
        latent("s").save(path)
    assert Latent.load(path).space == "w"
    latent("s").save(path, overwrite=True)
    assert Latent.load(path).space == "s"
    with pytest.raises(OutputError):
        latent("w").save(tmp_path / "none" / "a.safetensors")


def test_a_view_that_needs_gradients_can_be_saved(tmp_path: Path) -> None:
    value = torch.randn(1, 5, requires_grad=True)[:, None].expand(-1, 4, -1)
    Latent(value, "w+").save(tmp_path / "a.safetensors")
    assert torch.equal(Latent.load(tmp_path / "a.safetensors").value, value)


def test_what_is_no_latent_file_is_said(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    with pytest.raises(LatentError, match="cannot be read"):
        Latent.load(path)
    for content in (b"", b"a letter", b"\0" * 100):
        path.write_bytes(content)
        with pytest.raises(LatentError, match="cannot be read"):
            Latent.load(path)
    with pytest.raises(LatentError, match="cannot be read"):
        Latent.load(tmp_path)
    save_file({"latent": torch.zeros(1, 5)}, path)
    with pytest.raises(LatentError, match="is not a latent file"):
        Latent.load(path)
    save_file({"other": torch.zeros(1, 5)}, path, {"kind": "latent", "space": "w"})
    with pytest.raises(LatentError):
        Latent.load(path)
    save_file({"latent": torch.zeros(1, 5)}, path, {"kind": "latent", "space": "v"})
    with pytest.raises(SpaceError):
        Latent.load(path)


# The layout of a style code


def test_splitting_and_joining_is_the_identity() -> None:
    style = torch.randn(2, LAYOUT.num_channels)
    parts = LAYOUT.split(style)
    assert tuple(part.shape[1] for part in parts) == LAYOUT.widths
    assert torch.equal(torch.cat(parts, dim=1), style)
    for index, name in enumerate(LAYOUT.names):
        assert torch.equal(style[:, LAYOUT.slice(name)], parts[index])
        assert LAYOUT.slice(name) == LAYOUT.slice(index)


@given(st.booleans(), st.sampled_from([None, 4, 8, 16]))
def test_a_mask_chooses_whole_layers(to_rgb: bool, max_resolution: int | None) -> None:
    mask = LAYOUT.mask(to_rgb=to_rgb, max_resolution=max_resolution)
    assert mask.dtype == torch.bool
    for index in range(len(LAYOUT.names)):
        part = mask[LAYOUT.slice(index)]
        low = max_resolution is None or LAYOUT.resolutions[index] <= max_resolution
        assert (part == (low and (to_rgb or not LAYOUT.to_rgb[index]))).all()


def test_channels_are_named_as_in_the_papers() -> None:
    names = [LAYOUT.channel_name(channel) for channel in range(LAYOUT.num_channels)]
    assert names[0] == "0_0"
    assert names[-1] == f"{len(LAYOUT.names) - 1}_{LAYOUT.widths[-1] - 1}"
    assert len(set(names)) == LAYOUT.num_channels
    for outside in (-1, LAYOUT.num_channels):
        with pytest.raises(LatentError, match="no style channel"):
            LAYOUT.channel_name(outside)


def test_a_layout_is_a_value() -> None:
    assert toy_generator(16).style_layout == LAYOUT
    assert toy_generator(8).style_layout != LAYOUT
    assert hash(LAYOUT) == hash(
        StyleLayout(LAYOUT.names, LAYOUT.widths, LAYOUT.resolutions, LAYOUT.to_rgb, LAYOUT.rows)
    )
