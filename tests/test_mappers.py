from __future__ import annotations

import pytest
import torch

from tests import golden_weights as golden
from textmorph.errors import CheckpointMismatchError, LatentError, OptionError
from textmorph.layers.weights import build
from textmorph.mappers import (
    MAPPERS,
    MapperConfig,
    MapperNetwork,
    SingleMapper,
    StyleMapper,
    StyleMapperConfig,
    build_mapper,
    save_mapper,
)

W_PLUS = golden.normal("mapper.w_plus", (2, 10, 8))


def test_a_mapper_without_a_level_leaves_its_rows_alone():
    residual = MapperNetwork(MapperConfig(w_dim=8, levels=("coarse", "fine")))(W_PLUS)
    assert residual.shape == W_PLUS.shape
    assert (residual[:, 4:8] == 0).all()
    assert (residual[:, :4] != 0).any()
    assert (residual[:, 8:] != 0).any()


def test_each_level_sees_its_own_rows_alone():
    mapper = MapperNetwork(MapperConfig(w_dim=8))
    moved = W_PLUS.clone()
    moved[:, 5] += 1
    changed = (mapper(moved) != mapper(W_PLUS)).any(dim=2)
    assert not changed[:, :4].any()
    assert changed[:, 4:8].all()  # the norm runs over the rows of the level
    assert not changed[:, 8:].any()


def test_with_the_norm_over_channels_a_row_depends_on_itself_alone():
    mapper = MapperNetwork(MapperConfig(w_dim=8, norm="channels"))
    moved = W_PLUS.clone()
    moved[:, 5] += 1
    changed = (mapper(moved) != mapper(W_PLUS)).any(dim=2)
    assert changed.nonzero()[:, 1].tolist() == [5, 5]


def test_equal_rows_lose_their_magnitude_under_the_reference_norm_and_keep_it_under_the_papers():
    w = W_PLUS[:, :1].expand(-1, 10, -1)
    rows = SingleMapper(MapperConfig(w_dim=8, norm="rows"))
    torch.testing.assert_close(rows(w), rows(w.sign()), atol=1e-5, rtol=1e-4)
    channels = SingleMapper(MapperConfig(w_dim=8, norm="channels"))
    assert (channels(w) - channels(w.sign())).abs().max() > 0.01


def test_a_generator_of_six_rows_has_no_fine_level():
    residual = MapperNetwork(MapperConfig(w_dim=8))(W_PLUS[:, :6])
    assert residual.shape == (2, 6, 8)
    assert residual.isfinite().all()


def test_a_style_mapper_leaves_unmapped_layers_alone_and_layers_apart():
    mapper = StyleMapper(StyleMapperConfig(widths=(4, 3, 6), mapped=(0, 2)))
    style = golden.normal("mapper.style", (2, 13))
    residual = mapper(style)
    assert (residual[:, 4:7] == 0).all()
    moved = style.clone()
    moved[:, 0] += 1
    changed = (mapper(moved) != residual).any(dim=0)
    assert changed[:4].all()
    assert not changed[4:].any()


def test_an_untrained_mapper_gives_a_residual_of_about_unit_scale():
    residual = MapperNetwork(MapperConfig(w_dim=256))(golden.normal("mapper.wide", (4, 18, 256)))
    assert 0.7 < float(residual.std()) < 1.3  # fresh equalised layers keep the variance


def test_the_sizes_are_those_of_the_paper_code():
    def count(network: torch.nn.Module) -> int:
        return sum(p.numel() for p in network.parameters())

    with torch.device("meta"):
        assert count(MapperNetwork()) == 3_151_872
        assert count(MapperNetwork(MapperConfig(levels=("coarse", "medium")))) == 2_101_248
        # the 26 style layers of a 1024 px generator: 4 px has conv and toRGB, then conv, conv, toRGB
        widths = [512, 512]
        inputs = 512
        for outputs in (512, 512, 512, 512, 256, 128, 64, 32):
            widths += [inputs, outputs, outputs]
            inputs = outputs
        mapped = tuple(i for i in range(26) if i % 3 != 1)
        assert count(StyleMapper(StyleMapperConfig(widths=tuple(widths), mapped=mapped))) == 11_202_176


def test_a_mapper_is_built_frozen_and_can_be_trained():
    mapper = MapperNetwork(MapperConfig(w_dim=8))
    assert not any(p.requires_grad for p in mapper.parameters())
    assert not mapper.training
    mapper.requires_grad_(True)
    mapper(W_PLUS).square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in mapper.parameters())


@pytest.mark.parametrize("shape", [(2, 8), (2, 10, 9)])
def test_another_shape_is_refused(shape: tuple[int, ...]):
    with pytest.raises(LatentError, match="takes w"):
        MapperNetwork(MapperConfig(w_dim=8))(torch.zeros(shape))
    with pytest.raises(LatentError, match="takes a style code"):
        StyleMapper(StyleMapperConfig(widths=(4, 3), mapped=(0,)))(torch.zeros(2, 8))


@pytest.mark.parametrize(
    "fields", [{"levels": ()}, {"levels": ("fine", "fine")}, {"levels": ("top",)}, {"norm": "both"}, {"w_dim": 0}]
)
def test_a_configuration_out_of_range_is_refused(fields: dict[str, object]):
    with pytest.raises(OptionError):
        MapperConfig(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("fields", [{"widths": (), "mapped": (0,)}, {"widths": (4,), "mapped": (1,)}])
def test_a_style_configuration_out_of_range_is_refused(fields: dict[str, tuple[int, ...]]):
    with pytest.raises(OptionError):
        StyleMapperConfig(**fields)


@pytest.mark.parametrize("part", ["levels", "single"])
def test_the_residual_equals_the_golden_one(part: str):
    ours = {_our_key(key): value for key, value in golden.weights("mapper", part).items()}
    mapper = build(lambda: MAPPERS[part](MapperConfig()), ours, source="golden")
    residual = mapper(golden.normal("input.w_plus", (2, 18, 512)))
    assert golden.relative_error(residual, golden.arrays("mapper")[part]) < 1e-4


def test_a_checkpoint_that_does_not_fit_is_refused():
    tensors = SingleMapper(MapperConfig(w_dim=8)).state_dict()
    good = build_mapper("single", {"w_dim": 8}, tensors, source="file")
    assert isinstance(good, SingleMapper)
    with pytest.raises(CheckpointMismatchError, match="'both'"):
        build_mapper("both", {"w_dim": 8}, tensors, source="file")
    with pytest.raises(CheckpointMismatchError, match="depth"):
        build_mapper("single", {"w_dim": 8, "depth": 4}, tensors, source="file")
    with pytest.raises(CheckpointMismatchError, match="levels"):
        build_mapper("single", {"w_dim": 8, "levels": ["top"]}, tensors, source="file")
    with pytest.raises(CheckpointMismatchError, match=r"lacks coarse\.layers"):
        build_mapper("levels", {"w_dim": 8}, tensors, source="file")


def test_only_our_mappers_are_saved(tmp_path):
    with pytest.raises(OptionError, match="Linear"):
        save_mapper(torch.nn.Linear(2, 2), tmp_path / "mapper.safetensors")


def _our_key(key: str) -> str:
    block, _, rest = key.partition(".mapping.")
    index, _, leaf = rest.partition(".")
    name = {"course_mapping": "coarse", "medium_mapping": "medium", "fine_mapping": "fine", "mapping": "shared"}[block]
    return f"{name}.layers.{int(index) - 1}.{leaf}"
