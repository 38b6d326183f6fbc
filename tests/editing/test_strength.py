"""The rule of automatic strength, on made-up figures."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textmorph.editing.strength import Choice, StrengthSearch, Trial
from textmorph.errors import OptionError

figures = st.floats(-1, 1, allow_nan=False)
trials = st.lists(
    st.builds(
        Trial,
        strength=st.floats(-10, 10),
        num_channels=st.none() | st.integers(1, 200),
        gain=figures,
        identity=st.none() | figures,
    ),
    min_size=1,
    max_size=20,
)


def choose(tried: list[Trial], **fields: float) -> Choice:
    return StrengthSearch(**fields).choose(tried)  # type: ignore[arg-type]


def ladder(gains: list[float], identities: list[float | None]) -> list[Trial]:
    """Strengths 1, 2, 3, … with these figures."""
    return [
        Trial(strength=i + 1.0, gain=gain, identity=identity)
        for i, (gain, identity) in enumerate(zip(gains, identities, strict=True))
    ]


@given(trials, st.floats(0, 1), st.floats(0.01, 1))
def test_a_trial_is_always_chosen_and_the_goal_is_what_it_says(
    tried: list[Trial], keep_identity: float, min_effect: float
) -> None:
    choice = choose(tried, keep_identity=keep_identity, min_effect=min_effect)
    chosen = tried[choice.index]
    reachable = max(one.gain for one in tried)
    kept = chosen.identity is None or chosen.identity >= keep_identity
    assert choice.goal_met == (reachable > 0 and kept and chosen.gain >= min_effect * reachable)
    assert choice.reason


@given(trials)
def test_the_goal_is_missed_only_where_no_trial_meets_it(tried: list[Trial]) -> None:
    reachable = max(one.gain for one in tried)
    meets = [
        reachable > 0 and one.gain >= 0.8 * reachable and (one.identity is None or one.identity >= 0.7) for one in tried
    ]
    assert choose(tried, keep_identity=0.7, min_effect=0.8).goal_met == any(meets)


@given(trials)
def test_asking_for_less_identity_never_loses_the_goal(tried: list[Trial]) -> None:
    strict, lax = (choose(tried, keep_identity=least) for least in (0.8, 0.2))
    assert lax.goal_met or not strict.goal_met


def test_the_gentlest_plain_effect_wins() -> None:
    tried = ladder([0.2, 0.5, 0.9, 1.0], [0.95, 0.9, 0.85, 0.8])
    assert choose(tried, keep_identity=0.7, min_effect=0.8).index == 2


def test_of_equal_identities_the_smallest_strength_wins_also_among_negative_ones() -> None:
    tried = [Trial(strength=s, gain=1.0, identity=0.9) for s in (-4.0, -2.0, 3.0)]
    assert choose(tried).index == 1


def test_identity_goes_before_effect() -> None:
    choice = choose(ladder([0.1, 0.4, 1.0], [0.9, 0.75, 0.3]), keep_identity=0.7)
    assert (choice.index, choice.goal_met) == (1, False)
    assert "cost more identity" in choice.reason


def test_where_nothing_keeps_identity_the_most_kept_wins() -> None:
    choice = choose(ladder([0.5, 1.0], [0.4, 0.2]), keep_identity=0.7)
    assert (choice.index, choice.goal_met) == (0, False)
    assert "keeps identity" in choice.reason


def test_where_nothing_gains_the_picture_stays_closest_to_what_it_was() -> None:
    choice = choose(ladder([-0.2, -0.1], [0.9, 0.8]))
    assert (choice.index, choice.goal_met) == (0, False)
    assert "closer to the words" in choice.reason


def test_without_an_identity_net_the_smallest_plain_strength_wins_and_the_reason_says_so() -> None:
    choice = choose(ladder([0.1, 0.9, 1.0], [None, None, None]))
    assert choice.index == 1
    assert "no identity net" in choice.reason


def test_nothing_to_choose_from_is_an_error() -> None:
    with pytest.raises(OptionError, match="at least one strength"):
        choose([])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"strengths": ()}, "strengths is one"),
        ({"scales": (float("nan"),)}, "scales is one"),
        ({"num_channels": (0,)}, "num_channels is 1"),
        ({"keep_identity": 3.0}, "a cosine"),
        ({"min_effect": -0.1}, "a share"),
    ],
)
def test_a_search_out_of_range_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        StrengthSearch(**fields)
