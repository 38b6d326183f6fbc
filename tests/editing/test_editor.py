"""The editor: photo and wish in, a picture that explains itself out."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from textmorph.editing.wishes import make_wish

from textmorph import axes, exemplars, read_image
from textmorph.axes import usual_range
from textmorph.editing import photos
from textmorph.editing.domain import Domain, load_domain
from textmorph.editing.editor import Editor
from textmorph.editing.grids import grid, replay, sample, sweep
from textmorph.editing.record import read_record, tensor_sha256
from textmorph.editing.strength import SCALES
from textmorph.errors import (
    BankMismatchError,
    DomainError,
    EditError,
    EmptyDirectionError,
    ImageError,
    InputError,
    LatentError,
    OptionError,
    PromptError,
    SpaceError,
    TextmorphError,
)
from textmorph.images import resize, write_image
from textmorph.latents import Latent
from textmorph.methods import method_class

from ..toy_domain import write_toy_domain
from ..toys import toy_image

WISH = "a person with purple hair"
SVM = {"num_positives": 8, "num_negatives": 8}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy_domain(tmp_path_factory.mktemp("domain") / "toy")


@pytest.fixture(scope="module")
def editor(folder: Path) -> Editor:
    return Editor.from_pretrained(folder, device="cpu")


@pytest.fixture
def photo() -> torch.Tensor:
    return toy_image(40)


def without(domain: Domain, **parts: Any) -> Editor:
    """The same domain with some settings changed; networks that were loaded stay."""
    changed = replace(domain, **parts)
    loaded = {"generator": domain.generator, "embedder": domain.embedder, "identity": domain.identity}
    changed.__dict__.update(loaded)
    return Editor(changed)


def test_strength_zero_changes_nothing(editor: Editor, photo: torch.Tensor) -> None:
    result = editor.edit(photo, WISH, strength=0.0)
    # In s instead of w+ the same styles are computed; float32 rounding of one affine layer.
    torch.testing.assert_close(result.image, result.inverted, atol=1e-5, rtol=0)
    assert result.record["scores"]["identity"] == pytest.approx(1, abs=1e-5)


def test_the_image_is_what_the_generator_draws_from_the_latent(editor: Editor, photo: torch.Tensor) -> None:
    result = editor.edit(photo, WISH, strength=2.0)
    assert result.latent.space == "s"
    assert torch.equal(result.image, editor.generator(result.latent).clamp(-1, 1))
    assert result.image.shape == (1, 3, 16, 16)
    assert result.source.shape == (1, 3, 16, 16)


def test_step_by_step_gives_the_same_as_the_editor(editor: Editor, photo: torch.Tensor) -> None:
    import textmorph as tm

    result = editor.edit(photo, WISH, strength=3.0, num_channels=10)
    edit = tm.GlobalDirection(num_channels=10).find(
        editor.generator, editor.embedder, neutral="a person", target=WISH,
        bank=editor.domain.bank, templates=editor.domain.sentences,
    )  # fmt: skip
    style = editor.generator.to_space(editor.invert(photo), "s")
    assert torch.equal(result.image, editor.generator(edit(style, strength=3.0)).clamp(-1, 1))


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("global", {}), ("svm", SVM), ("optimize", {"steps": 4, "patience": 2}),
        ("optimize", {"steps": 4, "precision": "bfloat16"}),
        ("optimize", {"steps": 4, "space": "w", "axes": "independent", "second_moment": "row", "latent_noise": 0.5,
                      "sideways": 0.3, "head_start": 2.0, "shrinkage": 0.3}),
    ],
)  # fmt: skip
def test_a_picture_is_made_again_bit_for_bit_from_its_png(
    editor: Editor, photo: torch.Tensor, tmp_path: Path, method: str, options: dict[str, Any]
) -> None:
    result = editor.edit(photo, WISH, method=method, also=[("smiling", 1.5)], seed=3, **options)
    result.save(tmp_path / "out.png")
    again = editor.replay(read_record(tmp_path / "out.png"))
    assert result.record["edits"][0]["values"].items() >= options.items()
    assert torch.equal(again.image, result.image)
    assert torch.equal(read_image(tmp_path / "out.png"), read_image(_saved(again, tmp_path / "again.png")))


def test_latent_optimisation_takes_the_domains_values_and_its_records_keep_their_own(
    editor: Editor, photo: torch.Tensor
) -> None:
    usual = {
        "steps": 3,
        "space": "w",
        "axes": "independent",
        "head_start": 1.0,
        "sideways": 0.5,
        "to_rgb": True,
        "identity": 0.1,
    }
    tuned = Editor(replace(editor.domain, tables={"optimize": usual}))
    result = tuned.edit(photo, WISH, method="optimize", steps=2, strength=1.0)
    told = result.record["edits"][0]
    assert told["values"].items() >= (usual | {"steps": 2}).items()  # an option goes before both
    assert told["neutral"] == "a person"
    assert torch.equal(tuned.replay(result.record).image, result.image)
    assert torch.equal(editor.replay(result.record).image, result.image)  # the record alone decides
    plain = editor.edit(photo, WISH, method="optimize", steps=2, strength=1.0)
    assert (plain.record["edits"][0]["neutral"], plain.record["edits"][0]["values"]["space"]) == (None, "w+")
    assert not torch.equal(plain.image, result.image)
    for name in (
        "sideways",
        "axes",
        "second_moment",
        "latent_noise",
        "head_start",
        "shrinkage",
    ):  # a record from before these were
        del plain.record["edits"][0]["values"][name]
    assert torch.equal(tuned.replay(plain.record).image, plain.image)
    assert tuned.plan(WISH, method="global").wish.values["space"] == "s"


@pytest.mark.parametrize("method", ["global", "svm"])
def test_a_domain_may_have_axes_moved_until_an_option_is_about_style_channels(
    editor: Editor, photo: torch.Tensor, method: str
) -> None:
    few = {"num_positives": 10, "num_negatives": 10} if method == "svm" else {}
    table = {"space": "w", "num_channels": 3, **few}
    tuned = Editor(replace(editor.domain, tables={method: table}, axis_counts=(1, 2), channel_counts=(4, 5)))
    result = tuned.edit(photo, WISH, method=method)
    told = result.record["edits"][0]
    assert (told["space"], told["values"]["space"]) == ("w+", "w")
    assert {one["num_channels"] for one in result.record["automatic"]["tried"]} == {1, 2}
    assert torch.equal(editor.replay(result.record).image, result.image)  # the record alone decides
    assert "bank" not in result.record["fingerprints"]
    assert "corpus" in result.record["fingerprints"]
    assert tuned.plan(WISH, method=method).wish.values["num_channels"] == 3
    assert tuned.plan(WISH, method=method, num_channels=2).wish.values["space"] == "w"
    for option in (
        {"threshold": 0.1},
        {"max_resolution": 8},
        {"bank": "none"},
        {"to_rgb": True},
        {"space": "s"},
        {"bank": "auto"},
    ):
        values = tuned.plan(WISH, method=method, **option).wish.values
        assert values["space"] == "s"
        assert values["num_channels"] in (None, 20)  # those of the table were axes
    channels = tuned.edit(photo, WISH, method=method, space="s").record
    assert {one["num_channels"] for one in channels["automatic"]["tried"]} == {4, 5}
    with pytest.raises(OptionError, match="max_resolution: about style channels"):
        editor.plan(WISH, method=method, space="w", max_resolution=8)
    with pytest.raises(OptionError, match="one of s, w"):
        editor.plan(WISH, method=method, space="w+")


@pytest.mark.parametrize("method", ["global", "svm"])
def test_automatic_strength_may_try_the_way_to_exemplars_too(
    editor: Editor, photo: torch.Tensor, method: str, tmp_path: Path
) -> None:
    few = {"num_positives": 10, "num_negatives": 10} if method == "svm" else {}
    table = {"space": "w", "towards": "either", "num_exemplars": 2, "num_channels": 3, **few}
    tuned = Editor(
        replace(editor.domain, tables={method: table}, axis_counts=(1, 2), strengths=(1.0, 2.0), scales=(0.5, 1.0, 1.5))
    )
    tried = tuned.edit(photo, WISH, method=method).record["automatic"]["tried"]
    assert [(one["towards"], one["num_channels"], one["strength"]) for one in tried] == [
        *(("shift", count, strength) for count in (1, 2) for strength in (1.0, 2.0)),
        *(("exemplars", None, strength) for strength in (0.5, 1.0, 1.5)),
    ]
    result = tuned.edit(photo, WISH, method=method, towards="exemplars")
    record = result.record
    assert [one["strength"] for one in record["automatic"]["tried"]] == [0.5, 1.0, 1.5]
    assert (record["automatic"]["towards"], record["automatic"]["num_channels"]) == ("exemplars", None)
    told = record["edits"][0]
    assert (told["values"]["towards"], told["space"]) == ("exemplars", "w+")
    assert told["axes"] >= 1
    assert torch.equal(editor.replay(record).image, result.image)  # the record alone decides
    chosen = tuned.edit(photo, WISH, method=method)
    assert chosen.record["edits"][0]["values"]["towards"] in ("shift", "exemplars")
    assert torch.equal(editor.replay(chosen.record).image, chosen.image)
    tuned.find(tuned.plan(WISH, method=method, towards="exemplars").wishes[0], result.latent).save(tmp_path / "e.st")
    saved = tuned.edit(photo, edits=[(tmp_path / "e.st", told["strength"])])
    assert torch.equal(saved.image, result.image)


@pytest.mark.parametrize("method", ["global", "svm"])
def test_a_fixed_strength_or_number_is_of_straight_steps(editor: Editor, photo: torch.Tensor, method: str) -> None:
    few = {"num_positives": 10, "num_negatives": 10} if method == "svm" else {}
    table = {"space": "w", "towards": "either", "num_exemplars": 12, "num_channels": 2, **few}
    tuned = Editor(replace(editor.domain, tables={method: table}, axis_counts=(1, 2)))
    straight = editor.edit(photo, WISH, method=method, space="w", num_channels=2, strength=1.5, **few)
    assert torch.equal(tuned.edit(photo, WISH, method=method, strength=1.5).image, straight.image)
    tried = tuned.edit(photo, WISH, method=method, num_channels=2).record["automatic"]["tried"]
    assert {one["towards"] for one in tried} == {"shift"}
    tried = tuned.edit(photo, WISH, method=method, num_channels="auto", strength=1.5).record["automatic"]["tried"]
    assert [(one["towards"], one["num_channels"]) for one in tried] == [("shift", 1), ("shift", 2)]
    channels = tuned.edit(photo, WISH, method=method, space="s", strength=1.0, num_channels=3, **few).record
    assert channels["edits"][0]["values"]["towards"] == "shift"


def test_automatic_strength_goes_on_where_exemplars_agree_on_nothing(
    editor: Editor, photo: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exemplars, "AGREEMENT", 1.0)
    tuned = Editor(replace(editor.domain, tables={"global": {"space": "w", "towards": "either", "num_exemplars": 12}}))
    assert {one["towards"] for one in tuned.edit(photo, WISH).record["automatic"]["tried"]} == {"shift"}
    with pytest.raises(EmptyDirectionError, match="agree on nothing"):
        tuned.edit(photo, WISH, towards="exemplars")


def test_from_a_style_code_automatic_strength_tries_straight_steps_alone(editor: Editor) -> None:
    style = editor.generator.to_space(editor.generator.sample(1, seed=4), "s")
    tuned = Editor(replace(editor.domain, tables={"global": {"space": "w", "towards": "either", "num_exemplars": 2}}))
    assert {one["towards"] for one in tuned.edit(style, WISH).record["automatic"]["tried"]} == {"shift"}
    with pytest.raises(SpaceError, match="latent in w"):
        tuned.edit(style, WISH, towards="exemplars")


def test_what_exemplars_need_is_said(editor: Editor, photo: torch.Tensor) -> None:
    with pytest.raises(OptionError, match="give space='w'"):
        editor.plan(WISH, towards="exemplars", space="s")
    with pytest.raises(OptionError, match="not 'there'"):
        editor.plan(WISH, towards="there", space="w")
    with pytest.raises(OptionError, match="2 or more, not 1"):
        editor.plan(WISH, towards="exemplars", space="w", num_exemplars=1)
    with pytest.raises(OptionError, match="need a corpus of 20000 pictures"):
        editor.edit(photo, WISH, towards="exemplars", space="w", num_exemplars=10000)


def test_a_price_on_what_else_changes_is_measured_and_told(editor: Editor, photo: torch.Tensor) -> None:
    priced = Editor(replace(editor.domain, sideways=0.5))
    automatic = priced.edit(photo, WISH).record["automatic"]
    assert automatic["sideways"] == 0.5
    assert all(one["sideways"] > 0 for one in automatic["tried"])
    plain = [one for one in automatic["tried"] if one["identity"] >= automatic["keep_identity"]]
    reachable = max(one["gain"] for one in automatic["tried"])
    plain = [one for one in plain if one["gain"] >= automatic["plain_share"] * reachable]
    if automatic["goal_met"]:
        best = max(plain, key=lambda one: one["gain"] - 0.5 * one["sideways"])
        assert automatic["strength"] == best["strength"]
    without = editor.edit(photo, WISH).record["automatic"]
    assert {one["sideways"] for one in without["tried"]} == {None}
    assert [one["gain"] for one in without["tried"]] == [one["gain"] for one in automatic["tried"]]
    same = priced.edit(photo, priced.domain.neutral, method="svm", num_positives=10, num_negatives=10).record
    assert {one["sideways"] for one in same["automatic"]["tried"]} == {None}  # there is no way between equal texts


def test_of_what_optimisation_found_a_part_is_taken_for_identity_alone(editor: Editor, photo: torch.Tensor) -> None:
    options = {"method": "optimize", "steps": 8}
    weighed = editor.edit(photo, WISH, sideways=0.3, keep_identity=-1.0, **options).record["automatic"]
    assert weighed["strength"] == 1
    assert {one["strength"] for one in weighed["tried"]} == {scale for scale in SCALES if scale <= 1}
    gentlest = editor.edit(photo, WISH, keep_identity=-1.0, **options).record["automatic"]
    tries = [one for one in gentlest["tried"] if one["gain"] >= 0.8 * max(one["gain"] for one in gentlest["tried"])]
    assert gentlest["strength"] == max(tries, key=lambda one: one["identity"])["strength"]


def test_how_far_w_is_led_astray_is_measured_and_told(editor: Editor, photo: torch.Tensor) -> None:
    options = {"space": "w", "num_channels": 2, "towards": "shift"}
    confined = Editor(replace(editor.domain, astray=0.5))
    automatic = confined.edit(photo, WISH, keep_identity=-1.0, **options).record["automatic"]
    tried = {one["strength"]: one["astray"] for one in automatic["tried"]}
    assert automatic["astray"] == 0.5
    assert min(tried.values()) <= 0.5 < max(tried.values())
    assert tried[automatic["strength"]] <= 0.5
    start = confined.open(photo)
    latent = confined.invert_source(start)
    moved = confined.edit(photo, WISH, strength=max(tried), **options).latent
    found = usual_range(confined.generator).astray(moved.value, latent.value)
    assert float(found) == pytest.approx(tried[max(tried)], abs=1e-4)
    assert all(one["astray"] is None for one in confined.edit(photo, WISH).record["automatic"]["tried"])  # in s
    assert editor.edit(photo, WISH, **options).record["automatic"]["astray"] is None


def test_how_far_the_corpus_goes_is_measured_and_told(editor: Editor, photo: torch.Tensor) -> None:
    priced = Editor(replace(editor.domain, beyond=0.5))
    automatic = priced.edit(photo, WISH).record["automatic"]
    assert automatic["beyond"] == 0.5
    wish = priced.plan(WISH).wish
    assert wish is not None
    shift = wish.shift(priced.domain, priced.embedder)
    assert shift is not None
    corpus = priced.domain.corpus
    along = [float(corpus.embedding(torch.tensor([row]))[0] @ shift) for row in range(len(corpus))]
    assert wish.farthest(priced.domain, shift) == pytest.approx(max(along))
    result = priced.edit(photo, WISH, strength=2.0)
    here = float(priced.embedder.embed_image(result.image)[0] @ shift)
    tried = next(one for one in automatic["tried"] if (one["strength"], one["num_channels"]) == (2.0, 20))
    assert tried["beyond"] == pytest.approx(max(0.0, here - max(along)), abs=1e-4)
    assert editor.edit(photo, WISH).record["automatic"]["beyond"] is None
    files = {part: name for part, name in priced.domain.files.items() if part != "corpus"}
    with pytest.raises(DomainError, match="corpus build"):
        Editor(replace(priced.domain, files=files)).edit(photo, WISH)


def test_a_grid_of_axes_may_begin_from_a_style_code(editor: Editor) -> None:
    style = editor.generator.to_space(editor.generator.sample(1, seed=4), "s")
    plan = editor.plan(WISH, strength=1.0, num_channels=2, space="w")
    made = grid(editor, plan, editor.open(style), strengths=[0.0, 1.0], channel_counts=[1, 2])
    assert torch.equal(made.frames[0], editor.render(style))
    assert not torch.equal(made.frames[1], made.frames[0])


def test_what_serves_every_edit_can_be_loaded_before(editor: Editor, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = editor.plan(WISH, strength=1.0, space="w", num_channels=2)
    plan.wishes[0].load(editor.domain)
    monkeypatch.setattr(axes, "_known", lambda *_: pytest.fail("found again"))
    editor.find(plan.wishes[0], editor.generator.sample(1, seed=0))


def test_channels_without_a_bank_are_measured_in_the_precision_asked_for(editor: Editor) -> None:
    latent = editor.generator.sample(1, seed=0)
    made = {}
    for precision in ("float32", "bfloat16"):
        wish = editor.plan(WISH, strength=1.0, bank="none", precision=precision).wishes[0]
        made[precision] = editor.find(wish, latent)
        expected = None if precision == "float32" else precision
        assert made[precision].provenance["bank"]["autocast"] == expected
    assert not torch.equal(made["float32"].vector, made["bfloat16"].vector)


def test_axes_without_a_corpus_are_refused(editor: Editor, photo: torch.Tensor) -> None:
    files = {part: name for part, name in editor.domain.files.items() if part != "corpus"}
    bare = Editor(replace(editor.domain, files=files))
    with pytest.raises(DomainError, match="corpus build"):
        bare.edit(photo, WISH, space="w")


def test_latent_optimisation_reads_a_neutral_text_only_where_it_is_measured_from_one(editor: Editor) -> None:
    with pytest.raises(OptionError, match="takes no neutral"):
        editor.plan(WISH, method="optimize", neutral="hair")
    assert editor.plan(WISH, method="optimize", neutral="hair", sideways=0.1).wish.neutral == "hair"


def test_a_domains_values_that_no_method_has_are_refused(editor: Editor) -> None:
    wrong = Editor(replace(editor.domain, tables={"optimize": {"speed": 3}}))
    with pytest.raises(DomainError, match=r"\[optimize\] has no speed"):
        wrong.plan(WISH, method="optimize")
    lonely = replace(editor.domain, tables={"optimize": {"identity": 0.1}}, files={**editor.domain.files})
    del lonely.files["identity"]
    assert Editor(lonely).plan(WISH, method="optimize").wish.values["identity"] == 0  # there is no net to ask


def _saved(result: Any, path: Path) -> Path:
    result.save(path)
    return path


def test_the_record_holds_what_the_page_promises(editor: Editor, photo: torch.Tensor) -> None:
    record = editor.edit(photo, WISH, also=[("old", -1.0)]).record
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert record["versions"]["textmorph"]
    assert record["source"]["sha256"] == tensor_sha256(photo.clamp(-1, 1))
    first, second = record["edits"]
    assert (first["prompt"], first["neutral"], first["method"]) == (WISH, "a person", "global")
    assert first["values"]["num_channels"] == record["automatic"]["num_channels"]
    assert first["strength"] == record["automatic"]["strength"]
    assert (second["prompt"], second["strength"]) == ("old", -1.0)
    assert set(record["fingerprints"]) >= {"generator", "encoder", "embedder", "identity", "witness", "bank"}
    assert record["scores"]["witness_gain"] is None  # this domain has no witness
    assert isinstance(record["scores"]["clip_gain"], float)
    assert record["automatic"]["reason"]
    assert len(record["automatic"]["tried"]) > 1


def test_the_recorded_gain_and_identity_are_those_of_the_picture(editor: Editor, photo: torch.Tensor) -> None:
    from textmorph.prompts import text_embedding

    result = editor.edit(photo, WISH, strength=4.0)
    target = text_embedding(editor.embedder, WISH, templates=editor.domain.sentences)
    gain = (editor.embedder.embed_image(result.image) - editor.embedder.embed_image(result.inverted)) @ target
    assert result.record["scores"]["clip_gain"] == pytest.approx(gain.item(), abs=1e-6)
    rows = editor.identity.embed_image(torch.cat([result.image, result.inverted]))
    assert result.record["scores"]["identity"] == pytest.approx((rows[0] @ rows[1]).item(), abs=1e-5)


def test_a_witness_judges_where_the_domain_has_one(editor: Editor, photo: torch.Tensor) -> None:
    witnessed = without(editor.domain, files={**editor.domain.files, "witness": "clip"})
    scores = witnessed.edit(photo, WISH, strength=2.0).record["scores"]
    assert scores["witness_gain"] == pytest.approx(scores["clip_gain"], abs=1e-6)  # the same CLIP once more


def test_automatic_strength_keeps_the_identity_it_is_asked_to(editor: Editor, photo: torch.Tensor) -> None:
    record = editor.edit(photo, WISH, keep_identity=0.95).record
    met = record["automatic"]["goal_met"]
    assert record["scores"]["identity"] >= 0.95 or not met
    assert met == (not any("automatic strength did not" in warning for warning in record["warnings"]))


def test_automatic_strength_searches_only_what_is_left_open(editor: Editor, photo: torch.Tensor) -> None:
    tried = editor.edit(photo, WISH, num_channels=7).record["automatic"]["tried"]
    assert {one["num_channels"] for one in tried} == {None}
    tried = editor.edit(photo, WISH, threshold=0.05).record["automatic"]["tried"]
    assert {one["num_channels"] for one in tried} == {None}
    tried = editor.edit(photo, WISH, strength=2.0, num_channels="auto").record["automatic"]["tried"]
    assert {one["strength"] for one in tried} == {2.0}
    assert len({one["num_channels"] for one in tried}) > 1
    assert editor.edit(photo, WISH, strength=2.0).record["automatic"] is None


def test_only_where_no_channel_can_be_selected_at_all_does_automatic_strength_raise(
    editor: Editor, photo: torch.Tensor
) -> None:
    with pytest.raises(EditError, match="largest relevance"):
        editor.edit(photo, WISH, threshold=1.0)


def test_domain_values_steer_the_search(editor: Editor, photo: torch.Tensor) -> None:
    steered = without(editor.domain, strengths=(1.0, 2.0), channel_counts=(5,))
    tried = steered.edit(photo, WISH).record["automatic"]["tried"]
    assert [(one["strength"], one["num_channels"]) for one in tried] == [(1.0, 5), (2.0, 5)]


def test_saved_edits_apply_and_replay_until_their_file_changes(
    editor: Editor, photo: torch.Tensor, tmp_path: Path
) -> None:
    wish = editor.plan(WISH).wish
    assert wish is not None
    edit = editor.find(wish, editor.invert(photo))
    edit.save(tmp_path / "purple.safetensors")
    result = editor.edit(photo, edits=[(tmp_path / "purple.safetensors", 1.5)])
    assert torch.equal(result.image, editor.edit(photo, WISH, strength=1.5, num_channels=20).image)
    assert torch.equal(editor.replay(result.record).image, result.image)
    (edit * 2.0).save(tmp_path / "purple.safetensors", overwrite=True)  # type: ignore[operator]
    with pytest.raises(InputError, match="has changed"):
        editor.replay(result.record)
    (tmp_path / "purple.safetensors").unlink()
    with pytest.raises(InputError, match="missing"):
        editor.replay(result.record)
    unsaved = editor.edit(photo, edits=[(edit, 1.0)])
    with pytest.raises(InputError, match="in no file"):
        editor.replay(unsaved.record)


def test_replay_refuses_other_networks_and_damaged_records(editor: Editor, photo: torch.Tensor) -> None:
    record = editor.edit(photo, WISH, strength=1.0).record
    for part in ("generator", "embedder", "bank", "templates"):
        other = record | {"fingerprints": record["fingerprints"] | {part: "0" * 16}}
        with pytest.raises(DomainError, match=part):
            editor.replay(other)
    for missing in ("input_latent", "edits", "fingerprints"):
        with pytest.raises(InputError):
            editor.replay({key: value for key, value in record.items() if key != missing})


ODD: tuple[Any, ...] = (
    None, True, -1, 0, 2**70, 10**400, 1e308, float("nan"), float("inf"), "x", "a\0b", "x" * 5000, [], [[]], [None], {},
    {"a": {}}, [1] * 3,
)  # fmt: skip


def mutants(record: Any, odd: tuple[Any, ...] = ODD) -> Iterator[Any]:
    """The record with each of its values exchanged for something odd, or left out."""
    items = record.items() if isinstance(record, dict) else enumerate(record)
    for key, value in items:
        for other in odd:
            changed = record.copy()
            changed[key] = other
            yield changed
        if isinstance(record, dict):
            yield {name: each for name, each in record.items() if name != key}
        if isinstance(value, dict | list):
            for inner in mutants(value, odd):
                changed = record.copy()
                changed[key] = inner
                yield changed


@pytest.mark.parametrize("method", ["global", "svm", "optimize", "saved", "grid"])
def test_a_record_with_an_odd_value_is_replayed_or_refused(
    editor: Editor, photo: torch.Tensor, tmp_path: Path, method: str
) -> None:
    again: Callable[[Editor, Any], Any] = Editor.replay
    if method == "saved":
        editor.find(editor.plan(WISH, num_channels=3).wish, editor.invert(photo)).save(tmp_path / "edit.safetensors")
        record = editor.edit(photo, edits=[(tmp_path / "edit.safetensors", 1.0)]).record
    elif method == "grid":
        plan = editor.plan(WISH, strength=1.0, num_channels=3)
        record = grid(editor, plan, editor.open(photo), strengths=[0, 1], channel_counts=[1, 2]).record
        again = replay
    else:
        options = {"svm": SVM, "optimize": {"steps": 1}}.get(method, {})
        record = editor.edit(photo, WISH, strength=1.0, method=method, **options).record
    names = {"input_latent", "edits", "channel_counts", "strengths"} & record.keys()
    replayed = {name: record[name] for name in names}
    for mutant in mutants(replayed):
        with contextlib.suppress(TextmorphError):
            again(editor, record | dict.fromkeys(replayed) | mutant)


def test_a_latent_can_be_edited_in_place_of_a_photo(editor: Editor, photo: torch.Tensor, tmp_path: Path) -> None:
    latent = editor.invert(photo)
    latent.save(tmp_path / "me.safetensors")
    expected = editor.edit(photo, WISH, strength=2.0).image
    assert torch.equal(editor.edit(latent, WISH, strength=2.0).image, expected)
    result = editor.edit(tmp_path / "me.safetensors", WISH, strength=2.0)
    assert torch.equal(result.image, expected)
    assert result.record["scores"]["reconstruction_distance"] is None
    with pytest.raises(OptionError, match="refine"):
        editor.invert_source(editor.open(photo), refine=-1)
    with pytest.raises(LatentError, match="one latent"):
        editor.edit(Latent.cat([latent, latent]), WISH)
    with pytest.raises(LatentError):
        editor.edit(Latent(torch.zeros(1, 3), "w"), WISH)


def test_photos_are_inverted_in_a_batch_as_one_by_one(editor: Editor) -> None:
    sources = [editor.open(toy_image(20 + i, seed=i)) for i in range(3)]
    whole = editor.invert_sources(sources)
    for source, latent in zip(sources, whole, strict=True):
        # Convolutions of a batch round differently: 1e-4 of values of about 1.
        torch.testing.assert_close(latent.value, editor.invert_source(source).value, atol=1e-4, rtol=1e-4)


def test_refinement_brings_the_inversion_closer(editor: Editor, photo: torch.Tensor) -> None:
    plain, refined = (editor.edit(photo, WISH, strength=0.0, refine=refine) for refine in (0, 40))
    key = "reconstruction_distance"
    assert refined.record["scores"][key] < plain.record["scores"][key]


def test_without_an_encoder_refinement_alone_inverts(editor: Editor, photo: torch.Tensor) -> None:
    bare = without(editor.domain, files={k: v for k, v in editor.domain.files.items() if k != "encoder"})
    with pytest.raises(DomainError, match="no encoder"):
        bare.invert(photo)
    assert bare.invert(photo, refine=2).space == "w+"


def test_a_picture_far_from_the_domain_is_done_with_a_warning(editor: Editor, photo: torch.Tensor) -> None:
    strict = without(editor.domain, far_distance=0.0)
    assert any("far from what the domain" in text for text in strict.edit(photo, WISH, strength=1.0).warnings)
    lax = without(editor.domain, far_distance=1.0)
    assert not lax.edit(photo, WISH, strength=1.0).warnings


def test_unknown_words_are_named_once_each(editor: Editor, photo: torch.Tensor) -> None:
    warnings = editor.edit(photo, "gandalf the person", strength=1.0, also=[("gandalf smiling", 1.0)]).warnings
    assert warnings == ["'gandalf' is not a word this small model knows"]


def test_without_an_identity_net_the_figures_are_none_and_the_search_says_so(
    editor: Editor, photo: torch.Tensor
) -> None:
    bare = without(editor.domain)
    bare.domain.__dict__["identity"] = None
    record = bare.edit(photo, WISH).record
    assert record["scores"]["identity"] is None
    assert "no identity net" in record["automatic"]["reason"]


@pytest.mark.parametrize("prompt", ["", "   ", "x" * 5000, "a\x00b"])
def test_prompts_that_say_nothing_or_too_much_are_refused(editor: Editor, photo: torch.Tensor, prompt: str) -> None:
    with pytest.raises(PromptError):
        editor.edit(photo, prompt)


def test_a_neutral_text_that_says_the_same_is_refused(editor: Editor, photo: torch.Tensor) -> None:
    with pytest.raises(PromptError, match="both"):
        editor.edit(photo, "purple hair", neutral="Purple hair")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "magic"}, "no method 'magic'"),
        ({"steps": 5}, "steps does not belong to the method 'global'"),
        ({"method": "svm", "neutral": "hair"}, "takes no neutral"),
        ({"method": "optimize", "num_channels": 5}, "num_channels does not belong"),
        ({"method": "optimize", "num_channels": "auto"}, "num_channels='auto' needs"),
        ({"threshold": 0.1, "num_channels": 5}, "one of num_channels and threshold"),
        ({"strength": "much"}, "strength is 'auto' or a number"),
        ({"strength": float("nan")}, "strength is 'auto' or a number"),
        ({"strength": 2.0, "keep_identity": 0.5}, "keep_identity steers"),
        ({"keep_identity": 3}, "keep_identity is a cosine"),
        ({"refine": -1}, "refine"),
        ({"also": [("old", float("inf"))]}, "a strength is a number"),
        ({"relevance": "vague"}, "relevance is"),
    ],
)
def test_options_that_make_no_sense_are_refused_before_any_work(
    editor: Editor, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(OptionError, match=message):
        editor.plan(WISH, **options)


def test_nothing_to_do_is_an_error(editor: Editor, photo: torch.Tensor) -> None:
    with pytest.raises(OptionError, match="nothing to do"):
        editor.edit(photo)


def test_without_a_corpus_the_command_that_builds_it_is_named(folder: Path, photo: torch.Tensor) -> None:
    domain = load_domain(folder)
    bare = without(domain, files={name: file for name, file in domain.files.items() if name != "corpus"})
    with pytest.raises(DomainError, match="textmorph corpus build"):
        bare.edit(photo, WISH, method="svm", strength=1.0)


@pytest.fixture
def screens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing known of any network, and screenings that take no time."""
    from textmorph.banks.gradients import Screening

    small = Screening(num_samples=4, sketch=4, num_directions=2, num_differences=2)
    monkeypatch.setattr("textmorph.banks.bank_choice.PRESETS", {"none": small, "screen": small})
    monkeypatch.setattr("textmorph.banks.bank_choice._SCREENS", {})
    monkeypatch.setattr("textmorph.banks.bank._BANKS", {})


