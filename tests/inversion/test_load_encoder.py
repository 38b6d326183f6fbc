"""Through the public loader, on a path."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

import textmorph
from tests import golden_weights as golden
from tests.inversion.test_e4e import TINY, encoder
from tests.toys import toy_image
from textmorph import checkpoints
from textmorph.errors import CheckpointMismatchError, UnknownCheckpointError
from textmorph.inversion.e4e import E4eEncoder


def write(path: Path, variant: str = "e4e", config: dict | None = None, **changes: torch.Tensor) -> Path:
    network = encoder(replace(TINY, variant=variant))
    tensors = {**network.state_dict(), **changes}
    config = {**asdict(network.config), **(config or {})}
    checkpoints.native.write(path, tensors, kind="encoder", architecture=variant, config=config)
    return path


@pytest.mark.parametrize("variant", ["e4e", "psp", "single"])
def test_our_own_file_comes_back_equal_frozen_and_in_eval_mode(tmp_path: Path, variant: str):
    path = write(tmp_path / "encoder.safetensors", variant)
    loaded, image = textmorph.load_encoder(path), toy_image(32)
    assert loaded.config == replace(TINY, variant=variant)
    tensors = checkpoints.read(path).tensors
    assert all(torch.equal(value, tensors[name]) for name, value in loaded.state_dict().items())
    assert loaded(image).value.shape == (1, 10, 8)
    assert not loaded.training
    assert not any(p.requires_grad for p in loaded.parameters())


def test_a_small_file_in_half_precision_is_close(tmp_path: Path):
    network = encoder()
    path = tmp_path / "encoder.safetensors"
    checkpoints.native.write(
        path,
        network.state_dict(),
        kind="encoder",
        architecture="e4e",
        config=asdict(network.config),
        dtype=torch.float16,
    )
    half, full = textmorph.load_encoder(path)(toy_image(32)).value, network(toy_image(32)).value
    assert (half - full).abs().max() < 0.01 * full.abs().max()  # float16 has 11 bits, some layers deep


def test_what_does_not_fit_is_refused_by_name(tmp_path: Path):
    wrong = {"heads.0.linear.bias": torch.zeros(3)}
    with pytest.raises(CheckpointMismatchError, match=r"heads\.0\.linear\.bias \[3\] instead of \[8\]"):
        textmorph.load_encoder(write(tmp_path / "shape.safetensors", **wrong))
    with pytest.raises(CheckpointMismatchError, match="depth"):
        textmorph.load_encoder(write(tmp_path / "config.safetensors", config={"depth": 50}))
    other = tmp_path / "identity.safetensors"
    checkpoints.native.write(other, {"w": torch.zeros(1)}, kind="identity", architecture="ir_se", config={})
    with pytest.raises(CheckpointMismatchError, match="identity 'ir_se'"):
        textmorph.load_encoder(other)


def foreign(path: Path, network: E4eEncoder, options: dict | None) -> Path:
    """The file that the authors' code would write of this network."""
    theirs = {"trunk.": "", "heads.": "styles.", "lateral": "latlayer", ".residual.": ".res_layer."}
    theirs[".shortcut."] = ".shortcut_layer."
    tensors = {}
    for name, value in network.state_dict().items():
        for ours, their in theirs.items():
            name = name.replace(ours, their)
        tensors[f"encoder.{name}"] = value
    content = {"state_dict": tensors, "latent_avg": tensors.pop("encoder.mean_w")}
    torch.save(content | ({"opts": options} if options else {}), path)
    return path


@pytest.mark.parametrize(
    ("variant", "written"),
    [("e4e", "Encoder4Editing"), ("psp", "GradualStyleEncoder"), ("single", "BackboneEncoderUsingLastLayerIntoW")],
)
def test_a_small_foreign_file_gives_the_same_latents(tmp_path: Path, variant: str, written: str):
    size = 256 if variant == "single" else 32  # of a single code the file does not say the size
    network = encoder(replace(TINY, widths=(4, 6, 8, 10), variant=variant, input_size=size))
    network.mean_w.normal_()
    loaded = textmorph.load_encoder(foreign(tmp_path / "encoder.pt", network, {"encoder_type": written}))
    assert torch.equal(loaded(toy_image(64)).value, network(toy_image(64)).value)


def test_a_foreign_file_of_cars_reads_wide_pictures(tmp_path: Path):
    network = encoder(replace(TINY, widths=(4, 6, 8, 10), input_size=64, input_height=48))
    options = {"encoder_type": "Encoder4Editing", "dataset_type": "cars_encode"}
    loaded = textmorph.load_encoder(foreign(tmp_path / "cars.pt", network, options))
    assert loaded.config.input_shape == (48, 64)
    assert torch.equal(loaded(toy_image(64)).value, network(toy_image(64)).value)


def test_a_foreign_file_that_does_not_say_what_it_is_asks_for_the_kind(tmp_path: Path):
    path = foreign(tmp_path / "encoder.pt", encoder(replace(TINY, widths=(4, 6, 8, 10))), None)
    with pytest.raises(UnknownCheckpointError, match="kind='e4e'"):
        textmorph.load_encoder(path)
    e4e = textmorph.load_encoder(path, kind="e4e")(toy_image(32)).value
    psp = textmorph.load_encoder(path, kind="psp")(toy_image(32)).value
    assert torch.equal(e4e[:, 0], psp[:, 0])
    assert not torch.equal(e4e[:, 1:], psp[:, 1:])


@pytest.mark.slow
@pytest.mark.timeout(1200)  # 1 GB of weights drawn, written and read
def test_the_released_encoder_equals_the_golden_latent(tmp_path: Path):
    mean = golden.normal("input.mean_latent", (1, 512)).expand(18, -1).contiguous()
    tensors = {f"encoder.{key}": value for key, value in golden.weights("e4e-1024").items()}
    options = {
        "encoder_type": "Encoder4Editing",
        "stylegan_size": 1024,
        "start_from_latent_avg": True,
        "dataset_type": "ffhq_encode",
        "device": "cuda:0",
    }
    path = tmp_path / "e4e_ffhq_encode.pt"
    torch.save({"state_dict": tensors, "latent_avg": mean, "opts": options}, path)
    del tensors
    latent = textmorph.load_encoder(path)(golden.image(1, 256))
    assert latent.space == "w+"
    assert golden.relative_error(latent.value - mean, golden.arrays("e4e-1024")["w_plus_delta"]) < 1e-4
