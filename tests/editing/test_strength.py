"""The rule of automatic strength, on made-up figures."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textmorph.editing.strength import Candidate, choose_strength
from textmorph.errors import OptionError

figures = st.floats(-1, 1, allow_nan=False)
candidates = st.lists(
    st.builds(
        Candidate,
        strength=st.floats(-10, 10),
        num_channels=st.none() | st.integers(1, 200),
        gain=figures,
        identity=st.none() | figures,
        sideways=st.none() | st.floats(0, 1),
    ),
    min_size=1,
    max_size=20,
)


def ladder(gains: list[float], identities: list[float | None]) -> list[Candidate]:
    """Strengths 1, 2, 3, … with these figures."""
    return [
        Candidate(strength=i + 1.0, gain=gain, identity=identity)
        for i, (gain, identity) in enumerate(zip(gains, identities, strict=True))
    ]


@given(candidates, st.floats(0, 1), st.floats(0.01, 1), st.none() | st.floats(0, 2))
def test_a_candidate_is_always_chosen_and_the_goal_is_what_it_says(
    tried: list[Candidate], keep_identity: float, plain_share: float, sideways: float | None
) -> None:
    choice = choose_strength(tried, keep_identity=keep_identity, plain_share=plain_share, sideways=sideways)
    chosen = tried[choice.index]
    reachable = max(one.gain for one in tried)
    kept = chosen.identity is None or chosen.identity >= keep_identity
    assert choice.goal_met == (reachable > 0 and kept and chosen.gain >= plain_share * reachable)
    assert choice.reason


@given(candidates)
def test_the_goal_is_missed_only_where_no_candidate_meets_it(tried: list[Candidate]) -> None:
    reachable = max(one.gain for one in tried)
    meets = [
        reachable > 0 and one.gain >= 0.8 * reachable and (one.identity is None or one.identity >= 0.7) for one in tried
    ]
    assert choose_strength(tried, keep_identity=0.7, plain_share=0.8).goal_met == any(meets)


@given(candidates)
def test_asking_for_less_identity_never_loses_the_goal(tried: list[Candidate]) -> None:
    strict, lax = (choose_strength(tried, keep_identity=least) for least in (0.8, 0.2))
    assert lax.goal_met or not strict.goal_met


def test_with_a_price_the_plain_effect_that_is_worth_most_wins() -> None:
    tried = [
        Candidate(strength=s, gain=g, identity=0.9, sideways=side)
        for s, g, side in ((1, 0.2, 0.0), (2, 0.28, 0.1), (3, 0.3, 0.2), (4, 0.31, 0.6))
    ]
    assert choose_strength(tried, plain_share=0.8, sideways=0.0).index == 3  # the largest gain
    assert choose_strength(tried, plain_share=0.8, sideways=0.15).index == 2
    assert choose_strength(tried, plain_share=0.8, sideways=10.0).index == 1  # the first is not plain
    unknown = [Candidate(strength=1.0, gain=1.0, identity=0.8), Candidate(strength=2.0, gain=1.0, identity=0.9)]
    assert choose_strength(unknown, sideways=0.1).index == 1  # not measured: as without a price


def test_a_part_of_a_complete_edit_is_taken_for_the_sake_of_identity_alone() -> None:
    tried = [
        Candidate(strength=s, gain=g, identity=i)
        for s, g, i in ((0.5, 0.5, 0.95), (0.75, 0.6, 0.9), (1.0, 0.4, 0.8), (1.25, 0.45, 0.75))
    ]
    assert choose_strength(tried, keep_identity=0.7).index == 0  # the gentlest that is plain
    whole = choose_strength(tried, keep_identity=0.7, complete=True)
    assert (whole.index, whole.goal_met) == (2, True)
    assert whole.reason.startswith("the whole edit (")
    part = choose_strength(tried, keep_identity=0.85, complete=True)
    assert (part.index, part.goal_met) == (0, True)
    assert part.reason.startswith("the gentlest, of those with a plain effect (")
    assert "; 4 tried)" in part.reason
    assert choose_strength(tried[:2], keep_identity=0.7, complete=True).index == 0


def test_the_gentlest_plain_effect_wins() -> None:
    tried = ladder([0.2, 0.5, 0.9, 1.0], [0.95, 0.9, 0.85, 0.8])
    assert choose_strength(tried, keep_identity=0.7, plain_share=0.8).index == 2


def test_of_equal_identities_the_smallest_strength_wins_also_among_negative_ones() -> None:
    tried = [Candidate(strength=s, gain=1.0, identity=0.9) for s in (-4.0, -2.0, 3.0)]
    assert choose_strength(tried).index == 1


def test_identity_goes_before_effect() -> None:
    choice = choose_strength(ladder([0.1, 0.4, 1.0], [0.9, 0.75, 0.3]), keep_identity=0.7)
    assert (choice.index, choice.goal_met) == (1, False)
    assert "cost more identity" in choice.reason


def test_where_nothing_keeps_identity_the_most_kept_wins() -> None:
    choice = choose_strength(ladder([0.5, 1.0], [0.4, 0.2]), keep_identity=0.7)
    assert (choice.index, choice.goal_met) == (0, False)
    assert "keeps identity" in choice.reason


def test_where_nothing_gains_the_picture_stays_closest_to_what_it_was() -> None:
    choice = choose_strength(ladder([-0.2, -0.1], [0.9, 0.8]))
    assert (choice.index, choice.goal_met) == (0, False)
    assert "closer to the words" in choice.reason


def test_without_an_identity_net_the_smallest_plain_strength_wins_and_the_reason_says_so() -> None:
    choice = choose_strength(ladder([0.1, 0.9, 1.0], [None, None, None]))
    assert choice.index == 1
    assert "no identity net" in choice.reason


def test_nothing_to_choose_from_is_an_error() -> None:
    with pytest.raises(OptionError, match="at least one strength"):
        choose_strength([])


def test_what_leads_too_far_astray_does_not_count_unless_there_is_nothing_else() -> None:
    tries = [
        Candidate(strength=1.0, gain=0.10, identity=0.99, sideways=0.0, astray=0.0),
        Candidate(strength=4.0, gain=0.20, identity=0.98, sideways=0.0, astray=3.0),
        Candidate(strength=8.0, gain=0.40, identity=0.97, sideways=0.0, astray=7.0),
    ]
    assert choose_strength(tries, sideways=0.2).index == 2
    assert choose_strength(tries, sideways=0.2, astray=3.0).index == 1  # and what is left is the reachable gain
    assert "100% of the reachable" in choose_strength(tries, sideways=0.2, astray=3.0).reason
    assert choose_strength(tries, sideways=0.2, astray=2.9).index == 0
    lost = choose_strength(tries[1:], sideways=0.2, astray=1.0)
    assert lost.index == 1  # as if there were no limit, but it says so
    assert lost.reason.startswith("every try leads far astray; ")
    assert "astray" not in choose_strength(tries, sideways=0.2, astray=3.0).reason
    assert choose_strength(tries, keep_identity=1.0, astray=3.0).index == 0
    whole = [Candidate(strength=c.strength / 8, gain=c.gain, identity=c.identity, astray=c.astray) for c in tries]
    assert choose_strength(whole, astray=1.0, complete=True).index == 2
    styled = [Candidate(strength=c.strength, gain=c.gain, identity=c.identity) for c in tries]
    assert choose_strength(styled, astray=0.0) == choose_strength(styled)


def test_what_leads_beyond_every_picture_counts_for_less() -> None:
    """The gain goes on growing; from the second on it is gained where no picture lies."""
    tries = [
        Candidate(strength=1.0, gain=0.20, identity=0.99, sideways=0.01, beyond=0.0),
        Candidate(strength=2.0, gain=0.30, identity=0.98, sideways=0.02, beyond=0.05),
        Candidate(strength=3.0, gain=0.36, identity=0.97, sideways=0.05, beyond=0.25),
    ]
    assert choose_strength(tries, sideways=0.2).index == 2
    assert choose_strength(tries, sideways=0.2, beyond=0.5).index == 1
    plain = choose_strength(tries, plain_share=0.95, beyond=1.0)  # 0.20, 0.25 and 0.11 of gain are left
    assert (plain.index, plain.goal_met) == (1, True)
    assert "100% of the reachable" in plain.reason
    unmeasured = [Candidate(strength=c.strength, gain=c.gain, identity=c.identity) for c in tries]
    assert choose_strength(unmeasured, beyond=0.5) == choose_strength(unmeasured)
    lost = [Candidate(strength=1.0, gain=0.3, identity=0.99, beyond=0.4)]
    assert not choose_strength(lost, beyond=1.0).goal_met