@pytest.mark.usefixtures("screens")
def test_without_a_bank_an_edit_asks_the_generator_and_replays(folder: Path, photo: torch.Tensor) -> None:
    domain = load_domain(folder)
    bare = without(domain, files={name: file for name, file in domain.files.items() if name != "bank"})
    result = bare.edit(photo, WISH, strength=2.0, num_channels=5)
    (told,) = result.record["edits"]
    assert told["values"]["bank"] == "none"  # what `auto` came to
    assert told["channels"] == 5
    assert "bank" not in result.record["fingerprints"]
    assert torch.equal(bare.replay(result.record).image, result.image)
    with_bank = Editor(domain)
    assert torch.equal(with_bank.edit(photo, WISH, strength=2.0, num_channels=5, bank="none").image, result.image)
    assert torch.equal(with_bank.replay(result.record).image, result.image)  # though there is a bank now


@pytest.mark.usefixtures("screens")
@pytest.mark.parametrize("choice", ["screen", "none", "build", "auto"])
def test_every_choice_of_a_bank_edits(editor: Editor, photo: torch.Tensor, choice: str) -> None:
    result = editor.edit(photo, WISH, strength=2.0, num_channels=5, bank=choice)
    assert result.record["request"]["wish"]["values"]["bank"] == choice
    assert ("bank" in result.record["fingerprints"]) == (choice in ("build", "auto"))
    line = editor.plan(WISH, bank=choice).wish.preparation(editor.domain)
    assert (line is None) == (choice in ("build", "auto"))
    with pytest.raises(OptionError, match="auto, build, screen, none"):
        editor.plan(WISH, bank="loud")


