from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load

import textmorph.editing.tasks
from textmorph.banks.differences import plan_bank
from textmorph.corpora.corpus import Corpus
from textmorph.corpora.making import plan_corpus
from textmorph.editing.domain import Domain, load_domain
from textmorph.editing.editor import Editor
from textmorph.editing.record import read_record
from textmorph.editing.tasks import (
    bank_job,
    corpus_job,
    edit_arguments,
    edited_photos,
    make_bank,
    make_corpus,
    remember,
)
from textmorph.errors import BankMismatchError, DomainError, ImageError
from textmorph.images import write_image

from ..toy_domain import write_toy_domain
from ..toys import toy_image


@pytest.fixture(scope="module")
def domain(tmp_path_factory: pytest.TempPathFactory) -> Domain:
    return load_domain(write_toy_domain(tmp_path_factory.mktemp("shards") / "toy", corpus=False))


@pytest.fixture
def elsewhere() -> None:
    """Let the shards load what they need, as in a process that has loaded nothing."""
    forget()


def forget() -> None:
    held = textmorph.editing.tasks._HELD
    held.key = held.editor = held.plan = held.prober = None


def test_shards_load_for_themselves_what_this_process_has_loaded(domain: Domain, request: pytest.FixtureRequest):
    bank = bank_job(domain, plan_bank(domain.generator, domain.embedder, num_samples=2, num_statistics=50))
    corpus = corpus_job(domain, plan_corpus(domain.generator, domain.embedder, num=5, batch_size=2))
    for job, shard in ((bank, textmorph.editing.tasks.bank_shard), (corpus, textmorph.editing.tasks.corpus_shard)):
        remember(Editor(domain))
        here = shard(**job.arguments(0))
        forget()
        assert shard(**job.arguments(0)) == here
        assert load(here)
        assert sum(job.amounts or []) == (len(domain.bank.channels) if job is bank else 5)  # type: ignore[union-attr]


def test_other_networks_under_the_same_path_are_refused(domain: Domain, elsewhere: None):
    bank = bank_job(domain, plan_bank(domain.generator, domain.embedder, num_samples=2, num_statistics=50))
    corpus = corpus_job(domain, plan_corpus(domain.generator, domain.embedder, num=5))
    for job, shard in ((bank, textmorph.editing.tasks.bank_shard), (corpus, textmorph.editing.tasks.corpus_shard)):
        arguments = json.loads(json.dumps(job.arguments(0)).replace(bank.shared["plan"]["generator"], "0" * 16))
        with pytest.raises(BankMismatchError):
            shard(**arguments)


def test_photos_are_edited_each_for_itself(
    domain: Domain, tmp_path: Path, elsewhere: None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))  # a killed worker could not tidy it
    editor = Editor(domain)
    requests = editor.check("a person with purple hair", strength=2.0, values={"num_channels": 8})
    write_image(toy_image(20), tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"no picture")
    common = edit_arguments(editor, requests, before_after=True)
    photos = [str(tmp_path / name) for name in ("bad.png", "good.png")]
    (error, nothing), (record, files) = edited_photos(textmorph.editing.tasks.edit_shard(**common, photos=photos))
    assert isinstance(error, ImageError)
    assert nothing == {}
    assert sorted(files) == ["before-after.png", "picture.png"]
    (tmp_path / "edited.png").write_bytes(files["picture.png"])
    assert read_record(tmp_path / "edited.png") == record
    editor.edit(photos[1], requests).save(tmp_path / "alone.png")
    assert (tmp_path / "alone.png").read_bytes() == files["picture.png"]
    with pytest.raises(DomainError, match="another"):
        textmorph.editing.tasks.edit_shard(
            **{**common, "parts": {**common["parts"], "generator": "0" * 16}}, photos=photos
        )


@pytest.mark.parametrize(
    ("entries", "options", "expected"),
    [
        ({}, {}, (0.7, False)),
        ({"truncation": 0.9, "tables": {"svm": {"to_rgb": True}}}, {}, (0.9, True)),
        (
            {"truncation": 0.9, "tables": {"global": {"to_rgb": True}}},
            {"truncation": 0.0, "to_rgb": False},
            (0.0, False),
        ),
        ({}, {"truncation": 0.5, "to_rgb": True}, (0.5, True)),
    ],
)
def test_bank_and_corpus_are_drawn_as_the_domain_says(
    domain: Domain, tmp_path: Path, entries: dict, options: dict, expected: tuple[float, bool]
):
    own = replace(domain, **entries)
    bank = make_bank(own, tmp_path / "bank.safetensors", num_samples=2, num_statistics=20, **options)
    assert (bank.info["truncation"], bank.info["to_rgb"]) == expected
    assert len(bank.channels) == int(own.generator.style_layout.mask(to_rgb=expected[1], max_resolution=128).sum())
    options = {name: value for name, value in options.items() if name == "truncation"}
    corpus = make_corpus(own, tmp_path / "corpus.safetensors", num=3, **options)
    psi = 1.0 if not entries and not options else expected[0]  # a corpus of its own accord has the full variety
    assert corpus.info["truncation"] == psi
    same = Corpus.build(own.generator, own.embedder, num=3, truncation=psi)
    # the file keeps halves, of unit rows
    torch.testing.assert_close(corpus.embeddings, same.embeddings, atol=1e-3, rtol=0)


def test_a_domain_inside_the_package_is_passed_by_name_and_others_by_their_folder(domain: Domain):
    assert remember(Editor(domain)) == {"domain": str(domain.folder), "device": "cpu"}
    assert remember(Editor(load_domain("portraits")), "cuda") == {"domain": "portraits", "device": "cuda"}
