"""Encoders, identity networks and mappers in the files of others; what they hold beside the network."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import textmorph
from tests.checkpoints import foreign
from tests.toys import seed_weights, toy_generator
from textmorph import checkpoints
from textmorph.embedders.identity import IdentityConfig, IdentityEmbedder
from textmorph.errors import CheckpointMismatchError, UnknownCheckpointError, UnsupportedCheckpointError
from textmorph.inversion.e4e import E4eEncoder, EncoderConfig
from textmorph.latents import Latent
from textmorph.mappers import MapperConfig, MapperNetwork, SingleMapper, StyleMapper, StyleMapperConfig

WIDTHS, BLOCKS = (4, 6, 8, 10), (1, 2, 2, 1)


def seeded(network: Any) -> Any:
    seed_weights(network, 3)
    return network


def encoder(variant: str = "e4e", rows: int = 6) -> E4eEncoder:
    config = EncoderConfig(
        input_size=256 if variant == "single" else 32,
        num_rows=rows,
        widths=WIDTHS,
        blocks=BLOCKS,
        w_dim=8,
        variant=variant,  # type: ignore[arg-type]
    )
    return seeded(E4eEncoder(config))


def trunk_to_theirs(name: str) -> str:
    for ours, theirs in (("trunk.", ""), (".residual.", ".res_layer."), (".shortcut.", ".shortcut_layer.")):
        name = name.replace(ours, theirs)
    return name


def encoder_tree(network: E4eEncoder, options: Any, decoder: nn.Module | None = None) -> dict[str, Any]:
    state: dict[str, Tensor] = {}
    for name, tensor in network.state_dict().items():
        theirs = trunk_to_theirs(name).replace("heads.", "styles.").replace("lateral", "latlayer")
        if name != "mean_w":
            state[f"encoder.{theirs}"] = tensor
    if decoder is not None:
        state |= {f"decoder.{name}": tensor for name, tensor in foreign.to_rosinality(decoder.state_dict())[0].items()}
    tree = {"state_dict": state, "latent_avg": network.mean_w.clone(), "global_step": 7}
    return tree if options is None else {**tree, "opts": options}


E4E = {"encoder_type": "Encoder4Editing", "start_from_latent_avg": True, "device": "cuda:0", "stylegan_size": 16}


@pytest.mark.parametrize("legacy", [False, True])
def test_an_encoder_brings_its_generator(legacy: bool, tmp_path: Path) -> None:
    network, decoder = encoder(), toy_generator(16)
    path = foreign.write_torch(tmp_path / "e4e.pt", encoder_tree(network, E4E, decoder), legacy=legacy)
    image = torch.randn(1, 3, 32, 32)
    torch.testing.assert_close(textmorph.load_encoder(path)(image).value, network(image).value)
    generator: Any = textmorph.load_generator(path)
    latent = Latent(torch.randn(1, 6, 8), "w+")
    torch.testing.assert_close(generator(latent), decoder(latent))
    torch.testing.assert_close(generator.mean_w, network.mean_w.mean(dim=0))
    inspection = checkpoints.inspect(path)
    assert (inspection.kind, inspection.architecture, inspection.format) == ("encoder", "e4e", "encoder-pt")
    assert inspection.parts["generator"].config["resolution"] == 16
    assert "with generator:" in str(inspection)
    alone = checkpoints.convert(path, tmp_path / "decoder.safetensors", part="generator")
    assert alone.kind == "generator"


def test_a_generator_needs_no_kind_of_the_encoder_beside_it(tmp_path: Path) -> None:
    path = foreign.write_torch(tmp_path / "e4e.pt", encoder_tree(encoder(), None, toy_generator(16)))
    textmorph.load_generator(path)
    with pytest.raises(UnknownCheckpointError, match="kind="):
        checkpoints.inspect(path)
    assert checkpoints.inspect(path, kind="psp").architecture == "psp"


def test_options_may_be_a_namespace(tmp_path: Path) -> None:
    path = foreign.write_torch(tmp_path / "e4e.pt", encoder_tree(encoder(), argparse.Namespace(**E4E)))
    assert checkpoints.read(path).architecture == "e4e"


@pytest.mark.parametrize("variant", ["e4e", "psp", "single"])
def test_a_converted_encoder_is_the_same(variant: str, tmp_path: Path) -> None:
    network = encoder(variant)
    path = foreign.write_torch(tmp_path / "encoder.pt", encoder_tree(network, E4E))
    checkpoints.convert(path, tmp_path / "encoder.safetensors", kind=variant)
    image = torch.randn(1, 3, 64, 64)
    loaded = textmorph.load_encoder(tmp_path / "encoder.safetensors")
    torch.testing.assert_close(loaded(image).value, network(image).value)


def test_heads_without_a_row_are_dropped_and_said_so(tmp_path: Path) -> None:
    network = encoder(rows=8)
    tree = encoder_tree(network, {**E4E, "stylegan_size": 16})
    tree["latent_avg"] = tree["latent_avg"][:6]
    path = foreign.write_torch(tmp_path / "cars.pt", tree)
    image = torch.randn(1, 3, 32, 32)
    torch.testing.assert_close(textmorph.load_encoder(path)(image).value, network(image).value[:, :6])
    assert "8 heads for 6 rows" in str(checkpoints.inspect(path))


def test_where_an_encoder_starts_from(tmp_path: Path) -> None:
    tree = encoder_tree(encoder(), E4E)
    one = {**tree, "latent_avg": torch.arange(8.0)}
    assert torch.equal(read(tmp_path, one).tensors["mean_w"], torch.arange(8.0).expand(6, 8))
    zero = {**tree, "opts": {**E4E, "start_from_latent_avg": False}}
    assert not read(tmp_path, zero).tensors["mean_w"].any()
    del tree["latent_avg"]
    with pytest.raises(CheckpointMismatchError, match="lacks latent_avg"):
        read(tmp_path, tree)
    with pytest.raises(CheckpointMismatchError, match=r"latent_avg has shape \[5\]"):
        read(tmp_path, {**tree, "latent_avg": torch.zeros(5)})


def read(folder: Path, tree: object) -> checkpoints.Checkpoint:
    return checkpoints.read(foreign.write_torch(folder / "file.pt", tree))


def test_an_encoder_of_another_type_is_refused_by_name(tmp_path: Path) -> None:
    options = {"encoder_type": "BackboneEncoderUsingLastLayerIntoWPlus"}
    with pytest.raises(UnsupportedCheckpointError, match="IntoWPlus"):
        read(tmp_path, encoder_tree(encoder(), options))


def spoil(state: dict[str, Tensor], how: str, key: str) -> str:
    if how == "missing":
        del state[key]
    elif how == "extra":
        state[f"{key}.more"] = torch.zeros(1)
    elif how == "shape":
        state[key] = state[key][:-1]
    else:
        state[key] = torch.full_like(state[key], torch.nan)
    return {"missing": "lacks", "extra": "unknown", "shape": "wrong shape", "nan": "not finite"}[how]


@pytest.mark.parametrize("how", ["missing", "extra", "shape", "nan"])
@pytest.mark.parametrize(
    "key",
    [
        "encoder.body.2.res_layer.5.fc1.weight",
        "encoder.styles.3.convs.0.weight",
        "encoder.latlayer2.bias",
        "decoder.input.input",
    ],
)
def test_what_does_not_fit_an_encoder_is_named(how: str, key: str, tmp_path: Path) -> None:
    tree = encoder_tree(encoder(), E4E, toy_generator(16))
    message = spoil(tree["state_dict"], how, key)
    with pytest.raises(CheckpointMismatchError, match=f"{message}.*{key.partition('.')[2]}"):
        read(tmp_path, tree)


def identity_state() -> tuple[IdentityEmbedder, dict[str, Tensor]]:
    config = IdentityConfig(input_size=32, widths=WIDTHS, blocks=BLOCKS, embedding_dim=6)
    network = seeded(IdentityEmbedder(config))
    return network, {
        trunk_to_theirs(name).replace("head.", "output_layer."): t for name, t in network.state_dict().items()
    }


@pytest.mark.parametrize("legacy", [False, True])
def test_an_identity_network_comes_through(legacy: bool, tmp_path: Path) -> None:
    network, state = identity_state()
    path = foreign.write_torch(tmp_path / "model_ir_se50.pth", state, legacy=legacy)
    image = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(textmorph.load_identity(path).embed_image(image), network.embed_image(image))
    checkpoints.convert(path, tmp_path / "own.safetensors")
    loaded = textmorph.load_identity(tmp_path / "own.safetensors")
    torch.testing.assert_close(loaded.embed_image(image), network.embed_image(image))


@pytest.mark.parametrize("how", ["missing", "extra", "shape", "nan"])
@pytest.mark.parametrize("key", ["body.3.res_layer.1.weight", "output_layer.0.running_var", "output_layer.3.weight"])
def test_what_does_not_fit_an_identity_network_is_named(how: str, key: str, tmp_path: Path) -> None:
    state = identity_state()[1]
    message = spoil(state, how, key)
    if (how, key) == ("missing", "output_layer.3.weight"):
        with pytest.raises(UnknownCheckpointError):
            read(tmp_path, state)
        return
    with pytest.raises(CheckpointMismatchError, match=f"{message}.*{key}"):
        read(tmp_path, state)


STYLE_WIDTHS = (512,) * 15 + (256,) * 3 + (128,) * 3 + (64,) * 3 + (32,) * 2


def mapper_state(mapper: nn.Module) -> dict[str, Tensor]:
    names = {
        "coarse.": "course_mapping.",
        "medium.": "medium_mapping.",
        "fine.": "fine_mapping.",
        "shared.": "mapping.",
    }
    state = {}
    for name, tensor in mapper.state_dict().items():
        for ours, theirs in names.items():
            name = name.replace(ours, theirs)
        name = name.replace("blocks.", "mapper_")
        for i in (3, 2, 1, 0):
            name = name.replace(f"layers.{i}", f"mapping.{i + 1}")
        state[f"mapper.{name}"] = tensor
    return state


@pytest.mark.parametrize(
    ("mapper", "shape", "space"),
    [
        (MapperNetwork(MapperConfig(w_dim=8)), (2, 10, 8), "w+"),
        (MapperNetwork(MapperConfig(w_dim=8, levels=("coarse", "medium"))), (2, 10, 8), "w+"),
        (SingleMapper(MapperConfig(w_dim=8)), (2, 10, 8), "w+"),
    ],
    ids=["levels", "no fine level", "single"],
)
def test_a_mapper_comes_through_with_its_factor(mapper: nn.Module, shape: Any, space: Any, tmp_path: Path) -> None:
    seed_weights(mapper, 1)
    tree = {"state_dict": mapper_state(mapper), "opts": {"description": "purple hair"}}
    path = foreign.write_torch(tmp_path / "mapper.pt", tree)
    latent = Latent(torch.randn(*shape), space)
    expected = latent.value + 0.1 * mapper(latent.value)
    edit = textmorph.load_edit(path)
    torch.testing.assert_close(edit(latent).value, expected)
    assert edit.provenance["target"] == "purple hair"
    checkpoints.convert(path, tmp_path / "mapper.safetensors")
    torch.testing.assert_close(textmorph.load_edit(tmp_path / "mapper.safetensors")(latent).value, expected)


def test_a_mapper_in_style_space_comes_through(tmp_path: Path) -> None:
    mapped = tuple(i for i in range(26) if i % 3 != 1)
    mapper = StyleMapper(StyleMapperConfig(widths=STYLE_WIDTHS, mapped=mapped))
    path = foreign.write_torch(tmp_path / "mapper.pt", {"state_dict": mapper_state(mapper), "opts": {}})
    found = checkpoints.read(path)
    assert found.config["widths"] == list(STYLE_WIDTHS)
    latent = Latent(torch.randn(1, sum(STYLE_WIDTHS)), "s")
    torch.testing.assert_close(textmorph.load_edit(path)(latent).value, latent.value + 0.1 * mapper(latent.value))


def test_a_mapper_brings_its_generator(tmp_path: Path) -> None:
    decoder = toy_generator(16)
    state = mapper_state(MapperNetwork(MapperConfig(w_dim=8)))
    state |= {f"decoder.{name}": tensor for name, tensor in foreign.to_rosinality(decoder.state_dict())[0].items()}
    path = foreign.write_torch(tmp_path / "mapper.pt", {"state_dict": state, "opts": {}})
    latent = Latent(torch.randn(1, 6, 8), "w+")
    torch.testing.assert_close(textmorph.load_generator(path)(latent), decoder(latent))


@pytest.mark.parametrize("how", ["missing", "extra", "shape", "nan"])
def test_what_does_not_fit_a_mapper_is_named(how: str, tmp_path: Path) -> None:
    state = mapper_state(MapperNetwork(MapperConfig(w_dim=8)))
    spoil(state, how, "mapper.fine_mapping.mapping.2.weight")
    with pytest.raises(CheckpointMismatchError, match=r"fine"):
        read(tmp_path, {"state_dict": state, "opts": {}})


def test_a_mapper_with_unknown_blocks_is_refused(tmp_path: Path) -> None:
    state = {"mapper.hair_mapping.mapping.1.weight": torch.zeros(8, 8)}
    with pytest.raises(UnsupportedCheckpointError, match="hair_mapping"):
        read(tmp_path, {"state_dict": state, "opts": {}})


@pytest.mark.parametrize(
    "load", [textmorph.load_generator, textmorph.load_encoder, textmorph.load_identity, textmorph.load_edit]
)
def test_a_file_of_another_kind_is_refused_and_said_what_it_is(load: Any, tmp_path: Path) -> None:
    files = {
        "load_generator": {"state_dict": mapper_state(MapperNetwork(MapperConfig(w_dim=8))), "opts": {}},
        "load_encoder": identity_state()[1],
        "load_identity": encoder_tree(encoder(), E4E),
        "load_edit": identity_state()[1],
    }
    path = foreign.write_torch(tmp_path / "file.pt", files[load.__name__])
    with pytest.raises(textmorph.TextmorphError, match=r"holds|has no generator"):
        load(path)
