"""The golden StyleGAN2 cases, through the public loader on a file in the foreign format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import textmorph
from tests.checkpoints import foreign
from tests.golden_weights import arrays, describe, normal, relative_error, weights
from textmorph.latents import Latent

TOLERANCE = 1e-4  # of the issue; 3e-6 is normal


def write_nvidia(case: str, path: Path) -> Path:
    options = describe(case)["constructor"]
    nested = {"channel_base", "channel_max", "num_fp16_res", "conv_clamp"}
    synthesis = {name: options.pop(name) for name in list(options) if name in nested}
    return foreign.write_nvidia(path, weights(case), {**options, "synthesis_kwargs": synthesis})


def check_image(image: Tensor, golden: dict[str, Tensor], stride: int) -> None:
    assert relative_error(image[:, :, ::stride, ::stride], golden["image_strided"]) < TOLERANCE
    assert relative_error(image.mean(dim=(2, 3)), golden["image_mean"]) < TOLERANCE
    assert relative_error(image.std(dim=(2, 3)), golden["image_std"]) < TOLERANCE


@pytest.mark.parametrize("case", ["nvlabs-64-half", "nvlabs-256"])
def test_an_nvidia_pickle_gives_the_golden_numbers(case: str, tmp_path: Path) -> None:
    generator: Any = textmorph.load_generator(write_nvidia(case, tmp_path / "network.pkl"))
    golden = arrays(case)
    w = generator.to_space(Latent(normal("input.z", (2, 512)), "z"), "w")
    assert relative_error(w.value, golden["w"]) < TOLERANCE
    w_plus = generator.to_space(generator.truncate(w, 0.7), "w+")
    assert relative_error(w_plus.value, golden["w_plus_psi07"]) < TOLERANCE
    latent = Latent(golden["w_plus_psi07"], "w+")
    assert relative_error(generator.to_space(latent, "s").value, golden["styles_concat"]) < TOLERANCE
    check_image(generator(latent), golden, describe(case)["stride"])


def test_a_rosinality_file_gives_the_golden_numbers(tmp_path: Path) -> None:
    case = "rosinality-256-2"
    mean = normal("input.mean_latent", (1, 512))
    path = foreign.write_torch(tmp_path / "network.pt", {"g_ema": weights(case), "latent_avg": mean[0]})
    generator: Any = textmorph.load_generator(path)
    golden, described = arrays(case), describe(case)
    w = generator.to_space(Latent(normal("input.z", (2, 512)), "z"), "w")
    assert relative_error(w.value, golden["w"]) < TOLERANCE
    w_plus = generator.to_space(generator.truncate(w, 0.7), "w+")
    assert relative_error(w_plus.value, golden["w_plus"]) < TOLERANCE
    latent = Latent(golden["w_plus"], "w+")
    style = generator.to_space(latent, "s")
    assert relative_error(style.value, golden["styles_concat"]) < TOLERANCE
    assert list(generator.style_layout.widths) == described["style_dims"]
    check_image(generator(latent), golden, described["stride"])

    edited = described["edited"]
    step = torch.zeros_like(style.value)
    step[:, generator.style_layout.slice(edited["style_index"])][:, edited["channel"]] = edited["added"]
    image = generator(style + step)
    stride = described["stride"]
    assert relative_error(image[:, :, ::stride, ::stride], golden["image_edited_strided"]) < TOLERANCE
