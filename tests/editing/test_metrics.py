"""What an edit did: the figures that go into a record."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from textmorph.editing import metrics as evaluation
from textmorph.errors import ImageError

from ..toys import ToyEmbedder, toy_identity, toy_image


@given(st.integers(0, 100), st.integers(0, 100))
def test_nothing_changed_gives_zero_change_zero_gain_and_full_identity(seed: int, other: int) -> None:
    image = toy_image(32, seed=seed)
    embedder = ToyEmbedder(seed=other)
    target = embedder.embed_text(["a smile"])[0]
    assert evaluation.clip_gain(embedder, image, image, target).item() == 0
    assert evaluation.identity_kept(toy_identity(), image, image).item() == pytest.approx(1, abs=1e-6)
    assert evaluation.change_outside(image, image).item() == 0
    assert not evaluation.edit_region(image, image).any()
    assert evaluation.reconstruction_distance(image, image).item() == 0


def test_gain_is_the_difference_of_the_cosines_and_changes_sign_with_the_order() -> None:
    embedder = ToyEmbedder()
    one, other = toy_image(16, seed=1), toy_image(16, seed=2)
    target = embedder.embed_text(["red"])[0]
    expected = (embedder.embed_image(other) - embedder.embed_image(one)) @ target
    torch.testing.assert_close(evaluation.clip_gain(embedder, one, other, target), expected)
    torch.testing.assert_close(evaluation.clip_gain(embedder, other, one, target), -expected)


def test_a_change_in_one_corner_is_the_region_and_leaves_nothing_outside() -> None:
    before = torch.zeros(1, 3, 64, 64)
    after = before.clone()
    after[..., :16, :16] = 1
    region = evaluation.edit_region(before, after)[0]
    assert region[:15, :15].all()
    assert not region[24:].any()
    assert not region[:, 24:].any()
    assert evaluation.change_outside(before, after).item() == pytest.approx(0, abs=1e-3)


def test_a_faint_change_elsewhere_is_outside_and_measured_in_black_to_white() -> None:
    before = torch.full((1, 3, 64, 64), -1.0)
    after = before.clone()
    after[..., :16, :16] = 1
    after[..., 32:, :] = -0.9  # 5 % of the way from black to white, over just over half of what is outside
    region = evaluation.edit_region(before, after)[0]
    share = 32 * 64 / (~region).sum().item()
    assert evaluation.change_outside(before, after).item() == pytest.approx(0.05 * share, rel=0.05)


def test_rows_of_a_batch_are_measured_by_themselves() -> None:
    before, after = toy_image(32, batch=3, seed=1), toy_image(32, batch=3, seed=2)
    whole = evaluation.change_outside(before, after)
    for i in range(3):
        torch.testing.assert_close(whole[i : i + 1], evaluation.change_outside(before[i : i + 1], after[i : i + 1]))


def test_values_beyond_the_screen_do_not_count() -> None:
    before, after = torch.ones(1, 3, 16, 16), torch.full((1, 3, 16, 16), 3.0)
    assert evaluation.reconstruction_distance(before, after).item() == 0


def test_the_reconstruction_distance_of_black_and_white_is_one() -> None:
    black, white = torch.full((1, 3, 100, 100), -1.0), torch.ones(1, 3, 100, 100)
    assert evaluation.reconstruction_distance(black, white).item() == pytest.approx(1)


def test_pictures_of_two_sizes_cannot_be_compared() -> None:
    with pytest.raises(ImageError, match="one size"):
        evaluation.change_outside(toy_image(16), toy_image(32))


def test_without_photo_or_identity_net_their_figures_are_none() -> None:
    report = evaluation.compare(None, toy_image(16), toy_image(16, seed=1), None)
    assert report["identity"] is None
    assert report["reconstruction_distance"] is None
    assert report["change_outside"] is not None
