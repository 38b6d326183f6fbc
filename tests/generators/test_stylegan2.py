from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from tests.toys import toy_generator
from textmorph.errors import LatentError, OptionError, SpaceError
from textmorph.generators import Generator
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


def test_the_toy_is_a_generator(generator: StyleGAN2) -> None:
    assert isinstance(generator, Generator)


# Spaces


@pytest.mark.parametrize("low", SPACES)
@pytest.mark.parametrize("high", SPACES)
def test_an_image_is_the_same_from_every_rung_of_the_ladder(generator: StyleGAN2, low: str, high: str) -> None:
    latent = latent_in(generator, low)
    if SPACES.index(high) < SPACES.index(low):
        with pytest.raises(SpaceError, match="cannot go back"):
            generator.to_space(latent, high)
    else:
        lifted = generator.to_space(latent, high)
        assert lifted.space == high
        torch.testing.assert_close(generator(lifted), generator(latent), **EXACT)


@given(st.integers(1, 4), st.sampled_from(SPACES), st.integers(0, 1000), st.sampled_from(["const", "none", 5]))
def test_a_batch_is_its_rows_one_by_one(num: int, space: str, seed: int, noise: str | int) -> None:
    generator = toy_generator(8)
    latent = latent_in(generator, space, num, seed)
    together = generator(latent, noise=noise)
    alone = torch.cat([generator(row, noise=noise) for row in latent])
    torch.testing.assert_close(together, alone, **EXACT)


def test_styles_are_affine_in_w_plus(generator: StyleGAN2) -> None:
    a, b = latent_in(generator, "w+", seed=1), latent_in(generator, "w+", seed=2)
    middle = generator.to_space(Latent((a.value + b.value) / 2, "w+"), "s").value
    ends = generator.to_space(a, "s").value + generator.to_space(b, "s").value
    torch.testing.assert_close(middle, ends / 2, **EXACT)


def test_each_row_of_w_plus_feeds_the_layers_the_layout_names(generator: StyleGAN2) -> None:
    latent = latent_in(generator, "w+", 1)
    before = generator.to_space(latent, "s").value
    layout = generator.style_layout
    for row in range(generator.config.num_rows):
        changed = latent.value.clone()
        changed[:, row] += 1
        after = generator.to_space(Latent(changed, "w+"), "s").value
        touched = [not torch.equal(x, y) for x, y in zip(layout.split(before), layout.split(after), strict=True)]
        assert touched == [fed == row for fed in layout.rows]


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


# Gradients


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("resolution", [8, 4])
def test_gradients_agree_with_finite_differences(space: str, resolution: int) -> None:
    generator = toy_generator(8, z_dim=3, w_dim=3, channel_base=24, channel_max=3).double()
    value = latent_in(generator, space, 2).value.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: generator(Latent(x, space), resolution=resolution), value)  # type: ignore[arg-type]


def test_frozen_weights_hold_no_gradients(generator: StyleGAN2) -> None:
    latent = latent_in(generator, "s")
    value = latent.value.clone().requires_grad_()
    generator(Latent(value, "s")).square().mean().backward()
    assert value.grad is not None
    assert value.grad.abs().sum() > 0
    assert not generator.training
    assert all(not p.requires_grad and p.grad is None for p in generator.parameters())