@pytest.mark.parametrize("method", ["global", "svm", "optimize"])
def test_the_domain_says_whether_colours_move_and_an_option_goes_before_it(editor: Editor, method: str) -> None:
    for said in (False, True):
        domain = without(editor.domain, to_rgb=said).domain
        assert make_wish(domain, WISH, method=method).values["to_rgb"] is said
        for given in (False, True):
            assert make_wish(domain, WISH, method=method, options={"to_rgb": given}).values["to_rgb"] is given
    assert method_class(method)().to_rgb is False


@pytest.mark.usefixtures("screens")
@pytest.mark.parametrize("choice", ["none", "screen", "build"])
def test_without_a_bank_channels_are_measured_as_the_domain_says(
    folder: Path, photo: torch.Tensor, choice: str
) -> None:
    domain = load_domain(folder)
    files = {name: file for name, file in domain.files.items() if name != "bank"}
    bare = without(domain, files=files, truncation=0.9, to_rgb=True)
    result = bare.edit(photo, WISH, strength=2.0, num_channels=400, bank=choice)
    (told,) = result.record["edits"]
    assert told["values"]["to_rgb"] is True
    edit = bare.find(bare.recorded_wish(told), result.latent)
    assert (edit.provenance["bank"]["truncation"], edit.provenance["bank"]["to_rgb"]) == (0.9, True)
    assert edit.vector[bare.generator.style_layout.mask(to_rgb=True) & ~bare.generator.style_layout.mask()].any()
    assert torch.equal(bare.replay(result.record).image, result.image)
    plain = bare.edit(photo, WISH, strength=2.0, num_channels=400, bank=choice, to_rgb=False)
    assert not torch.equal(plain.image, result.image)
    assert torch.equal(bare.replay(plain.record).image, plain.image)
    usual = without(domain, files=files).plan(WISH, strength=2.0, num_channels=5, bank=choice).wish
    assert usual.inputs(without(domain, files=files).domain)["truncation"] is None


