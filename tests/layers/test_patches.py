from __future__ import annotations

import pytest
import torch
from torch import nn

from textmorph.layers.patches import PatchConv2d


@pytest.mark.parametrize("size", [(12, 12), (14, 9), (3, 4)])
@pytest.mark.parametrize("bias", [True, False])
def test_it_is_the_convolution_and_so_is_its_gradient(size: tuple[int, int], bias: bool):
    """Also where the image is no whole number of patches."""
    conv = nn.Conv2d(3, 5, (3, 4), (3, 4), bias=bias).double()
    patches = PatchConv2d.of(conv)
    image = torch.randn(2, 3, *size, dtype=torch.float64)
    found, expected = (image.clone().requires_grad_(True) for _ in range(2))
    weight = torch.randn(())
    ours, theirs = patches(found), conv(expected)
    torch.testing.assert_close(ours, theirs)
    for result in (ours, theirs):
        (result.square().sum() * weight).backward()
    torch.testing.assert_close(found.grad, expected.grad)


def test_it_has_the_state_of_the_convolution():
    conv = nn.Conv2d(3, 5, 4, 4).requires_grad_(False).eval()
    patches = PatchConv2d.of(conv)
    assert patches.weight is conv.weight
    assert patches.bias is conv.bias
    assert patches.state_dict().keys() == conv.state_dict().keys()
    assert not patches.training


@pytest.mark.parametrize(
    "other",
    [
        nn.Conv2d(3, 5, 4, 2),
        nn.Conv2d(3, 5, 4, 4, padding=1),
        nn.Conv2d(3, 5, 2, 2, dilation=2),
        nn.Conv2d(4, 4, 2, 2, groups=2),
        nn.Linear(3, 5),
        PatchConv2d(3, 5, 4, 4),
    ],
)
def test_only_convolutions_of_that_kind_fit(other: nn.Module):
    assert not PatchConv2d.fits(other)
    assert PatchConv2d.fits(nn.Conv2d(3, 5, 4, 4))
    assert PatchConv2d.fits(nn.Conv2d(3, 5, 4, 4, padding="valid"))
