from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.svm import SVC
from torch import Tensor
from torch.nn import functional as F

from textmorph.banks.bank import ChannelBank, build_bank
from textmorph.corpora.corpus import Corpus
from textmorph.errors import BankMismatchError, EditError, OptionError
from textmorph.generators.stylegan2 import StyleGAN2
from textmorph.hyperplanes import svm_normal
from textmorph.methods.svm_direction import SvmDirection
from textmorph.prompts import BARE, text_embedding

from ..toys import ToyEmbedder, toy_generator

TEN = {"num_positives": 10, "num_negatives": 10}


@pytest.fixture(scope="module")
def generator() -> StyleGAN2:
    return toy_generator(resolution=8)


@pytest.fixture(scope="module")
def embedder() -> ToyEmbedder:
    return ToyEmbedder()


@pytest.fixture(scope="module")
def bank(generator: StyleGAN2, embedder: ToyEmbedder) -> ChannelBank:
    return build_bank(generator, embedder, num_samples=3, num_statistics=64)


@pytest.fixture(scope="module")
def corpus(generator: StyleGAN2, embedder: ToyEmbedder) -> Corpus:
    return Corpus.build(generator, embedder, num=60, seed=100)


def two_clouds(seed: int, dims: int = 12) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    apart = torch.randn(dims, generator=random)
    rows = torch.randn(40, dims, generator=random)
    return F.normalize(rows[:20] + apart, dim=1), F.normalize(rows[20:] - apart, dim=1)


@given(st.integers(0, 1000), st.sampled_from([0.1, 1.0, 30.0]))
def test_the_normal_is_that_of_a_linear_svm(seed: int, regularization: float) -> None:
    positives, negatives = two_clouds(seed)
    rows = torch.cat([positives, negatives]).double().numpy()
    machine = SVC(kernel="linear", C=regularization, tol=1e-8).fit(rows, [1] * 20 + [-1] * 20)
    expected = F.normalize(torch.tensor(machine.coef_[0]), dim=0).float()
    normal = svm_normal(positives, negatives, regularization=regularization)
    torch.testing.assert_close(normal, expected, atol=5e-3, rtol=0)  # the solver's own tolerance is 1e-3


@given(st.integers(0, 1000))
def test_the_normal_is_unit_points_to_the_positives_and_turns_round_with_them(seed: int) -> None:
    positives, negatives = two_clouds(seed)
    normal = svm_normal(positives, negatives)
    assert normal.norm().item() == pytest.approx(1, abs=1e-6)
    assert (positives @ normal).mean() > (negatives @ normal).mean()
    torch.testing.assert_close(svm_normal(negatives, positives), -normal, atol=5e-3, rtol=0)


def test_a_hopeless_pair_of_sets_is_refused() -> None:
    row = F.normalize(torch.ones(1, 4), dim=1)
    with pytest.raises(EditError):
        svm_normal(row.expand(5, -1), row.expand(5, -1))


def test_positives_are_nearest_and_negatives_farthest(embedder: ToyEmbedder, corpus: Corpus) -> None:
    positives, negatives = SvmDirection(**TEN).retrieve(embedder, target="a cat", corpus=corpus)
    order = (corpus.embeddings @ embedder.embed_text(["a cat"])[0]).argsort(descending=True)
    assert positives.rows.tolist() == order[:10].tolist()
    assert negatives.rows.tolist() == order.flip(0)[:10].tolist()


def test_random_negatives_follow_the_seed_and_are_no_positives(embedder: ToyEmbedder, corpus: Corpus) -> None:
    method = SvmDirection(**TEN, negatives="random", seed=3)
    positives, negatives = method.retrieve(embedder, target="a cat", corpus=corpus)
    assert not set(positives.rows.tolist()) & set(negatives.rows.tolist())
    assert len(set(negatives.rows.tolist())) == 10
    again = method.retrieve(embedder, target="a cat", corpus=corpus)[1]
    assert torch.equal(again.rows, negatives.rows)
    other = SvmDirection(**TEN, negatives="random", seed=4).retrieve(embedder, target="a cat", corpus=corpus)[1]
    assert not torch.equal(other.rows, negatives.rows)
    torch.testing.assert_close(
        negatives.scores, corpus.embeddings[negatives.rows] @ text_embedding(embedder, "a cat", templates=BARE)
    )


def test_an_ensemble_query_averages_over_templates(embedder: ToyEmbedder, corpus: Corpus) -> None:
    templates = ["art of {}", "a photo of {}"]
    method = SvmDirection(**TEN, query="ensemble")
    positives, _ = method.retrieve(embedder, target="a cat", corpus=corpus, templates=templates)
    query = text_embedding(embedder, "a cat", templates=templates)
    torch.testing.assert_close(positives.scores, (corpus.embeddings @ query).topk(10).values)


def test_a_corpus_too_small_or_of_another_embedder_is_refused(
    generator: StyleGAN2, embedder: ToyEmbedder, bank: ChannelBank, corpus: Corpus
) -> None:
    with pytest.raises(OptionError, match="60 images"):
        SvmDirection().find(generator, embedder, target="a cat", corpus=corpus, bank=bank)
    with pytest.raises(BankMismatchError, match="corpus"):
        SvmDirection(**TEN).retrieve(ToyEmbedder(seed=5), target="a cat", corpus=corpus)


@pytest.mark.parametrize(
    "options",
    [
        {"regularization": 0},
        {"num_positives": 0},
        {"negatives": "none"},
        {"query": "loud"},
        {"num_channels": 5, "threshold": 0.1},
    ],
)
def test_options_out_of_range_are_refused(options: dict) -> None:
    with pytest.raises(OptionError):
        SvmDirection(**options)
