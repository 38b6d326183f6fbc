"""Captions for portraits: texts, and for each text the predicates that say of which portraits it is true.

    cols = sample_columns(256, seed=0)
    texts, meanings = caption(cols, range(256), np.random.default_rng(0))
    truth = matches(meanings, cols)  # [texts, portraits]: 1 true, 0 false, -1 neither or out of sight

A predicate is a small table over the codes of one attribute (the value of a category, a fine bin of a scalar), so the
truth of many texts about many portraits is a few look-ups. A fifth of the phrases is withheld from training.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recipes.portraits.attributes import ATTRIBUTES, CATEGORIES, SCALARS, visible
from recipes.portraits.phrases import (
    ADDABLE,
    COLOUR_WORDS,
    EMPTY,
    FORMS,
    HAIR_WORDS,
    JOINED,
    NEUTRAL,
    PARTS,
    PINNED,
    PRONOUNS,
    SUBJECTS,
    TEMPLATES,
    VALUES,
    WISHES,
    Value,
)

__all__ = [
    "CLASSES", "JOINED_PHRASES", "NEUTRAL", "PHRASES", "TEMPLATES", "Difference", "Phrase", "Predicate", "caption",
    "classify_prompts", "classify_truth", "difference", "match", "matches", "value_predicate", "vocabulary", "words",
]  # fmt: skip

Columns = Mapping[str, NDArray[Any]]
Codes = dict[str, NDArray[np.int64]]

BINS = 40
"""Bins of a scalar's range; every bound in VALUES lies on an edge of them."""

UNSURE = 255  # -1 as a byte


@dataclass(frozen=True)
class Predicate:
    """What a text says of one attribute: truth[code] is 1 (true), 0 (false) or 255 (neither); last is "hidden"."""

    attribute: str
    truth: bytes


@dataclass(frozen=True)
class Phrase:
    """Some words for a value of an attribute, in one grammatical form (one of FORMS), and what they mean."""

    text: str
    form: str
    attribute: str
    value: str
    predicates: tuple[Predicate, ...]
    split: str  # "train" or "withheld"


class Difference(NamedTuple):
    """Two descriptions in one frame, each true of its own portrait and the changed part false of the other's."""

    before: str
    after: str
    before_predicates: tuple[Predicate, ...]
    after_predicates: tuple[Predicate, ...]


# ------------------------------------------------------------------------------------------------ predicates


def _num_codes(attribute: str) -> int:
    return len(CATEGORIES[attribute]) if attribute in CATEGORIES else BINS


def _hidden(cols: Columns, attribute: str) -> NDArray[np.bool_]:
    """Where a text about the attribute can be neither true nor false, [N]."""
    hidden = ~visible(cols, attribute)
    if attribute == "hair_colour":
        hidden |= cols["hair_style"] == CATEGORIES["hair_style"].index("bald")
    if attribute in ("eye_size", "eye_spacing"):
        hidden |= cols["glasses"] == CATEGORIES["glasses"].index("sunglasses")
    if attribute == "eye_size":
        hidden |= cols["eyes"] == CATEGORIES["eyes"].index("closed")
    return hidden


def _codes(cols: Columns, attribute: str) -> NDArray[np.int64]:
    """The code of the attribute in every portrait, [N]: value or bin, and one more for "hidden"."""
    column = np.asarray(cols[attribute])
    if attribute in CATEGORIES:
        codes = column.astype(np.int64)
    else:
        low, high = SCALARS[attribute]
        codes = np.clip(np.floor((column - low) / (high - low) * BINS), 0, BINS - 1).astype(np.int64)
    return np.where(_hidden(cols, attribute), _num_codes(attribute), codes)


def _covers(attribute: str, what: tuple[Any, ...]) -> NDArray[np.bool_]:
    """Which codes (without "hidden") the words or ranges of a Value name."""
    if attribute in CATEGORIES:
        unknown = set(what) - set(CATEGORIES[attribute])
        assert not unknown, (attribute, unknown)
        return np.asarray([w in what for w in CATEGORIES[attribute]])
    low, high = SCALARS[attribute]
    centres = low + (np.arange(BINS) + 0.5) / BINS * (high - low)
    covered = np.zeros(BINS, dtype=bool)
    for a, b in what:
        covered |= (a < centres) & (centres < b)
    return covered


