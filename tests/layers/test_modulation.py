"""The fast forms of the modulated convolution against the plain one, numbers and gradients."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from textmorph.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from textmorph.layers import modulation
from textmorph.layers.modulation import (
    blur,
    demodulation,
    modulated_conv_reference,
    modulated_layer,
    modulated_to_rgb,
    upsample,
)

INPUTS, OUTPUTS, SIDE = 5, 7, 6  # odd, so that no layout fits by chance
EXACT = {"rtol": 1e-5, "atol": 1e-5}
CASES = [
    (1, False, False, None, False),
    (1, False, True, 0.7, True),
    (1, True, False, 0.7, False),
    (1, True, True, None, True),
    (3, False, False, 0.7, True),
    (3, False, True, None, False),
    (3, True, False, None, True),
    (3, True, True, 0.7, False),
]
"""Every pair of values of two columns stands in at least one row."""
NAMES = "batch, up, with_noise, clamp, with_scale"


@pytest.fixture
def fold_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let toys take the way of large pictures: scales in the weights, a few rows at a time."""
    monkeypatch.setattr(modulation, "folds", lambda x, weight: True)
    monkeypatch.setattr(modulation, "_PART", 2 * SIDE * OUTPUTS)


def inputs_of_a_layer(
    batch: int, up: bool, with_noise: bool, with_scale: bool, seed: int = 0
) -> dict[str, Tensor | None]:
    random = torch.Generator().manual_seed(seed)
    side = SIDE * 2 if up else SIDE
    return {
        "x": torch.randn(batch, INPUTS, SIDE, SIDE, generator=random),
        "scale": torch.rand(batch, INPUTS, generator=random) + 0.5 if with_scale else None,
        "weight": torch.randn(OUTPUTS, INPUTS, 3, 3, generator=random),
        "style": torch.randn(batch, INPUTS, generator=random),  # of both signs
        "bias": torch.randn(OUTPUTS, generator=random),
        "noise": torch.randn(side, side, generator=random) if with_noise else None,
    }


def reference(given: dict[str, Tensor | None], *, up: bool, clamp: float | None) -> Tensor:
    """The layer step by step, as the paper draws it."""
    x, scale, weight, style, bias, noise = given.values()
    assert x is not None
    assert weight is not None
    assert style is not None
    assert bias is not None
    x = x if scale is None else x * scale[:, :, None, None]
    y = modulated_conv_reference(x, weight, style, up=up)
    y = y if noise is None else y + noise
    y = F.leaky_relu(y + bias[:, None, None], 0.2) * math.sqrt(2)
    return y if clamp is None else y.clamp(-clamp, clamp)


def fast(given: dict[str, Tensor | None], *, up: bool, clamp: float | None) -> Tensor:
    y, scale = modulated_layer(**given, up=up, clamp=clamp)  # type: ignore[arg-type]
    return y if scale is None else y * scale[:, :, None, None]


@pytest.mark.parametrize(NAMES, CASES)
def test_a_layer_equals_its_reference(
    batch: int, up: bool, with_noise: bool, clamp: float | None, with_scale: bool
) -> None:
    given = inputs_of_a_layer(batch, up, with_noise, with_scale)
    expected = reference(given, up=up, clamp=clamp)
    torch.testing.assert_close(fast(given, up=up, clamp=clamp), expected, **EXACT)


@pytest.mark.usefixtures("fold_all")
@pytest.mark.parametrize(NAMES, CASES)
def test_a_layer_with_the_scales_in_its_weights_equals_the_reference_and_leaves_its_inputs_alone(
    batch: int, up: bool, with_noise: bool, clamp: float | None, with_scale: bool
) -> None:
    given = inputs_of_a_layer(batch, up, with_noise, with_scale)
    expected = reference(given, up=up, clamp=clamp)
    with torch.no_grad():
        result, left = modulated_layer(**given, up=up, clamp=clamp)  # type: ignore[arg-type]
    assert (left is None) == (batch == 1)
    torch.testing.assert_close(result if left is None else result * left[:, :, None, None], expected, **EXACT)
    untouched = inputs_of_a_layer(batch, up, with_noise, with_scale)
    assert all(a is b or torch.equal(a, b) for a, b in zip(given.values(), untouched.values(), strict=True))


@pytest.mark.parametrize(NAMES, CASES)
def test_the_gradients_of_a_layer_equal_those_of_its_reference(
    batch: int, up: bool, with_noise: bool, clamp: float | None, with_scale: bool
) -> None:
    gradients = []
    for layer in (fast, reference):
        given = {
            name: None if value is None else value.double().requires_grad_()
            for name, value in inputs_of_a_layer(batch, up, with_noise, with_scale).items()
        }
        y = layer(given, up=up, clamp=clamp)
        towards = torch.randn(y.shape, dtype=y.dtype, generator=torch.Generator().manual_seed(1))
        gradients.append(torch.autograd.grad(y, [v for v in given.values() if v is not None], towards))
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.usefixtures("fold_all")
@pytest.mark.parametrize("name", ["x", "weight", "style", "bias", "noise"])
def test_a_layer_that_somebody_learns_keeps_its_gradient(name: str) -> None:
    given = inputs_of_a_layer(1, True, True, False)
    value = given[name]
    assert value is not None
    value.requires_grad_()
    fast(given, up=True, clamp=None).sum().backward()
    assert value.grad is not None
    assert value.grad.abs().sum() > 0


