"""State files: what was saved comes back, and what anyone could write does no harm."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from textmorph.errors import InputError, TextmorphError
from textmorph.latents import Latent
from textmorph.web.session import Session
from textmorph.web.state import State, read_state

STATE = State(
    domain="toy", generator="0" * 16, photo=b"png", about={"name": None, "of": "pixels", "sha256": "0"}, notes=("a",),
    drawn=False, latent=Latent(torch.arange(6.0).reshape(1, 2, 3), "w+"),
    session=Session().add("a smile", strength=2.5, num_channels=20)
    .add("a hat", method="optimize", strength=1.0, reach=2.0, file="edit-1.safetensors").remove(1)
    .add("a beard", strength=-3.0, num_channels=5, on=False),
    edits={"edit-1.safetensors": b"\x00\x01"},
)  # fmt: skip
CONTENT: dict[str, Any] = json.loads(STATE.to_json())

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def test_what_was_saved_comes_back() -> None:
    back = read_state(STATE.to_json(), max_rows=24)
    assert back.session == STATE.session
    assert torch.equal(back.latent.value, STATE.latent.value)
    for field in ("domain", "generator", "photo", "about", "notes", "drawn", "edits"):
        assert getattr(back, field) == getattr(STATE, field)


def test_a_state_from_before_is_refused_by_the_number_of_its_format() -> None:
    with pytest.raises(InputError, match=r"format 1 .* reads format 2"):
        read_state(json.dumps(CONTENT | {"version": 1}), max_rows=24)


@given(st.sampled_from(sorted(CONTENT)), JSON)
def test_another_value_anywhere_is_taken_or_refused_but_never_trips(key: str, value: Any) -> None:
    try:
        state = read_state(json.dumps(CONTENT | {key: value}), max_rows=24)
    except InputError:
        return
    assert isinstance(state.session, Session)


@given(st.sampled_from(sorted(CONTENT["wishes"][0])), JSON)
def test_so_it_is_within_a_wish(key: str, value: Any) -> None:
    content = copy.deepcopy(CONTENT)
    content["wishes"][0][key] = value
    try:
        row = read_state(json.dumps(content), max_rows=24).session.rows[0]
    except InputError:
        return
    assert abs(row.strength) <= row.reach <= 100
    assert row.file is None or row.file in content["edits"]


@given(st.text(max_size=200) | st.binary(max_size=200))
def test_other_texts_are_no_state(text: str | bytes) -> None:
    with pytest.raises(InputError):
        read_state(text, max_rows=24)


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 1},
        {"version": {}},
        {"format": "other"},
        {"wishes": [CONTENT["wishes"][0]] * 2},
        {"wishes": CONTENT["wishes"] * 20},
        {"edits": {}},
        {"latent": {**CONTENT["latent"], "shape": [6]}},
        {"photo": "no base64!"},
        {"domain": None, "wishes": None},
    ],
)
def test_a_damaged_state_is_refused_in_a_sentence(changes: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="state"):
        read_state(json.dumps(CONTENT | changes), max_rows=24)


def test_a_deep_one_is_refused_too() -> None:
    with pytest.raises(TextmorphError):
        read_state("[" * 100_000, max_rows=24)