def test_a_bank_without_the_colours_serves_what_it_covers_and_says_how_to_get_them(
    editor: Editor, photo: torch.Tensor
) -> None:
    colourful = without(editor.domain, to_rgb=True, truncation=1.0)
    with pytest.raises(BankMismatchError, match=r"bank build --max-resolution 128 --to-rgb .*--no-to-rgb"):
        colourful.edit(photo, WISH, strength=2.0, num_channels=5)
    one = colourful.edit(photo, WISH, strength=2.0, num_channels=5, to_rgb=False)
    assert torch.equal(one.image, editor.edit(photo, WISH, strength=2.0, num_channels=5).image)


def test_samples_are_as_varied_as_the_domain_says(editor: Editor) -> None:
    def told(editor: Editor, **options: float) -> float:
        (result,) = sample(editor, 1, seed=5, **options)
        psi = result.record["request"]["sample"]["truncation"]
        drawn = editor.generator.sample(1, seed=5, truncation=psi)
        assert torch.equal(result.image, editor.render(editor.generator.to_space(drawn, "w+")))
        return psi

    assert told(editor) == 0.7
    full = without(editor.domain, truncation=1.0)
    assert told(full) == 1.0
    assert told(full, truncation=0.5) == 0.5
    mean = without(editor.domain, truncation=0.0)
    assert torch.equal(sample(mean, 1, seed=1)[0].image, sample(mean, 1, seed=2)[0].image)


