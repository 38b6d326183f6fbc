# ruff: noqa: E501  (a table of words)
"""What texts say about faces: phrasings with their meaning, and captions composed of them.

A meaning is a set of literals, attribute → 1 or 0, all of which hold (`{"glasses": 1, "feminine": 0}`). A fifth of the
phrasings of a concept is withheld from training, as far as all their words occur in others: these only measure.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from itertools import chain

from .concepts import CONCEPTS, Concept, Meaning, listed

BY_NAME = {concept.name: concept for concept in CONCEPTS}
NEUTRAL = "a person"
NOUNS = ("person", "face", "human", "individual", "someone", "somebody")
TEMPLATES = (
    "{}", "a photo of {}", "a picture of {}", "a portrait of {}", "a photograph of {}", "an image of {}",
    "the face of {}", "this is {}", "a close-up of {}", "the head of {}",
)  # fmt: skip

REQUESTS = {
    "thing": (
        "add {}",
        "give them {}",
        "give the person {}",
        "they have {}",
        "i want {}",
        "make them have {}",
        "has {}",
        "show {}",
        "with {}",
        "give her {}",
        "give him {}",
        "{} please",
        "she has {}",
        "he has {}",
        "just {}",
        "let there be {}",
    ),
    "worn": (
        "put on {}",
        "wear {}",
        "wears {}",
        "put {} on",
        "wearing {}",
        "let them wear {}",
        "she wears {}",
        "he wears {}",
    ),
    "adjective": (
        "{}",
        "make them {}",
        "make the person {}",
        "look {}",
        "looks {}",
        "they are {}",
        "more {}",
        "very {}",
        "become {}",
        "really {}",
        "much more {}",
        "make her {}",
        "make him {}",
        "she is {}",
        "he is {}",
        "should be {}",
        "completely {}",
        "turn {}",
        "quite {}",
        "a bit {}",
        "so {}",
    ),
    "noun": (
        "{}",
        "turn them into {}",
        "make them {}",
        "become {}",
        "as {}",
        "looks like {}",
        "turn into {}",
        "make it {}",
    ),
    "clause": ("{}", "make them someone {}", "someone {}", "now {}"),
    "denied": (
        "remove {}",
        "no {}",
        "without {}",
        "get rid of {}",
        "lose {}",
        "take away {}",
        "not {}",
        "no more {}",
        "delete {}",
    ),
    "denied worn": ("take off {}", "take {} off", "put {} away", "not wearing {}", "not with {} on"),
}
"""How users ask for what a phrasing says, by its kind; `denied` turns its one literal round."""

MODIFIERS = {
    "glasses": "round; square; thick; thin; big; large; black; nerdy; stylish; small; modern; old-fashioned; dark-rimmed; elegant",
    "sunglasses": "cool; big; large; black; mirrored; stylish; round; fancy; expensive; thick",
    "hat": "winter; summer; straw; warm; black; red; blue; green; white; big; funny; fancy; wide; small; elegant; colourful",
    "beard": "short; trimmed; big; heavy; rough; wild; huge; neat; black; grey; white; blond; stylish; old",
    "smile": "friendly; warm; slight; gentle; sweet; lovely; charming; huge; small; beautiful; great; subtle; nice; cheeky",
    "serious": "cold; hard; sad; angry; strict; grim; severe; tired; cool",
    "long hair": "beautiful; smooth; wavy; thick; black; dark; blond; brown; loose; shiny; wild",
    "short hair": "neat; tidy; modern; black; dark; blond; brown; military; boyish; simple",
    "fringe": "straight; thick; short; heavy; cute; full; wispy; neat",
    "blond hair": "bright; light; beautiful; bleached; platinum; shiny; natural; sandy",
    "black hair": "shiny; deep; thick; beautiful; natural; pure",
    "grey hair": "shiny; light; old; beautiful; thin; dull",
    "child": "cute; sweet; happy; tiny; lovely; little; five-year-old; small",
    "old": "very; really; wise; tired; frail; deep; many; kind",
    "woman": "beautiful; pretty; lovely; elegant; nice; real; kind",
    "man": "handsome; strong; rough; real; nice; rugged; tough",
    "lipstick": "bright; dark; pink; glossy; heavy; shiny",
}
"""Words that may stand before a concept's things and nouns and change nothing that labels know."""

_UNKNOWN = "zzzz"
_FILLERS = {"a", "an", "the", "of", "with", "who", "person", "face", "human", "has", "is", "have", "them", "very"}
"""Words that may be dropped: without them the text says the same."""


@dataclass(frozen=True)
class Phrasing:
    """A text that stands alone, with the parts that captions are composed of.

    kind: `noun`, `adjective`, `clause` or `thing`.
    """

    part: str
    kind: str
    concept: str
    meaning: Meaning = field(hash=False)

    def text(self, noun: str = "person") -> str:
        """As a text of its own: "a smiling person", "a person with a smile" (from a clause), "a smile"."""
        if self.kind == "thing":
            return self.part
        if self.kind == "noun":
            return article(self.part)
        return article(f"{self.part} {noun}") if self.kind == "adjective" else f"{article(noun)} {self.part}"


def article(words: str) -> str:
    """The words with "a" or "an" where they need one."""
    if words.split()[0] in ("someone", "somebody"):
        return words
    return ("an " if words[0] in "aeiou" else "a ") + words


@cache
def phrasings() -> tuple[tuple[Phrasing, ...], tuple[Phrasing, ...]]:
    """Those for training, and those withheld."""
    everything = [p for concept in CONCEPTS for p in _of(concept)]
    count = Counter(word for p in everything for word in set(words_of(p.part)))
    withheld = []
    for concept in CONCEPTS:
        own = [p for p in everything if p.concept == concept.name]
        order = random.Random(concept.name).sample(own, len(own))
        left = len(own) // 5
        for phrasing in order:
            if left and all(count[word] > 1 for word in set(words_of(phrasing.part))):
                count.subtract(set(words_of(phrasing.part)))
                withheld.append(phrasing)
                left -= 1
    return tuple(p for p in everything if p not in withheld), tuple(withheld)


