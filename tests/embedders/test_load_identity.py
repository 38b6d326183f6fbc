"""Through the public loader, on a path."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest
import torch

import textmorph
from tests import golden_weights as golden
from tests.embedders.test_identity import TINY, embedder
from tests.toys import toy_image
from textmorph import checkpoints
from textmorph.errors import CheckpointMismatchError, OptionError, UnknownCheckpointError

CASE = "arcface_ir_se50"


def write(path: Path, config: dict | None = None, **changes: torch.Tensor) -> Path:
    network = embedder()
    tensors = {**network.state_dict(), **changes}
    config = {**asdict(network.config), **(config or {})}
    checkpoints.native.write(path, tensors, kind="identity", architecture="ir_se", config=config)
    return path


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`model_ir_se50.pth` with the golden weights: a bare state dict."""
    path = tmp_path_factory.mktemp("golden") / "model_ir_se50.pth"
    torch.save(golden.weights(CASE), path)
    return path


def test_our_own_file_comes_back_equal_frozen_and_in_eval_mode(tmp_path: Path):
    network, image = embedder(), toy_image(64, batch=2)
    loaded = textmorph.load_identity(write(tmp_path / "identity.safetensors"))
    assert loaded.config == TINY
    assert torch.equal(loaded.embed_image(image), network.embed_image(image))
    assert not loaded.training
    assert not any(p.requires_grad for p in loaded.parameters())


def test_the_crop_can_be_overridden(tmp_path: Path):
    path = write(tmp_path / "identity.safetensors")
    assert textmorph.load_identity(path, crop="ffhq").config.crop == "ffhq"
    with pytest.raises(OptionError, match="'ffhq' or 'none'"):
        textmorph.load_identity(path, crop="face")


def test_what_does_not_fit_is_refused_by_name(tmp_path: Path):
    wrong = {"head.4.bias": torch.zeros(3)}
    with pytest.raises(CheckpointMismatchError, match=r"head\.4\.bias \[3\] instead of \[16\]"):
        textmorph.load_identity(write(tmp_path / "shape.safetensors", **wrong))
    with pytest.raises(CheckpointMismatchError, match="depth"):
        textmorph.load_identity(write(tmp_path / "config.safetensors", {"depth": 50}))
    encoder = tmp_path / "encoder.safetensors"
    checkpoints.native.write(encoder, {"w": torch.zeros(1)}, kind="encoder", architecture="e4e", config={})
    with pytest.raises(CheckpointMismatchError, match="encoder 'e4e'"):
        textmorph.load_identity(encoder)
    (tmp_path / "text").write_text("no weights")
    with pytest.raises(UnknownCheckpointError):
        textmorph.load_identity(tmp_path / "text")


def test_the_released_network_equals_the_golden_embedding_of_a_face(released: Path):
    face = golden.normal("input.face", (2, 3, 112, 112)).clip(-1, 1)
    ours = textmorph.load_identity(released, crop="none").embed_image(face)
    assert golden.relative_error(ours, golden.arrays(CASE)["embedding_112"]) < 1e-4


def test_the_released_network_equals_the_golden_embedding_of_a_large_picture(released: Path):
    network = textmorph.load_identity(released)
    assert network.config.crop == "ffhq"
    ours = network.embed_image(golden.image(2, 1024))
    assert golden.relative_error(ours, golden.arrays(CASE)["embedding_from_1024"]) < 1e-4
