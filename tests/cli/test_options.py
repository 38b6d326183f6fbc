"""Options: what the command line makes of its words, before any network is loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from typer.main import get_command

from textmorph.cli import PATIENCE, main
from textmorph.cli.app import app
from textmorph.cli.methods import as_text, describe_method, parse_fields
from textmorph.cli.options import counts, refine_steps, strength_steps
from textmorph.errors import OptionError
from textmorph.methods import METHODS, method_class

from .conftest import Run


@pytest.mark.parametrize("name", METHODS)
def test_what_is_read_from_a_methods_source_is_what_its_class_is(name: str) -> None:
    cls, read = method_class(name), describe_method(name)
    hints = get_type_hints(cls)
    assert [(each.name, each.kind, each.default) for each in read.fields] == [
        (each.name, hints[each.name], each.default) for each in fields(cls)
    ]
    assert all(each.help and each.default is not MISSING for each in read.fields)
    assert hasattr(cls, read.verb)
    settings = [f"{each.name}={as_text(each.default)}" for each in read.fields]
    assert cls(**parse_fields(name, settings)) == cls()


def test_values_of_set_have_the_kind_of_their_field() -> None:
    settings = ["num_channels=none", "threshold=.15", "to-rgb = yes", "max_resolution=64", "relevance=consistent"]
    values = {"num_channels": None, "threshold": 0.15, "to_rgb": True, "max_resolution": 64, "relevance": "consistent"}
    assert parse_fields("global", settings) == values
    assert parse_fields("mapper", ["levels=coarse, medium"]) == {"levels": ("coarse", "medium")}
    assert parse_fields("mapper", ["levels=fine"]) == {"levels": ("fine",)}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("to_rgb=2", "to_rgb is true or false, not '2'"),
        ("num_channels=1.5", "num_channels is a whole number or none, not '1.5'"),
        ("threshold=nan", "threshold is a finite number or none, not 'nan'"),
        ("relevance=dot", "relevance is one of cosine, consistent, not 'dot'"),
        ("treshold=1", "the method 'global' has no 'treshold'; did you mean 'threshold'?"),
        ("=1", "has no ''"),
        ("threshold", "--set takes NAME=VALUE"),
    ],
)
def test_other_values_of_set_are_refused(setting: str, message: str) -> None:
    with pytest.raises(OptionError) as refused:
        parse_fields("global", [setting])
    assert message in str(refused.value)


def test_one_field_is_not_set_twice() -> None:
    with pytest.raises(OptionError, match="given twice"):
        parse_fields("global", ["to_rgb=yes", "to-rgb=no"])


def test_methods_lists_all_of_them_and_the_fields_of_one(run: Run) -> None:
    assert all(f"{name} " in run("methods").out for name in METHODS)
    listed = run("methods", "svm").out
    assert all(field.name in listed for field in fields(method_class("svm")))
    assert "[default: 20]" in listed
    refused = run("methods", "magic")
    assert (refused.code, "no method 'magic'" in refused.err) == (2, True)


PAINTER = '''
from dataclasses import dataclass
from typing import Annotated

@dataclass(frozen=True, kw_only=True)
class Painter:
    """Paint one colour."""

    grey: Annotated[float, "How light, -1 to 1."] = 0.0

    def paint(self, embedder, *, target, progress=None):
        import torch
        assert embedder.embed_text([target]).shape[0] == 1
        return torch.full((1, 3, 4, 4), self.grey)
'''


def test_paint_takes_any_method_that_paints_and_says_that_there_is_none(
    run: Run, desk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from textmorph.images import read_image

    none = run("paint", "a red square", "-d", "{D}")
    assert (none.code, "none in this version" in none.err) == (2, True)
    (tmp_path / "toy_painter.py").write_text(PAINTER)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(METHODS, "grey", "toy_painter:Painter")
    done = run("paint", "a red square", "--set", "grey=1", "-d", "{D}")
    assert done.code == 0, done.err
    assert (read_image(desk / "a-red-square.png") == 1).all()
    assert run("paint", "a red square", "-d", "{D}").code == 2


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("-4:8:2", [-4, -2, 0, 2, 4, 6, 8]),
        ("0:1:0.1", [i / 10 for i in range(11)]),
        ("3:1:-1", [3, 2, 1]),
        ("2:2:1", [2]),
        ("0,2.5,4", [0, 2.5, 4]),
        ("7", [7]),
    ],
)
def test_ranges_hold_both_ends(text: str, steps: list[float]) -> None:
    assert strength_steps(text) == pytest.approx(steps)


@pytest.mark.parametrize("text", ["", "a", "1:2", "1:2:0", "1:2:-1", "1:2:3:4", "0:1000:1", "1;2", "nan", "0:inf:1"])
def test_other_ranges_are_refused(text: str) -> None:
    with pytest.raises(OptionError, match="--strengths"):
        strength_steps(text)


def test_numbers_of_channels_and_likeness() -> None:
    assert counts("5, 20", "num-channels") == [5, 20]
    for bad in ("0", "-3", "x", "1.5", ""):
        with pytest.raises(OptionError, match="--num-channels"):
            counts(bad, "num-channels")
    assert [refine_steps(text) for text in ("encoder", "refined", "refined:7")] == [0, 100, 7]
    for bad in ("", "encoder:1", "refined:", "refined:-1", "tuned"):
        with pytest.raises(OptionError, match="--likeness"):
            refine_steps(bad)


def test_edit_has_at_most_24_options_and_names_the_papers_letters_once(run: Run) -> None:
    commands: Any = get_command(app)
    options = [each for each in commands.commands["edit"].params if each.param_type_name == "option"]
    assert len(options) <= 24
    help = run("edit", "--help").out
    assert (help.count("α"), help.count("β")) == (1, 1)


@pytest.mark.parametrize("command", ["edit --help", "methods", "methods mapper", "domain list"])
def test_help_and_methods_load_no_torch(command: str) -> None:
    code = (
        f"import sys\nfrom textmorph.cli import main\n"
        f"try:\n    main({command.split()})\nexcept SystemExit as left:\n    assert not left.code\n"
        "loaded = {name.split('.')[0] for name in sys.modules}\n"
        "sys.exit(','.join(loaded & {'torch', 'transformers', 'numpy', 'PIL', 'sklearn'}) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_threads_device_and_offline_stand_on_textmorph_itself(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    for name in ("OMP_NUM_THREADS", "TEXTMORPH_OFFLINE", "HF_HUB_OFFLINE"):
        monkeypatch.setenv(name, "")
    asked: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    assert run("--threads", 3, "--offline", "methods").code == 0
    assert (asked, os.environ["OMP_NUM_THREADS"], os.environ["TEXTMORPH_OFFLINE"]) == ([3], "3", "1")
    refused = run("--device", "nowhere", "domain", "check", "{D}")
    assert (refused.code, "--device 'nowhere' cannot be used" in refused.err) == (2, True)
    assert run("--device", "cpu", "domain", "check", "{D}").code == 0


def test_threads_soon_sleep_unless_the_user_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    for given_by_user in (None, "7"):
        monkeypatch.setenv("GOMP_SPINCOUNT", given_by_user or "")
        if given_by_user is None:
            monkeypatch.delenv("GOMP_SPINCOUNT")
        with pytest.raises(SystemExit):
            main(["--help"])
        assert os.environ["GOMP_SPINCOUNT"] == (given_by_user or PATIENCE["GOMP_SPINCOUNT"])


def test_that_is_said_before_torch_is_loaded() -> None:
    words = "import sys, textmorph.cli; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", words], check=True)
