"""Whatever a visitor writes, it stays text."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textmorph.web import markup
from textmorph.web.session import Session
from textmorph.web.visits import Item

NASTY = (
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    '" autofocus onfocus="alert(1)',
    "' onmouseover='alert(1)",
    "../../etc/passwd",
    "${alert(1)}",
    "{{constructor.constructor('alert(1)')()}}",
    "`${alert(1)}`",
    "</span></li></ol><iframe src=javascript:alert(1)>",
)
WORDS = st.one_of(st.sampled_from(NASTY), st.text(max_size=60))
OURS = {"ol", "li", "div", "label", "input", "span", "button", "output", "p", "ul", "img", "a"}


class Reader(HTMLParser):
    """What a browser would make of it: elements, their attributes, and all the text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        self.text += data


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    return reader


def is_plain(html: str) -> Reader:
    """Assert that there are no elements but ours, none with a script in it."""
    reader = read(html)
    for tag, attributes in reader.elements:
        assert tag in OURS
        assert not [name for name in attributes if name.startswith("on") or name == "autofocus"]
        assert not str(attributes.get("href", "/")).startswith("javascript")
    return reader


@given(WORDS)
def test_a_wish_is_text_in_its_row(words: str) -> None:
    reader = is_plain(markup.rows(Session().add(words, num_channels=3, reason=f"r{words}"), most=100))
    plain = read(markup.rows(Session().add("a", num_channels=3, reason="r"), most=100))
    assert words in reader.text
    assert [tag for tag, _ in reader.elements] == [tag for tag, _ in plain.elements]


@given(WORDS)
def test_so_it_is_in_notes_suggestions_samples_and_the_gallery(words: str) -> None:
    assert words in is_plain(markup.notes([words], error=words, busy=words)).text
    ideas = is_plain(markup.suggestions([(words, words, "data:,")]))
    assert ideas.elements[1][1]["data-text"] == words
    assert is_plain(markup.samples([(words, "data:,")])).elements[0][1]["data-sample"] == words
    items = [Item(id=1, title=words, image=words), Item(id=2, title=words, image="data:,", file="sheet-1.png")]
    assert words in is_plain(markup.gallery(items, "key")).text


@given(st.floats(-10, 10), st.integers(1, 500), st.booleans())
def test_a_row_shows_its_values(strength: float, num_channels: int, on: bool) -> None:
    session = Session().add("a smile", strength=strength, num_channels=num_channels, on=on)
    reader = is_plain(markup.rows(session, most=200))
    inputs = {attributes["class"].split()[0]: attributes for tag, attributes in reader.elements if tag == "input"}  # type: ignore[union-attr]
    assert float(inputs["strength"]["value"] or "nan") == pytest.approx(strength, abs=1e-4)
    stops = [int(stop) for stop in (inputs["channels"]["data-stops"] or "").split(",")]
    assert stops[int(inputs["channels"]["value"] or -1)] == num_channels
    assert stops == sorted(set(stops))
    assert ("checked" in inputs["on"]) == on


def test_a_wish_without_channels_has_no_slider_for_them() -> None:
    html = markup.rows(Session().add("a", method="optimize", file="edit-1.safetensors"), most=100)
    assert "channels" not in html
    assert "by optimisation" in html


def test_every_control_of_a_row_says_what_it_is_for() -> None:
    reader = read(markup.rows(Session().add("a smile", num_channels=3), most=100))
    for tag, attributes in reader.elements:
        if tag == "input":
            assert "a smile" in (attributes["aria-label"] or "")
        if tag == "button" and "delete" in (attributes["class"] or ""):
            assert "a smile" in (attributes["aria-label"] or "")
