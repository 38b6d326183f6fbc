from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from textmorph.errors import OptionError, PromptError
from textmorph.prompts import (
    BARE,
    IMAGENET_TEMPLATES,
    check_known,
    check_prompt,
    fill_template,
    text_embedding,
    text_shift,
)

from .toys import ToyEmbedder


def test_the_published_templates_are_all_there() -> None:
    assert len(IMAGENET_TEMPLATES) == len(set(IMAGENET_TEMPLATES)) == 80
    assert all(template.count("{}") == 1 for template in IMAGENET_TEMPLATES)
    assert "a photo of many {}." in IMAGENET_TEMPLATES


def test_a_bare_noun_phrase_goes_in_as_in_the_paper() -> None:
    for template in IMAGENET_TEMPLATES:
        assert fill_template(template, "face with blonde hair") == template.format("face with blonde hair")


@pytest.mark.parametrize(
    ("template", "prompt", "filled"),
    [
        ("a photo of a {}.", "a person with purple hair", "a photo of a person with purple hair."),
        ("a photo of a {}.", "an old man", "a photo of an old man."),
        ("a photo of the {}.", "An old man", "a photo of the old man."),
        ("a photo of a nice {}.", "an old man", "a photo of a nice old man."),
        ("a photo of a hard to see {}.", "the man", "a photo of a hard to see man."),
        ("itap of my {}.", "a cat", "itap of my cat."),
        ("A {} in a video game.", "an elf", "An elf in a video game."),
        ("a photo of {}", "a man", "a photo of a man"),
        ("a photo of {}", "the man", "a photo of the man"),
        ("{}", "a man", "a man"),
        ("a photo of a {}.", "anchovy", "a photo of a anchovy."),
        ("a photo of a {}.", "a", "a photo of a a."),
        ("a photo of a {}.", "man with a hat", "a photo of a man with a hat."),
    ],
)
def test_two_articles_become_one(template: str, prompt: str, filled: str) -> None:
    assert fill_template(template, prompt) == filled


@pytest.mark.parametrize("text", ["", "  \n\t ", "x" * 1001, "a\x00b", "bell\x07", "\ud800", None, 3])
def test_texts_that_say_nothing_are_refused(text: object) -> None:
    with pytest.raises(PromptError):
        check_prompt(text)  # type: ignore[arg-type]


def test_white_space_is_tidied_and_other_scripts_are_welcome() -> None:
    assert check_prompt("  a  man\nwith a hat ") == "a man with a hat"
    assert check_prompt("紫の髪の人 👩‍🦰") == "紫の髪の人 👩‍🦰"


def test_an_embedding_is_the_unit_mean_over_templates() -> None:
    embedder = ToyEmbedder()
    templates = ["a photo of a {}", "art of a {}", "a drawing of the {}"]
    rows = embedder.embed_text([template.format("cat") for template in templates])
    expected = F.normalize(F.normalize(rows, dim=1).mean(dim=0), dim=0)
    torch.testing.assert_close(text_embedding(embedder, "cat", templates=templates), expected)
    torch.testing.assert_close(text_embedding(embedder, "cat", templates=BARE), embedder.embed_text(["cat"])[0])
    expected = text_embedding(embedder, "cat", templates=IMAGENET_TEMPLATES)
    torch.testing.assert_close(text_embedding(embedder, "cat"), expected)


def test_templates_that_become_one_text_count_each() -> None:
    embedder = ToyEmbedder()
    once = text_embedding(embedder, "cat", templates=["a {}", "the {}", "the {}"])
    rows = embedder.embed_text(["a cat", "the cat", "the cat"])
    torch.testing.assert_close(once, F.normalize(rows.mean(dim=0), dim=0))


def test_a_shift_is_unit_and_turns_round_with_its_texts() -> None:
    embedder = ToyEmbedder()
    there = text_shift(embedder, neutral="a face", target="a smiling face")
    back = text_shift(embedder, neutral="a smiling face", target="a face")
    assert there.norm().item() == pytest.approx(1, abs=1e-6)
    assert torch.equal(there, -back)


@pytest.mark.parametrize(("neutral", "target"), [("a face", " A  face"), ("grey hair", "hair grey")])
def test_texts_that_mean_the_same_have_no_shift(neutral: str, target: str) -> None:
    with pytest.raises(PromptError):
        text_shift(ToyEmbedder(), neutral=neutral, target=target, templates=BARE)


@pytest.mark.parametrize("templates", [[], "a {}", ["no gap"], ["{} and {}"]])
def test_templates_without_exactly_one_gap_are_refused(templates: list[str]) -> None:
    with pytest.raises(OptionError):
        text_embedding(ToyEmbedder(), "cat", templates=templates)


class Knows:
    """An embedder that knows some words."""

    known_words = ("cat", "hair", "purple", "smile", "wombat")

    def unknown_words(self, text: str) -> list[str]:
        return [word for word in text.split() if word.casefold() not in (*self.known_words, "a", "with", "person")]


def test_a_text_of_which_no_word_is_known_is_refused_with_the_nearest() -> None:
    with pytest.raises(PromptError, match=r"zombat.*nearest that it knows: wombat"):
        check_known(Knows(), "a Zombat", neutral="a person")
    with pytest.raises(PromptError, match="stays as it is"):
        check_known(Knows(), "a person with 😀", neutral="a person")  # the words of the neutral text say nothing new


def test_a_text_that_is_known_in_part_is_let_through() -> None:
    check_known(Knows(), "a person with purple wool", neutral="a person")
    check_known(Knows(), "a person", neutral="a person")
    check_known(object(), "zzz")  # an embedder that cannot tell