def _predicate(attribute: str, name: str, value: Value) -> Predicate:
    yes = _covers(attribute, value.yes or (name,))
    truth = np.where(yes, 1, np.where(_covers(attribute, value.maybe), UNSURE, 0))
    return Predicate(attribute, bytes([*truth.tolist(), UNSURE]))


_PREDICATES = {(a, name): _predicate(a, name, value) for a, values in VALUES.items() for name, value in values.items()}


def value_predicate(attribute: str, value: str) -> Predicate:
    """The predicate of a value of VALUES, such as ("age", "old")."""
    return _PREDICATES[attribute, value]


def match(predicate: Predicate, cols: Columns) -> NDArray[np.int8]:
    """Whether the predicate holds for each portrait, [N]: 1 true, 0 false, -1 neither or out of sight."""
    return np.frombuffer(predicate.truth, dtype=np.int8)[_codes(cols, predicate.attribute)]


def matches(meanings: Sequence[Sequence[Predicate]], cols: Columns) -> NDArray[np.int8]:
    """Whether each text holds for each portrait, [T, N], from the texts' predicates.

    1: all predicates hold; 0: one is clearly false; -1 otherwise. A text without predicates holds for all.
    """
    number: dict[Predicate, int] = {}
    rows = [[number.setdefault(p, len(number)) for p in meaning] for meaning in meanings]
    by_attribute: dict[str, list[Predicate]] = {}
    for predicate in number:
        by_attribute.setdefault(predicate.attribute, []).append(predicate)

    # ordered false < neither < true, so that "and" is the minimum
    order = np.asarray([0, 2, 1], dtype=np.int8)  # at 0, 1, -1
    truth = np.full((len(number) + 1, len(cols["age"])), 2, dtype=np.int8)  # [P + 1, N], the last row all true
    for attribute, predicates in by_attribute.items():
        table = np.stack([np.frombuffer(p.truth, dtype=np.int8) for p in predicates])  # [P_a, codes]
        truth[[number[p] for p in predicates]] = order[table][:, _codes(cols, attribute)]

    longest = max((len(row) for row in rows), default=0)
    padded = np.asarray([row + [len(number)] * (longest - len(row)) for row in rows], dtype=np.int64)
    out = np.full((len(rows), truth.shape[1]), 2, dtype=np.int8)
    for column in padded.reshape(len(rows), longest).T:
        np.minimum(out, truth[column], out=out)
    return np.asarray([0, -1, 1], dtype=np.int8)[out]


# ------------------------------------------------------------------------------------------------ words and phrases


def words(text: str) -> list[str]:
    """Split a text into the words of the vocabulary: lower case, runs of letters or of digits, single marks."""
    return re.findall(r"[a-z]+|[0-9]+|[^\sa-z0-9]", text.lower())


def _articles(text: str) -> str:
    """Turn "a" into "an" before a vowel."""
    return re.sub(r"\ba (?=[aeiou])", "an ", text)


def _split(phrases: str) -> list[str]:
    return [text for text in (part.strip() for part in phrases.split("|")) if text]


def _hash(text: str) -> int:
    return zlib.crc32(text.encode())


def _gist(text: str) -> str:
    """What two phrases share that some frame turns into the same text; they are withheld together or not at all."""
    text = text.replace("{their}", "the").replace("the face", "{them}")
    text = re.sub(r"^make \{them\} (look )?", "", text)
    return re.sub(r" (face|head)$", "", re.sub(r"^(an?|the) ", "", text))


