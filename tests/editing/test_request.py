"""Requests: typed, checked, and as JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import textmorph as tm
from textmorph.editing.domain import Domain, load_domain
from textmorph.editing.request import Request, Requests, make_method, make_request, make_requests, parse_request
from textmorph.editing.strength import StrengthSearch
from textmorph.errors import DomainError, InputError, OptionError, PromptError

from ..toy_domain import write_toy_domain

TEXT = "a person with purple hair"


@pytest.fixture(scope="module")
def domain(tmp_path_factory: pytest.TempPathFactory) -> Domain:
    return load_domain(write_toy_domain(tmp_path_factory.mktemp("request") / "toy", corpus=False))


@pytest.fixture
def saved(domain: Domain, tmp_path: Path) -> Path:
    edit = tm.GlobalDirection(num_channels=3).find(
        domain.generator,
        domain.embedder,
        target=TEXT,
        neutral="a person",
        bank=domain.bank,
        templates=domain.sentences,
    )
    edit.save(tmp_path / "purple.safetensors")
    return tmp_path / "purple.safetensors"


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("a smile", ("a smile", None)),
        ("a smile:2", ("a smile", 2.0)),
        (" a smile : -1.5 ", ("a smile", -1.5)),
        ("a smile:auto", ("a smile", None)),
        ("a smile:.5", ("a smile", 0.5)),
        ("beard.safetensors:-1", ("beard.safetensors", -1.0)),
        ("C:\\edits\\beard.pt", ("C:\\edits\\beard.pt", None)),
        ("a clock: big", ("a clock: big", None)),
        ("one:two:3", ("one:two", 3.0)),
        ("a smile:nan", ("a smile:nan", None)),
        ("a smile:1e3", ("a smile:1e3", None)),
    ],
)
def test_a_typed_request_is_words_or_a_file_and_a_strength(typed: str, expected: tuple[str, float | None]) -> None:
    assert parse_request(typed) == expected


@pytest.mark.parametrize("typed", ["", "  "])
def test_an_empty_request_is_refused(typed: str) -> None:
    with pytest.raises(OptionError, match="is empty"):
        parse_request(typed)


def test_the_parser_loads_no_torch() -> None:
    code = "import sys, textmorph.editing.request as r; r.parse_request('a:1'); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_name_takes_the_domains_table_and_an_object_is_taken_as_it_is(domain: Domain) -> None:
    tuned = replace(domain, tables={"global": {"num_channels": 7, "to_rgb": True}}, method="global")
    named = make_request(tuned, TEXT)
    assert (named.method_name, named.neutral, named.strength) == ("global", "a person", None)
    assert named.method == tm.GlobalDirection(num_channels=7, to_rgb=True)
    assert make_request(tuned, TEXT, values={"to_rgb": False}).method == tm.GlobalDirection(num_channels=7)
    assert make_request(tuned, TEXT, values={"threshold": 0.1}).method == tm.GlobalDirection(threshold=0.1, to_rgb=True)
    given = make_request(tuned, TEXT, method=tm.GlobalDirection(num_channels=3))
    assert (given.method_name, given.method) == ("global", tm.GlobalDirection(num_channels=3))
    assert make_request(replace(domain, method="svm"), TEXT).method_name == "svm"
    assert make_method(domain, "svm", seed=4).seed == 4


def test_automatic_strength_varies_the_number_of_channels_only_where_it_is_open(domain: Domain) -> None:
    search = StrengthSearch(num_channels=(5, 9))

    def counts(**options: Any) -> list[int | None]:
        return [one.num_channels for one in make_request(domain, TEXT, **options).variants(search)]

    assert counts() == [5, 9]
    assert counts(values={"relevance": "consistent"}) == [5, 9]
    assert counts(values={"num_channels": 7}) == [7]
    assert counts(values={"threshold": 0.1}) == [None]
    assert counts(method=tm.GlobalDirection(num_channels=20)) == [20]
    assert counts(method="optimize") == [None]


def test_requests_come_back_from_json(domain: Domain, saved: Path) -> None:
    asked = make_requests(
        domain, [TEXT, ("old", -1.0), (saved, 2)], method="global", refine=3, seed=2, frame="1,2,30",
        strength=StrengthSearch(keep_identity=0.8),
    )  # fmt: skip
    again = Requests.from_json(domain, json.loads(json.dumps(asked.json)))
    assert again.json == asked.json
    assert [item.strength for item in again.items] == [None, -1.0, 2.0]
    assert (again.search.keep_identity, again.frame, again.refine) == (0.8, (1, 2, 30), 3)
    assert again.items[2].target == TEXT
    saved.write_bytes(saved.read_bytes() + b" ")
    with pytest.raises(InputError, match="has changed"):
        Requests.from_json(domain, asked.json)


def test_a_number_is_the_strength_of_all_that_have_none(domain: Domain) -> None:
    asked = make_requests(domain, ["old", ("a smile", 3), make_request(domain, "glasses")], strength=1.5)
    assert [item.strength for item in asked.items] == [1.5, 3.0, 1.5]
    assert make_requests(domain, "old").search == domain.search


def test_a_saved_edit_that_names_no_text_needs_a_strength(domain: Domain) -> None:
    import torch

    nameless = tm.Direction(torch.zeros(domain.generator.style_layout.num_channels), "s")
    with pytest.raises(OptionError, match="give a strength"):
        make_requests(domain, nameless)
    assert make_requests(domain, (nameless, 1.0)).main.strength == 1.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "magic"}, "no method 'magic'"),
        ({"values": {"steps": 5}}, "steps does not belong to the method 'global'"),
        ({"method": "svm", "neutral": "hair"}, "takes no neutral"),
        ({"method": "optimize", "values": {"num_channels": 5}}, "num_channels does not belong"),
        ({"method": "mapper"}, "finds no edit"),
        ({"method": tm.StrengthSearch(), "values": {"x": 1}}, "an object already"),
        ({"values": {"threshold": 0.1, "num_channels": 5}}, "num_channels and threshold"),
        ({"values": {"relevance": "vague"}}, "relevance is"),
        ({"strength": "much"}, "strength is 'auto'"),
        ({"strength": float("nan")}, "a strength is a number"),
        ({"strength": True}, "strength is 'auto'"),
        ({"refine": -1}, "refine"),
        ({"frame": "round"}, "frame is"),
    ],
)
def test_options_that_make_no_sense_are_refused(domain: Domain, options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        make_requests(domain, TEXT, **options)


def test_what_is_no_request_is_refused(domain: Domain, tmp_path: Path) -> None:
    for nothing in ([], 3, None, object()):
        with pytest.raises(OptionError):
            make_requests(domain, nothing)
    for empty in ("", " ", "x" * 5000, "a\x00b"):
        with pytest.raises(PromptError):
            make_requests(domain, empty)
    with pytest.raises(InputError, match="no saved edit"):
        make_requests(domain, str(tmp_path / "none.safetensors"))
    with pytest.raises(OptionError, match="a strength is a number"):
        make_requests(domain, ("old", float("inf")))


def test_a_table_with_a_field_that_the_method_lacks_is_refused(domain: Domain) -> None:
    with pytest.raises(DomainError, match=r"\[optimize\] has no speed"):
        make_request(replace(domain, tables={"optimize": {"speed": 3}}), TEXT, method="optimize")


def test_a_damaged_request_is_refused(domain: Domain) -> None:
    good = make_request(domain, TEXT).json
    for damage in ({"kind": "wish"}, {"values": None}, {"values": {"num_channels": "x"}}, {"method": "magic"}):
        with pytest.raises(InputError):
            Request.from_json(domain, {**good, **damage})
