"""The actions, over the toy domain, without a page."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn.functional import interpolate

from textmorph.editing.editor import Editor
from textmorph.editing.record import read_record
from textmorph.edits import Direction, apply_edits, load_edit
from textmorph.errors import DomainError, ImageError, InputError, LatentError, OptionError, PromptError, TextmorphError
from textmorph.images import center_square, read_image, resize, to_pil
from textmorph.latents import Latent
from textmorph.web import pictures, products, saved, words
from textmorph.web.session import Session
from textmorph.web.settings import Settings
from textmorph.web.shelf import Shelf
from textmorph.web.studio import Studio
from textmorph.web.visits import Visit

from ..toys import NearestEncoder
from .conftest import base64_of, picture_bytes

HOSTILE = {
    "empty": b"",
    "text": b"not a picture",
    "html": b"<html><script>alert(1)</script>",
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>',
    "cut off": picture_bytes()[:60],
    "another file": b"PK\x03\x04" + b"\0" * 50,
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_a_bad_file_is_refused_and_the_picture_stays(studio: Studio, visit: Visit, content: bytes) -> None:
    before = visit.picture
    with pytest.raises(ImageError):
        studio.open(visit, content)
    assert visit.picture is before


def test_large_files_and_large_pictures_are_refused_before_they_are_decoded(make_studio: Callable[..., Studio]) -> None:
    studio = make_studio(max_upload_bytes=2000, max_pixels=400)
    visit = studio.visits.start()
    with pytest.raises(InputError, match="too large"):
        studio.open(visit, b"\0" * 2001)
    with pytest.raises(ImageError, match="too large"):
        studio.open(visit, picture_bytes(size=24))
    studio.open(visit, picture_bytes(size=20))


def test_the_picture_is_the_editors_own(studio: Studio, visit: Visit) -> None:
    editor, picture = studio.editor(visit), studio.picture(visit)
    latent = editor.invert(picture.photo)
    assert torch.equal(picture.latent.value, latent.value)
    assert torch.equal(picture.inverted, editor.render(latent))
    assert torch.equal(studio.show(visit).image, editor.render(picture.style))


def test_a_surprise_is_drawn_and_its_seed_draws_it_again(studio: Studio, visit: Visit) -> None:
    studio.surprise(visit, seed=5)
    first = studio.show(visit).image
    studio.surprise(visit)
    assert not torch.equal(studio.show(visit).image, first)
    studio.surprise(visit, seed=5)
    assert torch.equal(studio.show(visit).image, first)
    assert studio.picture(visit).drawn


@pytest.mark.parametrize(("said", "psi"), [(None, 0.8), (1.0, 1.0), (0.0, 0.0)])
def test_a_surprise_is_as_varied_as_the_domain_says(
    studio: Studio, visit: Visit, monkeypatch: pytest.MonkeyPatch, said: float | None, psi: float
) -> None:
    editor = studio.editor(visit)
    changed = replace(editor.domain, truncation=said)
    changed.__dict__.update({name: value for name, value in vars(editor.domain).items() if name != "truncation"})
    monkeypatch.setattr(editor, "domain", changed)
    studio.surprise(visit, seed=5)
    drawn = editor.generator.to_space(editor.generator.sample(1, seed=5, truncation=psi), "w+")
    assert torch.equal(studio.picture(visit).latent.value, drawn.value)
    assert studio.picture(visit).about["sample"] == {"seed": 5, "truncation": psi}


def test_samples_are_opened_by_name_and_never_by_path(studio: Studio, visit: Visit, domain: Path) -> None:
    assert [name for name, _ in studio.samples("toy")] == ["sample-1", "sample-2"]
    studio.open_sample(visit, "sample-2")
    for name in ("../samples/sample-1", "sample-1.png", str(domain / "samples" / "sample-1.png"), ""):
        with pytest.raises(OptionError):
            studio.open_sample(visit, name)


def test_wishes_add_up_as_directions(studio: Studio, visit: Visit) -> None:
    rows = [
        studio.wish(visit, text, strength=s, num_channels=4) for text, s in (("a red face", 2.0), ("a smile", -1.5))
    ]
    style, added = studio.picture(visit).style.value, studio.edited(visit).value
    expected = style + sum(row.strength * studio.find(visit, row).vector for row in rows)
    torch.testing.assert_close(added, expected)
    studio.change(visit, rows[0].id, on=False)
    torch.testing.assert_close(studio.edited(visit).value, style - 1.5 * studio.find(visit, rows[1]).vector)
    studio.step(visit, "reset")
    assert torch.equal(studio.edited(visit).value, style)
    studio.step(visit, "undo")
    studio.step(visit, "undo")
    torch.testing.assert_close(studio.edited(visit).value, expected)


def test_a_wish_settles_on_what_the_editor_would_choose(studio: Studio, visit: Visit) -> None:
    row = studio.wish(visit, "a red face")
    assert studio.settle(visit, row)
    settled = visit.session.row(row.id)
    (edit,) = studio.editor(visit).edit(studio.picture(visit).photo, "a red face").record["edits"]
    assert (settled.strength, settled.num_channels) == (edit["strength"], edit["automatic"]["num_channels"])
    assert settled.reason
    studio.step(visit, "undo")  # settling was part of the wish
    assert not visit.session.rows


def test_there_is_room_on_the_slider_beyond_whatever_automatic_strength_chooses(
    studio: Studio, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    editor = studio.editor(visit)
    monkeypatch.setattr(
        editor, "domain", replace(editor.domain, tables={"strength": {"strengths": [40.0], "scales": [3.0]}})
    )
    row = studio.wish(visit, "a red face")
    assert studio.settle(visit, row)
    settled = visit.session.row(row.id)
    assert settled.strength == 40
    assert settled.reach > 40
    assert studio.reach(visit, complete=True) > 3


@pytest.mark.parametrize("method", ["global", "optimize"])
def test_a_typed_file_name_reads_no_file_of_the_machine(
    studio: Studio, visit: Visit, tmp_path: Path, method: str
) -> None:
    studio.find(visit, studio.wish(visit, "a smile")).save(tmp_path / "d.safetensors")
    for name in (str(tmp_path / "d.safetensors"), f" {tmp_path}/D.SAFETENSORS ", "d.pt"):
        with pytest.raises(OptionError, match="name of a file"):
            studio.optimize(visit, name, lambda *_: None) if method == "optimize" else studio.wish(visit, name)
    assert len(visit.session.rows) == 1


def test_what_the_visitor_changed_meanwhile_is_left_alone(studio: Studio, visit: Visit) -> None:
    row = studio.wish(visit, "a red face")
    studio.change(visit, row.id, strength=1.0)
    assert not studio.settle(visit, row)
    assert visit.session.row(row.id).strength == 1.0


def test_the_second_wish_settles_beside_the_first(studio: Studio, visit: Visit) -> None:
    studio.settle(visit, studio.wish(visit, "a red face"))
    assert studio.settle(visit, studio.wish(visit, "a smile"))


def test_a_preview_is_smaller_or_as_large_and_leaves_no_trace(studio: Studio, visit: Visit) -> None:
    row = studio.wish(visit, "a red face", strength=1.0)
    history, version = visit.history, visit.version
    image, side = studio.preview(visit, row.id, strength=4.0)
    assert image.startswith("data:image/webp;base64,")
    assert side <= studio.editor(visit).generator.resolution
    assert (visit.history, visit.version) == (history, version)
    with pytest.raises(OptionError):
        studio.preview(visit, 99, strength=4.0)


def test_an_optimisation_tells_its_steps_and_can_be_stopped(make_studio: Callable[..., Studio]) -> None:
    studio = make_studio(optimize_steps=6)
    visit = studio.visits.start()
    studio.open(visit, picture_bytes())
    seen: list[tuple[int, int]] = []

    def watch(step: int, steps: int, image: str | None) -> None:
        seen.append((step, steps))
        assert step > 1 or (image or "").startswith("data:image/")
        if step == 3:
            visit.stop.set()

    row = studio.optimize(visit, "a smile", watch)
    assert seen == [(1, 6), (2, 6), (3, 6)]
    assert studio.find(visit, row).provenance["steps"] == 3
    assert not torch.equal(studio.show(visit).image, studio.picture(visit).inverted)
    with pytest.raises(OptionError, match="stopped"):
        studio.optimize(visit, "a smile", watch)


@pytest.mark.parametrize(
    "name", ["smile.safetensors", "../../../etc/cron.d/x.pt", "<img src=x>.safetensors", "C:\\a\\b.pt"]
)
def test_a_saved_wish_is_taken_whatever_its_file_is_called(
    studio: Studio, visit: Visit, name: str, tmp_path: Path
) -> None:
    direction = Direction(studio.find(visit, studio.wish(visit, "a smile", strength=1.0)).vector, "s", {})
    direction.save(tmp_path / "d.safetensors")
    row = saved.add_edit(studio, visit, name, (tmp_path / "d.safetensors").read_bytes())
    assert (visit.folder / str(row.file)).parent == visit.folder
    assert row.file in (f"edit-{visit.serial}.safetensors", f"edit-{visit.serial}.pt")
    assert torch.equal(studio.find(visit, row).vector, direction.vector)


@pytest.mark.parametrize("content", [b"", b"x" * 100, b"\x80\x04cos\nsystem\n(S'true'\ntR.", picture_bytes()])
def test_other_files_are_no_saved_wishes_and_leave_nothing(studio: Studio, visit: Visit, content: bytes) -> None:
    for name in ("a.safetensors", "a.pt"):
        with pytest.raises(TextmorphError) as refused:
            saved.add_edit(studio, visit, name, content)
        assert str(visit.folder) not in str(refused.value)
    assert not list(visit.folder.iterdir())
    assert not visit.session.rows


def test_saved_wishes_of_one_visitor_have_an_end(make_studio: Callable[..., Studio], tmp_path: Path) -> None:
    Direction(torch.ones(64), "s").save(tmp_path / "d.safetensors")
    content = (tmp_path / "d.safetensors").read_bytes()
    studio = make_studio(max_upload_bytes=len(content) + 1000)
    visit = studio.visits.start()
    studio.surprise(visit, seed=0)
    with pytest.raises(OptionError, match="too many"):
        for _ in range(20):
            saved.add_edit(studio, visit, "d.safetensors", content)
    assert sum(path.stat().st_size for path in visit.folder.iterdir()) < 6 * len(content) + 10_000


def test_a_saved_wish_for_other_pictures_is_refused(studio: Studio, visit: Visit, tmp_path: Path) -> None:
    Direction(torch.ones(7), "s").save(tmp_path / "d.safetensors")
    with pytest.raises(InputError):
        saved.add_edit(studio, visit, "d.safetensors", (tmp_path / "d.safetensors").read_bytes())


@pytest.mark.parametrize("text", ["", "   ", "a\0b", "x" * 2000])
def test_wishes_that_are_no_texts_are_refused(studio: Studio, visit: Visit, text: str) -> None:
    with pytest.raises(PromptError):
        studio.wish(visit, text)


def test_limits_and_order_are_kept(make_studio: Callable[..., Studio]) -> None:
    studio = make_studio(max_rows=1)
    visit = studio.visits.start()
    for early in (lambda: studio.wish(visit, "a smile"), lambda: studio.show(visit), lambda: saved.save(studio, visit)):
        with pytest.raises(InputError, match="choose a picture first"):
            early()
    studio.open(visit, picture_bytes())
    studio.wish(visit, "a smile")
    with pytest.raises(OptionError, match="the most"):
        studio.wish(visit, "a hat")
    with pytest.raises(OptionError, match="no method"):
        make_studio().wish(visit, "a hat", method="../global")


def test_it_says_what_it_cannot_do(studio: Studio, visit: Visit) -> None:
    row = studio.wish(visit, "a xyzzyish face", strength=10.0)
    assert any("xyzzyish" in note for note in studio.show(visit).notes)
    studio.change(visit, row.id, on=False)
    assert not any("xyzzyish" in note for note in studio.show(visit).notes)
    assert "likeness 10%, lost below 70%" in words.identity_lost(0.1, 0.7)
    assert "far from" in words.far(studio.editor(visit).domain)


def test_six_suggestions_at_most_with_pictures(studio: Studio, visit: Visit) -> None:
    found = studio.suggestions(visit)
    assert 1 <= len(found) <= 6
    for text, short, image in found:
        assert text == f"a person with {short}"
        assert image.startswith("data:image/")
    assert not visit.session.rows


# What is taken home


def test_the_certificate_of_a_picture_makes_it_again(studio: Studio, visit: Visit) -> None:
    studio.wish(visit, "a red face", strength=2.0, num_channels=4)
    studio.wish(visit, "a smile", strength=-1.0, num_channels=7)
    path = visit.folder / products.save(studio, visit, "picture")
    record = read_record(path)
    assert [(told["prompt"], told["strength"]) for told in record["edits"]] == [("a red face", 2.0), ("a smile", -1.0)]
    again = studio.editor(visit).replay(record)
    torch.testing.assert_close(again.image, studio.show(visit).image, atol=1e-5, rtol=0)
    assert str(visit.folder) not in json.dumps(record)
    assert str(studio.settings.root) not in json.dumps(record)


def test_so_does_that_of_an_optimised_one_with_the_wish_beside_it(
    studio: Studio, visit: Visit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = studio.optimize(visit, "a smile", lambda *_: None)
    record = read_record(visit.folder / products.save(studio, visit, "picture"))
    edit = visit.folder / products.save(studio, visit, "direction", row.id)
    (tmp_path / f"textmorph-{edit.name}").write_bytes(edit.read_bytes())  # as it is called once downloaded
    monkeypatch.chdir(tmp_path)
    again = studio.editor(visit).replay(record)
    torch.testing.assert_close(again.image, studio.show(visit).image, atol=1e-5, rtol=0)


def test_directions_and_latents_say_the_same_as_the_picture(studio: Studio, visit: Visit) -> None:
    first = studio.wish(visit, "a red face", strength=2.0, num_channels=4)
    studio.wish(visit, "a smile", strength=-1.0, num_channels=7)
    edited, style = studio.edited(visit), studio.picture(visit).style
    assert torch.equal(Latent.load(visit.folder / products.save(studio, visit, "latent")).value, edited.value)
    whole = load_edit(visit.folder / products.save(studio, visit, "direction"))
    moved = apply_edits(studio.editor(visit).generator, style, [(whole, 1.0)])
    torch.testing.assert_close(moved.value, edited.value)
    one = load_edit(visit.folder / products.save(studio, visit, "direction", first.id))
    assert torch.equal(one.vector, studio.find(visit, first).vector)


def test_a_sheet_and_a_video_go_into_the_gallery(studio: Studio, visit: Visit) -> None:
    with pytest.raises(OptionError, match="wish first"):
        products.morph(studio, visit)
    row = studio.wish(visit, "a red face", strength=2.0, num_channels=4)
    told: list[tuple[int, int]] = []
    sheet = products.sheet(studio, visit, row.id, progress=lambda *now: told.append(now))
    assert told[-1] == (10, 10)  # five strengths; 4 and 10 channels
    assert read_image(visit.folder / str(sheet.file)).shape[1] == 3
    morph = products.morph(studio, visit)
    assert (visit.folder / str(morph.file)).stat().st_size > 100
    assert [item.id for item in visit.items] == [sheet.id, morph.id]


def test_the_gallery_brings_wishes_back_and_has_an_end(make_studio: Callable[..., Studio]) -> None:
    studio = make_studio(max_items=2)
    visit = studio.visits.start()
    studio.open(visit, picture_bytes())
    studio.wish(visit, "a red face", strength=2.0)
    session = visit.session
    kept = products.keep(studio, visit)
    studio.step(visit, "reset")
    products.recall(studio, visit, kept.id)
    assert visit.session == session
    for _ in range(2):
        products.keep(studio, visit)
    assert len(visit.items) == 2
    with pytest.raises(OptionError):
        products.recall(studio, visit, kept.id)


def test_old_files_make_room(studio: Studio, visit: Visit) -> None:
    for _ in range(products.MAX_FILES + 5):
        products.save(studio, visit, "latent")
    assert len(list(visit.folder.iterdir())) == products.MAX_FILES


@pytest.mark.parametrize("what", ["", "../../etc/passwd", "everything"])
def test_nothing_else_is_downloaded(studio: Studio, visit: Visit, what: str) -> None:
    with pytest.raises(OptionError, match="there is:"):
        products.save(studio, visit, what)


# States


def test_a_state_goes_on_where_it_was_saved_for_another_visitor_too(studio: Studio, visit: Visit) -> None:
    studio.wish(visit, "a red face", strength=2.0, num_channels=4)
    studio.optimize(visit, "a smile", lambda *_: None)
    text, image = saved.save(studio, visit), studio.show(visit).image
    other = studio.visits.start()
    saved.restore(studio, other, text)
    assert torch.equal(studio.show(other).image, image)
    assert [row.text for row in other.session.rows] == ["a red face", "a smile"]
    studio.visits.end(visit)
    studio.change(other, 1, strength=1.0)  # and stands on its own feet
    assert not torch.equal(studio.show(other).image, image)


def test_a_state_of_other_networks_is_refused(studio: Studio, visit: Visit) -> None:
    content = json.loads(saved.save(studio, visit))
    for changes, error in [
        ({"domain": "elsewhere"}, DomainError), ({"generator": "0" * 16}, DomainError),
        ({"latent": {**content["latent"], "space": "s", "shape": [1, 48]}}, LatentError),
        ({"photo": base64_of(picture_bytes(size=24))}, ImageError), ({"photo": base64_of(b"x")}, ImageError),
        ({"edits": {"edit-1.safetensors": base64_of(b"x")}}, InputError),
    ]:  # fmt: skip
        with pytest.raises(error):
            saved.restore(studio, studio.visits.start(), json.dumps(content | changes))


def test_words_for_people() -> None:
    assert words.unknown_words(["a"]).startswith("“a” is not a word")
    assert "“e” and 2 more are words" in words.unknown_words(list("abcdefg"))
    assert words.command(" Start  over! ") == "reset"
    assert words.command("a person with more hair") is None
    session = Session().add("a smile", strength=2.0).add("a hat", strength=0.0)
    assert words.describe(session, drawn=False) == "Your picture, as the model draws it, with a smile (+2.0)"
    assert words.title(Session()) == "unchanged"


@pytest.mark.parametrize("text", [None, 3, "", "data:image/png;base64,###", "x" * 400, "é"])
def test_what_is_no_base64_is_refused(text: object) -> None:
    with pytest.raises(InputError):
        pictures.unpack(text, max_bytes=200)


def test_data_urls_and_base64_are_unpacked() -> None:
    for head in ("", "data:image/png;base64,", "data:;base64,", "data:application/json;charset=utf-8;base64,"):
        assert pictures.unpack(head + base64_of(b"hello"), max_bytes=5) == b"hello"


def test_a_picture_is_cropped_to_what_the_model_knows_says_so_and_gives_the_middle_back(
    editor: Editor, tmp_path: Path
) -> None:
    domain = replace(editor.domain, far_distance=0.1)
    domain.__dict__["encoder"] = knowing = NearestEncoder(domain.generator)  # type: ignore[arg-type]
    studio = Studio(Shelf([Editor(domain)]), Settings(root=tmp_path / "studio"))
    visit = studio.visits.start()
    photo = torch.linspace(-1, 1, 160).expand(1, 3, 120, 160).clone()
    photo[..., 30:120, 70:160] = interpolate(knowing.images[[1]], size=(90, 90))
    studio.open(visit, pictures.png_bytes(to_pil(photo)))
    picture = studio.picture(visit)
    assert picture.about["frame"]["by"] == "search"
    assert "cropped to what this model knows" in studio.show(visit).notes[0]
    order = words.command("Take the middle.")
    assert order == "middle"
    studio.take_middle(visit)
    assert not any("cropped" in note for note in studio.show(visit).notes)
    middle = read_image(pictures.png_bytes(studio.picture(visit).photo))
    torch.testing.assert_close(middle, resize(center_square(photo), 16).clamp(-1, 1), atol=0.01, rtol=0)  # 8 bits
    with pytest.raises(OptionError, match="no other square"):
        studio.take_middle(visit)
