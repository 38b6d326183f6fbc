"""Wishes and the way back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textmorph.errors import OptionError
from textmorph.web.session import HISTORY, History, Row, Session

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.text(min_size=1, max_size=8)),
        st.tuples(st.just("strength"), st.floats(-20, 20)),
        st.tuples(st.just("on"), st.booleans()),
        st.tuples(st.just("remove"), st.none()),
        st.tuples(st.just("clear"), st.none()),
    ),
    max_size=20,
)


def walk(history: History, steps: list[tuple[str, object]]) -> list[History]:
    """Every history on the way, the first included."""
    ways = [history]
    for what, value in steps:
        session = ways[-1].present
        if what == "add":
            session = session.add(str(value))
        elif what == "clear":
            session = session.clear()
        elif session.rows:
            first = session.rows[0].id
            session = session.remove(first) if what == "remove" else session.change(first, **{what: value})
        ways.append(ways[-1].do(session))
    return ways


@given(STEPS)
def test_undo_leads_back_step_by_step_and_redo_forth_again(steps: list[tuple[str, object]]) -> None:
    ways = walk(History(), steps)
    sessions = [way.present for i, way in enumerate(ways) if i == 0 or way.present != ways[i - 1].present]
    history = ways[-1]
    for session in reversed(sessions):
        assert history.present == session
        history = history.undo()
    assert not history.can_undo
    for session in sessions:
        assert history.present == session
        history = history.redo()
    assert not history.can_redo


@given(STEPS)
def test_no_number_is_given_twice(steps: list[tuple[str, object]]) -> None:
    texts: dict[int, str] = {}
    for way in walk(History(), steps):
        for row in way.present.rows:
            assert texts.setdefault(row.id, row.text) == row.text


@given(STEPS)
def test_a_step_after_undo_forgets_what_was_undone(steps: list[tuple[str, object]]) -> None:
    history = walk(History(), steps)[-1].undo()
    assert not history.do(history.present.add("a hat")).can_redo


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(0.1, 100))
def test_a_strength_stays_on_its_slider(strength: float, reach: float) -> None:
    assert abs(Row(id=1, text="a", strength=strength, reach=reach).strength) <= reach


def test_a_wish_that_is_off_or_at_zero_does_not_count() -> None:
    session = Session().add("a", strength=1.0).add("b", strength=0.0).add("c", strength=2.0, on=False)
    assert [row.text for row in session.counting] == ["a"]


def test_amending_is_no_step_of_its_own() -> None:
    history = History().do(Session().add("a", strength=4.0))
    history = history.amend(history.present.change(1, strength=2.0))
    assert history.present.row(1).strength == 2.0
    assert history.undo().present == Session()


def test_the_past_has_an_end() -> None:
    history = History()
    for _ in range(HISTORY + 50):
        history = history.do(history.present.add("a"))
    assert len(history.past) == HISTORY


@pytest.mark.parametrize(
    "values", [{"strength": float("nan")}, {"strength": float("inf")}, {"num_channels": 0}, {"reach": 0.0}]
)
def test_values_out_of_range_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(OptionError):
        Session().add("a", **values)


def test_a_wish_that_is_gone_cannot_be_changed() -> None:
    with pytest.raises(OptionError, match="no longer there"):
        Session().add("a").remove(1).change(1, strength=1.0)
