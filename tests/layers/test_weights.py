from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import nn

from textmorph.errors import CheckpointMismatchError, OptionError
from textmorph.layers.weights import build, read_config


def make() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)).requires_grad_(False).eval()


def test_a_built_network_holds_the_tensors_and_stays_frozen():
    tensors = make().state_dict()
    network = build(make, tensors, source="file")
    assert all(torch.equal(tensors[name], value) for name, value in network.state_dict().items())
    assert not any(p.requires_grad for p in network.parameters())
    assert not network.training
    assert all(value.device.type == "cpu" for value in network.state_dict().values())


def test_half_precision_is_read_as_float32():
    tensors = {
        name: value.half() if value.is_floating_point() else value for name, value in make().state_dict().items()
    }
    network = build(make, tensors, source="file")
    assert {p.dtype for p in network.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"0.weight": None}, r"file lacks 0\.weight"),
        ({"2.weight": torch.zeros(2)}, r"file has unknown 2\.weight"),
        ({"0.bias": torch.zeros(3)}, r"wrong shape of 0\.bias \[3\] instead of \[2\]"),
        ({"0.bias": torch.zeros(2, dtype=torch.int64)}, r"wrong type of 0\.bias \(torch\.int64\)"),
        ({"0.bias": torch.tensor([0.0, float("nan")])}, r"not finite in 0\.bias"),
        ({"0.bias": torch.tensor([0.0, float("inf")])}, r"not finite in 0\.bias"),
    ],
)
def test_tensors_that_do_not_fit_are_refused_by_name(change: dict[str, torch.Tensor | None], message: str):
    tensors = {**make().state_dict(), **change}
    tensors = {name: value for name, value in tensors.items() if value is not None}
    with pytest.raises(CheckpointMismatchError, match=message):
        build(make, tensors, source="file")


def test_a_long_list_is_cut():
    with pytest.raises(CheckpointMismatchError, match="and 2 more"):
        build(make, {}, source="file")


def test_a_configuration_that_does_not_fit_is_refused():
    @dataclass
    class Config:
        depth: int = 1

        def __post_init__(self) -> None:
            if self.depth < 1:
                raise OptionError("depth is at least 1")

    assert read_config(Config, {"depth": 2}, source="file") == Config(2)
    with pytest.raises(CheckpointMismatchError, match="width"):
        read_config(Config, {"width": 2}, source="file")
    with pytest.raises(CheckpointMismatchError, match="at least 1"):
        read_config(Config, {"depth": 0}, source="file")