def _build_phrases() -> dict[str, dict[str, tuple[Phrase, ...]]]:
    """All phrases of VALUES. Withheld is a fifth of each value's, by hash, as far as training keeps every word."""
    drafts: dict[tuple[str, str], list[tuple[str, str]]] = {}
    count: dict[str, int] = {}  # word -> training phrases that contain it
    for attribute, values in VALUES.items():
        for name, value in values.items():
            texts = []
            for form in FORMS:
                for text in _split(getattr(value, form)):
                    text = _articles(text)
                    texts.append((form, text if form == "do" else text.replace("{their}", "their")))
            assert len(set(texts)) == len(texts), (attribute, name, sorted(t for t in texts if texts.count(t) > 1))
            drafts[attribute, name] = texts
            for _, text in texts:
                for word in set(words(text)):
                    count[word] = count.get(word, 0) + 1

    out: dict[str, dict[str, tuple[Phrase, ...]]] = {a: {} for a in VALUES}
    for (attribute, name), texts in drafts.items():
        withheld: set[tuple[str, str]] = set()
        gists: dict[str, list[tuple[str, str]]] = {}
        for form, text in texts:
            gists.setdefault(_gist(text), []).append((form, text))
        for wish in (False, True):  # a fifth of the wishes and a fifth of the rest
            size = sum((form == "do") == wish for form, _ in texts)
            wanted = max(round(size / 5), int(size >= 4 and not wish))
            for gist in sorted(gists, key=_hash):
                same = gists[gist]
                used = {w for _, text in same for w in words(text)}
                lost = {w: sum(w in words(text) for _, text in same) for w in used}
                if (
                    0 < sum((form == "do") == wish for form, _ in same) <= wanted
                    and not PINNED & {text for _, text in same} and not withheld & set(same)
                    and all(count[w] > lost[w] for w in used)
                ):  # fmt: skip
                    withheld |= set(same)
                    wanted -= sum((form == "do") == wish for form, _ in same)
                    for word in used:
                        count[word] -= lost[word]
        also = tuple(_PREDICATES[key] for key in VALUES[attribute][name].also)
        out[attribute][name] = tuple(
            Phrase(text, form, attribute, name, (_PREDICATES[attribute, name], *also),
                   "withheld" if (form, text) in withheld else "train")
            for form, text in texts
        )  # fmt: skip
    return out


def _build_joined() -> tuple[Phrase, ...]:
    """Phrases for a value and the colour that goes with it; `attribute` and `value` are those of the first."""
    out = []
    for (first, second), forms in JOINED.items():
        colours = HAIR_WORDS if second == "hair_colour" else COLOUR_WORDS
        for form, patterns in forms.items():
            for name, texts in patterns.items():
                for colour, synonyms in colours.items():
                    for word in synonyms:
                        for pattern in _split(texts):
                            text = _articles(pattern.replace("{}", word))
                            predicates = (_PREDICATES[first, name], _PREDICATES[second, colour])
                            split = "withheld" if _hash(text) % 5 == 0 else "train"
                            out.append(Phrase(text, form, first, name, predicates, split))
    return tuple(out)


PHRASES: dict[str, dict[str, tuple[Phrase, ...]]] = _build_phrases()
"""All phrases of each value of each attribute. Values are those of CATEGORIES, buckets of scalars, and overlapping
ones beside them ("hat", "wrinkled")."""

JOINED_PHRASES: tuple[Phrase, ...] = _build_joined()
"""Phrases that name two attributes at once: "long grey hair"."""

CLASSES: dict[str, tuple[str, ...]] = {
    a: tuple(name for name, value in values.items() if not value.aside) for a, values in VALUES.items()
}
"""The values of each attribute that exclude each other."""


def vocabulary() -> list[str]:
    """All words of phrases, frames and templates, sorted."""
    texts = [p.text for values in PHRASES.values() for phrases in values.values() for p in phrases]
    texts += [p.text for p in JOINED_PHRASES]
    texts += [*TEMPLATES, *SUBJECTS, *EMPTY, NEUTRAL, *(w for p in PRONOUNS for w in p[:2])]
    texts += [w for frames in WISHES.values() for w in frames]
    texts.append("a an the with and , wearing who is")  # the joints of _describe
    return sorted({w for text in texts for w in words(re.sub(r"\{\w*\}", " ", text))})


