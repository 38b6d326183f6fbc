"""The transposed convolution that is a matrix product on a CPU in short numbers."""

import pytest
import torch
from torch.nn import functional as F

from textmorph.layers import transposed
from textmorph.layers.transposed import conv_transpose


def a_case(inputs: int, size: tuple[int, int] = (5, 4)) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    x = torch.randn(3, inputs, *size, generator=random).bfloat16().contiguous(memory_format=torch.channels_last)
    return x, torch.randn(7, inputs, 3, 3, generator=random).bfloat16()


@pytest.mark.parametrize("size", [(1, 1), (1, 3), (4, 4), (5, 2)])
@pytest.mark.parametrize("held", [1, 2**24])  # a sample at a time, or all at once
def test_it_is_the_transposed_convolution(size: tuple[int, int], held: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transposed, "_HELD", held)
    x, weight = a_case(256, size)
    exact = F.conv_transpose2d(x.double(), weight.double().transpose(0, 1), stride=2)
    y = conv_transpose(x, weight)
    assert y.dtype == torch.bfloat16
    assert y.shape == exact.shape
    assert y.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(y.double(), exact, atol=0.02 * exact.std().item(), rtol=0.02)


def test_its_gradient_is_that_of_the_transposed_convolution_and_can_be_differentiated() -> None:
    x, weight = a_case(256)
    x.requires_grad_(True)
    exact = x.detach().double().requires_grad_(True)
    (ours,) = torch.autograd.grad(conv_transpose(x, weight).float().square().sum(), x, create_graph=True)
    wide = F.conv_transpose2d(exact, weight.double().transpose(0, 1), stride=2).square().sum()
    (theirs,) = torch.autograd.grad(wide, exact, create_graph=True)
    torch.testing.assert_close(ours.double(), theirs, atol=0.02 * theirs.std().item(), rtol=0.02)
    (ours,) = torch.autograd.grad(ours.float().square().sum(), x)
    (theirs,) = torch.autograd.grad(theirs.square().sum(), exact)
    torch.testing.assert_close(ours.double(), theirs, atol=0.04 * theirs.std().item(), rtol=0.04)


def test_autocast_takes_that_way_and_other_numbers_the_published_one(monkeypatch: pytest.MonkeyPatch) -> None:
    took: list[torch.dtype] = []
    product = transposed._Product.apply
    monkeypatch.setattr(transposed._Product, "apply", lambda *given: took.append(given[0].dtype) or product(*given))
    x, weight = (tensor.float() for tensor in a_case(256))
    full = conv_transpose(x, weight)
    assert not took
    assert torch.equal(full, F.conv_transpose2d(x, weight.transpose(0, 1), stride=2))
    with torch.autocast("cpu", torch.bfloat16):
        short = conv_transpose(x, weight)
    assert took == [torch.bfloat16]
    assert short.dtype == torch.bfloat16
    conv_transpose(*a_case(255))
    assert len(took) == 1


def test_weights_that_somebody_learns_keep_their_gradient() -> None:
    x, weight = a_case(256)
    weight.requires_grad_(True)
    conv_transpose(x, weight).sum().backward()
    assert weight.grad is not None
    with torch.no_grad():  # nobody learns here
        assert torch.equal(conv_transpose(x, weight), conv_transpose(x, weight.detach()))
