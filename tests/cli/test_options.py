"""Options: what the command line makes of its words, before any network is loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textmorph.cli import PATIENCE, main
from textmorph.cli.options import (
    METHOD_OPTIONS,
    also_pairs,
    count_or_auto,
    counts,
    join_pairs,
    number_or_auto,
    saved_edits,
    strength_steps,
)
from textmorph.errors import OptionError
from textmorph.methods import METHODS, method_class

OWN = {"num_channels", "seed"}
"""Fields of methods that are options of the commands themselves."""


def test_the_table_of_method_options_is_that_of_the_methods_fields() -> None:
    for name in (name for name in METHODS if hasattr(method_class(name), "find")):
        table = {row.name for row in METHOD_OPTIONS if name in row.methods}
        assert table | OWN >= {field.name for field in fields(method_class(name))}
        assert table <= {field.name for field in fields(method_class(name))}


def test_the_wishes_of_also_keep_their_strengths_negative_ones_too() -> None:
    words = ["edit", "me.png", "a smile", "--also", "glasses", "3", "--also", "a beard", "-2", "--seed", "1"]
    joined = join_pairs(words)
    assert len(joined) == len(words) - 2
    values = [joined[i + 1] for i, word in enumerate(joined) if word == "--also"]
    assert also_pairs(values) == [("glasses", 3.0), ("a beard", -2.0)]


def test_also_without_a_strength_is_refused_and_what_follows_two_dashes_is_left_alone() -> None:
    with pytest.raises(OptionError, match="takes a text and a strength"):
        also_pairs([join_pairs(["--also", "glasses", "--seed"])[1]])
    assert join_pairs(["--", "--also", "a", "3"]) == ["--", "--also", "a", "3"]


@given(st.lists(st.sampled_from(["edit", "me.png", "-2", "--seed", "3", "", "--", "--alsoo"]), max_size=8))
def test_words_without_also_pass_unchanged(words: list[str]) -> None:
    assert join_pairs(words) == words


def test_saved_edits_have_strength_one_unless_told_and_colons_in_names_are_kept() -> None:
    assert saved_edits(["a.safetensors", "b.safetensors:1.5", "C:\\x.safetensors", "c:-2"]) == [
        ("a.safetensors", 1.0), ("b.safetensors", 1.5), ("C:\\x.safetensors", 1.0), ("c", -2.0),
    ]  # fmt: skip


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


@pytest.mark.parametrize("text", ["", "a", "1:2", "1:2:0", "1:2:-1", "1:2:3:4", "0:1000:1", "1;2"])
def test_other_ranges_are_refused(text: str) -> None:
    with pytest.raises(OptionError, match="--strengths"):
        strength_steps(text)


def test_numbers_of_channels() -> None:
    assert counts("5, 20") == [5, 20]
    assert (count_or_auto("auto"), count_or_auto(None), count_or_auto("7")) == ("auto", None, 7)
    assert (number_or_auto("auto", "strength"), number_or_auto("-2.5", "strength")) == ("auto", -2.5)
    for bad in ("0", "-3", "x", "1.5", ""):
        with pytest.raises(OptionError, match="num-channels"):
            count_or_auto(bad)
    with pytest.raises(OptionError, match="--strength is a number or 'auto'"):
        number_or_auto("strong", "strength")


def test_help_loads_no_torch() -> None:
    code = (
        "import sys\nfrom textmorph.cli import main\n"
        "try:\n    main(['edit', '--help'])\nexcept SystemExit as left:\n    assert not left.code\n"
        "loaded = {name.split('.')[0] for name in sys.modules}\n"
        "sys.exit(','.join(loaded & {'torch', 'transformers', 'numpy', 'PIL', 'sklearn'}) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--keep-identity" in done.stdout


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
