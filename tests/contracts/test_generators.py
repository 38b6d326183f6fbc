"""What every generator in the table obeys, whatever network it is; and one that shares no layout with any of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from textmorph.checkpoints import native
from textmorph.errors import LatentError, OptionError, SpaceError
from textmorph.generators import GENERATORS, Generator, load_generator
from textmorph.generators.base import StyleGenerator
from textmorph.latents import SPACES, Latent, Space

from ..toys import toy_generator, toy_mobile, toy_wavelets

EXACT = {"rtol": 1e-5, "atol": 1e-5}  # float32, sums in another order
TOYS: dict[str, Callable[..., StyleGenerator]] = {
    "stylegan2": toy_generator,
    "mobile_stylegan": toy_mobile,
    "another layout": toy_wavelets,
}
SMALL: dict[str, Callable[[], StyleGenerator]] = {
    "stylegan2": lambda: toy_generator(8, z_dim=3, w_dim=3, channel_base=24, channel_max=3),
    "mobile_stylegan": lambda: toy_mobile((4, 4), w_dim=3, heads=()),
    "another layout": toy_wavelets,
}
"""For finite differences; a new generator adds its own toys."""

every_generator = pytest.mark.parametrize("name", TOYS)
every_space = pytest.mark.parametrize("space", SPACES)


@pytest.fixture(scope="module")
def generators() -> dict[str, StyleGenerator]:
    return {name: make() for name, make in TOYS.items()}


@pytest.fixture
def generator(name: str, generators: dict[str, StyleGenerator]) -> StyleGenerator:
    return generators[name]


def latent_in(generator: StyleGenerator, space: Space, num: int = 3, seed: int = 1) -> Latent:
    """Random latents in any space; rows of w+ and channels of s differ from what one w would give."""
    w = generator.sample(num, seed=seed)
    random = torch.Generator().manual_seed(seed)
    if space == "z":
        return Latent(torch.randn(num, generator.z_dim, generator=random).to(generator.mean_w), "z")
    if space == "w":
        return w
    rows = generator.to_space(w, "w+")
    return generator.to_space(rows + 0.1 * torch.randn(rows.value.shape, generator=random), space)


def test_every_generator_of_the_table_has_a_toy() -> None:
    assert GENERATORS.keys() <= TOYS.keys() == SMALL.keys()


@every_generator
def test_it_offers_what_a_generator_offers(name: str, generator: StyleGenerator) -> None:
    assert isinstance(generator, Generator)
    layout = generator.style_layout
    assert len(layout.names) == len(layout.widths) == len(layout.rows) == len(layout.resolutions) == len(layout.to_rgb)
    assert len(set(layout.names)) == len(layout.names)
    assert set(layout.rows) == set(range(generator.num_rows))
    assert list(layout.resolutions) == sorted(layout.resolutions)
    assert generator(generator.sample(2, seed=0)).shape == (2, 3, generator.resolution, generator.resolution)
    assert generator.widest(generator.resolution) >= generator.widest(4) > 0


# Spaces


@every_generator
@pytest.mark.parametrize("low", SPACES)
@pytest.mark.parametrize("high", SPACES)
def test_an_image_is_the_same_from_every_rung_of_the_ladder(
    name: str, generator: StyleGenerator, low: Space, high: Space
) -> None:
    latent = latent_in(generator, low)
    if SPACES.index(high) < SPACES.index(low):
        with pytest.raises(SpaceError, match="cannot go back"):
            generator.to_space(latent, high)
    else:
        lifted = generator.to_space(latent, high)
        assert lifted.space == high
        torch.testing.assert_close(generator(lifted), generator(latent), **EXACT)


@every_generator
def test_styles_are_affine_in_w_plus(name: str, generator: StyleGenerator) -> None:
    a, b = latent_in(generator, "w+", seed=1), latent_in(generator, "w+", seed=2)
    middle = generator.to_space(Latent((a.value + b.value) / 2, "w+"), "s").value
    ends = generator.to_space(a, "s").value + generator.to_space(b, "s").value
    torch.testing.assert_close(middle, ends / 2, **EXACT)


@every_generator
def test_each_row_of_w_plus_feeds_the_layers_the_layout_names(name: str, generator: StyleGenerator) -> None:
    latent = latent_in(generator, "w+", 1)
    before = generator.to_space(latent, "s").value
    layout = generator.style_layout
    for row in range(generator.num_rows):
        changed = latent.value.clone()
        changed[:, row] += 1
        after = generator.to_space(Latent(changed, "w+"), "s").value
        touched = [not torch.equal(x, y) for x, y in zip(layout.split(before), layout.split(after), strict=True)]
        assert touched == [fed == row for fed in layout.rows]


@every_generator
def test_spare_rows_of_w_plus_change_nothing(name: str, generator: StyleGenerator) -> None:
    rows = latent_in(generator, "w+").value
    for more in range(1, 4):
        latent = Latent(torch.cat([rows, torch.randn(3, more, rows.shape[2])], dim=1), "w+")
        if more == generator.spare_rows:
            assert torch.equal(generator(latent), generator(Latent(rows, "w+")))
        else:
            with pytest.raises(LatentError):
                generator(latent)


# Samples


@every_generator
def test_row_i_of_a_seed_depends_on_the_seed_and_i_alone(name: str, generator: StyleGenerator) -> None:
    torch.manual_seed(1)
    many = generator.sample(7, seed=2**40, truncation=0.7).value
    torch.manual_seed(2)
    for num in range(1, 7):
        few = generator.sample(num, seed=2**40, truncation=0.7).value
        torch.testing.assert_close(few, many[:num], **EXACT)
    assert not torch.allclose(generator.sample(7, seed=3, truncation=0.7).value, many)


@every_generator
@pytest.mark.parametrize("psi", [-1.0, 0.0, 0.3, 1.0, 2.0])
def test_truncation_moves_the_first_rows_towards_the_mean(name: str, generator: StyleGenerator, psi: float) -> None:
    w = generator.sample(2, seed=3)
    rows = generator.to_space(w, "w+").value
    expected = generator.mean_w + psi * (rows - generator.mean_w)
    for cutoff in range(generator.num_rows + 1):
        cut = generator.to_space(generator.truncate(w, psi, cutoff=cutoff), "w+").value
        torch.testing.assert_close(cut[:, :cutoff], expected[:, :cutoff], **EXACT)
        assert torch.equal(cut[:, cutoff:], rows[:, cutoff:])
    whole = generator.truncate(w, psi)
    assert whole.space == "w"
    torch.testing.assert_close(generator.to_space(whole, "w+").value, expected, **EXACT)


@every_generator
def test_truncation_belongs_to_w(name: str, generator: StyleGenerator) -> None:
    for space in ("z", "s"):
        with pytest.raises(SpaceError, match="truncation works in w"):
            generator.truncate(latent_in(generator, space), 0.7)


# Images


@every_generator
@every_space
@pytest.mark.parametrize("noise", ["const", "none", 5])
@pytest.mark.parametrize("exact", [True, False])
def test_a_batch_is_its_rows_one_by_one(
    name: str, generator: StyleGenerator, space: Space, noise: Any, exact: bool
) -> None:
    latent = latent_in(generator, space, 4)
    for resolution in generator.resolutions:
        together = generator(latent, noise=noise, resolution=resolution, exact=exact)
        alone = torch.cat([generator(row, noise=noise, resolution=resolution, exact=exact) for row in latent])
        torch.testing.assert_close(together, alone, **EXACT)


@every_generator
@pytest.mark.parametrize("exact", [True, False])
def test_an_image_of_every_size_depends_on_the_layers_of_its_stop_and_on_no_other(
    name: str, generator: StyleGenerator, exact: bool
) -> None:
    style = latent_in(generator, "s", 2)
    for resolution in generator.resolutions:
        value = style.value.clone().requires_grad_()
        image = generator(Latent(value, "s"), resolution=resolution, exact=exact)
        assert image.shape == (2, 3, resolution, resolution)
        image.square().sum().backward()
        assert value.grad is not None
        reached = [bool(part.any()) for part in generator.style_layout.split(value.grad.abs())]
        _, stop = generator._stop(resolution, exact)
        assert reached == [layer < stop.layers for layer in range(len(reached))]


@every_generator
def test_a_stop_of_a_size_needs_no_layer_of_a_larger_one(name: str, generator: StyleGenerator) -> None:
    """So that `StyleLayout.mask(max_resolution=…)` names the channels that a smaller image can show."""
    layout = generator.style_layout
    for stop in generator.stops:
        needed = torch.zeros(layout.num_channels, dtype=torch.bool)
        for layer in range(stop.layers):
            needed[layout.slice(layer)] = True
        if stop.side < generator.resolution // 2:
            assert torch.equal(needed, layout.mask(to_rgb=True, max_resolution=stop.side))
        assert not (needed & ~layout.mask(to_rgb=True, max_resolution=stop.side)).any()


@every_generator
def test_smaller_images_without_a_stop_are_averages(name: str, generator: StyleGenerator) -> None:
    latent = latent_in(generator, "w")
    for exact in (True, False):
        for resolution in generator.resolutions[:-1]:
            if any(stop.side == resolution and (stop.exact or not exact) for stop in generator.stops):
                continue
            larger = generator(latent, resolution=2 * resolution, exact=exact)
            smaller = generator(latent, resolution=resolution, exact=exact)
            torch.testing.assert_close(smaller, torch.nn.functional.avg_pool2d(larger, 2), **EXACT)


@every_generator
@every_space
@pytest.mark.parametrize("exact", [True, False])
def test_gradients_agree_with_finite_differences(name: str, space: Space, exact: bool) -> None:
    generator = SMALL[name]().double()
    value = latent_in(generator, space, 2).value[:, :8].requires_grad_() if space != "s" else None
    if value is None:
        value = latent_in(generator, "s", 2).value.requires_grad_()
    for resolution in (generator.resolution, 8):
        draw = lambda x, side=resolution: generator(Latent(x, space), resolution=side, exact=exact)  # noqa: E731
        assert torch.autograd.gradcheck(draw, value, fast_mode=True)


@every_generator
def test_frozen_weights_hold_no_gradients(name: str, generator: StyleGenerator) -> None:
    value = latent_in(generator, "s").value.clone().requires_grad_()
    generator(Latent(value, "s")).square().mean().backward()
    assert value.grad is not None
    assert value.grad.abs().sum() > 0
    assert not generator.training
    assert all(not p.requires_grad and p.grad is None for p in generator.parameters())


@every_generator
def test_a_trainer_gets_gradients_for_every_weight_and_the_same_image(name: str) -> None:
    generator = TOYS[name]()
    z = Latent(torch.randn(2, generator.z_dim), "z")
    frozen = generator(z)
    image = generator.requires_grad_(True)(z)
    torch.testing.assert_close(image, frozen, **EXACT)
    sides = [stop.side for stop in generator.stops if not stop.exact]
    loss = image.square().mean() + sum(generator(z, resolution=side, exact=False).square().mean() for side in sides)
    loss.backward()
    missing = [key for key, p in generator.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert missing == []


@every_generator
def test_bfloat16_under_autocast_is_close(name: str, generator: StyleGenerator) -> None:
    latent = latent_in(generator, "w+", 4)
    for exact in (True, False):
        full = generator(latent, resolution=8, exact=exact)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = generator(latent, resolution=8, exact=exact).float()
        error = (half - full).abs()
        assert error.max() > 0, "autocast did nothing"
        assert error.mean() / full.std() < 0.02  # bf16 keeps 8 bits: 0.4 % a layer
        assert error.max() / full.std() < 0.25


@every_generator
def test_double_precision_agrees_with_single(name: str, generator: StyleGenerator) -> None:
    latent = latent_in(generator, "w+")
    exact = TOYS[name]().double()(latent.to(torch.float64))
    assert exact.dtype == torch.float64
    torch.testing.assert_close(generator(latent).double(), exact, **EXACT)


@every_generator
def test_noise_is_stored_seeded_or_none(name: str, generator: StyleGenerator) -> None:
    latent = generator.sample(3, seed=0)
    images = {noise: generator(latent, noise=noise) for noise in ("const", "none", 0, 1)}
    assert torch.equal(images[0], generator(latent, noise=0))
    for one, other in (("const", "none"), ("const", 0), ("none", 0), (0, 1)):
        assert not torch.allclose(images[one], images[other])


@every_generator
def test_seeded_noise_is_the_same_for_every_row(name: str, generator: StyleGenerator) -> None:
    row = generator.sample(1, seed=0)
    pair = generator(Latent.cat([row, row]), noise=3)
    torch.testing.assert_close(pair[0], pair[1], **EXACT)


# Pauses


@every_generator
@pytest.mark.parametrize("exact", [True, False])
def test_a_paused_rendering_goes_on_to_the_same_image(name: str, generator: StyleGenerator, exact: bool) -> None:
    """From every layer, with another style from there on, for rows taken out of order and several times."""
    style = generator.to_space(generator.sample(3, seed=1), "s")
    rows = torch.tensor([0, 2, 2, 1])
    for resolution in generator.resolutions[1:]:
        _, stop = generator._stop(resolution, exact)
        for layer, offset in enumerate(generator.style_layout.offsets[: stop.layers]):
            paused = generator.pause(style, layer, resolution=resolution, exact=exact)
            moved = style.value[rows].clone()
            moved[:, offset] += 3
            expected = generator(Latent(moved, "s"), resolution=resolution, exact=exact)
            image = generator.resume(paused[rows], Latent(moved, "s"))
            torch.testing.assert_close(image, expected, **EXACT)
            assert not torch.allclose(image, generator(style[rows], resolution=resolution, exact=exact), atol=1e-5)


@every_generator
def test_no_rendering_pauses_before_a_layer_that_is_not_there(name: str, generator: StyleGenerator) -> None:
    latent = generator.sample(1, seed=0)
    last = len(generator.style_layout.widths)
    for layer, resolution in (
        (last, None),
        (-1, None),
        (0, 12),
        (generator.stops[-1].layers, generator.stops[-1].side),
    ):
        with pytest.raises(OptionError, match="no layer"):
            generator.pause(latent, layer, resolution=resolution, exact=False)


# Errors


@every_generator
@pytest.mark.parametrize("resolution", [2, 5, 64, -4])
def test_a_resolution_the_generator_lacks_is_refused(name: str, generator: StyleGenerator, resolution: int) -> None:
    with pytest.raises(OptionError, match=r"\[4, 8, 16.*\]"):
        generator(generator.sample(1, seed=0), resolution=resolution)


@every_generator
@pytest.mark.parametrize("noise", ["random", -1, 1.5, True, None])
def test_another_kind_of_noise_is_refused(name: str, generator: StyleGenerator, noise: Any) -> None:
    with pytest.raises(OptionError, match="'const', 'none' or a seed"):
        generator(generator.sample(1, seed=0), noise=noise)


@every_generator
@every_space
def test_a_latent_of_another_generator_is_refused_with_both_shapes(
    name: str, generator: StyleGenerator, space: Space
) -> None:
    for grown in range(1, latent_in(generator, space).value.ndim):
        value = latent_in(generator, space, 1).value
        wider = torch.cat([value, value.narrow(grown, 0, 1)], dim=grown)
        with pytest.raises(LatentError, match=r"of shape \['B'.*not \[1, "):
            generator(Latent(wider, space))
        with pytest.raises(LatentError):
            generator.to_space(Latent(wider, space), "s")


@every_generator
def test_an_unknown_space_is_refused(name: str, generator: StyleGenerator) -> None:
    with pytest.raises(SpaceError, match="unknown latent space 'w-'"):
        generator.to_space(generator.sample(1, seed=0), "w-")  # type: ignore[arg-type]


# Files


@pytest.mark.parametrize("name", GENERATORS)
@pytest.mark.parametrize("with_mean", [True, False])
def test_weights_go_out_and_in_again(name: str, with_mean: bool, tmp_path: Path) -> None:
    """Whoever made the file may have left the mean of w out: the network knows how to find it."""
    generator: Any = TOYS[name](seed=5)
    tensors = {key: value for key, value in generator.state_dict().items() if with_mean or key != "mapping.mean_w"}
    config = {key: list(v) if isinstance(v, tuple) else v for key, v in vars(generator.config).items()}
    native.write(tmp_path / "g.safetensors", tensors, kind="generator", architecture=name, config=config)
    copy = load_generator(tmp_path / "g.safetensors")
    latent = generator.sample(2, seed=0)
    assert torch.equal(copy(latent), generator(latent))
    assert torch.allclose(copy.mean_w, generator.mean_w, atol=0 if with_mean else 0.2)
    assert copy.mean_w.any()