@pytest.mark.usefixtures("fold_all")
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("up", [False, True])
def test_a_layer_in_bfloat16_is_close(batch: int, up: bool) -> None:
    given = inputs_of_a_layer(batch, up, True, True)
    expected = reference(given, up=up, clamp=None)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        result, scale = modulated_layer(**given, up=up)  # type: ignore[arg-type]
    assert result.dtype == torch.bfloat16  # the convolution did run short
    result = result.float() if scale is None else result * scale[:, :, None, None]
    assert (result - expected).abs().mean() < 0.01 * expected.std()  # 8 bits, three roundings


def test_colours_are_a_modulated_convolution_without_demodulation() -> None:
    given = inputs_of_a_layer(3, False, False, False)
    x, style = given["x"], given["style"]
    assert x is not None
    assert style is not None
    weight = torch.randn(3, INPUTS, 1, 1, generator=torch.Generator().manual_seed(2))
    expected = modulated_conv_reference(x, weight, style, demodulate=False)
    torch.testing.assert_close(modulated_to_rgb(x, weight, style), expected, **EXACT)


def test_colours_are_computed_in_full_precision_under_autocast() -> None:
    x, weight, style = torch.randn(2, 8, 4, 4), torch.randn(3, 8, 1, 1), torch.randn(2, 8)
    with torch.autocast("cpu", torch.bfloat16):
        short = modulated_to_rgb(x.bfloat16(), weight, style)
    assert torch.equal(short, modulated_to_rgb(x.bfloat16().float(), weight, style))


def test_the_gradients_of_colours_are_right_and_can_be_differentiated() -> None:
    random = torch.Generator().manual_seed(0)
    given = [torch.randn(2, 5, 3, 3), torch.randn(3, 5, 1, 1), torch.randn(2, 5)]
    for tensor in given:
        tensor.normal_(generator=random)
    double = [tensor.double().requires_grad_(True) for tensor in given]
    assert torch.autograd.gradcheck(modulated_to_rgb, double)
    assert torch.autograd.gradgradcheck(modulated_to_rgb, double)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_the_gradients_of_colours_of_short_features_are_close(kind: torch.dtype) -> None:
    random = torch.Generator().manual_seed(0)
    x = torch.randn(2, 8, 16, 16, generator=random).to(kind).requires_grad_(True)
    weight = torch.randn(3, 8, 1, 1, generator=random)
    style = torch.randn(2, 8, generator=random, requires_grad=True)
    towards = torch.randn(2, 3, 16, 16, generator=random)
    with torch.autocast("cpu", torch.bfloat16):
        found = torch.autograd.grad((modulated_to_rgb(x, weight, style) * towards).sum(), (x, style))
    long = x.detach().float().requires_grad_(True)
    expected = torch.autograd.grad((modulated_to_rgb(long, weight, style) * towards).sum(), (long, style))
    assert found[0].dtype == kind
    assert found[1].dtype == torch.float32
    for short, exact in zip(found, expected, strict=True):
        assert (short.float() - exact).abs().mean() < 0.01 * exact.std()


def test_demodulation_gives_every_output_unit_variance() -> None:
    random = torch.Generator().manual_seed(0)
    weight, style = torch.randn(OUTPUTS, 64, 3, 3, generator=random), torch.randn(2, 64, generator=random)
    x = torch.randn(2, 64, 64, 64, generator=random)
    y = F.conv2d(x * style[:, :, None, None], weight) * demodulation(weight, style)[:, :, None, None]
    torch.testing.assert_close(y.std(dim=(2, 3)), torch.ones(2, OUTPUTS), rtol=0, atol=0.1)


def test_the_blur_can_be_differentiated_twice() -> None:
    x = torch.randn(2, 3, 7, 7, dtype=torch.float64, requires_grad=True, generator=torch.Generator().manual_seed(0))
    assert torch.autograd.gradcheck(blur, (x,))
    assert torch.autograd.gradgradcheck(blur, (x,))


def test_an_image_is_upsampled_in_full_precision_under_autocast() -> None:
    image = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        short = upsample(image)
    assert torch.equal(short, upsample(image))


@pytest.mark.parametrize("learned", [None, "latent", "weight"])
def test_a_batch_rendered_sample_by_sample_is_the_same(monkeypatch: pytest.MonkeyPatch, learned: str | None) -> None:
    config = StyleGAN2Config(resolution=32, z_dim=8, w_dim=8, mapping_layers=1, channel_base=128, channel_max=8)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        generator = StyleGAN2(config)
    latent = generator.to_space(generator.sample(3, seed=0), "s")
    expected = generator(latent)
    seen: list[int] = []
    generator.blocks[3].conv1.register_forward_hook(lambda _module, given, _out: seen.append(len(given[0])))
    monkeypatch.setattr(modulation, "folds", lambda x, weight: x.shape[-1] >= 8)
    monkeypatch.setattr("textmorph.generators.stylegan2.folds", modulation.folds)
    if learned == "latent":
        latent.value.requires_grad_()
    if learned == "weight":
        generator.requires_grad_(True)
    image = generator(latent)
    assert seen == ([1, 1, 1] if learned is None else [3])
    assert image.requires_grad == (learned is not None)
    torch.testing.assert_close(image, expected, rtol=1e-5, atol=1e-5)
