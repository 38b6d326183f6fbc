"""The stages of the portraits recipe as one command: what runs, what they say, what is settled for a run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("tokenizers")

from recipes.portraits import __main__ as command
from recipes.portraits import adversarial, bundle, card, data, generator, run_folder, training
from recipes.portraits import attributes as A
from recipes.portraits.generator import Pair
from tests.toy_domain import write_toy_domain
from textmorph.banks.bank import ChannelBank
from textmorph.corpora.corpus import Corpus
from textmorph.editing.domain import load_domain
from textmorph.errors import OptionError
from textmorph.generators.stylegan2 import StyleGAN2Config

TOY = StyleGAN2Config(resolution=16, z_dim=32, w_dim=96, mapping_layers=2, channel_base=128, channel_max=8)


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty run folder, and an environment that asks for nothing."""
    for room in (data, run_folder):
        monkeypatch.setattr(room, "RUNS", tmp_path / "runs")
    monkeypatch.setenv(run_folder.RESOLUTION, "128")
    monkeypatch.delenv(run_folder.RESOLUTION)
    return tmp_path / "runs"


def on(kind: str, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Pretend a kind of device, and note what the trainer of the adversarial stage is called with."""
    called: list[tuple[Any, ...]] = []
    monkeypatch.setattr(training, "device", lambda: torch.device(kind))
    monkeypatch.setattr(adversarial, "train_adversarial", lambda *a, **k: called.append((*a, k)))
    return called


# The stage that needs a GPU


def test_adversarial_is_left_out_on_a_cpu_and_says_why(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    called = on("cpu", monkeypatch)
    command.run("adversarial")
    assert not called
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("adversarial: left out, for there is no GPU")
    assert "--adversarial" in line


def test_adversarial_runs_where_it_is_forced_or_a_gpu_is_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    called = on("cpu", monkeypatch)
    command.run("adversarial", forced=True, scale=0.5, from_scratch=True)
    command.run("adversarial", 7, forced=True)
    called_there = on("cuda", monkeypatch)
    command.run("adversarial")
    stage = command.STAGES["adversarial"]
    assert called == [(0.5 * stage.minutes, {"from_scratch": True}), (7, {})]
    assert called_there == [(stage.gpu, {})]


def test_the_options_of_the_command_reach_it(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called = on("cpu", monkeypatch)
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    command.main(["adversarial"])
    command.main(["adversarial", "--adversarial", "--from-scratch", "--minutes", "3"])
    assert called == [(3, {"from_scratch": True})]


# What every stage says


def test_every_stage_tells_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["--help"])
    told = capsys.readouterr().out
    assert "estimated, not measured" in told
    for name, stage in command.STAGES.items():
        assert re.search(rf"^  {name} +{stage.minutes:g} min +{stage.gpu:g} min  ", told, re.MULTILINE), name


def test_every_stage_names_a_function_of_the_recipe() -> None:
    for name, stage in command.STAGES.items():
        module, function = stage.call[0].split(":")
        source = Path(f"recipes/portraits/{module}.py").read_text()
        assert f"def {function}(" in source, name


def test_remaining_time_counts_what_this_run_has_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter([0.0, 0.0, 60.0, 61.0, 120.0])
    monkeypatch.setattr(training.time, "monotonic", lambda: next(clock))
    tell = training.countdown("bank", every=30)
    tell(500, 1000)  # resumed
    tell(600, 1000)
    tell(610, 1000)  # too soon
    tell(1000, 1000)
    assert capsys.readouterr().out == "bank: 600/1000, 4.0 min left\nbank: 1000/1000, 0.0 min left\n"


# The resolution of a run


def test_a_run_keeps_the_resolution_it_was_begun_at(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_folder.settle(256) == 256
    monkeypatch.delenv(run_folder.RESOLUTION)
    assert run_folder.settle() == 256, "a resumed run need not be told again"
    assert run_folder.resolution() == 256, "and tells the modules"
    with pytest.raises(OptionError, match="begun at 256 px"):
        run_folder.settle(128)
    monkeypatch.setenv(run_folder.RESOLUTION, "128")
    with pytest.raises(OptionError, match="begun at 256 px"):
        run_folder.settle()


def test_a_new_run_has_128_px_and_one_from_before_the_note_what_it_was_rendered_at(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (runs / "data").mkdir(parents=True)
    (runs / "data" / "base.json").write_text(json.dumps({"num": 3, "size": 256, "render": "…"}))
    with pytest.raises(OptionError, match="begun at 256 px"):
        run_folder.settle(128)
    assert not (runs / "run.json").exists()
    assert run_folder.settle() == 256
    monkeypatch.setattr(run_folder, "RUNS", runs / "another")
    monkeypatch.delenv(run_folder.RESOLUTION)
    assert run_folder.settle() == 128


def test_the_command_refuses_a_run_of_another_resolution(
    runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    run_folder.settle(128)
    with pytest.raises(SystemExit):
        command.main(["data", "--resolution", "256"])
    told = capsys.readouterr().err
    assert "begun at 128 px" in told
    assert "PORTRAITS_RUNS=" in told


def test_every_network_takes_the_resolution_of_the_run() -> None:
    told = (
        "from recipes.portraits import data, encoder, generator;"
        "print(data.SIZE, generator.CONFIG.resolution, encoder.CONFIG.num_rows)"
    )
    environment = {**os.environ, run_folder.RESOLUTION: "256"}
    run = subprocess.run([sys.executable, "-c", told], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["256", "256", "14"]


def test_an_unknown_resolution_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(run_folder.RESOLUTION, "200")
    with pytest.raises(OptionError, match="128, 256"):
        run_folder.resolution()


# Rendering


def test_rendering_goes_on_where_it_was_stopped(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(data, "SIZES", {"base": 7, "test": 3})
    monkeypatch.setattr(data, "SIZE", 16)
    render, rendered = data.render_many, []

    def rendering(cols: dict[str, Any], size: int) -> Any:
        rendered.append(len(cols["age"]))
        if len(rendered) == 3:
            raise KeyboardInterrupt
        return render(cols, size, processes=1)

    monkeypatch.setattr(data, "render_many", rendering)
    with pytest.raises(KeyboardInterrupt):
        data.prepare(chunk=2)
    assert not (runs / "data" / "base.npy").exists()
    data.prepare(chunk=2)
    assert rendered == [2, 2, 2, 2, 1, 2, 1], "only what was broken off is drawn again"
    for name, num in data.SIZES.items():
        whole = render(data.records(name, num)[0], 16, processes=1)
        assert np.array_equal(np.load(runs / "data" / f"{name}.npy"), whole)
    assert sorted(f.name for f in (runs / "data").iterdir()) == ["base.json", "base.npy", "test.json", "test.npy"]
    data.prepare(chunk=2)
    assert len(rendered) == 7, "nothing is drawn twice"
    assert "min left" in capsys.readouterr().out
    (runs / "data" / "test.npy").unlink()
    data.prepare(chunk=2)
    assert rendered[7:] == [2, 1]


def test_pictures_of_another_size_are_refused(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "SIZES", {"base": 2})
    (runs / "data").mkdir(parents=True)
    np.save(runs / "data" / "base.npy", np.zeros((2, 64, 64, 3), np.uint8))
    with pytest.raises(OptionError, match="pictures of 64 px"):
        data.load("base")


# What comes of it


def keep(folder: Path, pair: Pair, **more: Any) -> None:
    """A checkpoint as `train` writes it."""
    folder.mkdir(parents=True)
    torch.save({"average": {f"module.{k}": v for k, v in pair.state_dict().items()}, **more}, folder / "checkpoint.pt")


def test_the_finished_generator_is_that_of_the_last_stage(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generator, "Pair", lambda: Pair(TOY))
    drawn, detailed, told, played = (Pair(TOY) for _ in range(4))
    monkeypatch.setattr(
        generator, "wire", lambda mapping, axes: mapping.load_state_dict(told.generator.mapping.state_dict())
    )
    keep(runs / "generator", drawn)
    before = generator.finished()
    assert torch.equal(before.blocks[0].const, drawn.generator.blocks[0].const)
    assert torch.equal(before.mapping.layers[0].weight, told.generator.mapping.layers[0].weight)
    keep(runs / "details", detailed)
    between = generator.finished()
    assert torch.equal(between.blocks[0].const, detailed.generator.blocks[0].const)
    assert torch.equal(between.mapping.layers[0].weight, told.generator.mapping.layers[0].weight)
    keep(runs / "adversarial", played, origin={"from_scratch": torch.tensor(False)})
    after = generator.finished()
    assert torch.equal(after.blocks[0].const, played.generator.blocks[0].const)
    assert torch.equal(after.mapping.layers[0].weight, played.generator.mapping.layers[0].weight)
    z = torch.randn(50_000, 32, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(after.mean_w, after.mapping(z).mean(dim=0), atol=0.02)
    assert torch.equal(generator.load_pair().generator.blocks[0].const, after.blocks[0].const)
    assert torch.equal(generator.regressed().generator.blocks[0].const, between.blocks[0].const)


def test_bank_and_corpus_are_made_of_shards_and_told_in_the_domain(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_toy_domain(tmp_path / "domain", bank=False, corpus=False)
    for name, value in {
        "DOMAIN": folder, "TUNED": tmp_path / "tuned.json", "BANK_SAMPLES": 2, "CORPUS_SIZE": 12,
        "write_generator_and_clip": lambda: None,
    }.items():  # fmt: skip
        monkeypatch.setattr(bundle, name, value)
    made = bundle.make_corpus

    def broken(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(bundle, "make_corpus", broken)
    with pytest.raises(KeyboardInterrupt):
        bundle.write_bank_and_corpus()
    monkeypatch.setattr(bundle, "make_corpus", made)
    bundle.write_bank_and_corpus()
    bank = ChannelBank.load(folder / "bank.safetensors")
    assert bank.info["num_samples"] == 2
    assert (bank.info["truncation"], bank.info["to_rgb"]) == (1.0, True)
    domain = load_domain(folder)
    assert (domain.truncation, domain.to_rgb) == (1.0, True)
    assert len(Corpus.load(folder / "corpus.safetensors").embeddings) == 12
    assert '"bank.safetensors" = ' in (folder / "domain.toml").read_text()
    assert not list(runs.glob("bank/*.job"))
    bundle.write_toml(optimize={"steps": 7, "axes": "independent"}, mapper={"steps": 9}, plain_share=0.8)
    domain = load_domain(folder)
    assert domain.tables == {"optimize": {"steps": 7, "axes": "independent"}, "mapper": {"steps": 9}}
    bundle.write_toml()  # what was found once is kept
    assert load_domain(folder).tables == domain.tables


@pytest.mark.parametrize(
    ("training", "says"),
    [
        ("regression", "not trained\nadversarially"),
        ("finished", "finished\nadversarially, but learned most before"),
        ("from scratch", "adversarially from random weights, but not by that alone"),
    ],
)
def test_the_model_card_tells_how_the_generator_was_trained(
    training: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = json.loads((bundle.DOMAIN / "report.json").read_text())
    report["generator"] |= {"training": training, "resolution": 128}
    for stage in report["training"].values():
        stage["device"] = "CPU"
    monkeypatch.setattr(card, "DOMAIN", tmp_path)
    card.write_card(report)
    text = (tmp_path / "MODEL_CARD.md").read_text()
    assert says in text
    assert "predict nothing for FFHQ" in text
    assert "Two CPU cores" in text
    report["training"]["clip"]["device"] = "NVIDIA H200"
    card.write_card(report)
    text = (tmp_path / "MODEL_CARD.md").read_text()
    assert "| NVIDIA H200 |" in text
    assert "Two CPU cores" not in text


def test_a_training_notes_what_it_ran_on(tmp_path: Path) -> None:
    line = torch.nn.Linear(1, 1)
    training.train(tmp_path, {"line": line}, lambda *_: {}, minutes=0.0001, label="line")
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["device"] == training.device_name()


def test_attributes_are_fewer_than_the_axes_of_w() -> None:
    """At any resolution: w has to hold a record."""
    assert A.vector_size() <= generator.CONFIG.w_dim
