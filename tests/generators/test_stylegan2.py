from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from tests.toys import toy_generator
from textmorph.errors import OptionError
from textmorph.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from textmorph.latents import SPACES, Latent
from textmorph.layers.modulation import modulated_conv, modulated_conv_reference, upsample

EXACT = {"rtol": 1e-5, "atol": 1e-5}  # float32, sums in another order


def latent_in(generator: StyleGAN2, space: str, num: int = 3, seed: int = 1) -> Latent:
    """Random latents in any space; rows of w+ and channels of s differ from what one w would give."""
    w = generator.sample(num, seed=seed)
    if space == "z":
        z = torch.randn(num, generator.config.z_dim, generator=torch.Generator().manual_seed(seed))
        return Latent(z.to(generator.mean_w), "z")
    if space == "w":
        return w
    rows = generator.to_space(w, "w+")
    rows = rows + 0.1 * torch.randn(rows.value.shape, generator=torch.Generator().manual_seed(seed))
    return generator.to_space(rows, space)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def generator() -> StyleGAN2:
    return toy_generator(16)


# Spaces


def test_the_layout_of_a_256_px_generator_is_the_papers() -> None:
    layout = StyleGAN2(StyleGAN2Config(resolution=256, mapping_layers=1)).style_layout
    assert len(layout.names) == 20
    assert layout.names[:5] == ("b4.conv1", "b4.to_rgb", "b8.conv0", "b8.conv1", "b8.to_rgb")
    assert layout.rows == (0, 1, 1, 2, 3, 3, 4, 5, 5, 6, 7, 7, 8, 9, 9, 10, 11, 11, 12, 13)
    assert layout.widths[-6:] == (512, 256, 256, 256, 128, 128)


@pytest.mark.parametrize(("resolution", "layers", "channels", "rgb"), [(1024, 26, 9088, 3040), (512, 23, 8960, 3008)])
def test_style_space_has_the_size_the_papers_give(resolution: int, layers: int, channels: int, rgb: int) -> None:
    # StyleSpace (Wu et al. 2020, arXiv:2011.12799, Sec. 3): 9088 channels at 1024 px, 6048 of them in convolutions.
    with torch.device("meta"):
        layout = StyleGAN2(StyleGAN2Config(resolution=resolution, mapping_layers=1)).style_layout
    assert len(layout.names) == layers
    assert layout.num_channels == channels
    assert channels - int(layout.mask().sum()) == rgb


# Lower resolutions


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("noise", ["const", "none", 7])
def test_a_lower_resolution_is_the_skip_image_inside_the_full_one(
    generator: StyleGAN2, space: str, noise: str | int
) -> None:
    """The full image is the lower one upsampled, plus the colours of the blocks above it."""
    latent = latent_in(generator, space)
    colours: dict[int, torch.Tensor] = {}
    handles = [
        block.to_rgb.register_forward_hook(lambda _m, _i, out: colours.__setitem__(out.shape[-1], out))
        for block in generator.blocks
    ]
    try:
        full = generator(latent, noise=noise)
    finally:
        for handle in handles:
            handle.remove()
    image = generator(latent, noise=noise, resolution=4)
    for resolution in (8, 16):
        image = upsample(image) + colours[resolution]
        torch.testing.assert_close(image, generator(latent, noise=noise, resolution=resolution), **EXACT)
    torch.testing.assert_close(image, full, **EXACT)


def test_a_lower_resolution_does_not_run_the_layers_above() -> None:
    generator = toy_generator(16)
    for parameter in generator.blocks[2].parameters():
        parameter.fill_(torch.nan)
    latent = generator.sample(2, seed=0)
    assert generator(latent, resolution=8).isfinite().all()
    assert generator(latent).isnan().any()


# Clamp, truncation, sampling, noise


def test_the_clamp_bounds_every_layer_and_changes_the_image() -> None:
    free, clamped = toy_generator(16), toy_generator(16, conv_clamp=0.5)
    latent = free.sample(2, seed=0)
    seen: list[torch.Tensor] = []
    for block in clamped.blocks:
        for layer in block.layers():
            layer.register_forward_hook(lambda _m, _i, out: seen.append(whole(out)))

    def whole(out: torch.Tensor | tuple[torch.Tensor, torch.Tensor | None]) -> torch.Tensor:
        """Features and the scale left to the next layer, multiplied."""
        if isinstance(out, torch.Tensor):
            return out
        features, scale = out
        return features if scale is None else features * scale[:, :, None, None]

    image = clamped(latent)
    assert len(seen) == 8
    largest = torch.stack([out.abs().max() for out in seen])
    assert largest.max() <= 0.5 + 1e-6  # one rounding: the clamp acts before the scale
    assert largest.max() >= 0.5 - 1e-6
    assert not torch.allclose(image, free(latent))