# ------------------------------------------------------------------------------------------------ what holds of a row

_WEIGHTS = {
    "hair_colour": 6, "hair_style": 14, "expression": 10, "glasses": 3, "beard": 6, "age": 10, "hat": 6,
    "femininity": 2, "moustache": 2, "skin": 2, "earrings": 2, "lipstick": 2, "makeup": 2, "eye_colour": 2, "mouth": 2,
    "eyes": 2, "background": 2, "clothes": 2, "clothes_colour": 2,
}  # fmt: skip
_BAG = tuple(name for name in ATTRIBUTES for _ in range(_WEIGHTS.get(name, 1)))
_ABSENT = 0.4  # how often to speak of a thing that is not there, once its attribute is drawn

_Held = tuple[tuple[Phrase, ...], ...]  # phrases by value


def _holding(split: str, *, do: bool) -> dict[str, tuple[_Held, ...]]:
    """For each attribute and code the phrases (of one split) that hold, by value; plain classes count twice."""
    out = {}
    for attribute, values in PHRASES.items():
        by_code = []
        for code in range(_num_codes(attribute) + 1):
            held = []
            for name, phrases in values.items():
                if _PREDICATES[attribute, name].truth[code] == 1:
                    kept = tuple(p for p in phrases if p.split == split and (do or p.form != "do"))
                    held += [kept] * (1 if VALUES[attribute][name].aside else 2) if kept else []
            by_code.append(tuple(held))
        out[attribute] = tuple(by_code)
    return out


def _joined_holding(split: str) -> dict[tuple[str, int, int], tuple[Phrase, ...]]:
    out: dict[tuple[str, int, int], list[Phrase]] = {}
    for phrase in JOINED_PHRASES:
        if phrase.split == split:
            first, second = phrase.predicates
            key = (phrase.attribute, first.truth.index(1), second.truth.index(1))
            out.setdefault(key, []).append(phrase)
    return {key: tuple(phrases) for key, phrases in out.items()}


SPLITS = ("train", "withheld")
_HOLDING = {split: _holding(split, do=True) for split in SPLITS}
_HOLDING_PLAIN = {split: _holding(split, do=False) for split in SPLITS}
_JOINED_HOLDING = {split: _joined_holding(split) for split in SPLITS}
_PARTNER = dict(JOINED)
_NOUNS = {
    name: (name,) * 4 + tuple(p.text for p in PHRASES["femininity"][name] if p.form == "noun" and p.split == "train")
    for name in ("man", "woman")
}

_Row = dict[str, int]  # attribute -> code of one portrait


def _rows(cols: Columns, rows: Sequence[int]) -> list[_Row]:
    chosen = {k: np.asarray(v)[rows] for k, v in cols.items()}
    lists = [_codes(chosen, a).tolist() for a in ATTRIBUTES]
    return [dict(zip(ATTRIBUTES, values, strict=True)) for values in zip(*lists, strict=True)]


def _holds(predicates: Iterable[Predicate], row: _Row) -> bool:
    return all(p.truth[row[p.attribute]] == 1 for p in predicates)


def _draw_phrase(r: Random, attribute: str, row: _Row, held: dict[str, tuple[_Held, ...]]) -> Phrase | None:
    values = held[attribute][row[attribute]]
    if not values:
        return None
    phrase = r.choice(r.choice(values))
    if phrase.value in ("none", "shaven"):
        idle = phrase.attribute in ("beard", "moustache") and row["femininity"] >= BINS // 2
        if r.random() > (_ABSENT / 4 if idle else _ABSENT):
            return None
    return phrase if _holds(phrase.predicates[1:], row) else None


# ------------------------------------------------------------------------------------------------ sentences

_ADJECTIVE_ORDER = {"expression": 0, "age": 2, "skin": 3, "hair_colour": 3, "hair_style": 3, "femininity": 4}


@dataclass(frozen=True)
class _Frame:
    """What a description has beside its phrases: an article, a noun and a template."""

    article: str
    noun: str
    template: str
    predicates: tuple[Predicate, ...]


