"""The editor: photo and requests in, picture and record out."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import textmorph as tm
from textmorph import read_image
from textmorph.editing import photos
from textmorph.editing.domain import Domain, load_domain
from textmorph.editing.editor import Editor
from textmorph.editing.grids import grid, morph, replay, sample
from textmorph.editing.record import read_record, tensor_sha256
from textmorph.editing.strength import StrengthSearch
from textmorph.errors import (
    DomainError,
    EditError,
    ImageError,
    InputError,
    LatentError,
    OptionError,
    PromptError,
    TextmorphError,
)
from textmorph.images import resize, write_image
from textmorph.latents import Latent

from ..toy_domain import write_toy_domain
from ..toys import toy_image

TEXT = "a person with purple hair"
METHODS = {
    "global": tm.GlobalDirection(),
    "svm": tm.SvmDirection(num_positives=8, num_negatives=8),
    "optimize": tm.LatentOptimization(steps=4),
}


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
    result = editor.edit(photo, TEXT, strength=0.0)
    # In s instead of w+ the same styles are computed; float32 rounding of one affine layer.
    torch.testing.assert_close(result.image, result.inverted, atol=1e-5, rtol=0)
    assert result.record["scores"]["identity"] == pytest.approx(1, abs=1e-5)


def test_the_image_is_what_the_generator_draws_from_the_latent(editor: Editor, photo: torch.Tensor) -> None:
    result = editor.edit(photo, TEXT, strength=2.0)
    assert result.latent.space == "s"
    assert torch.equal(result.image, editor.generator(result.latent).clamp(-1, 1))
    assert result.image.shape == (1, 3, 16, 16)
    assert result.source.shape == (1, 3, 16, 16)


@pytest.mark.parametrize("method", ["global", tm.GlobalDirection(threshold=0.05), tm.GlobalDirection(num_channels=10)])
def test_step_by_step_gives_the_same_as_the_editor(editor: Editor, photo: torch.Tensor, method: Any) -> None:
    result = editor.edit(photo, TEXT, method=method, strength=3.0)
    edit = (tm.GlobalDirection() if method == "global" else method).find(
        editor.generator, editor.embedder, neutral="a person", target=TEXT,
        bank=editor.bank, templates=editor.domain.sentences,
    )  # fmt: skip
    style = editor.generator.to_space(editor.invert(photo), "s")
    assert torch.equal(result.image, editor.generator(edit(style, strength=3.0)).clamp(-1, 1))


@pytest.mark.parametrize("method", [*METHODS.values(), tm.LatentOptimization(steps=4, precision="bfloat16")])
def test_a_picture_is_made_again_bit_for_bit_from_its_png(
    editor: Editor, photo: torch.Tensor, tmp_path: Path, method: Any
) -> None:
    result = editor.edit(photo, [TEXT, ("smiling", 1.5)], method=method, seed=3)
    result.save(tmp_path / "out.png")
    again = editor.replay(read_record(tmp_path / "out.png"))
    assert torch.equal(again.image, result.image)
    assert torch.equal(read_image(tmp_path / "out.png"), read_image(_saved(again, tmp_path / "again.png")))


def test_a_record_alone_decides_whatever_the_domain_is_tuned_to(editor: Editor, photo: torch.Tensor) -> None:
    tuned = Editor(replace(editor.domain, tables={"global": {"num_channels": 4, "relevance": "consistent"}}))
    result = tuned.edit(photo, TEXT, strength=2.0)
    assert result.record["edits"][0]["channels"] == 4
    assert torch.equal(editor.replay(result.record).image, result.image)
    plain = editor.edit(photo, TEXT, strength=2.0)
    assert not torch.equal(plain.image, result.image)
    assert torch.equal(tuned.replay(plain.record).image, plain.image)


def test_several_automatic_requests_are_settled_one_after_the_other(editor: Editor, photo: torch.Tensor) -> None:
    search = StrengthSearch(strengths=(1.0, 2.0, 4.0), num_channels=(5,))
    result = editor.edit(photo, [TEXT, ("old", -1.0), "smiling"], strength=search)
    first, fixed, second = result.record["edits"]
    assert fixed["automatic"] is None
    latent = editor.invert(photo)
    asked = editor.check([TEXT, ("old", -1.0), "smiling"], strength=search)
    old = editor.settle(asked.items[1], latent, search=search)
    one = editor.settle(asked.items[0], latent, search=search, others=[old])
    two = editor.settle(asked.items[2], latent, search=search, others=[one, old])
    assert (first["automatic"], second["automatic"]) == (one.json["automatic"], two.json["automatic"])
    assert (first["strength"], second["strength"]) == (one.strength, two.strength)


def test_an_edit_that_is_whole_is_tried_at_scales_around_one(editor: Editor, photo: torch.Tensor) -> None:
    search = StrengthSearch(scales=(0.5, 1.0))
    tried = editor.edit(photo, TEXT, method=METHODS["optimize"], strength=search).record["edits"][0]["automatic"][
        "tried"
    ]
    assert [one["strength"] for one in tried] == [0.5, 1.0]


def _saved(result: Any, path: Path) -> Path:
    result.save(path)
    return path


def test_the_record_holds_what_the_page_promises(editor: Editor, photo: torch.Tensor) -> None:
    record = editor.edit(photo, [TEXT, ("old", -1.0)]).record
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert record["versions"]["textmorph"]
    assert record["source"]["sha256"] == tensor_sha256(photo.clamp(-1, 1))
    first, second = record["edits"]
    automatic = first["automatic"]
    assert (first["prompt"], first["neutral"], first["method"]) == (TEXT, "a person", "global")
    assert first["values"]["num_channels"] == automatic["num_channels"]
    assert (second["prompt"], second["strength"]) == ("old", -1.0)
    assert set(record["fingerprints"]) >= {"generator", "encoder", "embedder", "identity", "witness", "bank"}
    assert record["fingerprints"]["bank"]
    assert record["scores"]["witness_gain"] is None  # this domain has no witness
    assert isinstance(record["scores"]["clip_gain"], float)
    assert automatic["reason"]
    assert len(automatic["tried"]) > 1


def test_the_recorded_gain_and_identity_are_those_of_the_picture(editor: Editor, photo: torch.Tensor) -> None:
    from textmorph.prompts import text_embedding

    result = editor.edit(photo, TEXT, strength=4.0)
    target = text_embedding(editor.embedder, TEXT, templates=editor.domain.sentences)
    gain = (editor.embedder.embed_image(result.image) - editor.embedder.embed_image(result.inverted)) @ target
    assert result.record["scores"]["clip_gain"] == pytest.approx(gain.item(), abs=1e-6)
    rows = editor.identity.embed_image(torch.cat([result.image, result.inverted]))
    assert result.record["scores"]["identity"] == pytest.approx((rows[0] @ rows[1]).item(), abs=1e-5)


def test_a_witness_judges_where_the_domain_has_one(editor: Editor, photo: torch.Tensor) -> None:
    witnessed = without(editor.domain, files={**editor.domain.files, "witness": "clip"})
    scores = witnessed.edit(photo, TEXT, strength=2.0).record["scores"]
    assert scores["witness_gain"] == pytest.approx(scores["clip_gain"], abs=1e-6)  # the same CLIP once more


def test_automatic_strength_keeps_the_identity_it_is_asked_to(editor: Editor, photo: torch.Tensor) -> None:
    record = editor.edit(photo, TEXT, strength=StrengthSearch(keep_identity=0.95)).record
    met = record["edits"][0]["automatic"]["goal_met"]
    assert record["scores"]["identity"] >= 0.95 or not met
    assert met == (not any("automatic strength did not" in warning for warning in record["warnings"]))


def test_automatic_strength_searches_only_what_is_left_open(editor: Editor, photo: torch.Tensor) -> None:
    for method in (tm.GlobalDirection(num_channels=7), tm.GlobalDirection(threshold=0.05)):
        tried = editor.edit(photo, TEXT, method=method).record["edits"][0]["automatic"]["tried"]
        assert {one["num_channels"] for one in tried} == {None}
    assert editor.edit(photo, TEXT, strength=2.0).record["edits"][0]["automatic"] is None


def test_only_where_no_channel_can_be_selected_at_all_does_automatic_strength_raise(
    editor: Editor, photo: torch.Tensor
) -> None:
    with pytest.raises(EditError, match="largest relevance"):
        editor.edit(photo, TEXT, method=tm.GlobalDirection(threshold=1.0))


def test_domain_values_steer_the_search(editor: Editor, photo: torch.Tensor) -> None:
    steered = without(editor.domain, tables={"strength": {"strengths": [1.0, 2.0], "num_channels": [5]}})
    tried = steered.edit(photo, TEXT).record["edits"][0]["automatic"]["tried"]
    assert [(one["strength"], one["num_channels"]) for one in tried] == [(1.0, 5), (2.0, 5)]


def test_saved_edits_apply_and_replay_until_their_file_changes(
    editor: Editor, photo: torch.Tensor, tmp_path: Path
) -> None:
    edit = editor.find(editor.check(TEXT).main, editor.invert(photo))
    edit.save(tmp_path / "purple.safetensors")
    result = editor.edit(photo, (tmp_path / "purple.safetensors", 1.5))
    assert torch.equal(result.image, editor.edit(photo, TEXT, strength=1.5).image)
    assert torch.equal(editor.replay(result.record).image, result.image)
    (edit * 2.0).save(tmp_path / "purple.safetensors", overwrite=True)  # type: ignore[operator]
    with pytest.raises(InputError, match="has changed"):
        editor.replay(result.record)
    (tmp_path / "purple.safetensors").unlink()
    with pytest.raises(InputError, match="missing"):
        editor.replay(result.record)
    unsaved = editor.edit(photo, (edit, 1.0))
    with pytest.raises(InputError, match="in no file"):
        editor.replay(unsaved.record)


def test_replay_refuses_other_networks_and_damaged_records(editor: Editor, photo: torch.Tensor) -> None:
    record = editor.edit(photo, TEXT, strength=1.0).record
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
        edit = editor.find(editor.check(TEXT).main, editor.invert(photo))
        edit.save(tmp_path / "edit.safetensors")
        record = editor.edit(photo, (tmp_path / "edit.safetensors", 1.0)).record
    elif method == "grid":
        record = grid(editor, editor.check(TEXT), editor.open(photo), strengths=[0, 1], num_channels=[1, 2]).record
        again = replay
    else:
        record = editor.edit(photo, TEXT, strength=1.0, method=METHODS[method]).record
    names = {"input_latent", "edits", "num_channels", "strengths"} & record.keys()
    replayed = {name: record[name] for name in names}
    for mutant in mutants(replayed):
        with contextlib.suppress(TextmorphError):
            again(editor, record | dict.fromkeys(replayed) | mutant)


def test_a_latent_can_be_edited_in_place_of_a_photo(editor: Editor, photo: torch.Tensor, tmp_path: Path) -> None:
    latent = editor.invert(photo)
    latent.save(tmp_path / "me.safetensors")
    expected = editor.edit(photo, TEXT, strength=2.0).image
    assert torch.equal(editor.edit(latent, TEXT, strength=2.0).image, expected)
    result = editor.edit(tmp_path / "me.safetensors", TEXT, strength=2.0)
    assert torch.equal(result.image, expected)
    assert result.record["scores"]["reconstruction_distance"] is None
    with pytest.raises(OptionError, match="refine"):
        editor.invert(photo, refine=-1)
    with pytest.raises(LatentError, match="one latent"):
        editor.edit(Latent.cat([latent, latent]), TEXT)
    with pytest.raises(LatentError):
        editor.edit(Latent(torch.zeros(1, 3), "w"), TEXT)


def test_photos_are_inverted_in_a_batch_as_one_by_one(editor: Editor) -> None:
    opened = [editor.open(toy_image(20 + i, seed=i)) for i in range(3)]
    for one, batched in zip(opened, editor.invert_photos(opened), strict=True):
        # Convolutions of a batch round differently: 1e-4 of values of about 1.
        torch.testing.assert_close(batched.latent.value, editor.invert(one).value, atol=1e-4, rtol=1e-4)


def test_refinement_brings_the_inversion_closer(editor: Editor, photo: torch.Tensor) -> None:
    plain, refined = (editor.edit(photo, TEXT, strength=0.0, refine=refine) for refine in (0, 40))
    key = "reconstruction_distance"
    assert refined.record["scores"][key] < plain.record["scores"][key]


def test_without_an_encoder_refinement_alone_inverts(editor: Editor, photo: torch.Tensor) -> None:
    bare = without(editor.domain, files={k: v for k, v in editor.domain.files.items() if k != "encoder"})
    with pytest.raises(DomainError, match="no encoder"):
        bare.invert(photo)
    assert bare.invert(photo, refine=2).space == "w+"


def test_a_picture_far_from_the_domain_is_done_with_a_warning(editor: Editor, photo: torch.Tensor) -> None:
    strict = without(editor.domain, far_distance=0.0)
    assert any("far from what the domain" in text for text in strict.edit(photo, TEXT, strength=1.0).warnings)
    lax = without(editor.domain, far_distance=1.0)
    assert not lax.edit(photo, TEXT, strength=1.0).warnings


def test_unknown_words_are_named_once_each(editor: Editor, photo: torch.Tensor) -> None:
    warnings = editor.edit(photo, ["gandalf with purple hair", "gandalf smiling"], strength=1.0).warnings
    assert warnings == ["'gandalf' is not a word this small model knows"]


def test_a_text_of_unknown_words_changes_no_picture(editor: Editor, photo: torch.Tensor) -> None:
    with pytest.raises(PromptError, match="zombie"):
        editor.edit(photo, "a zombie", strength=1.0)


def test_without_an_identity_net_the_figures_are_none_and_the_search_says_so(
    editor: Editor, photo: torch.Tensor
) -> None:
    bare = without(editor.domain)
    bare.domain.__dict__["identity"] = None
    record = bare.edit(photo, TEXT).record
    assert record["scores"]["identity"] is None
    assert "no identity net" in record["edits"][0]["automatic"]["reason"]


def test_a_neutral_text_that_says_the_same_is_refused(editor: Editor, photo: torch.Tensor) -> None:
    with pytest.raises(PromptError, match="both"):
        editor.edit(photo, "purple hair", neutral="Purple hair")


def test_without_a_corpus_the_command_that_builds_it_is_named(folder: Path, photo: torch.Tensor) -> None:
    domain = load_domain(folder)
    bare = without(domain, files={name: file for name, file in domain.files.items() if name != "corpus"})
    with pytest.raises(DomainError, match="textmorph corpus build"):
        bare.edit(photo, TEXT, method="svm", strength=1.0)


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
        "frame": {"map": [30.0, 0.0, 5.0, 0.0, 30.0, 0.0], "by": "middle"},
    }  # fmt: skip


def test_a_photo_too_large_to_be_of_use_is_shrunk_and_framed_in_its_own_pixels(
    editor: Editor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_image(resize(toy_image(8), (120, 160)).clamp(-1, 1), tmp_path / "a.png")
    whole = {frame: editor.open(tmp_path / "a.png", frame=frame) for frame in ("middle", (40, 10, 100))}
    monkeypatch.setattr(photos, "MAX_SIDE", 80)
    for frame, source in whole.items():
        shrunk = editor.open(tmp_path / "a.png", frame=frame)
        assert shrunk.about == source.about
        assert (shrunk.image - source.image).abs().mean() < 0.05
    with pytest.raises(ImageError, match="160 × 120"):
        editor.open(tmp_path / "a.png", frame=(100, 0, 100))


def test_tensors_that_are_no_picture_are_refused(editor: Editor) -> None:
    for bad in (torch.zeros(2, 3, 8, 8), torch.zeros(1, 4, 8, 8), torch.full((1, 3, 8, 8), float("nan"))):
        with pytest.raises(InputError):
            editor.open(bad)


def test_a_grid_draws_what_edit_draws_and_replays(editor: Editor, photo: torch.Tensor) -> None:
    series = grid(editor, editor.check(TEXT), editor.open(photo), strengths=[-1.0, 2.0], num_channels=[5, 9])
    assert len(series.frames) == 4
    assert torch.equal(
        series.frames[3], editor.edit(photo, TEXT, strength=2.0, method=tm.GlobalDirection(num_channels=9)).image
    )
    again = replay(editor, json.loads(json.dumps(series.record)))
    assert all(torch.equal(one, other) for one, other in zip(series.frames, again.frames, strict=True))
    assert series.sheet().size == again.sheet().size


def test_a_morph_begins_at_the_inversion_and_ends_at_the_edit(editor: Editor, photo: torch.Tensor) -> None:
    series = morph(editor, editor.check(TEXT), editor.open(photo), strengths=[0.0, 2.0, 4.0])
    torch.testing.assert_close(series.frames[0], editor.render(editor.invert(photo)), atol=1e-5, rtol=0)
    assert torch.equal(series.frames[2], editor.edit(photo, TEXT, strength=4.0).image)


def test_samples_depend_on_the_seed_and_their_place_alone(editor: Editor) -> None:
    three, two = sample(editor, 3, seed=5), sample(editor, 2, seed=5)
    assert torch.equal(three[1].image, two[1].image)
    assert not torch.equal(three[0].image, sample(editor, 1, seed=6)[0].image)
    assert torch.equal(editor.replay(three[2].record).image, three[2].image)


def test_samples_from_a_text_differ_and_gain_on_it(editor: Editor) -> None:
    from textmorph.prompts import text_embedding

    results = editor.sample(2, prompt=TEXT, method=tm.LatentOptimization(steps=20))
    assert not torch.equal(results[0].image, results[1].image)
    target = text_embedding(editor.embedder, TEXT, templates=editor.domain.sentences)
    mean = editor.render(Latent(editor.generator.mean_w[None], "w"))
    gain = (editor.embedder.embed_image(results[0].image) - editor.embedder.embed_image(mean)) @ target
    assert gain.item() > 0
    with pytest.raises(OptionError, match="towards a text"):
        sample(editor, 1, method=tm.LatentOptimization())
    with pytest.raises(OptionError, match="draws no new pictures"):
        sample(editor, 1, prompt=TEXT, method=tm.GlobalDirection())


def test_a_jpeg_has_its_record_beside_it(editor: Editor, photo: torch.Tensor, tmp_path: Path) -> None:
    result = editor.edit(photo, TEXT, strength=1.0)
    result.save(tmp_path / "a.jpg")
    assert read_record(tmp_path / "a.jpg") == result.record


def test_a_finished_picture_is_known_by_its_record(editor: Editor, photo: torch.Tensor, tmp_path: Path) -> None:
    write_image(photo, tmp_path / "a.png")
    write_image(toy_image(40, seed=9), tmp_path / "b.png")
    requests, source = editor.check(TEXT, strength=1.0), editor.open(tmp_path / "a.png")
    record = json.loads(json.dumps(editor.edit(source, requests).record))
    assert editor.is_done(record, requests, source)
    assert not editor.is_done(record, editor.check(TEXT, strength=2.0), source)
    assert not editor.is_done(record, requests, editor.open(tmp_path / "b.png"))
    assert not editor.is_done({}, requests, source)


def test_checked_requests_take_no_second_options(editor: Editor, photo: torch.Tensor) -> None:
    with pytest.raises(OptionError, match="strength: these requests were checked"):
        editor.edit(photo, editor.check(TEXT), strength=2.0)


def test_a_record_never_makes_a_bank(tmp_path: Path, photo: torch.Tensor) -> None:
    bare = Editor(load_domain(write_toy_domain(tmp_path / "toy", bank=False, corpus=False)))
    assert bare.fingerprints(bare.check(TEXT))["bank"] is None
    assert not bare.domain.has_bank


def test_a_record_is_replayed_with_its_own_number_of_threads(editor: Editor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums in another order round otherwise, and a rounded pixel is another picture."""
    result = editor.edit(editor.generator.sample(1, seed=0), TEXT, strength=1.0)
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
    for unsaid in (None, 0, "two", True):
        editor.replay({**result.record, "threads": unsaid})
