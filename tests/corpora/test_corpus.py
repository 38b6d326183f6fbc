from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from textmorph.corpora.corpus import Corpus
from textmorph.errors import (
    BankMismatchError,
    CheckpointMismatchError,
    InputError,
    JobError,
    MissingExtraError,
    OptionError,
    OutputExistsError,
)
from textmorph.generators.stylegan2 import StyleGAN2
from textmorph.images import center_square, read_image, resize, write_image
from textmorph.latents import Latent

from ..toys import ToyEmbedder, toy_generator, toy_image


class ToyEncoder:
    """Stands in for e4e: pooled pixels as w+ [B, 2, 3]."""

    fingerprint = "toy encoder"

    def __call__(self, image: Tensor) -> Latent:
        return Latent(F.adaptive_avg_pool2d(image, (1, 2)).flatten(2).transpose(1, 2).contiguous(), "w+")


@pytest.fixture(scope="module")
def generator() -> StyleGAN2:
    return toy_generator(8)


@pytest.fixture(scope="module")
def embedder() -> ToyEmbedder:
    return ToyEmbedder(image_size=8)


@pytest.fixture(scope="module")
def corpus(generator: StyleGAN2, embedder: ToyEmbedder) -> Corpus:
    return Corpus.build(generator, embedder, num=11, seed=100, truncation=0.8, batch_size=4)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    names = [tmp_path / f"{i}.png" for i in range(6)]
    for i, name in enumerate(names):
        write_image(toy_image(8 if i < 4 else 12, seed=i), name)
    names[1].write_bytes(b"no image")
    names[5].write_bytes(b"")
    return names


def random_corpus(seed: int, rows: int = 50) -> Corpus:
    random = torch.Generator().manual_seed(seed)
    return Corpus(F.normalize(torch.randn(rows, 6, generator=random), dim=1), {})


@given(st.integers(0, 500), st.integers(0, 50), st.integers(0, 50))
def test_both_ends_are_those_of_a_full_sort(seed: int, num_nearest: int, num_farthest: int) -> None:
    corpus = random_corpus(seed)
    query = F.normalize(torch.randn(6, generator=torch.Generator().manual_seed(seed + 1)), dim=0)
    scores = corpus.embeddings @ query
    order = scores.argsort(descending=True)
    near, far = corpus.extremes(query, num_nearest, num_farthest)
    assert near.rows.tolist() == order[:num_nearest].tolist()
    assert far.rows.tolist() == order.flip(0)[:num_farthest].tolist()
    assert torch.equal(near.scores, scores[near.rows])
    assert torch.equal(corpus.nearest(query, num_nearest).rows, near.rows)
    assert torch.equal(corpus.farthest(query, num_farthest).rows, far.rows)


def test_a_row_depends_on_its_seed_alone(generator: StyleGAN2, embedder: ToyEmbedder, corpus: Corpus) -> None:
    assert len(corpus) == 11
    for row in (0, 7):
        latent = generator.sample(1, seed=100 + row, truncation=0.8)
        image = generator(latent).clamp(-1, 1)
        torch.testing.assert_close(corpus.embeddings[row], embedder.embed_image(image)[0])
        assert torch.equal(corpus.latents(torch.tensor([row])).value, latent.value)
    longer = Corpus.build(generator, embedder, num=13, seed=100, truncation=0.8, batch_size=5)
    torch.testing.assert_close(longer.embeddings[:11], corpus.embeddings)


