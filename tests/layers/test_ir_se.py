from __future__ import annotations

import pytest
import torch

from tests.toys import seed_weights, toy_image
from textmorph.errors import OptionError
from textmorph.layers.ir_se import IRSE, ResidualBlock, SqueezeExcite, check_trunk, resize_area


def test_each_stage_halves_the_image_and_has_its_width():
    trunk = IRSE((4, 8, 12), (1, 2, 1))
    shapes = [tuple(end.shape) for end in trunk(toy_image(32, batch=2))]
    assert shapes == [(2, 4, 16, 16), (2, 8, 8, 8), (2, 12, 4, 4)]
    assert len(trunk.body) == 4


def test_a_block_whose_residual_is_zero_passes_its_shortcut():
    block = ResidualBlock(4, 4, 2).eval()
    block.residual[4].weight.data.zero_()  # the last norm's gain; its bias starts at zero
    x = torch.randn(2, 4, 6, 6)
    assert torch.equal(block(x), x[:, :, ::2, ::2])


def test_the_gate_scales_channels_between_zero_and_one_and_alike_over_the_image():
    gate = SqueezeExcite(8)
    seed_weights(gate, 1)
    x = torch.randn(2, 8, 5, 5)
    factor = gate(x) / x
    assert 0 < factor.min() < factor.max() < 1
    torch.testing.assert_close(factor, factor[:, :, :1, :1].expand_as(factor))


def test_a_trained_trunk_learns_in_all_its_parts():
    trunk = IRSE((4, 8), (1, 2)).train()
    sum(end.square().mean() for end in trunk(toy_image(16, batch=2))).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in trunk.parameters())


@pytest.mark.parametrize("shape", [(8, 8), (8, 6), (13, 9)])
def test_resizing_keeps_a_flat_image_flat_and_the_mean_of_a_multiple(shape: tuple[int, int]):
    flat = torch.full((1, 3, *shape), 0.3)
    torch.testing.assert_close(resize_area(flat, 4, 5), torch.full((1, 3, 4, 5), 0.3))
    image = toy_image(32)
    torch.testing.assert_close(resize_area(image, 8, 8).mean(), image.mean())


def test_resizing_averages_whole_pixels():
    image = torch.arange(16.0).view(1, 1, 4, 4)
    assert resize_area(image, 2, 2).flatten().tolist() == [2.5, 4.5, 10.5, 12.5]


def test_resizing_to_the_same_size_returns_the_image():
    image = toy_image(8)
    assert resize_area(image, 8, 8) is image


@pytest.mark.parametrize(
    ("widths", "blocks", "side"),
    [
        ((4, 8), (1,), 16),
        ((), (), 16),
        ((4, 0), (1, 1), 16),
        ((4, 8), (1, 0), 16),
        ((4, 8), (1, 1), 18),
        ((4,), (201,), 16),
    ],
)
def test_an_impossible_trunk_is_refused(widths: tuple[int, ...], blocks: tuple[int, ...], side: int):
    with pytest.raises(OptionError):
        check_trunk(widths, blocks, side)
