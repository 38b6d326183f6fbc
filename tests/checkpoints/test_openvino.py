"""The wheel of two OpenVINO networks: a toy of it, damaged and hostile ones."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.toys import toy_mobile
from textmorph import checkpoints
from textmorph.errors import (
    CheckpointError,
    CheckpointMismatchError,
    CorruptCheckpointError,
    UnsafeCheckpointError,
    UnsupportedCheckpointError,
)
from textmorph.generators import load_generator

Files = dict[str, bytes]


class Graph:
    """Writes a network as OpenVINO does: layers, edges, and a flat file of constants."""

    def __init__(self) -> None:
        self.layers: list[str] = []
        self.edges: list[str] = []
        self.flat = b""

    def add(self, kind: str, name: str, *inputs: int, data: str = "") -> int:
        number = len(self.layers)
        self.layers.append(f'<layer id="{number}" name="{name}" type="{kind}" version="opset1">{data}</layer>')
        for port, source in enumerate(inputs):
            edge = f'from-layer="{source}" from-port="0" to-layer="{number}" to-port="{port}"'
            self.edges.append(f"<edge {edge}/>")
        return number

    def const(self, name: str, value: torch.Tensor, *shape: int) -> int:
        raw = value.numpy().astype(np.float32).tobytes()
        sides = ", ".join(map(str, shape or value.shape))
        data = f'<data element_type="f32" shape="{sides}" offset="{len(self.flat)}" size="{len(raw)}"/>'
        self.flat += raw
        return self.add("Const", name, data=data)

    def xml(self) -> bytes:
        text = f"<layers>{''.join(self.layers)}</layers><edges>{''.join(self.edges)}</edges>"
        return f'<?xml version="1.0" ?><net name="toy" version="10">{text}<meta_data/></net>'.encode()


def wheel_of(generator: Any) -> Files:
    """A generator as the files of the wheel; the noise keeps its strength in the constants."""
    mapping, synthesis = Graph(), Graph()
    last = mapping.add("Parameter", "var")
    for i, layer in enumerate(generator.mapping.layers):
        weight = mapping.const(f"w{i}", layer.weight * layer.weight_gain)
        last = mapping.add("MatMul", f"m{i}", last, weight)
        shape = mapping.add("ShapeOf", f"s{i}", last)
        bias = mapping.add("Reshape", f"r{i}", mapping.const(f"b{i}", layer.bias * layer.bias_gain), shape)
        last = mapping.add("Add", f"a{i}", last, bias)
        last = mapping.add("PReLU", f"p{i}", last, mapping.const(f"k{i}", torch.tensor([0.2])))
    parameter = synthesis.add("Parameter", "style")
    x = synthesis.const("m.input.input", generator.const, 1, *generator.const.shape)
    for layer, name in zip(generator.layers, generator.style_layout.names, strict=True):
        style = f"m.{name}.modulation" if name.endswith("up") else f"m.{name}.conv.modulation"
        product = synthesis.add("MatMul", name, parameter, synthesis.const(f"{style}.weight", layer.affine.weight))
        bias = synthesis.const(f"{style}.bias", layer.affine.bias, 1, len(layer.affine.bias))
        x = synthesis.add("Multiply", name, x, synthesis.add("Add", name, product, bias))
        if name.endswith("up"):
            continue
        if getattr(layer, "depthwise", None) is not None:
            taps = synthesis.const(f"m.{name}.conv.weight_dw", layer.depthwise, len(layer.depthwise), 1, 1, 3, 3)
            x = synthesis.add("GroupConvolution", name, x, taps)
        if name.endswith("to_img"):
            weight = synthesis.const(f"m.{name}.conv.weight", layer.weight, *layer.weight.shape, 1, 1)
            x = synthesis.add("Convolution", name, x, weight)
        else:
            x = synthesis.add("Convolution", name, x, synthesis.const(f"{name}_copy", layer.weight))
            noise = layer.noise_const * layer.noise_strength
            x = synthesis.add("Add", name, x, synthesis.const(f"{name}_noise", noise, 1, 1, *noise.shape))
        x = synthesis.add("Add", name, x, synthesis.const(f"m.{name}.bias", layer.bias, 1, len(layer.bias), 1, 1))
        if not name.endswith("to_img"):
            x = synthesis.add("PReLU", name, x, synthesis.const(f"{name}_slope", torch.tensor([0.2])))
    return {
        "toy/data/MappingNetwork.xml": mapping.xml(),
        "toy/data/MappingNetwork.bin": mapping.flat,
        "toy/data/SynthesisNetwork.xml": synthesis.xml(),
        "toy/data/SynthesisNetwork.bin": synthesis.flat,
        "toy/__init__.py": b"raise SystemExit('imported')",
    }


def write(path: Path, files: Files, compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


@pytest.fixture(scope="module")
def files() -> Files:
    return wheel_of(toy_mobile(heads=()))


XML, FLAT = "toy/data/SynthesisNetwork.xml", "toy/data/SynthesisNetwork.bin"


def test_a_wheel_gives_the_generator_that_it_holds(files: Files, tmp_path: Path) -> None:
    path = write(tmp_path / "toy.whl", files)
    found, generator = load_generator(path), toy_mobile(heads=())
    latent = generator.sample(2, seed=0)
    torch.testing.assert_close(found(latent), generator(latent), atol=1e-5, rtol=1e-5)
    told = checkpoints.inspect(path)
    assert (told.kind, told.architecture, told.format) == ("generator", "mobile_stylegan", "openvino-wheel")
    assert "non-commercial" in str(told)
    checkpoints.convert(path, tmp_path / "toy.safetensors")
    assert torch.equal(load_generator(tmp_path / "toy.safetensors")(latent), found(latent))


def changed(old: bytes, new: bytes, name: str = XML, count: int = 1) -> Callable[[Files], Files]:
    def change(files: Files) -> Files:
        assert old in files[name]
        return {**files, name: files[name].replace(old, new, count)}

    return change


BOMB = b'<!DOCTYPE net [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
HOSTILE: dict[str, tuple[Callable[[Files], Files], type[CheckpointError], str]] = {
    "entities that multiply": (changed(b"<net", BOMB + b"<net"), UnsafeCheckpointError, "declares"),
    "an external document type": (
        changed(b"<net", b'<!DOCTYPE net SYSTEM "file:///etc/hostname"><net'), UnsafeCheckpointError, "declares",
    ),
    "an instruction": (changed(b"<net", b"<?run this?><net"), UnsafeCheckpointError, "declares"),
    "an XML larger than any": (changed(b"</net>", b"</net>" + b" " * (1 << 22)), UnsafeCheckpointError, "larger than"),
    "elements without end": (
        changed(b"<meta_data/>", b"<a>" + b"<a/>" * 100_001 + b"</a>"), UnsafeCheckpointError, "more or",
    ),
    "elements too deep": (
        changed(b"<meta_data/>", b"<a>" * 20 + b"</a>" * 20), UnsafeCheckpointError, "deeper",
    ),
    "a zip bomb": (lambda files: {**files, "toy/zeros": bytes(1 << 26)}, UnsafeCheckpointError, "zip bomb"),
    "an unknown kind of layer": (
        changed(b'type="Multiply"', b'type="ReadFile"'), UnsupportedCheckpointError, "ReadFile, which is not known",
    ),
    "another element type": (changed(b'"f32"', b'"string"'), UnsupportedCheckpointError, "type string;"),
    "another slope": (
        lambda files: {**files, FLAT: files[FLAT].replace(np.float32(0.2).tobytes(), np.float32(0.3).tobytes())},
        UnsupportedCheckpointError, "slope",
    ),
    "an offset outside the file": (changed(b'offset="0"', b'offset="999999999"'), CorruptCheckpointError, "outside"),
    "a negative offset": (changed(b'offset="0"', b'offset="-8"'), CorruptCheckpointError, "where a number belongs"),
    "an offset in other digits": (
        changed(b'offset="0"', "offset=\"\u0663\"".encode()), CorruptCheckpointError, "where a number belongs",
    ),
    "a size that fits no shape": (changed(b'size="', b'size="1'), CorruptCheckpointError, "does not fit"),
    "a shape without end": (
        changed(b'shape="', b'shape="9999999999, 9999999999, '), CorruptCheckpointError, "does not fit",
    ),
    "a truncated flat file": (lambda files: {**files, FLAT: files[FLAT][:-4]}, CorruptCheckpointError, "outside"),
    "an edge to nowhere": (changed(b'to-layer="', b'to-layer="9999'), CorruptCheckpointError, "not there"),
    "two layers of a number": (changed(b'id="1"', b'id="0"'), CorruptCheckpointError, "two layers of number 0"),
    "XML that breaks off": (changed(b"</net>", b""), CorruptCheckpointError, "damaged"),
    "no XML": (lambda files: {**files, XML: b"\0\1\2"}, CorruptCheckpointError, "damaged"),
    "another document": (lambda files: {**files, XML: b"<html/>"}, UnsupportedCheckpointError, "html"),
    "values that are no numbers": (
        lambda files: {**files, FLAT: np.full(len(files[FLAT]) // 4, np.nan, np.float32).tobytes()},
        CheckpointError, "slope|finite",
    ),
    "a constant that is missing": (
        changed(b"m.layers.1.conv2.conv.weight_dw", b"x"), CheckpointMismatchError, "wrong shape|lacks",
    ),
    "a constant too many": (changed(b"layers.1.conv2_slope", b"m.more"), CheckpointMismatchError, "m.more"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_or_damaged_wheel_is_refused_by_name(name: str, files: Files, tmp_path: Path) -> None:
    change, error, message = HOSTILE[name]
    compression = zipfile.ZIP_DEFLATED if "zip" in name else zipfile.ZIP_STORED
    path = write(tmp_path / "toy.whl", change(files), compression)
    with pytest.raises(error, match=message) as raised:
        load_generator(path)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 500


def test_every_cut_of_the_graph_is_refused_or_read(files: Files, tmp_path: Path) -> None:
    """No way through the reader ends in another error than ours."""
    text = files[XML]
    for i in range(60):
        start = i * len(text) // 60
        path = write(tmp_path / f"{i}.whl", {**files, XML: text[:start] + text[start + 37 :]})
        with pytest.raises(CheckpointError):
            checkpoints.read(path)


def test_a_zip_of_other_networks_is_unknown(files: Files, tmp_path: Path) -> None:
    others = {name.replace("Synthesis", "Other"): content for name, content in files.items()}
    with pytest.raises(CheckpointError, match="no network of a known format"):
        checkpoints.read(write(tmp_path / "toy.whl", others))
    twice = {**files, **{name.replace("toy/", "more/"): content for name, content in files.items()}}
    with pytest.raises(CheckpointError, match="no network of a known format"):
        checkpoints.read(write(tmp_path / "two.whl", twice))