def _frame(r: Random, phrases: Sequence[Phrase], rows: Sequence[_Row]) -> _Frame:
    """Draw a frame that fits the phrases and is true of all the rows."""
    attributes = {p.attribute for ph in phrases for p in ph.predicates}
    noun, predicates = r.choice(SUBJECTS), ()
    if "femininity" not in attributes and r.random() < 0.45:
        for name, nouns in _NOUNS.items():
            predicate = _PREDICATES["femininity", name]
            if all(_holds((predicate,), row) for row in rows):
                noun, predicates = r.choice(nouns), (predicate,)
    clothed = "clothes" in attributes or "clothes_colour" in attributes
    named = any(set(PARTS) & set(words(p.text)) for p in phrases)
    if noun in PARTS and (clothed or named):
        noun = "person"
    if noun == "someone" and any(p.form == "adj" for p in phrases):
        noun = "person"
    template = r.choice(TEMPLATES) if r.random() < 0.4 else "{}"
    if template.startswith("the ") and (noun in PARTS or named or clothed):
        template = "{}"
    kind = r.random()
    article = "" if noun == "someone" else "the " if kind < 0.06 else "" if kind > 0.94 and template == "{}" else "a "
    return _Frame(article, noun, template, predicates)


def _list(texts: Sequence[str]) -> str:
    return texts[0] if len(texts) == 1 else ", ".join(texts[:-1]) + " and " + texts[-1]


def _describe(frame: _Frame, phrases: Sequence[Phrase], *, worn: str = "wearing") -> str:
    """Put phrases into one description: "a smiling old woman with long grey hair, wearing a hat, in front of …"."""
    nouns = [p.text for p in phrases if p.form == "noun"]
    adjectives = [p for p in phrases if p.form == "adj"]
    adjectives.sort(key=lambda p: _ADJECTIVE_ORDER.get(p.attribute, 1))
    had = [p.text for p in sorted(phrases, key=lambda p: p.attribute == "background") if p.form == "with_"]
    put_on = [p.text for p in phrases if p.form == "wear"]
    states = [p.text for p in phrases if p.form == "state"]
    if worn == "with":
        had, put_on = had + put_on, []

    article = "a " if nouns and frame.noun == "someone" else frame.article
    subject = article + " ".join([*(p.text for p in adjectives[:2]), nouns[0] if nouns else frame.noun])
    parts = []
    if len(adjectives) > 2:
        parts.append("who is " + _list([p.text for p in adjectives[2:]]))
    if had:
        parts.append("with " + _list(had))
    if put_on:
        parts.append("wearing " + _list(put_on))
    parts += states
    text = " ".join([subject, *parts[:1]]) + "".join(", " + part for part in parts[1:])
    return _articles(frame.template.replace("{}", text))


def _clad(phrases: Sequence[Phrase], r: Random) -> str:
    """Whether worn things are "worn" or just had; clothes are always worn."""
    return "wearing" if r.random() < 0.7 or any(p.attribute.startswith("clothes") for p in phrases) else "with"


_NOT_ON_A_FACE = ("clothes", "clothes_colour", "hat", "hair_style", "hair_colour", "background", "turn", "femininity")


def _wish(r: Random, phrase: Phrase, row: _Row) -> tuple[str, tuple[Predicate, ...]] | None:
    """Say the phrase as a wish ("give her a smile"), where the language allows."""
    if phrase.form == "do":
        pattern = phrase.text
    else:
        frames = list(WISHES.get(phrase.form, ()))
        if phrase.attribute in ADDABLE and phrase.form in ("with_", "wear") and phrase.value not in ("none", "shaven"):
            frames += WISHES["add"]
        if not frames or phrase.text.startswith(("no ", "the ", "both ", "nothing ", "bare ")):
            return None
        pattern = r.choice(frames).replace("{}", phrase.text)
    while True:
        them, their, gender = r.choice(PRONOUNS)
        predicates = (_PREDICATES["femininity", gender],) if gender else ()
        clumsy = them == "the face" and ("face" in pattern or phrase.attribute in _NOT_ON_A_FACE)
        if not clumsy and _holds(predicates, row):
            break
    text = _articles(pattern.replace("{them}", them).replace("{their}", their))
    spoken = "{them}" in pattern or ("{their}" in pattern and their != "the")
    return text, (*phrase.predicates, *(predicates if spoken else ()))


