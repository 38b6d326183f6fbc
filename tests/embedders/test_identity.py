from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from tests.toys import seed_weights, toy_image
from textmorph.embedders import Embedder, TextEmbedder
from textmorph.embedders.identity import IdentityConfig, IdentityEmbedder
from textmorph.errors import ImageError, OptionError

TINY = IdentityConfig(input_size=32, widths=(4, 4, 6, 8), blocks=(1, 1, 2, 1), embedding_dim=16, crop="none")


def embedder(config: IdentityConfig = TINY) -> IdentityEmbedder:
    torch.manual_seed(0)
    network = IdentityEmbedder(config)
    seed_weights(network, 5)
    return network


def test_an_identity_network_is_an_embedder_without_texts():
    assert isinstance(embedder(), Embedder)
    assert not isinstance(embedder(), TextEmbedder)


@pytest.mark.parametrize("crop", ["ffhq", "none"])
@pytest.mark.parametrize("size", [32, 48, 256])
def test_any_size_gives_unit_rows(crop: str, size: int):
    rows = embedder(replace(TINY, crop=crop)).embed_image(toy_image(size, batch=2))
    assert rows.shape == (2, 16)
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(2))


def test_the_crop_is_the_papers_and_ignores_the_border():
    network = embedder(replace(TINY, crop="ffhq"))
    image = toy_image(512)
    moved = image.clone()
    moved[:, :, :70] += 1  # row 70 of 512 is row 35 of 256
    moved[:, :, 446:] += 1
    moved[:, :, :, :64] += 1
    moved[:, :, :, 440:] += 1
    assert torch.equal(network(moved), network(image))
    moved[:, :, 70] += 1
    assert not torch.equal(network(moved), network(image))


def test_the_crop_is_two_adaptive_pools():
    plain, cropped = embedder(), embedder(replace(TINY, crop="ffhq"))
    plain.load_state_dict(cropped.state_dict())
    image = toy_image(300)
    face = F.adaptive_avg_pool2d(F.adaptive_avg_pool2d(image, 256)[:, :, 35:223, 32:220], 32)
    torch.testing.assert_close(cropped(image), plain(face))


def test_the_gradient_reaches_the_image_and_leaves_the_weights():
    network, image = embedder(), toy_image(48, batch=2).requires_grad_(True)
    network(image)[:, 0].sum().backward()
    assert image.grad is not None
    assert image.grad.abs().sum() > 0
    assert all(p.grad is None for p in network.parameters())


def test_every_part_can_be_trained():
    network = embedder().requires_grad_(True).train()
    network(toy_image(32, batch=4))[:, 0].sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_the_default_is_the_released_network_in_size():
    with torch.device("meta"):
        network = IdentityEmbedder()
    assert sum(p.numel() for p in network.parameters()) == 43_797_696
    assert len(network.state_dict()) == 397


@pytest.mark.parametrize("fields", [{"crop": "face"}, {"input_size": 100}, {"blocks": (1, 1)}])
def test_a_configuration_out_of_range_is_refused(fields: dict[str, object]):
    with pytest.raises(OptionError):
        replace(TINY, **fields)  # type: ignore[arg-type]


def test_what_is_no_image_is_refused():
    with pytest.raises(ImageError, match="floating-point tensor"):
        embedder()(torch.zeros(3, 32, 32))
