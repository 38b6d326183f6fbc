"""Two people at the same time: neither sees anything of the other."""

from __future__ import annotations

import pytest

from .studio_page import StudioPage, difference

pytestmark = pytest.mark.browser


def test_two_people_at_once_each_keep_their_own_picture(studio: StudioPage, other_studio: StudioPage) -> None:
    pages = {"portrait-1": studio, "portrait-3": other_studio}
    for sample, page in pages.items():
        with page.redrawn():
            page.find(f'#samples button[data-sample="{sample}"]').click()
    starts = [page.shown() for page in pages.values()]
    assert difference(*starts) > 8

    # Both ask before either is answered.
    wishes = ["a person with purple hair", "a person with glasses"]
    versions = [page.version for page in pages.values()]
    for page, text in zip(pages.values(), wishes, strict=True):
        field = page.find("#wish textarea, #wish input").first
        field.fill(text)
        field.press("Enter")
    for page, version in zip(pages.values(), versions, strict=True):
        page.wait_redrawn(version)

    for own, other, page in ((0, 1, studio), (1, 0, other_studio)):
        after = page.shown()
        assert difference(after, starts[own]) > 0.5  # edited
        assert difference(after, starts[own]) < difference(after, starts[other]) / 2  # and still this person
        assert difference(page.shown("before"), starts[own]) == 0
        rows = page.find("#rows").inner_html()
        assert wishes[own].split()[-1] in rows
        assert wishes[other].split()[-1] not in rows

    shown = other_studio.shown()
    studio.press("#undo")
    assert difference(studio.shown(), starts[0]) == 0
    assert difference(other_studio.shown(), shown) == 0
    assert other_studio.find("#rows li.row").count() == 1


def test_a_file_of_one_person_is_no_file_for_another_who_does_not_hold_its_key(
    studio: StudioPage, other_studio: StudioPage
) -> None:
    studio.sample("portrait-1")
    address = studio.download("#download-picture").url
    key = address.rsplit("/", 2)[-2]
    assert len(key) >= 20  # cannot be guessed
    request = other_studio.page.request
    name = address.rsplit("/", 1)[-1]
    for wrong in (f"{'x' * len(key)}/{name}", name, f"{key[:-1]}/{name}", f"../{name}", ""):
        assert request.get(f"{studio.url}files/{wrong}").status in (400, 403, 404), wrong
