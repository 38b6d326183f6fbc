from __future__ import annotations

import pytest
import torch

from textmorph.corpora.corpus import Corpus
from textmorph.errors import EditError, OptionError, PromptError
from textmorph.generators.stylegan2 import StyleGAN2
from textmorph.methods.interfacegan import InterFaceGan, condition
from textmorph.prompts import BARE

from ..toys import ToyEmbedder, toy_generator

FIND = {"target": "red", "neutral": "blue", "templates": BARE}


def image_of(colour: tuple[float, float, float]) -> torch.Tensor:
    return torch.tensor(colour, dtype=torch.float32).view(1, 3, 1, 1).expand(1, 3, 16, 16).contiguous()


@pytest.fixture(scope="module")
def generator() -> StyleGAN2:
    return toy_generator(8)


@pytest.fixture(scope="module")
def embedder() -> ToyEmbedder:
    return ToyEmbedder(image_size=8, words={"red": image_of((1, -1, -1)), "blue": image_of((-1, -1, 1))})


@pytest.fixture(scope="module")
def corpus(generator: StyleGAN2, embedder: ToyEmbedder) -> Corpus:
    return Corpus.build(generator, embedder, num=200, seed=3)


def test_a_conditioned_direction_leaves_the_others_alone() -> None:
    random = torch.Generator().manual_seed(1)
    direction, others = torch.randn(8, generator=random), torch.randn(3, 8, generator=random)
    rest = condition(direction, others)
    assert (others @ rest).abs().max() < 1e-5
    assert rest.norm().item() == pytest.approx(1, abs=1e-5)
    with pytest.raises(EditError, match="fewer"):
        condition(others[0], others)


def test_an_edit_in_words_brings_what_the_words_say(
    generator: StyleGAN2, embedder: ToyEmbedder, corpus: Corpus
) -> None:
    edit = InterFaceGan(num_positives=40, num_negatives=40).find(generator, embedder, corpus=corpus, **FIND)
    w_plus = generator.to_space(generator.sample(6, seed=500), "w+")

    def redness(strength: float) -> torch.Tensor:
        image = generator(edit(w_plus, strength)).mean(dim=(2, 3))
        return (image[:, 0] - image[:, 2]).mean()

    assert redness(-1.0) < redness(0.0) < redness(1.0)
    assert edit.vector.shape == (1, 8)
    assert not edit.whole


def test_rows_that_are_left_out_keep_every_bit(generator: StyleGAN2, embedder: ToyEmbedder, corpus: Corpus) -> None:
    method = InterFaceGan(num_positives=20, num_negatives=20, first_row=1, last_row=3)
    edit = method.find(generator, embedder, corpus=corpus, **FIND)
    w_plus = generator.to_space(generator.sample(2, seed=5), "w+")
    moved = (edit(w_plus, 2.0).value != w_plus.value).flatten(2).any(dim=2)
    assert moved.tolist() == [[False, True, True, False]] * 2


def test_conditions_stay(generator: StyleGAN2, embedder: ToyEmbedder, corpus: Corpus) -> None:
    few = {"num_positives": 20, "num_negatives": 20}
    other = InterFaceGan(**few).find(generator, embedder, corpus=corpus, **{**FIND, "target": "a green dog"})
    edit = InterFaceGan(**few, conditions=["a green dog"]).find(generator, embedder, corpus=corpus, **FIND)
    assert abs(float(edit.vector @ other.vector.t())) < 1e-4


def test_what_cannot_be_found_is_refused(generator: StyleGAN2, embedder: ToyEmbedder, corpus: Corpus) -> None:
    with pytest.raises(OptionError, match="larger"):
        InterFaceGan(num_positives=150, num_negatives=150).find(generator, embedder, corpus=corpus, **FIND)
    with pytest.raises(PromptError, match="condition"):
        InterFaceGan(num_positives=9, num_negatives=9, conditions=("Blue",)).find(
            generator, embedder, corpus=corpus, **FIND
        )
    for options in ({"num_positives": 0}, {"regularization": 0}, {"first_row": -1}, {"first_row": 4, "last_row": 2}):
        with pytest.raises(OptionError):
            InterFaceGan(**options)
