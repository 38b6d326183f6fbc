"""The drawn portraits: a picture is a function of its record, and every attribute shows in it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from recipes.portraits import attributes
from recipes.portraits.attributes import CATEGORIES, SCALARS, Portrait
from recipes.portraits.render import render, render_many

WOMAN = Portrait(femininity=0.9, skin=0.75, hair_style="long", hair_colour="black", turn=0.2)
MAN = Portrait(femininity=0.1, skin=0.2, hair_style="short", hair_colour="brown")


def changed(one: Portrait, other: Portrait) -> float:
    """Share of the pixels at 128 px that differ by more than 12 of 255 in some channel."""
    difference = np.abs(render(one).astype(int) - render(other))
    return float((difference.max(axis=-1) > 12).mean())


def test_the_same_record_gives_the_same_bits() -> None:
    assert np.array_equal(render(WOMAN), render(WOMAN.but()))


@pytest.mark.parametrize("size", [1, 17, 64, 128, 300])
def test_any_size_gives_an_rgb_picture(size: int) -> None:
    picture = render(MAN, size)
    assert picture.shape == (size, size, 3)
    assert picture.dtype == np.uint8


def test_a_size_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 pixel"):
        render(MAN, 0)


@pytest.mark.parametrize("person", [MAN, WOMAN], ids=["man", "woman"])
@pytest.mark.parametrize("name", CATEGORIES)
def test_each_word_of_a_category_looks_different_from_the_others(person: Portrait, name: str) -> None:
    people = [person.but(**{name: word}) for word in CATEGORIES[name]]
    least = 0.0015 if name == "eye_colour" else 0.004  # two irises of about 12 pixels each; all else is larger
    for i, one in enumerate(people):
        for other in people[:i]:
            assert changed(one, other) > least, (one, other)


@pytest.mark.parametrize("person", [MAN, WOMAN], ids=["man", "woman"])
@pytest.mark.parametrize("name", SCALARS)
def test_both_ends_of_a_scalar_look_different_and_small_steps_small(person: Portrait, name: str) -> None:
    low, high = SCALARS[name]
    least = 0.003 if name in ("nose_width", "brow_weight") else 0.01  # small features: 50 of 16384 pixels
    assert changed(person.but(**{name: low}), person.but(**{name: high})) > least
    steps = [render(person.but(**{name: low + (high - low) * i / 200})).astype(float) for i in range(90, 111)]
    jumps = [np.abs(b - a).mean() for a, b in pairwise(steps)]
    assert max(jumps) < 1.0  # grey levels of 255, on average over the picture


def test_many_portraits_equal_the_single_ones_in_one_process_and_in_two() -> None:
    cols = attributes.sample_columns(130, seed=3)
    alone = render_many(cols, 24, processes=1)
    assert np.array_equal(alone, render_many(cols, 24, processes=2))
    assert np.array_equal(alone[7], render(attributes.portrait(cols, 7), 24))
