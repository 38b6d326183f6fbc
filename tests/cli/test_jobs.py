"""Long work from the command line: shared out, stopped, gone on with; always to the same bits."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.progress import Progress

import textmorph.editing.tasks
from textmorph.cli import console
from textmorph.images import write_image
from textmorph.jobs.job_folder import JOB, SHARDS

from ..jobs.ray_cluster import IGNORED, end_cluster
from ..toys import toy_image
from .conftest import Run

PROMPT = "a person with purple hair"
FIXED = ("--strength", 2, "--set", "num_channels=8", "-d", "{D}")
BANK = ("bank", "build", "--num-samples", 2, "-d", "{D}", "-o", "bank.safetensors")
CORPUS = ("corpus", "build", "-n", 600, "-d", "{D}", "-o", "corpus.safetensors")
BUILDS = pytest.mark.parametrize(("build", "part"), [(BANK, "bank"), (CORPUS, "corpus")], ids=["bank", "corpus"])


@pytest.fixture
def stop(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], None]:
    """Press Ctrl-C in the n-th shard of a kind, once."""

    def stop(part: str, after: int) -> None:
        real, calls = getattr(textmorph.editing.tasks, f"{part}_shard"), []

        def stopping(**arguments: object) -> bytes:
            calls.append(arguments)
            if len(calls) == after:
                raise KeyboardInterrupt
            content: bytes = real(**arguments)
            return content

        monkeypatch.setattr(textmorph.editing.tasks, f"{part}_shard", stopping)

    return stop


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture
def photos(desk: Path) -> Path:
    folder = desk / "photos"
    folder.mkdir()
    for i in range(3):
        write_image(toy_image(20, seed=i), folder / f"p{i}.png")
    return folder


@BUILDS
def test_a_stopped_build_goes_on_to_the_same_bits_and_tidies_up(
    run: Run, desk: Path, stop: Callable[[str, int], None], build: tuple[object, ...], part: str
):
    assert run(*build).code == 0
    result = desk / f"{part}.safetensors"
    whole = result.read_bytes()
    assert names(desk) == {"me.png", result.name}
    result.unlink()
    stop(part, 3)
    stopped = run(*build)
    assert stopped.code == 130
    assert f"{result.name}.job" in stopped.err
    assert "the same command goes on" in stopped.err
    done = names(desk / f"{result.name}.job" / SHARDS)
    assert len(done) == 2
    assert run(*build).code == 0
    assert result.read_bytes() == whole
    assert names(desk) == {"me.png", result.name}


@BUILDS
def test_a_stopped_build_does_not_go_on_with_other_options(
    run: Run, desk: Path, stop: Callable[[str, int], None], build: tuple[object, ...], part: str
):
    stop(part, 2)
    assert run(*build).code == 130
    other = run(*build, "--seed", 5)
    assert other.code == 1
    assert "seed was 0 and is 5" in other.err
    (desk / f"{part}.safetensors.job" / JOB).write_text("{")
    assert "damaged" in run(*build).err


def test_a_bank_goes_on_with_the_batches_it_was_begun_with(
    run: Run, desk: Path, stop: Callable[[str, int], None], monkeypatch: pytest.MonkeyPatch
):
    stop("bank", 2)
    assert run(*BANK).code == 130
    begun = json.loads((desk / "bank.safetensors.job" / JOB).read_text())["plan"]["batch_size"]
    monkeypatch.setattr("textmorph.banks.differences.largest_batch", lambda *_, **__: begun // 2)
    assert run(*BANK).code == 0


def test_a_named_job_is_kept_and_serves_again(run: Run, desk: Path, stop: Callable[[str, int], None]):
    assert run(*CORPUS, "--job", "job").code == 0
    whole = (desk / "corpus.safetensors").read_bytes()
    assert names(desk / "job") == {JOB, SHARDS}
    kept = run(*CORPUS, "--job", "job")
    assert (kept.code, "kept" in kept.err) == (2, True)
    (desk / "corpus.safetensors").unlink()
    stop("corpus", 1)  # no shard is computed any more
    assert run(*CORPUS, "--job", "job").code == 0
    assert (desk / "corpus.safetensors").read_bytes() == whole


def test_a_corpus_of_photos_in_a_folder_goes_on_too(
    run: Run, desk: Path, photos: Path, stop: Callable[[str, int], None]
):
    pytest.importorskip("lancedb")
    from textmorph.corpora.corpus import Corpus

    (photos / "bad.png").write_bytes(b"no picture")
    build = ("corpus", "build", "photos", "-d", "{D}", "--batch-size", 2, "-o", "corpus")
    assert run(*build).code == 1  # one could not be read
    whole = Corpus.load(desk / "corpus")
    rows, info = whole.embeddings, whole.info
    again = run(*build)
    assert (again.code, "bad.png" in again.err) == (1, True)
    shutil.rmtree(desk / "corpus")
    stop("corpus", 1)
    assert run(*build).code == 130
    assert not (desk / "corpus").exists()
    assert run(*build).code == 1
    resumed = Corpus.load(desk / "corpus")
    assert resumed.embeddings.equal(rows)
    assert resumed.info == info
    assert names(desk) == {"me.png", "photos", "corpus"}


def test_pictures_of_a_folder_edited_by_two_workers_are_those_of_one(run: Run, desk: Path, photos: Path):
    edit = ("edit", "photos", PROMPT, *FIXED, "--before-after")
    assert run(*edit, "-o", "one/").code == 0
    (photos / "bad.png").write_bytes(b"no picture")
    two = run(*edit, "-o", "two/", "--workers", 2)
    assert (two.code, "bad.png" in two.err) == (1, True)
    assert names(desk / "two") == names(desk / "one")
    assert len(names(desk / "one")) == 6
    for name in names(desk / "one"):
        assert (desk / "two" / name).read_bytes() == (desk / "one" / name).read_bytes()
    assert run("edit", photos / "p0.png", PROMPT, "--workers", 2, "-d", "{D}").code == 2


def test_an_edit_of_a_folder_clears_what_a_killed_one_left_and_accepts_what_it_finished(
    run: Run, desk: Path, photos: Path
):
    edit = (
        "edit",
        "photos",
        PROMPT,
        "--strength",
        2,
        "--set",
        "num_channels=8",
        "-d",
        "{D}",
        "--before-after",
        "-o",
        "out/",
    )
    assert run(*edit).code == 0
    whole = {path.name: path.read_bytes() for path in (desk / "out").iterdir()}
    picture = desk / "out" / "p1-a-person-with-purple-hair.png"
    picture.unlink()  # killed between a picture's before-after and the picture
    (desk / "out" / ".0123456789ab.part.png").write_bytes(b"half")
    (desk / "out" / ".lock").touch()
    assert run(*edit).code == 0
    assert {path.name: path.read_bytes() for path in (desk / "out").iterdir()} == whole


@pytest.mark.slow
@pytest.mark.filterwarnings(*IGNORED)
def test_mappers_trained_on_a_cluster_are_those_trained_here(run: Run, desk: Path, request: pytest.FixtureRequest):
    pytest.importorskip("ray")
    request.addfinalizer(end_cluster)
    train = (
        "train", "old", "purple", "--set", "steps=3", "--set", "batch_size=2", "--set", "num_held_out=2", "--set",
        "validate_every=2", "--num-latents", 6, "--domain", "{D}",
    )  # fmt: skip
    assert run(*train, "--out", "one/", "--run", "runs").code == 0
    two = run(*train, "--out", "two/", "--run", "runs-of-two", "--engine", "ray", "--workers", 2)
    assert two.code == 0, two.err
    for name in ("old.safetensors", "purple.safetensors"):
        assert (desk / "two" / name).read_bytes() == (desk / "one" / name).read_bytes()
    assert run("train", "--photo", "me.png", "--workers", 2, "-d", "{D}").code == 2


def test_an_engine_that_does_not_exist_is_refused_before_any_work(run: Run):
    for build in (BANK, CORPUS):
        outcome = run(*build, "--engine", "spark")
        assert (outcome.code, "process or ray" in outcome.err) == (2, True)


def test_a_bank_of_the_command_is_the_one_that_build_bank_makes(run: Run, desk: Path, domain: Path):
    from textmorph.banks.bank import build_bank
    from textmorph.editing.domain import load_domain

    assert run(*BANK).code == 0
    found = load_domain(domain)
    build_bank(found.generator, found.embedder, num_samples=2).save(desk / "direct.safetensors")
    assert (desk / "bank.safetensors").read_bytes() == (desk / "direct.safetensors").read_bytes()


def test_what_was_done_before_does_not_shorten_the_remaining_time(monkeypatch: pytest.MonkeyPatch):
    bars: list[Progress] = []

    class Watched(Progress):
        def __init__(self, *columns: Any, **options: Any) -> None:
            super().__init__(*columns, **options, get_time=lambda: clock[0])
            bars.append(self)

    clock = [0.0]
    monkeypatch.setattr(console, "Progress", Watched)
    monkeypatch.setattr(console, "err", Console(file=io.StringIO(), force_terminal=True))
    with console.progress_bar("measuring") as show:
        show(900, 1000)
        for done in (910, 920, 930):
            clock[0] += 10.0  # one a second; with the 900, it would look like thirty
            show(done, 1000)
        assert bars[0].tasks[0].time_remaining == pytest.approx(70, rel=0.1)
