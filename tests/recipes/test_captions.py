"""The words for portraits: true, closed in vocabulary, and a fifth of them kept from training."""

import re

import numpy as np
import pytest

from recipes.portraits import captions as cap
from recipes.portraits.attributes import ATTRIBUTES, CATEGORIES, SCALARS, portrait, sample_columns, vary
from recipes.portraits.phrases import EMPTY, FORMS, VALUES

COLS = sample_columns(400, seed=7)
ALL = [p for values in cap.PHRASES.values() for phrases in values.values() for p in phrases]
SPLITS = ("train", "withheld")


def slow_match(predicate: cap.Predicate, row: int) -> int:
    """The predicate for one portrait, straight from the data of VALUES."""
    attribute = predicate.attribute
    record = portrait(COLS, row)
    if attribute in ("eyes", "eye_colour", "makeup", "eye_size", "eye_spacing") and record.glasses == "sunglasses":
        return -1
    if attribute in ("eye_colour", "eye_size") and record.eyes == "closed":
        return -1
    if attribute == "hair_colour" and record.hair_style == "bald":
        return -1
    names = [n for n in VALUES[attribute] if cap.value_predicate(attribute, n) == predicate]
    value, mine = VALUES[attribute][names[0]], getattr(record, attribute)

    def within(what) -> bool:
        return mine in what if attribute in CATEGORIES else any(low <= mine < high for low, high in what)

    return 1 if within(value.yes or (names[0],)) else -1 if within(value.maybe) else 0


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("num", [None, 1, (2, 4), (5, 8)])
def test_a_caption_is_true_of_its_own_portrait(split, num):
    texts, meanings = cap.caption(COLS, range(400), np.random.default_rng(0), split, num)
    assert len(texts) == len(meanings) == 400
    assert (np.diag(cap.matches(meanings, COLS)) == 1).all()


def test_the_matrix_agrees_with_a_slow_check_of_each_portrait():
    _, meanings = cap.caption(COLS, range(60), np.random.default_rng(1))
    fast = cap.matches(meanings, COLS)
    for i, meaning in enumerate(meanings):
        for row in range(60):
            each = [slow_match(p, row) for p in meaning]
            slow = 0 if 0 in each else -1 if -1 in each else 1
            assert fast[i, row] == slow, (meaning, portrait(COLS, row))


def test_a_text_without_predicates_holds_for_all():
    assert (cap.matches([(), ()], COLS) == 1).all()
    assert cap.matches([], COLS).shape == (0, 400)


def test_every_value_has_words_for_training_and_every_class_has_withheld_ones():
    assert set(cap.PHRASES) == set(ATTRIBUTES) == set(CATEGORIES) | set(SCALARS)
    for attribute, values in cap.PHRASES.items():
        assert set(CATEGORIES.get(attribute, ())) <= set(values)
        for name, phrases in values.items():
            assert any(p.split == "train" and p.form != "do" for p in phrases), (attribute, name)
            if len(phrases) >= 4 and not VALUES[attribute][name].aside:
                assert {p.split for p in phrases} == {"train", "withheld"}, (attribute, name)
        for split in SPLITS:
            for name, texts in cap.classify_prompts(attribute, split):
                assert len(texts) >= 3, (attribute, name, split)


def test_about_a_fifth_is_withheld_and_no_text_is_in_both_splits():
    share = np.mean([p.split == "withheld" for p in ALL])
    assert 0.15 < share < 0.25
    for phrases in (ALL, cap.JOINED_PHRASES):
        assert not {p.text for p in phrases if p.split == "train"} & {p.text for p in phrases if p.split == "withheld"}
    for text in ("grey hair", "gray hair", "blond hair", "blonde hair"):
        assert [p.split for p in ALL if p.text == text] == ["train"]


def test_withheld_captions_never_occur_in_training():
    cols = sample_columns(8000, seed=1)
    train, _ = cap.caption(cols, range(8000), np.random.default_rng(0), "train", 1)
    withheld, _ = cap.caption(cols, range(8000), np.random.default_rng(1), "withheld", 1)
    assert not set(train) & set(withheld)


def test_every_word_of_a_withheld_phrase_is_seen_in_training():
    seen = {w for p in ALL if p.split == "train" for w in cap.words(p.text)}
    for phrase in [*ALL, *cap.JOINED_PHRASES]:
        assert phrase.split == "train" or set(cap.words(phrase.text)) <= seen, phrase.text


@pytest.mark.parametrize("split", SPLITS)
def test_the_vocabulary_is_closed(split):
    known = set(cap.vocabulary())
    texts, _ = cap.caption(sample_columns(4000, seed=2), range(4000), np.random.default_rng(3), split)
    texts += [t for a in ATTRIBUTES for _, prompts in cap.classify_prompts(a, split) for t in prompts]
    texts += [t.replace("{}", cap.NEUTRAL) for t in cap.TEMPLATES] + list(EMPTY)
    for text in texts:
        assert set(cap.words(text)) <= known, text


def test_sentences_are_whole():
    texts, _ = cap.caption(sample_columns(4000, seed=4), range(4000), np.random.default_rng(4))
    for text in texts:
        assert not re.search(r"[{}|]|  |\ba [aeiou]|\ban [^aeiou]|, ,|^ | $| ,", text), text


def test_papers_phrases_exist():
    texts = {p.text for p in ALL}
    assert {"purple hair", "a mohawk", "without a beard", "grey hair", "smiling", "without wrinkles",
            "surprised", "a bob cut hairstyle", "curly hair", "long hair", "a tanned skin", "a dark skin",
            "bald"} <= texts  # fmt: skip
    assert {p.form for p in ALL} == set(FORMS)


def test_glasses_in_general_are_not_sunglasses():
    glasses = cap.match(cap.value_predicate("glasses", "glasses"), COLS)
    assert (glasses == np.asarray([0, 1, 1, -1])[COLS["glasses"]]).all()


def test_exactly_one_class_is_right_or_none():
    for attribute in ATTRIBUTES:
        truth = cap.classify_truth(attribute, COLS)
        held = [cap.match(cap.value_predicate(attribute, c), COLS) == 1 for c in cap.CLASSES[attribute]]
        assert np.sum(held, axis=0).max() == 1, attribute
        assert (truth >= 0).sum() == np.sum(held), attribute
        if attribute in CATEGORIES:
            assert set(cap.CLASSES[attribute]) == set(CATEGORIES[attribute])


@pytest.mark.parametrize("split", SPLITS)
def test_a_difference_is_true_of_its_own_side_and_tells_the_sides_apart(split):
    names = [ATTRIBUTES[i % len(ATTRIBUTES)] for i in range(400)]
    changed = vary(COLS, names, seed=5)
    found = cap.difference(COLS, changed, names, range(400), np.random.default_rng(6), split)
    assert sum(d is not None for d in found) > 250
    for row, d in enumerate(found):
        if d is None:
            continue
        before, after = (d.before_predicates, d.after_predicates)
        own = cap.matches([before], COLS)[0, row], cap.matches([after], changed)[0, row]
        other = cap.matches([before], changed)[0, row], cap.matches([after], COLS)[0, row]
        assert own == (1, 1), d
        assert 0 in other, d
        assert d.before != d.after


def test_captions_repeat_with_their_seed():
    one, two = (cap.caption(COLS, [3, 3, 5], np.random.default_rng(9))[0] for _ in range(2))
    assert one == two
