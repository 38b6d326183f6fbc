from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from textmorph.banks.bank import ChannelBank, build_bank
from textmorph.errors import BankMismatchError, EmptyDirectionError, OptionError, PromptError
from textmorph.generators.stylegan2 import StyleGAN2
from textmorph.latents import Latent
from textmorph.methods.global_direction import GlobalDirection
from textmorph.prompts import BARE, text_shift

from ..toys import ToyEmbedder, toy_generator


def image_of(colour: tuple[float, float, float]) -> Tensor:
    return torch.tensor(colour, dtype=torch.float32).view(1, 3, 1, 1).expand(1, 3, 16, 16).contiguous()


@pytest.fixture(scope="module")
def generator() -> StyleGAN2:
    return toy_generator(resolution=8)


@pytest.fixture(scope="module")
def embedder() -> ToyEmbedder:
    return ToyEmbedder(words={"red": image_of((1, -1, -1)), "blue": image_of((-1, -1, 1))})


@pytest.fixture(scope="module")
def bank(generator: StyleGAN2, embedder: ToyEmbedder) -> ChannelBank:
    return build_bank(generator, embedder, num_samples=4, num_statistics=64, to_rgb=True)


def test_the_direction_is_that_of_section_6(generator: StyleGAN2, embedder: ToyEmbedder, bank: ChannelBank) -> None:
    """Δs_c = (Δi_c · Δt) / max |Δi · Δt| · σ_c where |Δi_c · Δt| ≥ β, else 0."""
    method = GlobalDirection(threshold=0.05, to_rgb=True)
    edit = method.find(generator, embedder, target="a red cat", neutral="a cat", bank=bank, templates=BARE)
    shift = text_shift(embedder, neutral="a cat", target="a red cat", templates=BARE)
    expected = torch.zeros(generator.style_layout.num_channels)
    relevance = [float(effect @ shift) for effect in bank.effects]
    for channel, value in zip(bank.channels.tolist(), relevance, strict=True):
        if abs(value) >= 0.05:
            expected[channel] = value / max(map(abs, relevance)) * bank.channel_std[channel]
    torch.testing.assert_close(edit.vector, expected)
    assert edit.space == "s"
    assert not edit.whole


def test_a_threshold_takes_the_place_of_the_number_of_channels() -> None:
    assert GlobalDirection(threshold=0.1).num_channels is None
    assert [one.num_channels for one in GlobalDirection().variants((5, 10))] == [5, 10]
    assert GlobalDirection(threshold=0.1).variants((5, 10)) == [GlobalDirection(threshold=0.1)]


def test_an_edit_towards_a_colour_brings_that_colour(
    generator: StyleGAN2, embedder: ToyEmbedder, bank: ChannelBank
) -> None:
    method = GlobalDirection(num_channels=10, to_rgb=True)
    edit = method.find(generator, embedder, target="red", neutral="blue", bank=bank, templates=BARE)
    style = generator.to_space(generator.sample(4, seed=5, truncation=0.7), "s")

    def redness(latent: Latent) -> Tensor:
        image = generator(latent).mean(dim=(2, 3))
        return image[:, 0] - image[:, 2]

    assert (redness(edit(style, 2.0)) > redness(style)).all()
    assert (redness(edit(style, -2.0)) < redness(style)).all()


def test_the_choice_of_layers_and_channels_is_kept(
    generator: StyleGAN2, embedder: ToyEmbedder, bank: ChannelBank
) -> None:
    layout = generator.style_layout
    find = {"target": "a red cat", "neutral": "a cat", "bank": bank, "templates": BARE}
    edit = GlobalDirection(num_channels=7, max_resolution=4).find(generator, embedder, **find)
    assert edit.vector.count_nonzero() == 7
    assert edit.vector[~layout.mask(max_resolution=4)].count_nonzero() == 0
    edit = GlobalDirection(num_channels=None, threshold=0.0).find(generator, embedder, **find)
    assert edit.vector[~layout.mask()].count_nonzero() == 0
    assert (edit.vector / bank.channel_std).abs().max().item() == pytest.approx(1, abs=1e-6)


def test_the_edit_says_where_it_comes_from(
    generator: StyleGAN2, embedder: ToyEmbedder, bank: ChannelBank, tmp_path: Path
) -> None:
    edit = GlobalDirection(num_channels=3).find(
        generator, embedder, target=" a red  cat", neutral="a cat", bank=bank, templates=["{}", "art of {}"]
    )
    about = edit.provenance
    assert (about["method"], about["target"], about["neutral"]) == ("global", "a red cat", "a cat")
    assert about["templates"] == ["{}", "art of {}"]
    assert about["channels"] == 3
    assert GlobalDirection(**about["options"]) == GlobalDirection(num_channels=3)
    assert about["bank"] == bank.info
    assert about["embedder"] == embedder.fingerprint


def test_bad_requests_are_refused(generator: StyleGAN2, embedder: ToyEmbedder, bank: ChannelBank) -> None:
    with pytest.raises(PromptError):
        GlobalDirection().find(generator, embedder, target="a cat", neutral="A cat ", bank=bank)
    with pytest.raises(EmptyDirectionError, match="largest relevance"):
        GlobalDirection(num_channels=None, threshold=0.999).find(
            generator, embedder, target="a red cat", neutral="a cat", bank=bank
        )
    with pytest.raises(BankMismatchError):
        GlobalDirection().find(toy_generator(8, seed=9), embedder, target="a red cat", neutral="a cat", bank=bank)


@pytest.mark.parametrize(
    "options",
    [{"num_channels": 7, "threshold": 0.1}, {"num_channels": None}, {"num_channels": 0},
     {"num_channels": None, "threshold": -0.1}, {"relevance": "loud"}],
)  # fmt: skip
def test_options_out_of_range_are_refused(options: dict) -> None:
    with pytest.raises(OptionError):
        GlobalDirection(**options)
