"""Mappers through the public door, `load_edit`, on a path."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch

import textmorph
from tests import golden_weights as golden
from textmorph.checkpoints import native
from textmorph.errors import CheckpointError, CheckpointMismatchError
from textmorph.latents import Latent
from textmorph.mappers import MapperConfig, MapperNetwork, SingleMapper, StyleMapper, StyleMapperConfig

PREFIX = "mapper."


@pytest.mark.parametrize("part", ["levels", "single"])
def test_a_published_mapper_equals_the_golden_residual(tmp_path: Path, part: str):
    tensors = {PREFIX + key: value for key, value in golden.weights("mapper", part).items()}
    options = {"description": "purple hair", "mapper_type": "LevelsMapper", "stylegan_size": 1024}
    torch.save({"state_dict": tensors, "opts": options}, tmp_path / "mapper.pt")
    edit = textmorph.load_edit(tmp_path / "mapper.pt")
    w_plus = Latent(golden.normal("input.w_plus", (2, 18, 512)), "w+")
    residual = (edit(w_plus).value - w_plus.value) / 0.1  # the factor is part of the edit
    assert golden.relative_error(residual, golden.arrays("mapper")[part]) < 1e-4
    assert torch.equal(edit(w_plus, 0.0).value, w_plus.value)


@pytest.mark.parametrize(
    ("mapper", "space", "shape"),
    [
        (MapperNetwork(MapperConfig(w_dim=8, levels=("coarse", "fine"), norm="channels")), "w+", (2, 10, 8)),
        (SingleMapper(MapperConfig(w_dim=8)), "w+", (2, 10, 8)),
        (StyleMapper(StyleMapperConfig(widths=(4, 3, 6), mapped=(0, 2))), "s", (2, 13)),
    ],
)
def test_a_residual_comes_back_equal_from_our_own_file(tmp_path: Path, mapper, space, shape: tuple[int, ...]):
    edit = textmorph.Residual(mapper, factor=0.3, space=space, provenance={"target": "purple hair"})
    edit.save(tmp_path / "edit.safetensors")
    loaded = textmorph.load_edit(tmp_path / "edit.safetensors")
    latent = Latent(golden.normal("residual", shape), space)
    assert torch.equal(loaded(latent, 2.0).value, edit(latent, 2.0).value)
    assert loaded.mapper.config == mapper.config
    assert loaded.provenance == {"target": "purple hair"}


def test_a_published_mapper_that_lacks_a_layer_is_refused_by_name(tmp_path: Path):
    tensors = {PREFIX + key: value for key, value in golden.weights("mapper", "single").items()}
    del tensors["mapper.mapping.mapping.3.bias"]
    torch.save({"state_dict": tensors}, tmp_path / "mapper.pt")
    with pytest.raises(CheckpointMismatchError, match=r"mapping\.3\.bias"):
        textmorph.load_edit(tmp_path / "mapper.pt")


@pytest.mark.parametrize(
    ("architecture", "config"),
    [
        ("levels", {"w_dim": 2**40}),
        ("levels", {"w_dim": 8.0}),
        ("single", {"w_dim": 10**400}),
        ("single", {"w_dim": 8, "factor": "inf"}),
        ("single", {"w_dim": 8, "factor": [1]}),
        ("single", {"w_dim": 8, "space": ["s"]}),
        ("style", {"widths": [10**400], "mapped": [0]}),
        ("style", {"widths": [1] * 200_000, "mapped": list(range(200_000))}),
    ],
)
def test_a_mapper_of_an_impossible_size_is_refused_at_once(tmp_path: Path, architecture: str, config: dict):
    tensors = {
        f"shared.{name}": value for name, value in SingleMapper(MapperConfig(w_dim=8)).shared.state_dict().items()
    }
    native.write(tmp_path / "m.safetensors", tensors, kind="mapper", architecture=architecture, config=dict(config))
    began = time.monotonic()
    with pytest.raises(CheckpointError) as caught:
        textmorph.load_edit(tmp_path / "m.safetensors")
    assert time.monotonic() - began < 2
    assert "\n" not in str(caught.value)
