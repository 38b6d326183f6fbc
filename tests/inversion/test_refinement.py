"""Refinement: a few optimisation steps after the encoder."""

from __future__ import annotations

import pytest
import torch

from textmorph.errors import ImageError, OptionError
from textmorph.inversion.refinement import Refinement
from textmorph.latents import Latent

from ..toys import ToyEmbedder, toy_generator, toy_image


def test_it_comes_closer_to_the_picture() -> None:
    generator = toy_generator()
    with torch.no_grad():
        image = generator(generator.sample(1, seed=3)).clamp(-1, 1)
        start = Latent(generator.mean_w[None], "w")
        found = Refinement(steps=60).invert(generator, image, start=start, embedder=ToyEmbedder())
        before, after = (generator(latent).sub(image).square().mean() for latent in (start, found))
    assert found.space == "w+"
    assert after < 0.5 * before


def test_no_steps_leave_the_start_as_it_is() -> None:
    generator = toy_generator()
    start = generator.to_space(generator.sample(2, seed=0), "w+")
    found = Refinement(steps=0).invert(generator, toy_image(16, batch=2), start=start)
    assert torch.equal(found.value, start.value)


def test_a_batch_is_refined_as_one_by_one() -> None:
    generator = toy_generator()
    images = toy_image(16, batch=3)
    start = generator.to_space(generator.sample(3, seed=0), "w+")
    refinement = Refinement(steps=8)
    whole = refinement.invert(generator, images, start=start, embedder=ToyEmbedder())
    for i in range(3):
        alone = refinement.invert(generator, images[i : i + 1], start=start[i], embedder=ToyEmbedder())
        # Adam divides by small numbers, so rounding of the batched convolutions grows: 1e-3 of w's spread of about 1.
        torch.testing.assert_close(whole[i].value, alone.value, atol=1e-3, rtol=0)


def test_inputs_stay_as_they_were_and_networks_hold_no_gradients() -> None:
    generator = toy_generator()
    image, start = toy_image(16), generator.to_space(generator.sample(1, seed=0), "w+")
    kept = start.value.clone(), image.clone()
    Refinement(steps=3).invert(generator, image, start=start)
    assert torch.equal(start.value, kept[0])
    assert torch.equal(image, kept[1])
    assert all(parameter.grad is None for parameter in generator.parameters())


def test_drift_keeps_the_latent_near_its_start() -> None:
    generator = toy_generator()
    start = generator.to_space(generator.sample(1, seed=0), "w+")
    ways = [
        (Refinement(steps=30, drift=drift).invert(generator, toy_image(16), start=start).value - start.value).norm()
        for drift in (0.0, 10.0)
    ]
    assert ways[1] < 0.5 * ways[0]


def test_progress_counts_to_the_end() -> None:
    told: list[tuple[int, int]] = []
    Refinement(steps=3).invert(toy_generator(), toy_image(16), progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_a_picture_of_another_size_and_bad_values_are_refused() -> None:
    with pytest.raises(ImageError, match="16, 16"):
        Refinement().invert(toy_generator(), toy_image(32))
    with pytest.raises(OptionError, match="steps"):
        Refinement(steps=-1)
    with pytest.raises(OptionError, match="learning rate"):
        Refinement(learning_rate=0)
