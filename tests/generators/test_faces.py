"""The real generator of faces, where its wheel can be fetched: by pip, or from the cache in TEXTMORPH_TEST_CACHE."""

from __future__ import annotations

import os
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from tests.golden_weights import arrays, relative_error
from textmorph.errors import DownloadError
from textmorph.generators import load_generator
from textmorph.latents import Latent
from textmorph.registry import fetch_part

TOLERANCE = 1e-4  # of the issue; 1e-5 is normal


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The network, fetched once for all tests; a cache that stays saves the download."""
    kept = os.environ.get("TEXTMORPH_TEST_CACHE")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEXTMORPH_CACHE", kept or str(tmp_path_factory.mktemp("faces")))
        patch.delenv("HF_HUB_OFFLINE", raising=False)  # the tests' own, for the hub
        try:
            folder = fetch_part("random-face")
        except DownloadError as error:
            pytest.skip(f"the wheel of the faces cannot be fetched here: {error}")
    assert "Apache License" in (folder / "LICENSE").read_text()
    assert "non-commercial" in (folder / "NOTICE").read_text()
    return load_generator(folder / "generator.safetensors")


def test_the_public_loader_gives_the_golden_numbers(faces: Any) -> None:
    golden = arrays("mobilestylegan-1024")
    w = faces.to_space(Latent(golden["z"], "z"), "w")
    assert relative_error(w.value, golden["w"]) < TOLERANCE
    for i in range(3):
        image = faces(Latent(golden["w"][i : i + 1], "w"))
        assert relative_error(image[:, :, ::16, ::16], golden["image_strided"][i : i + 1]) < TOLERANCE


def test_the_spaces_are_those_of_the_published_network(faces: Any) -> None:
    layout = faces.style_layout
    assert (faces.resolution, faces.num_rows, len(layout.names), layout.num_channels) == (1024, 16, 23, 6752)
    assert layout.names[:4] == ("conv1", "layers.0.up", "layers.0.conv1", "layers.0.conv2")
    assert layout.names[-1] == "layers.6.to_img"
    assert 4.1 < faces.mean_w.norm() < 4.14  # that of StyleGAN2-FFHQ is 4.12
    official = torch.randn(1, 18, 512)
    assert torch.equal(faces.to_space(Latent(official, "w+"), "w+").value, official[:, :16])


def test_smaller_images_are_exact_or_close(faces: Any) -> None:
    w = faces.sample(2, seed=77, truncation=0.7)
    full = faces(w)
    for side in (512, 256):
        torch.testing.assert_close(faces(w, resolution=side), F.avg_pool2d(full, 1024 // side), atol=1e-4, rtol=0)
    for side, decibels in ((256, 26), (128, 23)):
        error = faces(w, resolution=side, exact=False) - F.avg_pool2d(full, 1024 // side)
        assert 10 * torch.log10(4 / error.square().mean()) > decibels
