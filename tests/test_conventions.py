"""What docs/conventions.md says, in its order; a heading there without a test here fails."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.toys import ToyEmbedder, toy_generator, toy_identity, toy_image
from textmorph.edits import Direction
from textmorph.errors import OutputExistsError, SpaceError
from textmorph.images import MAX_PIXELS, read_image, to_pil, write_image
from textmorph.latents import SPACES, Latent

PAGE = (Path(__file__).parents[1] / "docs" / "conventions.md").read_text()


@pytest.mark.parametrize("heading", re.findall(r"^## (.+)$", PAGE, re.M))
def test_every_heading_has_tests_here(heading: str) -> None:
    prefix = "test_" + re.sub(r"\W+", "_", heading.lower()) + "__"
    assert any(name.startswith(prefix) for name in globals()), prefix


# Images


def test_images__are_rgb_from_minus_one_to_one_with_the_first_pixel_at_the_top_left() -> None:
    array = np.zeros((2, 3, 3), np.uint8)  # 2 rows, 3 columns
    array[0, 0] = (255, 0, 128)
    image = read_image(array)
    assert image.shape == (1, 3, 2, 3)
    assert image.dtype == torch.float32
    assert image[0, :, 0, 0].tolist() == pytest.approx([1, -1, 128 / 127.5 - 1], abs=1e-6)
    assert to_pil(image).size == (3, 2)
    assert to_pil(image).getpixel((0, 0)) == (255, 0, 128)


def test_images__float_arrays_are_from_zero_to_one() -> None:
    assert read_image(np.array([[0.0, 0.5, 1.0]]))[0, 0, 0].tolist() == [-1, 0, 1]


def test_images__of_a_generator_are_not_clamped_before_the_way_out() -> None:
    generator = toy_generator(16)
    image = generator(generator.sample(4, seed=0))
    assert image.abs().max() > 1
    levels = np.asarray(to_pil(image[:1]))
    assert levels.min() == 0
    assert levels.max() == 255


def test_images__the_page_names_the_limit() -> None:
    assert "`MAX_PIXELS`" in PAGE
    assert MAX_PIXELS == 120_000_000


# Latents


def test_latents__have_the_shapes_of_the_table() -> None:
    generator = toy_generator(16, z_dim=5, w_dim=7)
    z = Latent(torch.zeros(2, 5), "z")
    shapes = {space: tuple(generator.to_space(z, space).value.shape) for space in SPACES}
    rows = 2 * int(np.log2(16)) - 2
    assert shapes == {"z": (2, 5), "w": (2, 7), "w+": (2, rows, 7), "s": (2, generator.style_layout.num_channels)}
    for space in SPACES:
        assert f"| `{space}` |" in PAGE


def test_latents__go_up_only() -> None:
    generator = toy_generator(8)
    style = generator.to_space(generator.sample(1, seed=0), "s")
    for space in ("z", "w", "w+"):
        with pytest.raises(SpaceError):
            generator.to_space(style, space)


def test_latents__a_w_plus_direction_has_an_exact_counterpart_in_s() -> None:
    generator = toy_generator(16).double()
    w = generator.to_space(generator.sample(2, seed=0), "w+")
    step = torch.randn(w.value.shape[1:], dtype=torch.float64)
    origin = generator.to_space(Latent(torch.zeros_like(w.value), "w+"), "s")
    in_s = generator.to_space(Latent(step.expand_as(w.value), "w+"), "s") - origin
    image = generator(generator.to_space(w, "s") + in_s * 3)
    torch.testing.assert_close(image, generator(w + step * 3), rtol=1e-9, atol=1e-9)


def test_latents__psi_moves_w_towards_its_mean() -> None:
    generator = toy_generator(8)
    w, cut = (generator.sample(2, seed=0, truncation=psi).value for psi in (1.0, 0.7))
    torch.testing.assert_close(cut, generator.mean_w + 0.7 * (w - generator.mean_w))


# Style layout


def test_style_layout__names_stand_in_network_order_and_rows_are_shared() -> None:
    layout = toy_generator(16).style_layout
    named = "b4.conv1, b4.to_rgb, b8.conv0, b8.conv1, b8.to_rgb, b16.conv0"
    assert ", ".join(layout.names[:6]) == named
    assert named in PAGE
    for index, name in enumerate(layout.names[:-1]):
        assert layout.to_rgb[index] == name.endswith("to_rgb")
        if layout.to_rgb[index]:
            assert layout.rows[index] == layout.rows[index + 1]


def test_style_layout__to_rgb_styles_come_before_their_gain() -> None:
    generator = toy_generator(8)
    w = generator.sample(2, seed=0)
    part = generator.to_space(w, "s").value[:, generator.style_layout.slice("b4.to_rgb")]
    assert torch.equal(part, generator.blocks[0].to_rgb.affine(w.value))


def test_style_layout__channels_are_named_layer_channel() -> None:
    layout = toy_generator(16).style_layout
    assert layout.channel_name(layout.offsets[2] + 3) == "2_3"


# Edits and embeddings


def test_edits_and_embeddings__strength_is_a_plain_factor_and_the_input_stays() -> None:
    generator = toy_generator(8)
    style = generator.to_space(generator.sample(2, seed=0), "s")
    before = style.value.clone()
    edit = Direction(torch.randn(style.value.shape[1]), "s")
    assert torch.equal(edit(style, 0.0).value, before)
    torch.testing.assert_close(edit(style, -2.0).value - before, -(edit(style, 2.0).value - before))
    assert torch.equal(style.value, before)


def test_edits_and_embeddings__are_unit_rows() -> None:
    image = toy_image(16, batch=3)
    for rows in (ToyEmbedder().embed_image(image), ToyEmbedder().embed_text(["a"]), toy_identity().embed_image(image)):
        torch.testing.assert_close(rows.norm(dim=1), torch.ones(len(rows)))


# Seeds


def test_seeds__rows_keep_when_more_are_drawn_and_the_global_generator_is_left_alone() -> None:
    generator = toy_generator(8)
    state = torch.get_rng_state()
    few, many = generator.sample(2, seed=4).value, generator.sample(5, seed=4).value
    generator(Latent(few, "w"), noise=3)
    torch.testing.assert_close(few, many[:2])
    assert torch.equal(torch.get_rng_state(), state)


def test_seeds__a_sample_does_not_depend_on_its_batch() -> None:
    generator = toy_generator(8)
    w = generator.sample(3, seed=0)
    for noise in ("const", "none", 5):
        torch.testing.assert_close(generator(w, noise=noise)[2:], generator(w[2], noise=noise), rtol=1e-5, atol=1e-5)


def test_seeds__no_file_touches_a_global_generator() -> None:
    source = Path(__file__).parents[1] / "src" / "textmorph"
    touched = re.compile(r"torch\.(cuda\.)?manual_seed|np\.random\.(seed|randn?|normal|choice)\(|random\.seed\(")
    assert [path for path in source.rglob("*.py") if touched.search(path.read_text())] == []


# Devices and precision


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_devices_and_precision__follow_the_network(dtype: torch.dtype) -> None:
    generator = toy_generator(8).to(dtype)
    w = generator.sample(1, seed=0)
    assert w.value.dtype == dtype
    assert generator(w).dtype == dtype
    assert generator(w, noise=1).dtype == dtype


def test_devices_and_precision__networks_are_frozen_and_in_eval_mode() -> None:
    generator = toy_generator(8)
    assert not generator.training
    assert not any(parameter.requires_grad for parameter in generator.parameters())


def test_devices_and_precision__autocast_gives_float32_images() -> None:
    generator = toy_generator(8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert generator(generator.sample(1, seed=0)).dtype == torch.float32


def test_devices_and_precision__no_file_moves_anything_unasked() -> None:
    source = Path(__file__).parents[1] / "src" / "textmorph"
    assert [path for path in source.rglob("*.py") if re.search(r"\.cuda\(\)", path.read_text())] == []


# Files


def test_files__are_kept_unless_told(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    write_image(Image.new("RGB", (4, 4)), path)
    with pytest.raises(OutputExistsError):
        write_image(Image.new("RGB", (4, 4), "white"), path)
    assert read_image(path).max() == -1
