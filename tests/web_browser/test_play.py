"""The rest of the toys: surprise, suggestions, contact sheet, morph, the stop button; and wishes that are no wishes."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from PIL import Image

from .studio_page import PATIENCE, StudioPage, difference

pytestmark = pytest.mark.browser


def test_surprises_differ_and_six_suggestions_come_that_can_be_taken(studio: StudioPage) -> None:
    faces = []
    for _ in range(2):
        studio.surprise()
        faces.append(studio.shown())
    assert difference(*faces) > 5
    suggestions = studio.find("#suggestions button[data-text]")
    suggestions.nth(5).wait_for(timeout=PATIENCE)
    assert suggestions.count() == 6
    texts = suggestions.evaluate_all("buttons => buttons.map(button => button.dataset.text)")  # at one moment
    assert len(set(texts)) == 6
    studio.picture("play-suggestions")
    with studio.redrawn():
        suggestions.first.click()
    assert difference(studio.shown(), faces[1]) > 0.3
    assert studio.find("#rows li.row").count() == 1


def test_a_contact_sheet_and_a_morph_video_come_down(studio: StudioPage, tmp_path: Path) -> None:
    studio.sample("portrait-1")
    studio.wish("a person with purple hair")
    sheet, film = tmp_path / "sheet.png", tmp_path / "morph.mp4"
    studio.download("#rows button.sheet").save_as(sheet)
    with Image.open(sheet) as picture:
        picture.load()
        assert picture.width > 600  # five strengths
        assert picture.height > 200
    studio.download("#make-morph").save_as(film)
    head = film.read_bytes()[:64]
    assert b"ftyp" in head
    assert film.stat().st_size > 5_000


def test_direction_and_latent_come_down_and_a_direction_goes_up_again(studio: StudioPage, tmp_path: Path) -> None:
    studio.sample("portrait-1")
    start = studio.shown()
    studio.wish("a person with purple hair")
    direction, latent = tmp_path / "direction.safetensors", tmp_path / "latent.safetensors"
    studio.download("#download-direction").save_as(direction)
    studio.download("#download-latent").save_as(latent)
    assert latent.stat().st_size > 1000
    studio.press("#reset")
    assert difference(studio.shown(), start) == 0
    with studio.redrawn():
        studio.upload(direction, hook="#edit-file")
    assert studio.find("#rows li.row").count() == 1
    assert difference(studio.shown(), start) > 0.3
    studio.press("#undo")


def test_optimisation_shows_its_progress_and_stops_when_told(studio: StudioPage) -> None:
    studio.sample("portrait-1")
    start = studio.shown()
    studio.find("#ways button").first.click()
    studio.find("#method label").filter(has_text="ptimi").first.click()
    before = studio.version
    field = studio.find("#wish textarea, #wish input").first
    field.fill("a person with purple hair")
    field.press("Enter")
    studio.find("#stop").wait_for(state="visible", timeout=PATIENCE)
    studio.page.wait_for_timeout(1500)
    studio.picture("play-optimise")
    stopped = time.perf_counter()
    studio.find("#stop").click()
    studio.find("#stop").wait_for(state="hidden", timeout=PATIENCE)
    assert time.perf_counter() - stopped < 15
    studio.wait_redrawn(before)
    if studio.find("#rows li.row").count():
        studio.press("#reset")
    assert difference(studio.shown(), start) == 0


STRANGE = (
    "<img src=x onerror=\"window.hurt = 1\"><b class='bold'>bold</b>",
    "<script>window.hurt = 1</script>",
    "../../../../etc/passwd",
    "{{7*7}} ${7*7} %s %d \\",
    "[a](javascript:window.hurt=1) **md** `x`",
)


def test_a_wish_that_is_markup_or_a_path_is_shown_as_text(studio: StudioPage) -> None:
    studio.sample("portrait-1")
    field = studio.find("#wish textarea, #wish input").first
    for text in STRANGE:
        before = studio.version
        field.fill(f"smile {text}")
        field.press("Enter")
        studio.page.wait_for_function(
            "before => Number(document.querySelector('.studio-stage').dataset.version) > before"
            " && !document.querySelector('#notes .busy') || document.querySelector('#notes .error')",
            arg=before, timeout=PATIENCE,
        )  # fmt: skip
        studio.page.wait_for_timeout(300)
        assert studio.page.evaluate("window.hurt === undefined"), text
        assert studio.find("#rows b, #notes b, #rows img, #notes img, #rows script, #notes a").count() == 0, text
        assert "root:" not in studio.page.content(), text
    words = studio.find("#rows").inner_text() + studio.notes()
    assert "<b class='bold'>" in words or "onerror" in words
    studio.picture("play-strange-wishes")


def test_what_it_cannot_do_it_says(studio: StudioPage) -> None:
    studio.sample("portrait-1")
    studio.wish("a smiling person with a zeppelin")
    assert "zeppelin" in studio.wait_note("zeppelin")
    studio.picture("play-unknown-word")
    field = studio.find("#wish textarea, #wish input").first
    field.fill("   ")
    field.press("Enter")
    studio.page.wait_for_timeout(1000)
    assert studio.find("#rows li.row").count() <= 1