def _bare(r: Random, phrase: Phrase) -> str | None:
    """The phrase alone, where it can stand so; sometimes without its article ("beard")."""
    text = _articles("a " + phrase.text) if phrase.form == "noun" else phrase.text
    if phrase.form == "state":
        return None if text.startswith(("who", "of ")) else text
    return re.sub(r"^an? ", "", text) if r.random() < 0.3 else text


def _single(r: Random, phrase: Phrase, row: _Row) -> tuple[str, tuple[Predicate, ...]]:
    kind = r.random()
    if phrase.form == "do" or kind < 0.12:
        wish = _wish(r, phrase, row)
        if wish is not None:
            return wish
    if kind > 0.75:
        bare = _bare(r, phrase)
        if bare is not None:
            return bare, phrase.predicates
    frame = _frame(r, (phrase,), (row,))
    return _describe(frame, (phrase,), worn=_clad((phrase,), r)), (*phrase.predicates, *frame.predicates)


def _several(r: Random, row: _Row, num: int, split: str) -> list[Phrase]:
    """Phrases for up to `num` different attributes of the row."""
    held = _HOLDING_PLAIN[split]
    chosen: dict[str, Phrase] = {}
    spoken: set[str] = set()
    for _ in range(num * 6):
        if len(spoken) >= num:
            break
        attribute = r.choice(_BAG)
        if attribute in spoken:
            continue
        for first, second in _PARTNER:  # style and colour of one thing are said together or not at all
            other = second if attribute == first else first if attribute == second else None
            if other is None:
                continue
            joined = _JOINED_HOLDING[split].get((first, row[first], row[second]))
            if joined and len(spoken) + 1 < num and other not in spoken and (r.random() < 0.5):
                chosen[first] = r.choice(joined)
                spoken |= {first, second}
        if attribute in spoken or any({attribute, s} == set(pair) for pair in _PARTNER for s in spoken):
            continue
        phrase = _draw_phrase(r, attribute, row, held)
        if phrase is None:
            continue
        about = {p.attribute for p in phrase.predicates}
        if about & spoken or (phrase.form == "noun" and any(p.form == "noun" for p in chosen.values())):
            continue
        chosen[attribute] = phrase
        spoken |= about
    return list(chosen.values())


def caption(
    cols: Columns, rows: Sequence[int], rng: np.random.Generator, split: str = "train",
    num_attributes: int | tuple[int, int] | None = None,
) -> tuple[list[str], list[tuple[Predicate, ...]]]:  # fmt: skip
    """Write a true caption for each of the given portraits.

    Args:
        cols: columns of portraits.
        rows: which portraits, by row; a row may come more than once.
        rng: source of the choices.
        split: "train" or "withheld", the phrases to write with.
        num_attributes: how many attributes to speak of, or a range of it (both ends in); by default mostly one,
            often two to four, sometimes five to eight, and now and then none ("a person").

    Returns:
        The texts, and for each text the predicates that it states.
    """
    r = Random(int(rng.integers(2**63)))
    texts: list[str] = []
    meanings: list[tuple[Predicate, ...]] = []
    for row in _rows(cols, list(rows)):
        if num_attributes is None:
            kind = r.random()
            if kind < 0.015:
                texts.append(r.choice(EMPTY))
                meanings.append(())
                continue
            num = 1 if kind < 0.55 else r.randint(2, 4) if kind < 0.88 else r.randint(5, 8)
        else:
            num = num_attributes if isinstance(num_attributes, int) else r.randint(*num_attributes)
        if num == 1:
            phrase = None
            while phrase is None:
                phrase = _draw_phrase(r, r.choice(_BAG), row, _HOLDING[split])
            text, meaning = _single(r, phrase, row)
        else:
            phrases = _several(r, row, num, split)
            frame = _frame(r, phrases, (row,))
            text = _describe(frame, phrases, worn=_clad(phrases, r))
            meaning = tuple(p for ph in phrases for p in ph.predicates) + frame.predicates
        texts.append(text)
        meanings.append(meaning)
    return texts, meanings


