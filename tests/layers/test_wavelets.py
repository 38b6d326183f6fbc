from __future__ import annotations

import torch

from textmorph.layers.wavelets import haar, inverse_haar


def test_the_transform_is_orthonormal_and_undone_by_its_inverse() -> None:
    image = torch.randn(2, 3, 8, 12, dtype=torch.float64)
    bands = haar(image)
    assert bands.shape == (2, 12, 4, 6)
    torch.testing.assert_close(bands.square().sum(), image.square().sum())
    torch.testing.assert_close(inverse_haar(bands), image)


def test_a_flat_image_has_twice_its_value_as_average_and_no_details() -> None:
    bands = haar(torch.full((1, 2, 4, 4), 3.0))
    assert torch.equal(bands[:, :2], torch.full((1, 2, 2, 2), 6.0))
    assert not bands[:, 2:].any()


def test_a_scale_is_multiplied_into_each_band_first_with_gradients_and_without() -> None:
    bands, scale = torch.randn(2, 8, 3, 3), torch.randn(2, 8)
    expected = inverse_haar(bands * scale[:, :, None, None])
    torch.testing.assert_close(inverse_haar(bands, scale), expected)
    torch.testing.assert_close(inverse_haar(bands, scale.requires_grad_()), expected)