def _of(concept: Concept) -> list[Phrasing]:
    made = [("noun", n) for n in concept.nouns] + [("adjective", a) for a in concept.adjectives]
    made += [("clause", c) for c in concept.clauses]
    for thing in concept.things:
        made += [("thing", thing), ("clause", f"with {thing}")]
        if concept.worn:
            made.append(("clause", f"wearing {thing}"))
    return [Phrasing(part, kind, concept.name, concept.meaning) for kind, part in made]


def words_of(text: str) -> list[str]:
    """The words of a text as the tokenizer cuts it."""
    return re.findall(r"[a-z]+|[0-9]+|[^\sa-z0-9]", text.lower())


@cache
def vocabulary() -> tuple[str, ...]:
    """Words of training, sorted."""
    asked = chain.from_iterable(REQUESTS.values())
    texts = chain(
        TEMPLATES, asked, MODIFIERS.values(), (p.part for p in phrasings()[0]), NOUNS, ("a, an and the but of", NEUTRAL)
    )
    return tuple(sorted({word for text in texts for word in words_of(text.replace("{}", " "))}))


def compose(parts: list[Phrasing], rng: random.Random) -> tuple[str, Meaning]:
    """A caption of some phrasings: at most one noun, one adjective, and the rest behind the noun.

    One phrasing alone may become a request instead, and may be denied.
    """
    meaning = {name: value for part in parts for name, value in part.meaning.items()}
    if len(parts) == 1 and rng.random() < 0.5:
        asked = _request(parts[0], rng)
        return asked if asked[0] not in withheld_parts() else (parts[0].text(), meaning)
    kinds: dict[str, list[str]] = {"noun": [], "adjective": [], "clause": [], "thing": []}
    for part in parts:
        kinds[part.kind].append(_modified(part, rng))
    if len(parts) == 1 and kinds["thing"]:
        text = kinds["thing"][0]
    else:
        noun = kinds["noun"][0] if kinds["noun"] else rng.choice(NOUNS)
        text = article(" ".join([*kinds["adjective"], noun]))
        behind = kinds["clause"] + [_having(thing) for thing in kinds["thing"]]
        rng.shuffle(behind)
        if behind:
            joined = rng.choice([", ", " "]).join(behind[:-1])
            text = " ".join([text, joined, *(["and"] if joined else []), behind[-1]])
    if text in withheld_parts():
        text = parts[0].text()
    template = rng.choice(TEMPLATES) if rng.random() < 0.4 else "{}"
    return " ".join(template.replace("{}", text).split()), meaning


def _having(thing: str) -> str:
    clause = f"with {thing}"
    return f"who has {thing}" if clause in withheld_parts() else clause


@cache
def withheld_parts() -> frozenset[str]:
    """What no caption for training may say."""
    return frozenset(phrasing.part for phrasing in phrasings()[1])


def _request(phrasing: Phrasing, rng: random.Random) -> tuple[str, Meaning]:
    concept, text = BY_NAME[phrasing.concept], _modified(phrasing, rng)
    if phrasing.kind != "thing":
        said = article(text) if phrasing.kind == "noun" and rng.random() < 0.7 else text
        return rng.choice(REQUESTS[phrasing.kind]).replace("{}", said), phrasing.meaning
    kinds = ["thing", "worn"] if concept.worn else ["thing"]
    ((name, value), *more) = phrasing.meaning.items()
    if not more and value == 1 and rng.random() < 0.4 and any(c.meaning == {name: 0} for c in CONCEPTS):
        denial = rng.choice(REQUESTS[rng.choice(["denied", "denied worn"] if concept.worn else ["denied"])])
        bare = re.sub(r"^an? ", "", text)
        return denial.replace("{}", rng.choice([text, bare, f"the {bare}"])), {name: 0}
    return rng.choice(REQUESTS[rng.choice(kinds)]).replace("{}", text), phrasing.meaning


def _modified(phrasing: Phrasing, rng: random.Random) -> str:
    """The words of a phrasing, a thing or a noun now and then with one word before it that changes nothing."""
    words = MODIFIERS.get(phrasing.concept)
    if words is None or phrasing.kind not in ("thing", "noun") or rng.random() < 0.7:
        return phrasing.part
    word = rng.choice(listed(words))
    bare = re.sub(r"^an? ", "", phrasing.part)
    return article(f"{word} {bare}") if bare != phrasing.part else f"{word} {bare}"


def disturbed(text: str, rng: random.Random) -> str:
    """The text without one of its fillers, or with a word that nobody knows: what is left must do."""
    words = text.split()
    fillers = [at for at, word in enumerate(words) if word in _FILLERS]
    if len(words) > 2 and fillers and rng.random() < 0.4:
        del words[rng.choice(fillers)]
    if rng.random() < 0.3:
        words.insert(rng.randint(0, len(words)), _UNKNOWN)
    return " ".join(words)


def opposite(meaning: Meaning, rng: random.Random) -> list[Phrasing]:
    """Training phrasings that deny one of the literals, and hold for what else is said: for hard negatives."""
    name = rng.choice(sorted(meaning))
    others = {key: value for key, value in meaning.items() if key != name}
    found = [p for p in phrasings()[0] if p.meaning == {name: 1 - meaning[name]}]
    kept = [p for p in phrasings()[0] if p.meaning and p.meaning == others]
    return ([rng.choice(found)] if found else []) + ([rng.choice(kept)] if kept else [])
