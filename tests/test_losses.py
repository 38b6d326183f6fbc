from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from textmorph.losses import clip_loss, identity_loss, latent_l2, random_views

from .toys import toy_image


def test_embedding_losses_are_one_minus_the_cosine() -> None:
    a, b = F.normalize(torch.randn(4, 8), dim=1), F.normalize(torch.randn(4, 8), dim=1)
    torch.testing.assert_close(clip_loss(a, b), 1 - (a * b).sum(dim=1))
    torch.testing.assert_close(clip_loss(a, b[0]), 1 - a @ b[0])
    torch.testing.assert_close(identity_loss(a, a), torch.zeros(4), atol=1e-6, rtol=0)
    torch.testing.assert_close(identity_loss(a, -a), torch.full((4,), 2.0))


def test_latent_l2_sums_the_squares_of_each_row() -> None:
    change = torch.arange(24.0).view(2, 3, 4)
    torch.testing.assert_close(latent_l2(change), torch.stack([row.pow(2).sum() for row in change]))
    assert latent_l2(torch.zeros(2, 5)).tolist() == [0, 0]


def test_views_depend_on_seed_and_place_alone_and_serve_every_row_alike() -> None:
    image = toy_image(16, batch=2)
    views = random_views(image, 5, seed=3)
    assert views.shape == (5, 2, 3, 16, 16)
    assert torch.equal(views[:3], random_views(image, 3, seed=3))
    torch.testing.assert_close(views[:, 1:], random_views(image[1:], 5, seed=3))
    assert not torch.equal(views, random_views(image, 5, seed=4))
    assert len({float(view.sum()) for view in views}) == 5


def test_the_whole_image_is_a_view_of_itself() -> None:
    image = toy_image(16)
    torch.testing.assert_close(random_views(image, 2, seed=0, min_scale=1.0, flip=False)[1], image, atol=1e-5, rtol=0)
    mirrored = {
        bool(torch.allclose(view, image.flip(3), atol=1e-5)) for view in random_views(image, 9, seed=0, min_scale=1.0)
    }
    assert mirrored == {True, False}


def test_a_view_shows_only_what_is_in_the_image_and_has_gradients() -> None:
    image = toy_image(16).requires_grad_()
    views = random_views(image, 4, seed=1)
    assert views.min() >= image.min()
    assert views.max() <= image.max()
    views.sum().backward()
    assert image.grad is not None
    assert image.grad.count_nonzero() > image.numel() / 2


@pytest.mark.parametrize("value", [0.25, -1.0])
def test_a_flat_image_stays_flat(value: float) -> None:
    image = torch.full((1, 3, 8, 8), value)
    torch.testing.assert_close(random_views(image, 3, seed=2), image.expand(3, 1, 3, 8, 8))
