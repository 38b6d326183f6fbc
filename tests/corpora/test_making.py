from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save

from textmorph.corpora.corpus import Corpus
from textmorph.corpora.making import corpus_part, corpus_shards, join_corpus, plan_corpus
from textmorph.errors import BankMismatchError, OptionError
from textmorph.images import write_image

from ..toys import ToyEmbedder, toy_generator, toy_image
from .test_corpus import ToyEncoder

GENERATOR, EMBEDDER = toy_generator(), ToyEmbedder()


def in_parts(
    source: Any, path: Path, *, size: int, encoder: Any = None, thumbnail: int | None = None, **how: Any
) -> None:
    """Build a corpus shard by shard, last first, through bytes and JSON."""
    plan = json.loads(json.dumps(plan_corpus(source, EMBEDDER, encoder=encoder, thumbnail=thumbnail, **how)))
    pairs = corpus_shards(plan, size=size)
    contents = {}
    for first, last in reversed(pairs):
        own = source if callable(source) else source[first:last]
        contents[first] = save(corpus_part(own, EMBEDDER, plan, first, last, encoder=encoder))
    parts = (load(contents[first]) for first, _ in pairs)
    join_corpus(source, EMBEDDER, plan, parts, path, encoder=encoder)


@settings(max_examples=15)
@given(num=st.integers(1, 30), batch_size=st.integers(1, 9), size=st.integers(1, 40))
def test_joined_parts_are_the_corpus_made_in_one_go(
    tmp_path_factory: pytest.TempPathFactory, num: int, batch_size: int, size: int
):
    folder = tmp_path_factory.mktemp("corpus")
    how = {"num": num, "seed": 3, "truncation": 0.7, "batch_size": batch_size}
    Corpus.build(GENERATOR, EMBEDDER, path=folder / "whole.safetensors", **how)
    in_parts(GENERATOR, folder / "parts.safetensors", size=size, **how)
    assert (folder / "parts.safetensors").read_bytes() == (folder / "whole.safetensors").read_bytes()


@given(total=st.integers(1, 10_000), batch_size=st.integers(1, 100), size=st.integers(1, 5_000))
def test_shards_cover_every_image_once_and_begin_at_a_batch(total: int, batch_size: int, size: int):
    pairs = corpus_shards({"total": total, "batch_size": batch_size}, size=size)
    assert [row for first, last in pairs for row in range(first, last)] == list(range(total))
    assert all(first % batch_size == 0 for first, _ in pairs)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Twelve pictures of two sizes; all of the third shard and one more cannot be read."""
    names = [tmp_path / f"{number:02}.png" for number in range(12)]
    for number, name in enumerate(names):
        if number in (4, 5, 9):
            name.write_bytes(b"no picture")
        else:
            write_image(toy_image(20 + number % 2, seed=number), name)
    return names


@pytest.mark.parametrize("encoder", [None, ToyEncoder()], ids=["no latents", "latents"])
def test_files_that_cannot_be_read_are_left_out_as_in_one_go(tmp_path: Path, files: list[Path], encoder: Any):
    Corpus.build(files, EMBEDDER, path=tmp_path / "whole.safetensors", encoder=encoder, batch_size=2)
    in_parts(files, tmp_path / "parts.safetensors", size=2, encoder=encoder, batch_size=2)
    assert (tmp_path / "parts.safetensors").read_bytes() == (tmp_path / "whole.safetensors").read_bytes()
    assert Corpus.load(tmp_path / "parts.safetensors").info["skipped"] == [str(files[i]) for i in (4, 5, 9)]
    with pytest.raises(OptionError, match="none of these files"):
        in_parts([files[4], files[5]], tmp_path / "none.safetensors", size=2, batch_size=2)


def test_a_folder_made_of_parts_has_the_rows_made_in_one_go(tmp_path: Path, files: list[Path]):
    pytest.importorskip("lancedb")
    Corpus.build(files, EMBEDDER, path=tmp_path / "whole", encoder=ToyEncoder(), batch_size=2)
    in_parts(files, tmp_path / "parts", size=4, encoder=ToyEncoder(), batch_size=2, thumbnail=64)
    whole, parts = Corpus.load(tmp_path / "whole"), Corpus.load(tmp_path / "parts")
    assert parts.info == whole.info
    rows = torch.arange(len(whole))
    assert torch.equal(parts.embeddings, whole.embeddings)
    assert torch.equal(parts.latents(rows).value, whole.latents(rows).value)
    assert torch.equal(parts.pictures(rows), whole.pictures(rows))
    assert parts.sources(rows) == whole.sources(rows)


def test_other_networks_than_those_of_the_plan_are_refused():
    plan = plan_corpus(GENERATOR, EMBEDDER, num=4)
    for source, embedder in ((GENERATOR, ToyEmbedder(seed=1)), (toy_generator(seed=1), EMBEDDER)):
        with pytest.raises(BankMismatchError, match="planned with"):
            corpus_part(source, embedder, plan, 0, 4)