def test_the_compact_form_holds_embeddings_and_draws_the_rest_again(
    generator: StyleGAN2, corpus: Corpus, tmp_path: Path
) -> None:
    path = tmp_path / "corpus.safetensors"
    corpus.save(path)
    again = Corpus.load(path)
    torch.testing.assert_close(again.embeddings, corpus.embeddings, atol=5e-4, rtol=0)  # half precision
    torch.testing.assert_close(again.embeddings.norm(dim=1), torch.ones(11))
    assert again.info == corpus.info
    assert again.fingerprint == corpus.fingerprint
    rows = torch.tensor([5, 2])
    assert torch.equal(again.latents(rows, generator).value, corpus.latents(rows).value)
    pictures = again.pictures(rows, generator=generator, size=4)
    expected = resize(generator(corpus.latents(rows)).clamp(-1, 1), 4)
    torch.testing.assert_close(pictures, expected)
    with pytest.raises(InputError, match="generator"):
        again.latents(rows)
    with pytest.raises(InputError, match="generator"):
        again.pictures(rows)
    with pytest.raises(BankMismatchError):
        again.latents(rows, toy_generator(8, seed=5))
    with pytest.raises(OutputExistsError):
        corpus.save(path)


def test_a_folder_holds_everything(generator: StyleGAN2, embedder: ToyEmbedder, corpus: Corpus, tmp_path: Path) -> None:
    pytest.importorskip("lancedb")
    built = Corpus.build(generator, embedder, num=11, seed=100, truncation=0.8, path=tmp_path / "c", thumbnail=8)
    again = Corpus.load(tmp_path / "c")
    for found in (built, again):
        torch.testing.assert_close(found.embeddings, corpus.embeddings)
        rows = torch.tensor([9, 0, 4])
        assert torch.equal(found.latents(rows).value, corpus.latents(rows).value)
        shown = found.pictures(rows, size=8)
        expected = generator(corpus.latents(rows)).clamp(-1, 1)
        assert (shown - expected).abs().mean() < 0.05  # JPEG, on pictures that are mostly noise
        assert (shown - expected[[1, 2, 0]]).abs().mean() > 0.2
    query = F.normalize(torch.ones(16), dim=0)
    assert again.in_memory
    large = Corpus.load(tmp_path / "c", memory=1)  # as if it did not fit
    assert not large.in_memory
    for num in (3, 11):
        near, far = large.extremes(query, num, num)
        exact_near, exact_far = again.extremes(query, num, num)
        assert near.rows.tolist() == exact_near.rows.tolist()
        assert far.rows.tolist() == exact_far.rows.tolist()
        torch.testing.assert_close(far.scores, exact_far.scores, atol=1e-5, rtol=1e-5)
    assert torch.equal(large.embedding(rows), again.embeddings[rows])
    assert torch.equal(large.embeddings, again.embeddings)
    again.save(tmp_path / "compact.safetensors")
    torch.testing.assert_close(
        Corpus.load(tmp_path / "compact.safetensors").embeddings, corpus.embeddings, atol=5e-4, rtol=0
    )


@pytest.mark.parametrize(
    "note", ["[", "[1]", "[" * 100_000, '{"skipped": 3}', '{"skipped": [null]}', "\x00", "nan", '"x"']
)
def test_a_damaged_note_of_a_folder_is_refused(
    generator: StyleGAN2, embedder: ToyEmbedder, tmp_path: Path, note: str
) -> None:
    pytest.importorskip("lancedb")
    Corpus.build(generator, embedder, num=3, path=tmp_path / "c", thumbnail=8)
    (tmp_path / "c" / "finished.json").write_text(note)
    with pytest.raises(CheckpointMismatchError, match=r"build the corpus again|is damaged"):
        Corpus.load(tmp_path / "c")


def test_a_build_that_was_interrupted_goes_on(
    generator: StyleGAN2, embedder: ToyEmbedder, corpus: Corpus, tmp_path: Path
) -> None:
    pytest.importorskip("lancedb")
    options = {"num": 11, "seed": 100, "truncation": 0.8, "path": tmp_path / "c", "batch_size": 3}

    def interrupt(done: int, total: int) -> None:
        if done >= 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Corpus.build(generator, embedder, **options, progress=interrupt)
    with pytest.raises(CheckpointMismatchError, match="not finished"):
        Corpus.load(tmp_path / "c")
    with pytest.raises(JobError, match="other images"):
        Corpus.build(generator, embedder, **{**options, "seed": 101})
    steps: list[int] = []
    built = Corpus.build(generator, embedder, **options, progress=lambda done, total: steps.append(done))
    assert steps == [9, 11]
    torch.testing.assert_close(built.embeddings, corpus.embeddings)
    steps.clear()
    Corpus.build(generator, embedder, **options, progress=lambda done, total: steps.append(done))
    assert not steps


