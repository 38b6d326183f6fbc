from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from textmorph.edits import Residual, load_edit
from textmorph.latents import Latent
from textmorph.methods.latent_mapper import LatentMapper

from .conftest import Run

SET = ("--set", "steps=3", "--set", "batch_size=2", "--set", "num_held_out=2", "--set", "validate_every=2")
SHORT = (*SET, "--num-latents", 6, "--domain", "{D}")


def mapper(path: Path) -> Residual:
    edit = load_edit(path)
    assert isinstance(edit, Residual)
    return edit


def test_each_text_becomes_a_mapper_that_edits_a_photo(run: Run, desk: Path):
    done = run(
        "train",
        "a person with purple hair",
        "old",
        *SHORT,
        "--set",
        "levels=coarse",
        "--set",
        "identity=0",
        "--set",
        "latent_l2=2",
    )
    assert done.code == 0, done.err
    purple, old = mapper(desk / "a-person-with-purple-hair.safetensors"), mapper(desk / "old.safetensors")
    assert (purple.provenance["target"], old.provenance["target"]) == ("a person with purple hair", "old")
    options = LatentMapper(**purple.provenance["options"])
    assert (options.levels, options.steps, options.identity, options.latent_l2) == (("coarse",), 3, 0.0, 2.0)
    assert purple.provenance["latents"]["space"] == "w+"  # inverted by the encoder, as photos are
    assert (desk / "old.run" / "metrics.jsonl").is_file()
    kept = Latent.load(desk / "a-person-with-purple-hair.run" / "inputs-6-1.0-0.safetensors")
    assert (kept.space, len(kept)) == ("w+", 6)  # a resumed training need not encode them again
    edited = run("edit", "me.png", "old.safetensors:1.2", "--domain", "{D}")
    assert edited.code == 0, edited.err


def test_a_finished_run_resumed_gives_its_mapper_again_and_is_not_begun_twice(run: Run, desk: Path):
    assert run("train", "old", *SHORT, "--no-encode").code == 0
    first = (desk / "old.safetensors").read_bytes()
    again = run("train", "old", *SHORT, "--no-encode")
    assert (again.code, "kept" in again.err) == (2, True)
    (desk / "old.safetensors").unlink()
    again = run("train", "old", *SHORT, "--no-encode")
    assert (again.code, "old.run" in again.err) == (1, True)
    resumed = run("train", "old", *SHORT, "--no-encode", "--resume")
    assert resumed.code == 0, resumed.err
    assert (desk / "old.safetensors").read_bytes() == first
    other = run("train", "old", *SHORT, "--no-encode", "--resume", "--set", "latent_l2=0.1")
    assert (other.code, "latent_l2" in other.err) == (1, True)


def test_latents_are_drawn_as_varied_as_the_domain_says(run: Run, desk: Path, domain: Path):
    mine = shutil.copytree(domain, desk / "mine")
    (mine / "domain.toml").write_text("truncation = 0.0\n" + (mine / "domain.toml").read_text())
    words = ("train", "old", *SHORT[:-1], "mine", "--overwrite")
    assert run(*words, "--run", "a").code == 0
    same = Latent.load(desk / "a" / "inputs-6-0.0-0.safetensors").value
    torch.testing.assert_close(same, same[:1].expand_as(same), atol=1e-5, rtol=0)  # the mean face, six times
    assert run(*words, "--run", "b", "--truncation", "0.5").code == 0
    assert not torch.equal(*Latent.load(desk / "b" / "inputs-6-0.5-0.safetensors").value[:2])
    asked = ("evaluate", "consistency", "old.safetensors", "-n", 4, "--json", "-", "-d", "mine")
    usual, none, full = (run(*asked, *words).out for words in ((), ("--truncation", 0), ("--truncation", 1)))
    assert json.loads(usual) == json.loads(none) != json.loads(full)


def test_a_photo_can_stand_for_a_text(run: Run, desk: Path):
    done = run("train", "--photo", "me.png", "--set", "clip=0", "--set", "likeness=1", *SHORT, "--no-encode")
    assert done.code == 0, done.err
    options = LatentMapper(**mapper(desk / "me.safetensors").provenance["options"])
    assert (options.clip, options.likeness) == (0.0, 1.0)


@pytest.mark.parametrize("ending", ["safetensors", "pt"])
def test_latents_come_from_a_file(run: Run, desk: Path, ending: str):
    value = torch.randn(7, 6, 8, generator=torch.Generator().manual_seed(0))
    if ending == "pt":
        torch.save(value, desk / "faces.pt")
    else:
        Latent(value, "w+").save(desk / "faces.safetensors")
    done = run("train", "old", *SHORT, "--latents", f"faces.{ending}")
    assert done.code == 0, done.err
    assert mapper(desk / "old.safetensors").provenance["latents"]["num"] == 7
    done = run("evaluate", "consistency", "old.safetensors", "--latents", f"faces.{ending}", "--json", "-", "-d", "{D}")
    assert done.code == 0, done.err
    figures = json.loads(done.out)["old.safetensors"]
    assert figures["num"] == 7
    assert -1 <= figures["mean"] <= 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "what the pictures should show"),
        (("old", "--photo", "me.png"), "not both"),
        (("old", "--set", "levels=top"), "levels"),
        (("old", "--set", "precision=half"), "precision is one of float32, bfloat16, not 'half'"),
        (("old", "--method", "global"), "methods that train: mapper; not 'global'"),
        (("old", "Old"), "same name"),
        (("old", "person", "--out", "one.safetensors"), "folder"),
        (("old", "--latents", "me.png"), "latent"),
        (("old", "--latents", "none.pt"), "none.pt"),
        (("old", "--resume"), "no run"),
    ],
)
def test_what_cannot_be_trained_is_one_clear_line(run: Run, words: tuple[str, ...], said: str):
    done = run("train", *words, *SHORT, "--no-encode" if "--latents" not in words else "--encode")
    assert done.code in (1, 2)
    assert said in done.err
    assert done.err.count("\n") == 1


def test_a_domain_brings_values_of_its_own_and_options_go_before_them(run: Run, desk: Path, domain: Path):
    mine = shutil.copytree(domain, desk / "mine")
    with (mine / "domain.toml").open("a") as file:
        file.write('\n[mapper]\nsteps = 2\nbatch_size = 3\noptimizer = "adam"\nidentity = 0.3\nnum_held_out = 2\n')
    words = ("--num-latents", 6, "--no-encode", "--domain", mine)
    done = run("train", "old", *words, "--set", "batch_size=1", "--set", "precision=bfloat16")
    assert done.code == 0, done.err
    options = LatentMapper(**mapper(desk / "old.safetensors").provenance["options"])
    assert (options.steps, options.batch_size, options.optimizer) == (2, 1, "adam")
    assert (options.identity, options.precision) == (0.3, "bfloat16")
    with (mine / "domain.toml").open("a") as file:
        file.write("lr = 1.0\n")
    refused = run("train", "smiling", *words)
    assert (refused.code, "no lr" in refused.err) == (1, True)
