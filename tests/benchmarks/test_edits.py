"""The benchmark of edits: pure figures first, then a whole run over a toy domain with random judges."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

pytest.importorskip("skia")  # portraits are drawn with it

from benchmarks import edit_run, edit_scores, edits
from benchmarks.edit_curve import CurveSettings, curve_markdown, run_curve
from benchmarks.edit_report import goals, judge_right, make_results, markdown
from benchmarks.edit_run import WAYS, Bench, Judges, Part, Settings, remaining, run
from benchmarks.edit_tasks import SHOWN, TASKS, Columns, grant, held_out
from recipes.portraits.attributes import CATEGORIES, HAIR_STYLES, SCALARS, vector_size, vectors
from recipes.portraits.captions import vocabulary, words
from recipes.portraits.measure import frechet
from tests.embedders.tiny_clip import write_tiny_clip
from tests.toy_domain import write_toy_domain
from tests.toys import toy_identity
from textmorph import Editor, load_domain
from textmorph.banks.bank import build_bank
from textmorph.corpora.corpus import Corpus

COLS = held_out(0, 200)


def but(cols: Columns, **changes: float) -> Columns:
    """The columns with some replaced."""
    return cols | {name: np.full_like(cols[name], value) for name, value in changes.items()}


# ------------------------------------------------------------------------------------------------ tasks


def test_there_are_the_twelve_tasks_of_the_issue() -> None:
    counted = [task.attribute for task in TASKS.values()]
    assert len(TASKS) == 12
    assert (counted.count("hair_colour"), counted.count("hair_style"), counted.count("expression")) == (3, 3, 2)
    assert {"glasses", "beard", "age", "lipstick"} <= set(counted)
    assert set(SHOWN) <= set(TASKS)


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


def test_a_judge_that_sees_the_records_is_always_right() -> None:
    seen = edit_scores.reading(lambda images: images, torch.from_numpy(vectors(COLS)) * 20)
    assert set(judge_right(COLS, seen).values()) == {1.0}


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


def test_the_time_left_counts_unknown_methods_as_the_slowest() -> None:
    assert remaining([], {}) == 0
    assert remaining([("svm", 10)], {}) is None
    assert remaining([("svm", 10), ("global", 5)], {"global": 2.0}) == 30
    assert remaining([("svm", 10), ("global", 5)], {"global": 2.0, "svm": 1.0}) == 20


def test_goals_are_met_or_missed_by_what_was_measured() -> None:
    figures = {"hit": {"mean": 0.93}, "leak": {"mean": 0.06}, "identity": {"mean": None}}
    found = goals({"svm": {"inverted": {"all": figures}}})
    assert [found[f"svm.{name}"]["met"] for name in ("hit", "leak", "identity")] == [True, False, False]


# ------------------------------------------------------------------------------------------------ a whole run


class RandomJudge(torch.nn.Module):
    """Logits from a fixed random projection of small pictures."""

    def __init__(self) -> None:
        super().__init__()
        random = torch.Generator().manual_seed(5)
        self.register_buffer("weight", torch.randn(3 * 16, vector_size(), generator=random))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        pooled: torch.Tensor = torch.nn.functional.adaptive_avg_pool2d(image, 4).flatten(1) @ self.weight
        return pooled


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    folder = tmp_path_factory.mktemp("bench")
    toy = folder / "toy"
    write_toy_domain(toy, bank=False, corpus=False, entries="strengths = [1, 3]\nchannel_counts = [5]\n")
    shutil.rmtree(toy / "clip")
    write_tiny_clip(toy / "clip", image_size=16, context_length=64, words=tuple(vocabulary()))
    domain = load_domain(toy)
    build_bank(domain.generator, domain.embedder, num_samples=8, num_statistics=100).save(toy / "bank.safetensors")
    Corpus.build(domain.generator, domain.embedder, num=40, path=toy / "corpus.safetensors")
    editor = Editor.from_pretrained(toy, device="cpu")
    judges = Judges(attributes=RandomJudge(), identity=toy_identity(), witness=editor.embedder)
    settings = Settings(
        portraits=2, tasks=("grey", "old"), optimize_portraits=2, optimize_steps=2, optimize_patience=5,
        options={"svm": {"num_positives": 10, "num_negatives": 10}},
    )  # fmt: skip
    return Bench(editor=editor, judges=judges, settings=settings, folder=folder / "runs")


def test_a_run_writes_figures_a_table_and_sheets(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.edit_report.RENDERS", (2000, 30))
    said: list[str] = []
    edits.benchmark(bench, results=tmp_path / "results", images=tmp_path / "images", say=said.append)
    found = json.loads((tmp_path / "results" / "edits.json").read_text())
    assert set(found["ways"]) == set(WAYS)
    assert found["ways"]["optimize"]["portraits"] == 2
    assert found["ways"]["none"]["inverted"]["all"]["hit"]["mean"] in (0, None)
    assert found["ways"]["none"]["inverted"]["all"]["leak"]["mean"] in (0, None)
    for way in ("global", "svm", "optimize"):
        assert found["ways"][way]["effort"]["seconds"]["mean"] > 0
        assert found["ways"][way]["effort"]["failed"] == 0
        for base in edit_run.BASES:
            total = found["ways"][way][base]["all"]
            assert total["edits"] + total["already"] + total["unclear"] == 2 * found["ways"][way]["portraits"]
    assert set(found["neutral_texts"]["rows"]) == {
        "drawn", "none", "global", "global-face", "global-gender", "global-caption", "global-straight",
        "global-channels", "svm", "svm-random", "svm-ensemble", "svm-straight", "svm-channels",
    }  # fmt: skip
    page = (tmp_path / "results" / "edits.md").read_text()
    assert all(task.prompt() in page for key, task in TASKS.items() if key in ("grey", "old"))
    assert all(way.title in page for way in WAYS.values())
    for name in ("edits", "edits-global", "edits-svm", "edits-optimize"):
        with Image.open(tmp_path / "images" / f"{name}.jpg") as picture:
            assert picture.width > picture.height / 2
    assert any("min left" in line for line in said)


def test_a_second_run_makes_nothing_again(bench: Bench) -> None:
    first = run(bench, say=lambda line: None)
    said: list[str] = []
    times = {path: path.stat().st_mtime_ns for path in bench.folder.iterdir()}
    again = run(bench, say=said.append)
    assert said == [f"{2 * len(WAYS)} of {2 * len(WAYS)} parts are there, from before"]
    assert times == {path: path.stat().st_mtime_ns for path in bench.folder.iterdir()}
    for way, made in first.items():
        for key, part in made.items():
            assert part.stamp == json.loads(json.dumps(again[way][key].stamp))
            assert (part.failed == again[way][key].failed).all()
            assert torch.equal(part.pictures, again[way][key].pictures)


def test_another_setting_makes_the_part_anew(bench: Bench) -> None:
    run(bench, say=lambda line: None)
    other = dataclasses.replace(bench, settings=dataclasses.replace(bench.settings, seed=1))
    assert bench.kept("svm", TASKS["old"]) is not None
    assert other.kept("svm", TASKS["old"]) is None


def test_a_part_comes_back_as_it_was_saved(bench: Bench, tmp_path: Path) -> None:
    part = bench.make("global", TASKS["old"])
    part.save(tmp_path / "part.json")
    again = Part.load(tmp_path / "part.json", part.stamp)
    assert again is not None
    for base in edit_run.BASES:
        for name, values in part.figures[base].items():
            assert again.figures[base][name] == pytest.approx(values, abs=1e-5, nan_ok=True)  # rounded to 5 places
    for name, column in part.attributes.items():
        assert again.attributes[name] == pytest.approx(column, abs=1e-5)
    assert again.attributes["hair_style"].dtype.kind == "i"
    assert Part.load(tmp_path / "part.json", {**part.stamp, "seed": 7}) is None
    assert Part.load(tmp_path / "nothing.json", part.stamp) is None


def test_an_edit_that_cannot_be_found_leaves_the_picture_and_is_counted(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    from textmorph.errors import EmptyDirectionError

    def refuse(*arguments: object, **options: object) -> None:
        raise EmptyDirectionError("nothing is relevant")

    monkeypatch.setattr(type(bench.editor), "carry_out", refuse)
    images, effort, _ = bench._edit("global", TASKS["old"], 2)
    assert torch.equal(images, bench.sitters.images["inverted"])
    assert [row["failed"] for row in effort] == [1.0] * 2


@pytest.mark.parametrize("weighed", [{}, {"sideways": 0.3}])
def test_optimised_pictures_are_those_of_the_editor_one_by_one(bench: Bench, weighed: dict[str, float]) -> None:
    """What is found for several pictures at once, and then chosen by the editor, is what the editor finds alone."""
    task = TASKS["old"]
    options = bench.settings.method_options("optimize") | weighed
    bench = dataclasses.replace(bench, settings=dataclasses.replace(bench.settings, options={"optimize": options}))
    images, effort, _ = bench._edit("optimize", task, 2)
    for row in range(2):
        alone = bench.editor.edit(bench.sitters.sources[row].image, task.prompt(), method="optimize", **options)
        assert effort[row]["strength"] == alone.record["automatic"]["strength"]
        assert images[row : row + 1] == pytest.approx(alone.image, abs=2e-3)  # two optimiser steps amplify rounding


def test_gendered_neutral_texts_follow_the_judge(bench: Bench) -> None:
    feminine = bench.sitters.views["inverted"].attributes["femininity"]
    assert bench._neutral("gender", 2) == ["a woman" if value > 0.5 else "a man" for value in feminine]
    assert len(set(bench._neutral("caption", 2))) == 2


def test_a_domain_without_witness_still_has_results(bench: Bench) -> None:
    judges = dataclasses.replace(bench.judges, witness=None)
    settings = dataclasses.replace(bench.settings, ways=("none", "global"), tasks=("old",))
    blind = dataclasses.replace(bench, judges=judges, settings=settings, folder=bench.folder / "blind")
    found = make_results(blind, run(blind, say=lambda line: None))
    assert found["neutral_texts"] == {}
    assert found["ways"]["global"]["inverted"]["all"]["witness_gain"]["n"] == 0
    assert "–" in markdown(found)


def test_the_curve_has_a_point_for_every_pair_and_is_kept(bench: Bench, tmp_path: Path) -> None:
    settings = CurveSettings(portraits=2, tasks=("old", "grey"), channels=(3, 5), strengths=(0.0, 2.0))
    found = run_curve(bench.editor, bench.judges, settings, folder=tmp_path, say=lambda line: None)
    assert [(p["num_channels"], p["strength"]) for p in found["points"]] == [(3, 0.0), (3, 2.0), (5, 0.0), (5, 2.0)]
    for point in found["points"]:
        if point["strength"] == 0 and point["edits"]:
            assert point["hit"]["mean"] == 0
            assert point["identity"]["mean"] == pytest.approx(1, abs=1e-3)
    said: list[str] = []
    again = run_curve(bench.editor, bench.judges, settings, folder=tmp_path, say=said.append)
    assert said == []
    assert again["points"] == found["points"]
    assert "a person with an old face" in json.dumps(found["prompts"])
    assert len(curve_markdown(found).splitlines()) > len(found["points"])


def test_unknown_names_are_refused_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        edits.main(["--prompts", "gandalf"])
    assert "gandalf" in capsys.readouterr().err