@pytest.mark.parametrize("form", ["memory", "compact", "folder"])
def test_files_are_embedded_and_the_bad_ones_listed(
    embedder: ToyEmbedder, files: list[Path], tmp_path: Path, form: str
) -> None:
    if form == "folder":
        pytest.importorskip("lancedb")
    path = {"memory": None, "compact": tmp_path / "c.safetensors", "folder": tmp_path / "c"}[form]
    corpus = Corpus.build(files, embedder, encoder=ToyEncoder(), path=path, batch_size=3)
    if path is not None:
        corpus = Corpus.load(path)
    good = [name for i, name in enumerate(files) if i not in (1, 5)]
    assert corpus.info["skipped"] == [str(files[1]), str(files[5])]
    rows = torch.arange(4)
    assert corpus.sources(rows) == [str(name) for name in good]
    images = [center_square(read_image(name)) for name in good]
    embeddings = torch.cat([embedder.embed_image(image) for image in images])
    torch.testing.assert_close(corpus.embeddings, embeddings, atol=5e-4, rtol=0)
    latents = torch.cat([ToyEncoder()(image).value for image in images])
    torch.testing.assert_close(corpus.latents(rows).value, latents, atol=5e-4, rtol=1e-3)
    assert corpus.latents(rows).space == "w+"
    assert corpus.pictures(torch.tensor([3, 0]), size=5).shape == (2, 3, 5, 5)


def test_files_without_an_encoder_have_no_latents(embedder: ToyEmbedder, files: list[Path]) -> None:
    corpus = Corpus.build(files, embedder)
    with pytest.raises(InputError, match="latents"):
        corpus.latents(torch.tensor([0]))


def test_a_corpus_refuses_another_embedder(corpus: Corpus, embedder: ToyEmbedder) -> None:
    corpus.check(embedder)
    with pytest.raises(BankMismatchError, match="embedder"):
        corpus.check(ToyEmbedder(seed=4))


def test_bad_wishes_are_refused(
    generator: StyleGAN2, embedder: ToyEmbedder, corpus: Corpus, files: list[Path], tmp_path: Path
) -> None:
    with pytest.raises(OptionError, match="11 rows"):
        corpus.nearest(torch.ones(16), 12)
    with pytest.raises(OptionError, match="query"):
        corpus.nearest(torch.ones(5), 2)
    with pytest.raises(OptionError):
        Corpus.build(generator, embedder, num=0)
    with pytest.raises(OptionError):
        Corpus.build([], embedder)
    with pytest.raises(OptionError, match="none of these"):
        Corpus.build([files[1]], embedder)
    existing = tmp_path / "there.safetensors"
    existing.write_bytes(b"mine")
    with pytest.raises(OutputExistsError):
        Corpus.build(generator, embedder, num=2, path=existing)
    assert existing.read_bytes() == b"mine"


def test_something_else_is_no_corpus(generator: StyleGAN2, tmp_path: Path) -> None:
    generator.sample(1, seed=0).save(tmp_path / "latent.safetensors")
    with pytest.raises(CheckpointMismatchError, match="not a corpus"):
        Corpus.load(tmp_path / "latent.safetensors")
    pytest.importorskip("lancedb")
    with pytest.raises(CheckpointMismatchError, match="no corpus"):
        Corpus.load(tmp_path)


def test_the_compact_form_needs_no_lancedb(
    corpus: Corpus, generator: StyleGAN2, embedder: ToyEmbedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lancedb", None)
    corpus.save(tmp_path / "c.safetensors")
    assert len(Corpus.load(tmp_path / "c.safetensors")) == 11
    with pytest.raises(MissingExtraError, match=r"textmorph\[corpus\]"):
        Corpus.build(generator, embedder, num=2, path=tmp_path / "folder")