# ------------------------------------------------------------------------------------------------ tests and pairs

_CLASSIFY_FRAMES = {
    "with_": ("a person with {}", "a face with {}", "a portrait of a person with {}"),
    "wear": ("a person wearing {}", "someone wearing {}", "a portrait of a person wearing {}"),
    "adj": ("a {} person", "a {} face", "a portrait of a {} person"),
    "state": ("a person {}", "someone {}", "a portrait of a person {}"),
    "noun": ("a {}", "a portrait of a {}", "a picture of a {}"),
}


def classify_prompts(attribute: str, split: str = "train") -> list[tuple[str, list[str]]]:
    """For each class of an attribute (see CLASSES) its name and full texts that describe it."""
    out = []
    for name in CLASSES[attribute]:
        phrases = [p for p in PHRASES[attribute][name] if p.split == split and p.form != "do"]
        texts = [_articles(frame.replace("{}", p.text)) for p in phrases for frame in _CLASSIFY_FRAMES[p.form]]
        out.append((name, texts))
    return out


def classify_truth(attribute: str, cols: Columns) -> NDArray[np.int64]:
    """Which class of classify_prompts is right for each portrait, [N]: its index, or -1 where none is or none shows."""
    truth = np.full(len(cols["age"]), -1, dtype=np.int64)
    for i, name in enumerate(CLASSES[attribute]):
        truth[match(_PREDICATES[attribute, name], cols) == 1] = i
    return truth


def difference(
    cols_a: Columns, cols_b: Columns, names: Sequence[str], rows: Sequence[int], rng: np.random.Generator,
    split: str = "train",
) -> list[Difference | None]:  # fmt: skip
    """Describe how pairs of portraits differ, both sides in the same frame; None where no word tells them apart.

    Args:
        cols_a, cols_b: columns of the portraits before and after.
        names: the attribute that differs, for each row in `rows`.
        rows: the rows to describe, in both columns.
        rng: source of the choices.
        split: "train" or "withheld".
    """
    r = Random(int(rng.integers(2**63)))
    out: list[Difference | None] = []
    pairs = zip(names, _rows(cols_a, list(rows)), _rows(cols_b, list(rows)), strict=True)
    for name, a, b in pairs:
        out.append(_difference(r, str(name), a, b, split))
    return out


def _telling(name: str, own: _Row, other: _Row, split: str) -> list[Phrase]:
    """Phrases about the attribute that are true of the one and clearly not of the other."""
    held = dict.fromkeys(_HOLDING_PLAIN[split][name][own[name]])  # values, each once
    return [p for value in held for p in value if _holds(p.predicates, own) and p.predicates[0].truth[other[name]] == 0]


def _difference(r: Random, name: str, a: _Row, b: _Row, split: str) -> Difference | None:
    before, after = _telling(name, a, b, split), _telling(name, b, a, split)
    if not before and not after:
        return None
    one, two = r.choice(before) if before else None, r.choice(after) if after else None
    if one and two:
        alike = [p for p in before if p.form == two.form]  # "with short hair", not "short-haired", to "with a mohawk"
        one = r.choice(alike) if alike else one
        neutral = r.random()
        if neutral < (0.5 if one.value == "none" else 0.12):
            one = None
        elif neutral > (0.5 if two.value == "none" else 0.94):
            two = None
    told = tuple(p for p in (one, two) if p)
    frame = _frame(r, told, (a, b))
    worn = _clad(told, r)
    return Difference(
        _describe(frame, (one,) if one else (), worn=worn), _describe(frame, (two,) if two else (), worn=worn),
        (*(one.predicates if one else ()), *frame.predicates), (*(two.predicates if two else ()), *frame.predicates),
    )  # fmt: skip
