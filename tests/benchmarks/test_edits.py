"""The benchmark of edits: its tasks and its figures."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("skia")  # portraits are drawn with it

from benchmarks import edit_scores
from benchmarks.edit_tasks import TASKS, Columns, grant, held_out
from recipes.portraits.attributes import CATEGORIES, HAIR_STYLES, SCALARS
from recipes.portraits.captions import vocabulary, words
from recipes.portraits.measure import frechet

COLS = held_out(0, 200)


def but(cols: Columns, **changes: float) -> Columns:
    """The columns with some replaced."""
    return cols | {name: np.full_like(cols[name], value) for name, value in changes.items()}


# ------------------------------------------------------------------------------------------------ tasks


def test_no_prompt_uses_a_phrase_of_training_and_all_its_words_are_known() -> None:
    known = set(vocabulary())
    for task in TASKS.values():
        assert task.phrase("withheld").split == "withheld"
        assert task.prompt("withheld") != task.prompt("train")
        assert set(words(task.prompt())) <= known


def test_a_prompt_takes_the_right_article() -> None:
    assert TASKS["mohawk"].prompt() == "a person with a mohawk"
    assert TASKS["old"].prompt() == "a very old person"
    aged = dataclasses.replace(TASKS["old"], key="aged")
    assert not any(" a e" in task.prompt() or " a o" in task.prompt() for task in (*TASKS.values(), aged))


@pytest.mark.parametrize("key", TASKS)
def test_a_granted_wish_is_seen_and_nothing_else_changes(key: str) -> None:
    task = TASKS[key]
    granted = grant(task, COLS, seed=3)
    had = edit_scores.state(task, COLS) == 1
    shown = edit_scores.visible(granted, task.attribute)
    assert (edit_scores.state(task, granted)[shown] == 1).all()
    for name, column in granted.items():
        if name not in (task.attribute, *task.tied):
            assert (column == COLS[name]).all()
    assert (granted[task.attribute][had] == COLS[task.attribute][had]).all()
    assert not edit_scores.leak(edit_scores.flips(task, COLS, granted)).any()


def test_granting_draws_each_value_that_fulfils_the_wish() -> None:
    granted = grant(TASKS["glasses"], but(COLS, glasses=0))
    assert set(granted["glasses"]) == {CATEGORIES["glasses"].index("round"), CATEGORIES["glasses"].index("square")}
    old = grant(TASKS["old"], but(COLS, age=0.1))["age"]
    assert old.min() > 0.7
    assert old.max() <= 1


def test_the_first_rows_do_not_depend_on_how_many_are_drawn() -> None:
    again = held_out(150, 50)
    assert all((again[name] == COLS[name][150:]).all() for name in COLS)


# ------------------------------------------------------------------------------------------------ figures


def test_an_edit_that_does_nothing_hits_nothing_and_leaks_nothing() -> None:
    for task in TASKS.values():
        figures = edit_scores.judge_edits(task, COLS, COLS, {}, failed=np.zeros(200, dtype=bool))
        counted = ~np.isnan(figures["hit"])
        assert counted.any()
        assert not figures["hit"][counted].any()
        assert not figures["leak"][counted].any()
        assert not figures["drift"][counted].any()
        assert figures["gender_kept"][counted].all()
        assert counted.sum() + figures["already"].sum() + figures["unclear"].sum() == 200


def test_a_portrait_that_has_it_already_is_left_out() -> None:
    before = but(COLS, glasses=CATEGORIES["glasses"].index("round"))
    figures = edit_scores.judge_edits(TASKS["glasses"], before, before, {}, failed=np.zeros(200, dtype=bool))
    assert np.isnan(figures["hit"]).all()
    assert figures["already"].sum() == 200


def test_sunglasses_are_neither_glasses_nor_none() -> None:
    before = but(COLS, glasses=CATEGORIES["glasses"].index("sunglasses"))
    figures = edit_scores.judge_edits(TASKS["glasses"], before, before, {}, failed=np.zeros(200, dtype=bool))
    assert figures["unclear"].sum() == 200


def test_old_means_past_the_threshold() -> None:
    young = but(COLS, age=0.2)
    for age, hit in ((0.69, 0), (0.71, 1)):
        figures = edit_scores.judge_edits(TASKS["old"], young, but(COLS, age=age), {}, failed=np.zeros(200, dtype=bool))
        assert (figures["hit"] == hit).all()


def test_a_failed_edit_is_no_hit() -> None:
    after = but(COLS, beard=CATEGORIES["beard"].index("full"))
    before = but(COLS, beard=0)
    failed = np.arange(200) < 50
    figures = edit_scores.judge_edits(TASKS["beard"], before, after, {}, failed=failed)
    assert figures["hit"].sum() == 150


def test_a_leak_is_a_share_of_the_attributes_in_sight() -> None:
    before = but(COLS, glasses=0, eyes=0, hair_style=1, earrings=0)
    after = but(before, earrings=1)
    flipped = edit_scores.flips(TASKS["beard"], before, after)
    assert len(flipped) == len(CATEGORIES) - 1
    assert edit_scores.leak(flipped) == pytest.approx(np.full(200, 1 / 15))
    hidden = edit_scores.flips(TASKS["beard"], before, but(after, glasses=3, eye_colour=2))
    assert np.isnan(hidden["eye_colour"]).all()  # behind sunglasses
    assert edit_scores.leak(hidden) == pytest.approx(np.full(200, 2 / 12))  # eyes, eye colour and make-up are hidden


def test_a_moustache_with_a_beard_is_a_leak_and_a_hat_off_a_mohawk_is_not() -> None:
    before = but(COLS, glasses=0, eyes=0, moustache=0, hat=1, hair_style=1)
    grown = but(before, beard=2, moustache=1)
    assert edit_scores.flips(TASKS["beard"], before, grown)["moustache"].all()
    shaved = but(before, hair_style=HAIR_STYLES.index("mohawk"), hat=0)
    assert not edit_scores.leak(edit_scores.flips(TASKS["mohawk"], before, shaved)).any()
    assert edit_scores.flips(TASKS["curly"], before, shaved)["hat"].all()


def test_the_colour_of_hair_that_is_gone_did_not_flip() -> None:
    before = but(COLS, hair_style=1, hair_colour=0)
    after = but(before, hair_style=HAIR_STYLES.index("bald"), hair_colour=5)
    assert np.isnan(edit_scores.flips(TASKS["bald"], before, after)["hair_colour"]).all()


def test_drift_is_a_share_of_the_range() -> None:
    moved = but(COLS, turn=1.0)
    expected = np.abs(1.0 - COLS["turn"]) / 2 / len(SCALARS)
    assert edit_scores.drift(TASKS["beard"], COLS, moved) == pytest.approx(expected)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.integers(0, 5))
def test_an_interval_holds_the_mean_and_repeats(values: list[float], seed: int) -> None:
    found = edit_scores.interval(values, seed=seed)
    assert min(values) - 1e-4 <= found["low"] <= found["high"] <= max(values) + 1e-4
    assert found == edit_scores.interval(values, seed=seed)
    assert found["mean"] == pytest.approx(np.mean(values), abs=1e-4)


def test_an_interval_over_portraits_is_wider_than_over_their_edits() -> None:
    portrait = np.repeat(np.arange(20), 12)
    values = np.repeat(np.random.default_rng(0).random(20), 12)  # the edits of one portrait all go alike
    together, apart = edit_scores.interval(values, portrait), edit_scores.interval(values)
    assert together["high"] - together["low"] > 2.5 * (apart["high"] - apart["low"])  # √12 in expectation


def test_an_interval_covers_the_truth_as_often_as_it_says() -> None:
    random = np.random.default_rng(1)
    covered = 0
    for turn in range(200):
        found = edit_scores.interval((random.random(50) < 0.7).astype(float), seed=turn)
        covered += found["low"] <= 0.7 <= found["high"]
    assert 176 <= covered <= 199  # 95 % of 200, four standard deviations and the bootstrap's small-sample loss


def test_values_that_do_not_count_leave_the_interval_alone() -> None:
    values = [0.0, 1.0, 1.0]
    assert edit_scores.interval([*values, np.nan], [0, 1, 2, 3]) == edit_scores.interval(values, [0, 1, 2])
    assert edit_scores.interval([np.nan])["mean"] is None


def test_a_summary_of_joined_tasks_counts_every_edit_once() -> None:
    failed = np.zeros(200, dtype=bool)
    tables = [
        edit_scores.judge_edits(TASKS[key], COLS, grant(TASKS[key], COLS), {}, failed=failed)
        for key in ("smile", "lipstick")
    ]
    total = edit_scores.summarise(edit_scores.joined(tables), np.tile(np.arange(200), 2))
    assert total["edits"] + total["already"] + total["unclear"] == 400
    assert total["hit"]["mean"] == 1
    assert total["leak"]["mean"] == 0
    assert total["flipped"] == {}


def test_the_largest_flips_come_first() -> None:
    after = but(COLS, hat=1, clothes=1)
    figures = edit_scores.judge_edits(TASKS["smile"], COLS, after, {}, failed=np.zeros(200, dtype=bool))
    flipped = edit_scores.summarise(figures, np.arange(200))["flipped"]
    assert list(flipped) == ["hat", "clothes"]
    assert list(flipped.values()) == sorted(flipped.values(), reverse=True)


def test_realism_grows_with_the_distance_of_the_sets() -> None:
    random = torch.Generator().manual_seed(0)
    a, b = torch.randn(200, 4, generator=random), torch.randn(200, 4, generator=random)
    near, far = edit_scores.realism(a, b), edit_scores.realism(a + 1, b)
    assert near is not None
    assert far is not None
    assert 0 <= near < 0.3
    assert far == pytest.approx(near + 4, abs=1.0)  # 4 dimensions, each moved by 1; sampling moves it a little
    assert edit_scores.realism(a[:1], b) is None


def test_the_frechet_distance_is_that_of_the_recipe_and_holds_for_few_pictures() -> None:
    random = torch.Generator().manual_seed(0)
    a, b = torch.randn(300, 6, generator=random), 1.5 * torch.randn(200, 6, generator=random) + 0.3
    assert edit_scores.frechet(a, b) == pytest.approx(frechet(a, b), abs=1e-6)
    few = a[:3].repeat(4, 1)  # a covariance of rank 2
    assert edit_scores.frechet(few, few) == pytest.approx(0, abs=1e-6)
    assert edit_scores.frechet(few, few + 1) == pytest.approx(6, abs=1e-6)  # six dimensions, each moved by 1