def test_a_clamp_that_nothing_reaches_changes_nothing() -> None:
    free, clamped = toy_generator(16), toy_generator(16, conv_clamp=1e4)
    latent = free.sample(2, seed=0)
    assert torch.equal(free(latent), clamped(latent))


# Classes


def test_a_class_changes_the_image_and_must_be_given() -> None:
    generator = toy_generator(8, label_dim=3)
    one, two = torch.eye(3)[:2]
    a, b = generator.sample(2, seed=0, label=one), generator.sample(2, seed=0, label=two)
    assert not torch.allclose(generator(a), generator(b))
    rows = generator.sample(2, seed=0, label=torch.stack([one, two]))
    torch.testing.assert_close(rows.value, torch.stack([a.value[0], b.value[1]]), **EXACT)
    with pytest.raises(OptionError, match="label of length 3"):
        generator.sample(2, seed=0)
    with pytest.raises(OptionError, match="label of length 3"):
        generator.sample(2, seed=0, label=torch.eye(4)[0])


def test_a_class_for_a_generator_without_classes_is_refused(generator: StyleGAN2) -> None:
    with pytest.raises(OptionError, match="no classes"):
        generator.sample(2, seed=0, label=torch.eye(3)[0])


# The convolution


@given(
    batch=st.integers(1, 3),
    inputs=st.integers(1, 5),
    outputs=st.integers(1, 5),
    side=st.integers(1, 6),
    kernel=st.sampled_from([1, 3]),
    up=st.booleans(),
    demodulate=st.booleans(),
    seed=st.integers(0, 999),
)
def test_the_fast_convolution_equals_the_papers_form(
    batch: int, inputs: int, outputs: int, side: int, kernel: int, up: bool, demodulate: bool, seed: int
) -> None:
    up = up and kernel == 3
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(batch, inputs, side, side, generator=random, dtype=torch.float64)
    weight = torch.randn(outputs, inputs, kernel, kernel, generator=random, dtype=torch.float64)
    style = torch.randn(batch, inputs, generator=random, dtype=torch.float64)
    fast = modulated_conv(x, weight, style, up=up, demodulate=demodulate)
    slow = modulated_conv_reference(x, weight, style, up=up, demodulate=demodulate)
    assert fast.shape == (batch, outputs, side * (1 + up), side * (1 + up))
    torch.testing.assert_close(fast, slow, rtol=1e-9, atol=1e-9)


def test_upsampling_keeps_a_flat_image_and_its_mean() -> None:
    flat = upsample(torch.ones(1, 3, 8, 8))
    assert torch.allclose(flat[..., 2:-2, 2:-2], torch.ones(1, 3, 12, 12))
    image = F.pad(torch.randn(1, 3, 4, 4), (2, 2, 2, 2))  # nothing is lost over the border
    assert torch.allclose(upsample(image).sum(), 4 * image.sum(), atol=1e-4)


# Errors


@pytest.mark.parametrize("resolution", [0, 4, 7, 24, 2048, -8])
def test_only_powers_of_two_from_8_to_1024(resolution: int) -> None:
    with pytest.raises(OptionError, match=f"8 to 1024, not {resolution}"):
        StyleGAN2Config(resolution=resolution)


@pytest.mark.parametrize("mapping_layers", [0, 9])
def test_one_to_eight_mapping_layers(mapping_layers: int) -> None:
    with pytest.raises(OptionError, match="1 to 8"):
        StyleGAN2Config(resolution=8, mapping_layers=mapping_layers)


@pytest.mark.parametrize("resolution", [8, 16, 32, 64])
@pytest.mark.parametrize("mapping_layers", [1, 8])
def test_every_size_renders(resolution: int, mapping_layers: int) -> None:
    generator = toy_generator(resolution, mapping_layers=mapping_layers)
    assert generator(generator.sample(1, seed=0)).shape == (1, 3, resolution, resolution)


# State


def test_seeded_weights_depend_on_the_seed_alone() -> None:
    torch.manual_seed(1)
    first = toy_generator(8).state_dict()
    torch.manual_seed(2)
    again, other = toy_generator(8).state_dict(), toy_generator(8, seed=1).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert all(not torch.equal(first[name], other[name]) for name in first)


def test_a_paused_rendering_may_go_on_sample_by_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the scales go into the weights, whatever was before the pause."""
    generator = toy_generator(32)
    style = generator.to_space(generator.sample(3, seed=1), "s")
    expected = generator(style)
    for folding in (lambda x, weight: True, lambda x, weight: x.shape[-1] >= 16):
        monkeypatch.setattr("textmorph.layers.modulation.folds", folding)
        monkeypatch.setattr("textmorph.generators.stylegan2.folds", folding)
        for layer in (0, 1, 4, 9, 10):
            one = torch.cat([generator.resume(generator.pause(row, layer), row) for row in style])
            for image in (one, generator.resume(generator.pause(style, layer), style)):
                torch.testing.assert_close(image, expected, atol=1e-5, rtol=0)