def test_a_trainer_gets_gradients_for_every_weight() -> None:
    generator = toy_generator(8).requires_grad_(True)
    generator(Latent(torch.randn(2, 8), "z")).square().mean().backward()
    missing = [name for name, p in generator.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert missing == []


# Precision


def test_bfloat16_under_autocast_is_close() -> None:
    generator = toy_generator(32, channel_base=512, channel_max=32)
    latent = latent_in(generator, "w+", 4)
    full = generator(latent)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = generator(latent)
    assert half.dtype == torch.float32  # colours are summed in full precision
    error = (half - full).abs()
    assert error.max() > 0, "autocast did nothing"
    assert error.mean() / full.std() < 0.02  # bf16 keeps 8 bits: 0.4 % per layer, 8 layers deep
    assert error.max() / full.std() < 0.2


def test_double_precision_agrees_with_single(generator: StyleGAN2) -> None:
    latent = latent_in(generator, "w+")
    exact = toy_generator(16).double()(latent.to(torch.float64))
    assert exact.dtype == torch.float64
    torch.testing.assert_close(generator(latent).double(), exact, **EXACT)


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


@given(st.floats(-1, 2), st.integers(0, 6))
def test_truncation_moves_the_first_rows_towards_the_mean(psi: float, cutoff: int) -> None:
    generator = toy_generator(16)
    w = generator.sample(2, seed=3)
    rows = generator.to_space(w, "w+").value
    cut = generator.to_space(generator.truncate(w, psi, cutoff=cutoff), "w+").value
    expected = generator.mean_w + psi * (rows - generator.mean_w)
    torch.testing.assert_close(cut[:, :cutoff], expected[:, :cutoff], **EXACT)
    assert torch.equal(cut[:, cutoff:], rows[:, cutoff:])
    whole = generator.truncate(w, psi)
    assert whole.space == "w"
    torch.testing.assert_close(generator.to_space(whole, "w+").value, expected, **EXACT)


def test_truncation_belongs_to_w(generator: StyleGAN2) -> None:
    for space in ("z", "s"):
        with pytest.raises(SpaceError, match="truncation works in w"):
            generator.truncate(latent_in(generator, space), 0.7)


@given(st.integers(0, 2**63), st.integers(1, 5), st.integers(1, 5))
def test_a_seed_gives_the_same_first_rows_whatever_their_number(seed: int, few: int, more: int) -> None:
    generator = toy_generator(8)
    short, long = sorted((few, few + more))
    a = generator.sample(short, seed=seed, truncation=0.7).value
    b = generator.sample(long, seed=seed, truncation=0.7).value
    torch.testing.assert_close(a, b[:short], **EXACT)


def test_other_seeds_give_other_rows_and_torchs_seed_none(generator: StyleGAN2) -> None:
    torch.manual_seed(1)
    first = generator.sample(2, seed=0).value
    torch.manual_seed(2)
    assert torch.equal(generator.sample(2, seed=0).value, first)
    assert not torch.allclose(generator.sample(2, seed=1).value, first)


def test_noise_is_stored_seeded_or_none(generator: StyleGAN2) -> None:
    latent = generator.sample(3, seed=0)
    images = {noise: generator(latent, noise=noise) for noise in ("const", "none", 0, 1)}
    assert torch.equal(images[0], generator(latent, noise=0))
    for one, other in (("const", "none"), ("const", 0), ("none", 0), (0, 1)):
        assert not torch.allclose(images[one], images[other])
    quiet = toy_generator(16)
    for layer in quiet.modules():
        if hasattr(layer, "noise_strength"):
            layer.noise_strength.zero_()
    assert torch.equal(quiet(latent, noise="const"), quiet(latent, noise="none"))


def test_seeded_noise_is_the_same_for_every_row(generator: StyleGAN2) -> None:
    row = generator.sample(1, seed=0)
    pair = generator(Latent.cat([row, row]), noise=3)
    torch.testing.assert_close(pair[0], pair[1], **EXACT)
    # b4 and b8 draw the same noise whether or not b16 follows
    torch.testing.assert_close(generator(row, noise=3, resolution=8), generator(row, noise=3, resolution=8))


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


@pytest.mark.parametrize("resolution", [2, 5, 32, -4])
def test_a_resolution_the_generator_lacks_is_refused(generator: StyleGAN2, resolution: int) -> None:
    with pytest.raises(OptionError, match=r"\[4, 8, 16\]"):
        generator(generator.sample(1, seed=0), resolution=resolution)


@pytest.mark.parametrize("noise", ["random", -1, 1.5, True, None])
def test_another_kind_of_noise_is_refused(generator: StyleGAN2, noise: object) -> None:
    with pytest.raises(OptionError, match="'const', 'none' or a seed"):
        generator(generator.sample(1, seed=0), noise=noise)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "latent",
    [
        Latent(torch.zeros(1, 9), "z"),
        Latent(torch.zeros(1, 9), "w"),
        Latent(torch.zeros(1, 5, 8), "w+"),
        Latent(torch.zeros(1, 7, 8), "w+"),
        Latent(torch.zeros(1, 63), "s"),
    ],
)
def test_a_latent_of_another_generator_is_refused_with_both_shapes(generator: StyleGAN2, latent: Latent) -> None:
    with pytest.raises(LatentError, match=r"of shape \['B'.*not \[1, "):
        generator(latent)
    with pytest.raises(LatentError):
        generator.to_space(latent, "s")


def test_an_unknown_space_is_refused(generator: StyleGAN2) -> None:
    with pytest.raises(SpaceError, match="unknown latent space 'w-'"):
        generator.to_space(generator.sample(1, seed=0), "w-")  # type: ignore[arg-type]


# State


def test_weights_go_out_and_in_again() -> None:
    generator = toy_generator(16, seed=5)
    copy = StyleGAN2(replace(generator.config))
    copy.load_state_dict(generator.state_dict())
    latent = generator.sample(2, seed=0)
    assert torch.equal(copy(latent), generator(latent))


def test_seeded_weights_depend_on_the_seed_alone() -> None:
    torch.manual_seed(1)
    first = toy_generator(8).state_dict()
    torch.manual_seed(2)
    again, other = toy_generator(8).state_dict(), toy_generator(8, seed=1).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert all(not torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize("resolution", [32, 16])
def test_a_paused_rendering_goes_on_to_the_same_image(resolution: int) -> None:
    """From every layer, with another style from there on, for rows taken out of order and several times."""
    generator = toy_generator(32, conv_clamp=0.5)
    style = generator.to_space(generator.sample(3, seed=1), "s")
    rows = torch.tensor([0, 2, 2, 1])
    for layer, offset in enumerate(generator.style_layout.offsets):
        if generator.style_layout.resolutions[layer] > resolution:
            continue
        paused = generator.pause(style, layer, resolution=resolution)
        moved = style.value[rows].clone()
        moved[:, offset] += 3
        expected = generator(Latent(moved, "s"), resolution=resolution)
        image = generator.resume(paused[rows], Latent(moved, "s"))
        torch.testing.assert_close(image, expected, atol=1e-5, rtol=0)
        assert not torch.allclose(image, generator(style[rows], resolution=resolution), atol=1e-4)


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


def test_no_rendering_pauses_before_a_layer_that_is_not_there() -> None:
    generator = toy_generator(16)
    latent = generator.sample(1, seed=0)
    for layer, resolution in ((8, 16), (5, 8), (-1, 16), (0, 12)):
        with pytest.raises(OptionError, match="no layer"):
            generator.pause(latent, layer, resolution=resolution)