def test_a_photo_may_come_in_many_forms(editor: Editor, tmp_path: Path) -> None:
    import numpy as np
    from PIL import Image

    pixels = (np.random.default_rng(0).uniform(size=(30, 40, 3)) * 255).astype(np.uint8)
    path = tmp_path / "photo.png"
    Image.fromarray(pixels).save(path)
    forms = [path, str(path), path.read_bytes(), Image.fromarray(pixels), pixels, read_image(path)]
    images = [editor.open(form).image for form in forms]
    assert all(torch.equal(image, images[0]) for image in images)
    assert editor.open(path).about == {
        "name": "photo.png", "of": "file", "sha256": editor.open(path).about["sha256"], "width": 40, "height": 30,
        "crop": {"left": 5, "top": 0, "side": 30, "by": "middle"},
    }  # fmt: skip


def test_a_photo_too_large_to_be_of_use_is_shrunk_and_cropped_in_its_own_pixels(
    editor: Editor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_image(resize(toy_image(8), (120, 160)).clamp(-1, 1), tmp_path / "a.png")
    whole = {crop: editor.open(tmp_path / "a.png", crop=crop) for crop in ("middle", (40, 10, 100))}
    monkeypatch.setattr(photos, "MAX_SIDE", 80)
    for crop, source in whole.items():
        shrunk = editor.open(tmp_path / "a.png", crop=crop)
        assert shrunk.about == source.about
        assert (shrunk.image - source.image).abs().mean() < 0.05
    with pytest.raises(ImageError, match="160 × 120"):
        editor.open(tmp_path / "a.png", crop=(100, 0, 100))


def test_tensors_that_are_no_picture_are_refused(editor: Editor) -> None:
    for bad in (torch.zeros(2, 3, 8, 8), torch.zeros(1, 4, 8, 8), torch.full((1, 3, 8, 8), float("nan"))):
        with pytest.raises(InputError):
            editor.open(bad)


def test_a_grid_draws_what_edit_draws_and_replays(editor: Editor, photo: torch.Tensor) -> None:
    plan = editor.plan(WISH, strength=1.0, num_channels=5)
    series = grid(editor, plan, editor.open(photo), strengths=[-1.0, 2.0], channel_counts=[5, 9])
    assert len(series.frames) == 4
    assert torch.equal(series.frames[3], editor.edit(photo, WISH, strength=2.0, num_channels=9).image)
    again = replay(editor, json.loads(json.dumps(series.record)))
    assert all(torch.equal(one, other) for one, other in zip(series.frames, again.frames, strict=True))
    assert series.sheet().size == again.sheet().size


def test_a_sweep_begins_at_the_inversion_and_ends_at_the_edit(editor: Editor, photo: torch.Tensor) -> None:
    plan = editor.plan(WISH, strength=4.0)
    series = sweep(editor, plan, editor.open(photo), strengths=[0.0, 2.0, 4.0])
    torch.testing.assert_close(series.frames[0], editor.render(editor.invert(photo)), atol=1e-5, rtol=0)
    assert torch.equal(series.frames[2], editor.edit(photo, WISH, strength=4.0).image)


def test_samples_depend_on_the_seed_and_their_place_alone(editor: Editor) -> None:
    three, two = sample(editor, 3, seed=5), sample(editor, 2, seed=5)
    assert torch.equal(three[1].image, two[1].image)
    assert not torch.equal(three[0].image, sample(editor, 1, seed=6)[0].image)
    assert torch.equal(editor.replay(three[2].record).image, three[2].image)


def test_samples_from_a_text_differ_and_gain_on_it(editor: Editor) -> None:
    from textmorph.prompts import text_embedding

    results = sample(editor, 2, prompt=WISH, steps=20)
    assert not torch.equal(results[0].image, results[1].image)
    target = text_embedding(editor.embedder, WISH, templates=editor.domain.sentences)
    mean = editor.render(Latent(editor.generator.mean_w[None], "w"))
    gain = (editor.embedder.embed_image(results[0].image) - editor.embedder.embed_image(mean)) @ target
    assert gain.item() > 0
    with pytest.raises(OptionError, match="steps"):
        sample(editor, 1, steps=3)


def test_a_jpeg_has_its_record_beside_it(editor: Editor, photo: torch.Tensor, tmp_path: Path) -> None:
    result = editor.edit(photo, WISH, strength=1.0)
    result.save(tmp_path / "a.jpg")
    assert read_record(tmp_path / "a.jpg") == result.record


def test_a_finished_picture_is_known_by_its_record(editor: Editor, photo: torch.Tensor, tmp_path: Path) -> None:
    write_image(photo, tmp_path / "a.png")
    write_image(toy_image(40, seed=9), tmp_path / "b.png")
    plan, source = editor.plan(WISH, strength=1.0), editor.open(tmp_path / "a.png")
    record = json.loads(json.dumps(editor.carry_out(plan, source).record))
    assert editor.is_done(record, plan, source)
    assert not editor.is_done(record, editor.plan(WISH, strength=2.0), source)
    assert not editor.is_done(record, plan, editor.open(tmp_path / "b.png"))
    assert not editor.is_done({}, plan, source)


def test_a_record_is_replayed_with_its_own_number_of_threads(editor: Editor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums in another order round otherwise, and a rounded pixel is another picture."""
    result = editor.edit(editor.generator.sample(1, seed=0), "a person with a hat", strength=1.0)
    assert result.record["threads"] == torch.get_num_threads()
    seen: list[int] = []
    render = editor.render
    monkeypatch.setattr(
        editor, "render", lambda *given, **more: [seen.append(torch.get_num_threads()), render(*given, **more)][1]
    )
    before = torch.get_num_threads()
    other = before % 2 + 1
    editor.replay({**result.record, "threads": other})
    assert set(seen) == {other}
    assert torch.get_num_threads() == before
    for unsaid in (None, 0, "two", True):  # older records, and damaged ones
        editor.replay({**result.record, "threads": unsaid})
