"""The speed benchmark compares things that are equal."""

from __future__ import annotations

import pytest

from benchmarks import speed


def test_every_form_renders_the_same_image_and_says_how_long_it_took() -> None:
    plain, ours, short = speed.compare(speed.noisy_generator(8), batch=2, repeats=2)
    assert [case["form"] for case in (plain, ours, short)] == ["plain float32", "ours float32", "ours bfloat16"]
    assert plain["largest_difference"] == 0
    assert ours["largest_difference"] < 1e-5
    assert 1e-5 < short["mean_difference"] < 0.02  # so it did run short, and is close
    for case in (plain, ours, short):
        assert 0 < case["fastest"] <= case["median"] <= case["slowest"]
        assert case["speed_up"] == pytest.approx(plain["median"] / case["median"])
