"""Every format of a generator gives back the generator that was written into it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import textmorph
from tests.checkpoints import foreign
from tests.toys import toy_generator
from textmorph import checkpoints
from textmorph.errors import (
    CheckpointError,
    CheckpointMismatchError,
    OutputExistsError,
    UnknownCheckpointError,
    UnsupportedCheckpointError,
)
from textmorph.generators.stylegan2 import StyleGAN2
from textmorph.latents import Latent

TOY: dict[str, Any] = {"z_dim": 6, "w_dim": 8, "mapping_layers": 3, "channel_base": 64, "channel_max": 8}


def toy(**changes: Any) -> StyleGAN2:
    """Wide below, narrow above, unequal z and w, so that mixing two of them up shows."""
    return toy_generator(16, **{**TOY, **changes})


def write_rosinality(path: Path, generator: StyleGAN2, *, legacy: bool = False, trained: bool = False) -> Path:
    state, mean = foreign.to_rosinality(generator.state_dict())
    tree: dict[str, Any] = {"g_ema": state, "latent_avg": mean}
    if trained:
        optimizer = {
            "state": {0: {"step": 3, "exp_avg": torch.zeros(2)}},
            "param_groups": [{"lr": 0.002, "betas": (0.0, 0.99)}],
        }
        options = argparse.Namespace(size=16, path="faces.lmdb", r1=10.0)
        tree = {"g": state, "d": {}, "g_ema": state, "g_optim": optimizer, "args": options, "ada_aug_p": 0.0}
    return foreign.write_torch(path, tree, legacy=legacy)


def write_tensorflow(path: Path, generator: StyleGAN2, **options: Any) -> Path:
    return foreign.write_pickle(path, foreign.to_tensorflow(generator.state_dict(), options))


def write_nvidia(path: Path, generator: StyleGAN2, options: dict[str, Any] | None = None, **how: Any) -> Path:
    return foreign.write_nvidia(path, foreign.to_nvidia(generator.state_dict()), options, **how)


WRITERS = {
    "nvidia-pkl": write_nvidia,
    "nvidia-pkl, protocol 3": lambda path, generator: write_nvidia(path, generator, protocol=3),
    "nvidia-pkl, protocol 5": lambda path, generator: write_nvidia(path, generator, protocol=5),
    "nvidia-pkl, alone": lambda path, generator: write_nvidia(path, generator, alone=True),
    "nvidia-pkl, by torch.save": lambda path, generator: foreign.write_torch(
        path, foreign.generator(foreign.to_nvidia(generator.state_dict()))
    ),
    "tensorflow-pkl": write_tensorflow,
    "rosinality-pt": write_rosinality,
    "rosinality-pt, legacy": lambda path, generator: write_rosinality(path, generator, legacy=True),
}


@pytest.mark.parametrize("resolution", [8, 32])
@pytest.mark.parametrize("writer", WRITERS)
def test_a_foreign_file_gives_the_generator_that_was_written(writer: str, resolution: int, tmp_path: Path) -> None:
    written = toy_generator(resolution, **TOY)
    path = WRITERS[writer](tmp_path / "file.bin", written)  # the ending says nothing
    loaded: Any = textmorph.load_generator(path)
    assert checkpoints.read(path).format == writer.partition(",")[0]
    latent = Latent(torch.randn(2, 6), "z")
    torch.testing.assert_close(loaded(latent), written(latent))
    torch.testing.assert_close(loaded.mean_w, written.mean_w)
    assert loaded.style_layout == written.style_layout
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())


@pytest.mark.parametrize("write", [write_nvidia, write_tensorflow], ids=["nvidia", "tensorflow"])
def test_classes_come_through(write: Any, tmp_path: Path) -> None:
    written = toy(label_dim=5)
    loaded: Any = textmorph.load_generator(write(tmp_path / "file", written))
    z, label = Latent(torch.randn(3, 6), "z"), torch.eye(5)[:3]
    torch.testing.assert_close(loaded.to_space(z, "w", label=label).value, written.to_space(z, "w", label=label).value)
    other = loaded.to_space(z, "w", label=label.flip(0)).value
    assert not torch.allclose(other, loaded.to_space(z, "w", label=label).value)


@pytest.mark.parametrize(
    "how",
    [
        {"options": {"synthesis_kwargs": {"conv_clamp": 0.5}}},
        {"options": {"conv_clamp": 0.5, "num_fp16_res": 4}},
        {"attributes": {f"synthesis.b{side}.conv1": {"conv_clamp": 0.5} for side in (4, 8, 16)}},
        {"attributes": {"synthesis.b8.torgb": {"conv_clamp": 0.5}}, "options": {"conv_clamp": 256}},
    ],
    ids=["nested option", "flat option", "layers", "a layer over an option"],
)
def test_the_clamp_comes_through_and_takes_effect(how: dict[str, Any], tmp_path: Path) -> None:
    loaded: Any = textmorph.load_generator(write_nvidia(tmp_path / "file", toy(), **how))
    latent = Latent(3 * torch.randn(2, 8), "w")
    assert not torch.allclose(loaded(latent), toy()(latent), atol=0.1)
    torch.testing.assert_close(loaded(latent), toy(conv_clamp=0.5)(latent))


def test_the_clamp_of_a_tensorflow_file_comes_through(tmp_path: Path) -> None:
    loaded: Any = textmorph.load_generator(write_tensorflow(tmp_path / "file", toy(), conv_clamp=0.5, resolution=16))
    latent = Latent(3 * torch.randn(2, 8), "w")
    torch.testing.assert_close(loaded(latent), toy(conv_clamp=0.5)(latent))


def test_a_file_that_says_nothing_of_a_clamp_says_so(tmp_path: Path) -> None:
    assert any("conv_clamp" in note for note in checkpoints.read(write_nvidia(tmp_path / "file", toy())).notes)
    stated = write_nvidia(tmp_path / "stated", toy(), {"synthesis_kwargs": {"conv_clamp": None}})
    assert not any("conv_clamp" in note for note in checkpoints.read(stated).notes)


def test_a_training_file_gets_an_estimated_average(tmp_path: Path) -> None:
    written = toy()
    path = write_rosinality(tmp_path / "file.pt", written, trained=True)
    assert "mapping.mean_w" not in checkpoints.read(path).tensors
    first: Any = textmorph.load_generator(path)
    again: Any = textmorph.load_generator(path)
    assert torch.equal(first.mean_w, again.mean_w)
    true = written.sample(4096, seed=99).value.mean(dim=0)
    spread = written.sample(4096, seed=99).value.std(dim=0)
    assert ((first.mean_w - true).abs() < 0.1 * spread).all()  # 0.1 is 5 standard errors of 4096 samples


def test_an_average_per_row_becomes_their_mean(tmp_path: Path) -> None:
    state, mean = foreign.to_rosinality(toy().state_dict())
    rows = torch.stack([mean + 1, mean - 1] * 3)
    path = foreign.write_torch(tmp_path / "file", {"g_ema": state, "latent_avg": rows})
    loaded: Any = textmorph.load_generator(path)
    torch.testing.assert_close(loaded.mean_w, mean)


def test_tensors_may_share_a_storage_and_lie_in_any_order(tmp_path: Path) -> None:
    """Strides and offsets are honoured: channels-last weights, and all biases as views of one block."""
    written = toy()
    state = foreign.to_nvidia(written.state_dict())
    block = torch.cat([tensor for name, tensor in state.items() if name.endswith(".bias")])
    start = 0
    for name, tensor in state.items():
        if name.endswith(".bias"):
            state[name] = block[start : start + len(tensor)]
            start += len(tensor)
        elif tensor.ndim == 4:
            state[name] = tensor.contiguous(memory_format=torch.channels_last)
        elif name.endswith("affine.weight"):
            state[name] = tensor.t().contiguous().t()
    latent = Latent(torch.randn(2, 6), "z")
    for path in (
        foreign.write_nvidia(tmp_path / "file.pkl", state),
        foreign.write_torch(tmp_path / "file.pt", foreign.generator(state)),
        foreign.write_torch(tmp_path / "legacy.pt", foreign.generator(state), legacy=True),
    ):
        torch.testing.assert_close(textmorph.load_generator(path)(latent), written(latent))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_single(dtype: torch.dtype, tmp_path: Path) -> None:
    state, mean = foreign.to_rosinality(toy().state_dict())
    tree = {"g_ema": {name: tensor.to(dtype) for name, tensor in state.items()}, "latent_avg": mean}
    loaded = checkpoints.read(foreign.write_torch(tmp_path / "file", tree))
    assert {tensor.dtype for tensor in loaded.tensors.values()} == {torch.float32}
    torch.testing.assert_close(
        loaded.tensors["blocks.1.conv0.weight"], state["convs.0.conv.weight"][0].to(dtype).float()
    )


def test_our_reader_agrees_with_torchs_own(tmp_path: Path) -> None:
    state, mean = foreign.to_rosinality(toy().state_dict())
    for legacy in (False, True):
        path = foreign.write_torch(tmp_path / f"file{legacy}", {"g_ema": state, "latent_avg": mean}, legacy=legacy)
        content = checkpoints.open_file(path)
        expected = torch.load(path, weights_only=True)["g_ema"]
        assert content.tree["g_ema"].keys() == expected.keys()
        for name, tensor in expected.items():
            assert torch.equal(content.tensor(name, content.tree["g_ema"][name]), tensor)


def test_numpy_scalars_and_both_byte_orders_are_read(tmp_path: Path) -> None:
    values = {"little": np.arange(6, dtype="<f4").reshape(2, 3), "big": np.arange(6, dtype=">f8").reshape(2, 3)}
    values |= {"columns": np.asfortranarray(np.arange(6, dtype="f4").reshape(2, 3)), "scalar": np.float64(2.5)}
    values |= {"whole": np.arange(3, dtype="i2")}
    for protocol in (2, 3, 4, 5):
        content = checkpoints.open_file(foreign.write_pickle(tmp_path / f"{protocol}.pkl", values, protocol=protocol))
        for name, value in values.items():
            assert content.tensor(name, content.tree[name]).tolist() == np.asarray(value).tolist()


# What is refused by name


@pytest.mark.parametrize("variant", ["orig", "resnet"])
@pytest.mark.parametrize("where", ["options", "nested", "attribute"])
def test_other_architectures_are_refused_by_name(variant: str, where: str, tmp_path: Path) -> None:
    how: dict[str, Any] = {
        "options": {"options": {"architecture": variant}},
        "nested": {"options": {"synthesis_kwargs": {"architecture": variant}}},
        "attribute": {"attributes": {"synthesis.b8": {"architecture": variant}}},
    }[where]
    with pytest.raises(UnsupportedCheckpointError, match=f"architecture '{variant}'"):
        checkpoints.read(write_nvidia(tmp_path / "file", toy(), **how))


def test_a_resnet_is_known_by_its_weights(tmp_path: Path) -> None:
    state = foreign.to_nvidia(toy().state_dict()) | {"synthesis.b8.skip.weight": torch.zeros(8, 8, 1, 1)}
    with pytest.raises(UnsupportedCheckpointError, match="architecture 'resnet'"):
        checkpoints.read(foreign.write_nvidia(tmp_path / "file", state))


def test_stylegan3_is_named_and_refused(tmp_path: Path) -> None:
    state = {"mapping.fc0.weight": torch.zeros(8, 8), "synthesis.input.freqs": torch.zeros(8, 2)}
    state |= {"synthesis.L0_36_512.weight": torch.zeros(8, 8, 3, 3)}
    with pytest.raises(UnsupportedCheckpointError, match="StyleGAN3"):
        textmorph.load_generator(foreign.write_nvidia(tmp_path / "file", state))


@pytest.mark.parametrize(("option", "value"), [("activation", "relu"), ("img_channels", 1), ("lr_multiplier", 0.1)])
def test_other_options_are_refused_by_name(option: str, value: object, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedCheckpointError, match=option):
        checkpoints.read(write_nvidia(tmp_path / "file", toy(), {option: value}))


def test_another_filter_is_refused(tmp_path: Path) -> None:
    state = foreign.to_nvidia(toy().state_dict())
    state["synthesis.b8.resample_filter"] = foreign.FILTER.flip(0) * 2
    with pytest.raises(UnsupportedCheckpointError, match=r"synthesis\.b8\.resample_filter is another filter"):
        checkpoints.read(foreign.write_nvidia(tmp_path / "file", state))
    state, mean = foreign.to_rosinality(toy().state_dict())
    state["convs.0.conv.blur.kernel"] = foreign.FILTER
    with pytest.raises(UnsupportedCheckpointError, match="another filter"):
        checkpoints.read(foreign.write_torch(tmp_path / "file", {"g_ema": state, "latent_avg": mean}))


def test_a_discriminator_alone_is_refused(tmp_path: Path) -> None:
    path = foreign.write_pickle(tmp_path / "file", foreign.module("Discriminator", {"b4.out.weight": torch.ones(1, 4)}))
    with pytest.raises(UnsupportedCheckpointError, match="Discriminator"):
        checkpoints.read(path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"architecture": "resnet"}, "architecture=resnet"),
        ({"nonlinearity": "relu"}, "nonlinearity=relu"),
        ({"resample_kernel": [1, 2, 1]}, "resample_kernel"),
        ({"num_channels": 1}, "num_channels=1"),
    ],
)
def test_other_tensorflow_generators_are_refused_by_name(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedCheckpointError, match=message):
        checkpoints.read(write_tensorflow(tmp_path / "file", toy(), **options))


def test_a_tensorflow_file_is_marked_as_never_tried_on_a_genuine_one(tmp_path: Path) -> None:
    assert "no genuine file" in str(checkpoints.inspect(write_tensorflow(tmp_path / "file", toy())))


# Keys, shapes and values that do not fit


def damage(name: str, state: dict[str, torch.Tensor], key: str) -> str:
    """Spoil one tensor; the message that is due."""
    if name == "missing":
        del state[key]
        return rf"lacks {key}"
    if name == "extra":
        state["synthesis.b8.extra.weight"] = torch.zeros(1)
        return r"unknown synthesis\.b8\.extra\.weight"
    if name == "shape":
        state[key] = state[key][:-1]
        return rf"wrong shape of {key}"
    if name == "dimensions":
        state[key] = state[key].flatten()
        return rf"wrong shape of {key}"
    state[key] = state[key].clone()
    state[key].view(-1)[3] = {"nan": torch.nan, "infinity": torch.inf}[name]
    return rf"not finite in {key}"


@pytest.mark.parametrize("name", ["missing", "extra", "shape", "dimensions", "nan", "infinity"])
@pytest.mark.parametrize("form", ["nvidia", "rosinality"])
def test_what_does_not_fit_is_named_and_nothing_is_written(name: str, form: str, tmp_path: Path) -> None:
    path, out = tmp_path / "file", tmp_path / "out.safetensors"
    if form == "nvidia":
        state = foreign.to_nvidia(toy().state_dict())
        message = damage(name, state, "synthesis.b8.conv1.weight")
        foreign.write_nvidia(path, state)
    else:
        state, mean = foreign.to_rosinality(toy().state_dict())
        message = damage(name, state, "convs.1.conv.weight")
        foreign.write_torch(path, {"g_ema": state, "latent_avg": mean})
    for use in (checkpoints.read, checkpoints.inspect, textmorph.load_generator, lambda p: checkpoints.convert(p, out)):
        with pytest.raises(CheckpointMismatchError, match=message) as caught:
            use(path)
        assert str(caught.value).startswith(str(path))
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("field", ["w_dim", "resolution", "mapping_layers", "channel_base", "label_dim", "z_dim"])
@pytest.mark.parametrize("value", [None, "8", -1, 0, 7, 1 << 40, True, 8.0, [8]])
def test_our_own_header_is_held_against_the_weights(field: str, value: object, tmp_path: Path) -> None:
    generator = toy()
    config = {**vars(generator.config), field: value}
    if (field, value) == ("label_dim", 0):
        return
    path = tmp_path / "own.safetensors"
    checkpoints.native.write(path, generator.state_dict(), kind="generator", architecture="stylegan2", config=config)
    with pytest.raises(CheckpointError):
        textmorph.load_generator(path)


# Our own files


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("writer", WRITERS)
def test_a_converted_file_gives_the_same_images(writer: str, half: bool, tmp_path: Path) -> None:
    path, out = WRITERS[writer](tmp_path / "file", toy()), tmp_path / "out.safetensors"
    inspection = checkpoints.convert(path, out, half=half)
    assert inspection.format == "textmorph"
    before, after = textmorph.load_generator(path), textmorph.load_generator(out)
    latent = Latent(torch.randn(2, 8), "w")
    difference = (before(latent) - after(latent)).abs().max()
    assert difference < 0.05 if half else difference == 0
    assert checkpoints.read(out).provenance["converted_from"] == writer.partition(",")[0]
    assert (out.stat().st_size < 4 * inspection.num_values) == half
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "out.safetensors"]


def test_converting_keeps_a_file_that_is_there(tmp_path: Path) -> None:
    path, out = write_nvidia(tmp_path / "file", toy()), tmp_path / "out.safetensors"
    out.write_text("mine")
    with pytest.raises(OutputExistsError):
        checkpoints.convert(path, out)
    assert out.read_text() == "mine"
    checkpoints.convert(path, out, overwrite=True)
    textmorph.load_generator(out)


def test_inspection_tells_what_a_file_is(tmp_path: Path) -> None:
    generator = toy()
    inspection = checkpoints.inspect(write_nvidia(tmp_path / "file", generator))
    assert (inspection.kind, inspection.architecture, inspection.format) == ("generator", "stylegan2", "nvidia-pkl")
    assert inspection.num_values == sum(tensor.numel() for tensor in generator.state_dict().values())
    assert inspection.config["resolution"] == 16
    assert inspection.to_dict()["config"] == inspection.config
    text = str(inspection)
    for piece in ("generator stylegan2", "nvidia-pkl", "resolution: 16", "w_dim: 8", "licence: NVIDIA"):
        assert piece in text


def test_safetensors_of_others_are_unknown(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(UnknownCheckpointError, match="not one of textmorph's"):
        checkpoints.read(tmp_path / "other.safetensors")


def test_a_latent_file_is_recognised(tmp_path: Path) -> None:
    Latent(torch.zeros(1, 4, 8), "w+").save(tmp_path / "code.safetensors")
    found = checkpoints.read(tmp_path / "code.safetensors")
    assert (found.kind, found.config) == ("latent", {"space": "w+"})


def test_no_part_and_no_kind_that_does_not_exist(tmp_path: Path) -> None:
    path = write_nvidia(tmp_path / "file", toy())
    with pytest.raises(textmorph.TextmorphError, match="e4e, psp, single"):
        checkpoints.read(path, kind="e5e")
