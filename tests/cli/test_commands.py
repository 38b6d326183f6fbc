"""Commands, end to end, on a toy domain."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from textmorph.cli import networks
from textmorph.editing.photos import Frame
from textmorph.editing.record import read_record
from textmorph.errors import DownloadError
from textmorph.generators.stylegan2 import StyleGAN2
from textmorph.images import read_image, write_image

from ..toys import toy_image
from .conftest import Run

PROMPT = "a person with purple hair"
FIXED = ("--strength", "2", "--domain", "{D}")


def names(folder: Path) -> set[str]:
    """All files of a folder, hidden ones too."""
    return {path.name for path in folder.iterdir()}


def test_edit_writes_the_picture_and_before_and_after_and_says_what_it_chose(run: Run, desk: Path) -> None:
    outcome = run("edit", "me.png", PROMPT, "-d", "{D}")
    assert outcome.code == 0
    before_after = "me-a-person-with-purple-hair-before-after.png"
    assert names(desk) == {"me.png", "me-a-person-with-purple-hair.png", before_after}
    assert "automatic strength" in outcome.out
    assert read_image(desk / "me-a-person-with-purple-hair.png").shape == (1, 3, 16, 16)
    assert read_record(desk / "me-a-person-with-purple-hair.png")["edits"][0]["prompt"] == PROMPT


def test_an_output_that_exists_is_kept_with_code_2_unless_overwrite_is_given(run: Run, desk: Path) -> None:
    target = desk / "me-a-person-with-purple-hair.png"
    target.write_bytes(b"mine")
    outcome = run("edit", "me.png", PROMPT, *FIXED)
    assert outcome.code == 2
    assert "kept" in outcome.err
    assert target.read_bytes() == b"mine"
    assert run("edit", "me.png", PROMPT, *FIXED, "--overwrite").code == 0
    assert target.read_bytes() != b"mine"


def test_several_requests_and_a_saved_edit_at_once(run: Run, desk: Path) -> None:
    import torch

    from textmorph.edits import Direction

    Direction(torch.ones(64), "s").save(desk / "odd.safetensors")
    outcome = run(
        "edit", "me.png", PROMPT, "smiling:3", "old:-2", "odd.safetensors:0.5", *FIXED, "--out", "x.png",
        "--no-before-after",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    drawn = [(one.get("prompt"), one["strength"]) for one in read_record(desk / "x.png")["edits"]]
    assert drawn == [(PROMPT, 2.0), ("smiling", 3.0), ("old", -2.0), (None, 0.5)]


def test_json_alone_is_on_stdout(run: Run, desk: Path) -> None:
    outcome = run("edit", "me.png", PROMPT, *FIXED, "--json", "-")
    assert json.loads(outcome.out) == read_record(desk / "me-a-person-with-purple-hair.png")
    assert "CLIP gain" in outcome.err
    assert run("edit", "me.png", PROMPT, *FIXED, "-o", "b.png", "--json", "records.json").code == 0
    assert json.loads((desk / "records.json").read_text())["format"] == 2


@pytest.fixture
def photos(desk: Path) -> Path:
    """Two good pictures, two bad ones, and a file that is no picture."""
    folder = desk / "photos"
    folder.mkdir()
    for i in range(2):
        write_image(toy_image(20, seed=i), folder / f"p{i}.png")
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.jpg").write_text("no picture")
    (folder / "notes.txt").write_text("not looked at")
    return folder


def test_of_a_folder_the_good_are_done_the_bad_listed_and_the_code_says_so(run: Run, desk: Path, photos: Path) -> None:
    outcome = run("edit", "photos", PROMPT, *FIXED, "--out", "edited/")
    assert outcome.code == 1
    assert "2 of 4 pictures edited" in outcome.out
    assert "empty.png" in outcome.err
    assert "text.jpg" in outcome.err
    assert "notes.txt" not in outcome.err
    assert names(desk / "edited") == {f"p{i}-a-person-with-purple-hair.png" for i in range(2)}


def test_a_folder_is_resumed_where_it_was_left(run: Run, desk: Path, photos: Path) -> None:
    for bad in ("empty.png", "text.jpg"):
        (photos / bad).unlink()
    first, second = (desk / "edited" / f"p{i}-a-person-with-purple-hair.png" for i in range(2))
    assert run("edit", "photos", PROMPT, *FIXED, "--out", "edited/").code == 0
    made = first.stat().st_mtime_ns
    second.unlink()
    outcome = run("edit", "photos", PROMPT, *FIXED, "--out", "edited/")
    assert outcome.code == 0
    assert "1 of 2 pictures edited, 1 were done before" in outcome.out
    assert first.stat().st_mtime_ns == made
    outcome = run("edit", "photos", PROMPT, "--strength", "3", "-d", "{D}", "--out", "edited/")  # another edit
    assert outcome.code == 2
    assert outcome.err.count("kept") >= 2
    assert first.stat().st_mtime_ns == made


def test_replay_makes_the_same_picture_and_says_so(run: Run, desk: Path) -> None:
    run("edit", "me.png", PROMPT, *FIXED, "-o", "a.png", "--no-before-after")
    outcome = run("replay", "a.png")
    assert outcome.code == 0
    assert "the same as a.png, bit for bit" in outcome.out
    assert (desk / "a-replay.png").read_bytes() == (desk / "a.png").read_bytes()
    pixels = np.asarray(Image.open(desk / "a.png")).copy()
    pixels[0, 0] ^= 1
    altered = Image.fromarray(pixels)
    from PIL.PngImagePlugin import PngInfo

    text = PngInfo()
    text.add_text("textmorph", Image.open(desk / "a.png").text["textmorph"])  # type: ignore[attr-defined]
    altered.save(desk / "b.png", pnginfo=text)
    outcome = run("replay", "b.png")
    assert outcome.code == 1
    assert "not the same" in outcome.out


def test_grid_morph_and_their_replays(run: Run, desk: Path) -> None:
    pytest.importorskip("imageio_ffmpeg")
    assert run("grid", "me.png", PROMPT, "--strengths=-2:2:2", "-k", "5,9", "-d", "{D}", "-o", "grid.png").code == 0
    assert run("morph", "me.png", PROMPT, "--to", "2", "--frames", "4", "-d", "{D}", "-o", "m.gif").code == 0
    assert run("morph", "me.png", PROMPT, "--to", "2", "--frames", "4", "-d", "{D}", "-o", "m.mp4").code == 0
    with Image.open(desk / "m.gif") as gif:
        assert gif.n_frames == 6  # four there, two back
    assert (desk / "m.mp4").read_bytes()[4:8] == b"ftyp"
    assert (desk / "m.mp4.json").exists()
    for name in ("grid.png", "m.gif", "m.mp4"):
        outcome = run("replay", name)
        assert outcome.code == 0
        assert "bit for bit" in outcome.out


def test_invert_writes_a_latent_that_edit_takes(run: Run, desk: Path) -> None:
    assert run("invert", "me.png", "--likeness", "refined:2", "-d", "{D}").code == 0
    assert {"me-latent.safetensors", "me-inverted.png"} <= names(desk)
    assert run("edit", "me-latent.safetensors", PROMPT, *FIXED, "-o", "a.png").code == 0
    assert run("invert", "me.png", "-d", "{D}").code == 2


def test_a_square_of_the_picture_may_be_named(run: Run, desk: Path) -> None:
    commands = {
        "a.png": ("edit", "me.png", PROMPT, *FIXED, "--no-before-after"),
        "b.png": ("grid", "me.png", PROMPT, "--strengths", "0,2", "-k", "5", "-d", "{D}"),
        "c.png": ("invert", "me.png", "-d", "{D}"),
        "d.gif": ("morph", "me.png", PROMPT, "--frames", "2", "-d", "{D}"),
    }
    for name, command in commands.items():
        assert run(*command, "--frame", "2,1,12", "-o", name).code == 0
        frame = Frame.from_json(read_record(desk / name)["source"]["frame"])
        assert (frame.box, frame.by) == ((2, 1, 12), "box")
        if name != "c.png":
            assert "bit for bit" in run("replay", name).out


def test_sample_with_and_without_a_text(run: Run, desk: Path) -> None:
    assert run("sample", "-n", "2", "-d", "{D}", "--out", "new").code == 0
    assert names(desk / "new") == {"sample-0-1.png", "sample-0-2.png", "sample-0-sheet.png"}
    assert run("sample", PROMPT, "--set", "steps=2", "-d", "{D}").code == 0
    assert (desk / "sample-a-person-with-purple-hair.png").exists()
    assert run("sample", "--set", "steps=2", "-d", "{D}").code == 2


def test_svm_shows_what_it_retrieved(run: Run, desk: Path) -> None:
    options = ("--method", "svm", "--set", "num_positives=5", "--set", "num-negatives=5", "--show-retrieved")
    assert run("edit", "me.png", PROMPT, *FIXED, *options, "-o", "a.png").code == 0
    assert "a-retrieved.png" in names(desk)
    assert run("edit", "me.png", PROMPT, *FIXED, "--show-retrieved", "-o", "b.png").code == 2


def test_bank_corpus_and_search(run: Run, desk: Path, photos: Path) -> None:
    assert run("bank", "build", "--num-samples", "2", "-d", "{D}", "-o", "bank.safetensors").code == 0
    assert run("corpus", "build", "-n", "4", "-d", "{D}", "-o", "corpus.safetensors").code == 0
    outcome = run("corpus", "build", "photos", "-d", "{D}", "-o", "mine.safetensors")
    assert outcome.code == 1
    assert "empty.png" in outcome.err
    assert (desk / "mine.safetensors").exists()
    assert run("bank", "build", "-d", "{D}").code == 2  # the domain has one
    options = ("--method", "global", "-n", "2", "--strengths", "1,2", "--thresholds", "0.05,0.1", "--json", "t.json")
    outcome = run("evaluate", "search", PROMPT, "-d", "{D}", *options)
    assert outcome.code == 0
    assert "best: strength" in outcome.out
    assert len(json.loads((desk / "t.json").read_text())["trials"]) == 4


def test_the_domain_says_how_pictures_are_drawn_and_options_go_before_it(run: Run, desk: Path, domain: Path) -> None:
    from textmorph.banks.bank import ChannelBank
    from textmorph.corpora.corpus import Corpus

    mine = shutil.copytree(domain, desk / "mine", ignore=shutil.ignore_patterns("bank*"))
    (mine / "domain.toml").write_text(
        "truncation = 0.9\n" + (mine / "domain.toml").read_text() + "\n[global]\nto_rgb = true\n"
    )
    bank, corpus = ("bank", "build", "--num-samples", "2"), ("corpus", "build", "-n", "3")
    for i, (words, expected) in enumerate(
        {("-d", "mine"): (0.9, True), ("-d", "mine", "--truncation", "0", "--no-to-rgb"): (0.0, False),
         ("-d", "{D}"): (0.7, False), ("-d", "{D}", "--to-rgb"): (0.7, True)}.items()
    ):  # fmt: skip
        assert run(*bank, *words, "-o", f"{i}.safetensors").code == 0
        info = ChannelBank.load(desk / f"{i}.safetensors").info
        assert (info["truncation"], info["to_rgb"]) == expected
    assert run(*bank, "--by", "gradients", "-d", "mine", "-o", "s.safetensors").code == 0
    info = ChannelBank.load(desk / "s.safetensors").info
    assert (info["truncation"], info["to_rgb"]) == (0.9, True)
    for i, (words, psi) in enumerate({("mine",): 0.9, ("mine", "--truncation", "0.5"): 0.5, ("{D}",): 1.0}.items()):
        for name in (f"c{i}.safetensors", f"c{i}"):
            assert run(*corpus, "-d", *words, "-o", name).code == 0
            assert Corpus.load(desk / name).info["truncation"] == psi
        assert run(*corpus, "-d", *words, "-o", f"c{i}").code == 0  # by the other way, which takes the same values
    for words, psi in {("mine",): 0.9, ("mine", "--truncation", "0.5"): 0.5, ("{D}",): 0.7}.items():
        assert run("sample", "-d", *words, "--out", "new", "--overwrite").code == 0
        assert read_record(desk / "new" / "sample-0.png")["request"]["sample"]["truncation"] == psi
    command = ("edit", "me.png", PROMPT, "--strength", "2", "--set", "num_channels=5", "-d", "mine", "-o")
    for name, words, moved in (("a.png", (), True), ("b.png", ("--set", "to_rgb=no"), False)):
        outcome = run(*command, name, *words)
        assert outcome.code == 0, outcome.err
        assert ("no channel bank; one is made" in outcome.err) is (name == "a.png")  # and kept for the next
        assert read_record(desk / name)["edits"][0]["values"]["to_rgb"] is moved


def test_inspect_convert_and_domain(run: Run, desk: Path, domain: Path) -> None:
    assert run("convert", domain / "generator.safetensors", "g.safetensors", "--half").code == 0
    outcome = run("inspect", "g.safetensors")
    assert outcome.code == 0
    assert "generator stylegan2" in outcome.out
    assert run("convert", domain / "generator.safetensors", "g.safetensors").code == 2
    assert run("convert", "me.png").code == 1
    run("edit", "me.png", PROMPT, *FIXED, "-o", "a.png")
    assert PROMPT in run("inspect", "a.png").out
    assert "portraits" in run("domain", "list").out
    outcome = run("domain", "check", "{D}")
    assert outcome.code == 0
    assert "every part loads" in outcome.out


def test_demo_edits_a_portrait_and_says_where_twice(run: Run, desk: Path) -> None:
    for _ in range(2):
        outcome = run("demo", PROMPT, "-d", "{D}")
        assert outcome.code == 0
        assert "out/picture-a-person-with-purple-hair.png" in outcome.out
    assert len(names(desk / "out")) == 2


def test_where_faces_cannot_be_fetched_the_demo_says_so_and_shows_portraits(
    run: Run, domain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ready(name: str, requests: list[str]) -> Any:
        if name == "faces":
            raise DownloadError("no network here.")
        assert (name, requests) == ("portraits", [PROMPT])
        return networks.ready_editor(str(domain), requests)

    monkeypatch.setattr("textmorph.cli.edit.ready_editor", ready)
    outcome = run("demo", PROMPT)
    assert outcome.code == 0
    assert "no network here. This demo shows the small drawn world 'portraits' instead" in outcome.err
    assert "out/picture-a-person-with-purple-hair.png" in outcome.out
    refused = run("demo", PROMPT, "-d", "faces")  # asked for by name, nothing else is shown
    assert refused.code != 0
    assert "no network here" in refused.err


# Bad input


def no_file(path: Path) -> None: ...
def empty(path: Path) -> None:
    path.write_bytes(b"")


def cut_off(path: Path) -> None:
    write_image(toy_image(64), path)
    path.write_bytes(path.read_bytes()[:200])


def bomb(path: Path) -> None:
    import struct
    import zlib

    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b""))


def folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [(no_file, "no file"), (empty, "empty"), (cut_off, "damaged"), (bomb, "too large"), (folder, "holds no pictures")],
)
def test_a_bad_picture_gives_one_clear_line_and_leaves_nothing(
    run: Run, desk: Path, spoil: Callable[[Path], None], message: str
) -> None:
    spoil(desk / "bad.png")
    before = names(desk)
    outcome = run("edit", "bad.png", PROMPT, *FIXED)
    assert outcome.code == 1
    assert message in outcome.err
    assert "Traceback" not in outcome.err
    assert len(outcome.err.strip().splitlines()) == 1
    assert names(desk) == before


PIXELS = (np.linspace(0, 1, 20 * 20 * 3).reshape(20, 20, 3) * 255).astype(np.uint8)


def rotated(path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(PIXELS).save(path, exif=exif)


ODD: dict[str, Callable[[Path], Any]] = {
    "grey.png": lambda path: Image.fromarray(PIXELS).convert("L").save(path),
    "deep.png": lambda path: Image.fromarray(PIXELS[..., 0].astype(np.uint16) * 257).save(path),
    "palette.png": lambda path: Image.fromarray(PIXELS).convert("P").save(path),
    "transparent.png": lambda path: Image.fromarray(PIXELS).convert("RGBA").save(path),
    "cmyk.jpg": lambda path: Image.fromarray(PIXELS).convert("CMYK").save(path),
    "rotated.jpg": rotated,
    "animated.gif": lambda path: Image.fromarray(PIXELS).save(
        path, save_all=True, append_images=[Image.fromarray(PIXELS[::-1].copy())]
    ),
    "one.png": lambda path: Image.fromarray(PIXELS[:1, :1]).save(path),
}


def test_odd_pictures_are_converted_and_edited_and_an_animation_says_which_frame(run: Run, desk: Path) -> None:
    (desk / "odd").mkdir()
    for name, write in ODD.items():
        write(desk / "odd" / name)
    outcome = run("edit", "odd", PROMPT, *FIXED, "--out", "edited/")
    assert outcome.code == 0, outcome.err
    assert len(names(desk / "edited")) == len(ODD)
    assert "animated.gif has more than one frame" in outcome.err.replace("\n", " ")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("",), 2, "request is empty"),
        (("x" * 5000,), 1, "characters"),
        (("purple hair", "--neutral", "purple hair"), 1, "both"),
        (("purple hair", "--method", "magic"), 2, "no method 'magic'"),
        (("purple hair", "--method", "mapper"), 2, "train"),
        (("purple hair", "--set", "steps=5"), 2, "the method 'global' has no 'steps'"),
        (("purple hair", "--set", "num_chanels=5"), 2, "did you mean 'num_channels'?"),
        (("purple hair", "--set", "num_channels=many"), 2, "num_channels is a whole number or none, not 'many'"),
        (("purple hair", "--set", "num_channels=0"), 2, "num_channels"),
        (("purple hair", "--set", "num_channels"), 2, "--set takes NAME=VALUE"),
        (("purple hair", "--method", "svm", "--neutral", "hair"), 2, "takes no neutral"),
        (("purple hair", "--strength", "much"), 2, "--strength is a number or 'auto'"),
        (("purple hair", "--keep-identity", "0.5"), 2, "--keep-identity steers automatic strength"),
        (("purple hair", "--likeness", "refined:"), 2, "--likeness is encoder, refined or refined:STEPS"),
        (("purple hair", "none.safetensors"), 1, "no saved edit"),
        (("purple hair", "--out", "a.bmp"), 2, "--out ends in"),
        (("purple hair", "--out", "me.png/a.png"), 1, "cannot"),
        (("purple hair", "--frame", "left"), 2, "not 'left'"),
        (("purple hair", "--frame", "0,0,4"), 2, "a side of 8 pixels or more"),
        (("purple hair", "--frame", "500,0,30"), 1, "reaches outside of the picture"),
        (("purple hair", "--unknown"), 2, "No such option"),
        ((), 2, "Missing argument"),
    ],
)
def test_bad_words_and_options_give_a_clear_line_and_leave_nothing(
    run: Run, desk: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    fixed = FIXED[2:] if "--strength" in arguments else FIXED
    outcome = run("edit", "me.png", *arguments, *fixed)
    assert outcome.code == code, outcome.err
    assert message in " ".join(outcome.err.split())
    assert "Traceback" not in outcome.err
    assert names(desk) == {"me.png"}


def test_unknown_words_are_named_on_screen(run: Run) -> None:
    outcome = run("edit", "me.png", "gandalf with purple hair", *FIXED)
    assert outcome.code == 0
    assert "'gandalf' is not a word this small model knows" in outcome.err


def test_a_domain_that_is_none_is_named(run: Run, desk: Path) -> None:
    outcome = run("edit", "me.png", PROMPT, "-d", "nowhere")
    assert outcome.code == 1
    assert "no domain 'nowhere'" in outcome.err


def test_ctrl_c_in_the_middle_leaves_no_file_and_code_130(
    run: Run, desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(StyleGAN2, "forward", interrupted)
    for command in (("edit", "me.png", PROMPT), ("morph", "me.png", PROMPT), ("invert", "me.png"), ("sample",)):
        assert run(*command, "-d", "{D}").code == 130
    assert names(desk) == {"me.png"}


def test_ctrl_c_while_a_file_is_written_leaves_no_half_of_it(
    run: Run, desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    assert run("edit", "me.png", PROMPT, *FIXED).code == 130
    assert names(desk) == {"me.png"}


def test_a_full_disk_gives_a_clear_line_and_leaves_nothing(
    run: Run, desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: bytes) -> int:
        with open(path, "wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    outcome = run("edit", "me.png", PROMPT, *FIXED)
    assert outcome.code == 1
    assert "No space left on device" in outcome.err
    assert names(desk) == {"me.png"}


def test_a_folder_that_cannot_be_written_to_gives_a_clear_line(
    run: Run, desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(path: Path, content: bytes) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "write_bytes", denied)  # root may write everywhere, so the refusal is played
    outcome = run("edit", "me.png", PROMPT, *FIXED)
    assert outcome.code == 1
    assert "Permission denied" in outcome.err
    assert names(desk) == {"me.png"}
