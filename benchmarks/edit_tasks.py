"""The twelve edits that are measured: what is asked for, in which words, and what a portrait has when it is granted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recipes.portraits.attributes import CATEGORIES, SCALARS
from recipes.portraits.captions import BINS, PHRASES, Phrase, Predicate, value_predicate
from recipes.portraits.data import records

Columns = dict[str, NDArray[Any]]

FRAMES = {
    "with_": "a person with {}",
    "wear": "a person wearing {}",
    "adj": "a {} person",
    "state": "a person {}",
    "noun": "a {}",
}
"""The sentence around a phrase, by its grammatical form."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """One edit.

    Args:
        key: its name in files and on the command line.
        attribute, value: what is asked for, as in `captions.PHRASES`.
        tied: other attributes that cannot stay as they are, since no portrait has both: changing them is no leak. What
            merely goes together (a moustache with a beard, an open mouth with surprise) is not tied and does count.
    """

    key: str
    attribute: str
    value: str
    tied: tuple[str, ...] = ()

    @property
    def predicate(self) -> Predicate:
        """Says of a portrait whether it has what is asked for."""
        return value_predicate(self.attribute, self.value)

    def phrase(self, split: str, number: int = 0) -> Phrase:
        """A phrasing of a split ("train" or "withheld"), in the order of the recipe from 0; wishes are left out."""
        phrases = PHRASES[self.attribute][self.value]
        return [p for p in phrases if p.split == split and p.form in FRAMES][number]

    def prompt(self, split: str = "withheld", number: int = 0) -> str:
        """The phrase in a sentence."""
        phrase = self.phrase(split, number)
        return re.sub(r"\ba (?=[aeiou])", "an ", FRAMES[phrase.form].replace("{}", phrase.text))


TASKS = {
    task.key: task
    for task in (
        Task(key="purple", attribute="hair_colour", value="purple"),
        Task(key="blond", attribute="hair_colour", value="blond"),
        Task(key="grey", attribute="hair_colour", value="grey"),
        Task(key="mohawk", attribute="hair_style", value="mohawk", tied=("hat",)),  # nobody here has it under a hat
        Task(key="curly", attribute="hair_style", value="curly"),
        Task(key="bald", attribute="hair_style", value="bald"),
        Task(key="glasses", attribute="glasses", value="glasses"),
        Task(key="beard", attribute="beard", value="full"),
        Task(key="smile", attribute="expression", value="smiling"),
        Task(key="surprise", attribute="expression", value="surprised"),
        Task(key="old", attribute="age", value="old"),
        Task(key="lipstick", attribute="lipstick", value="lipstick"),
    )
}
"""Hair colour three times, hair style three times, glasses, beard, smile, surprise, age, lipstick; chosen before the
first measurement."""

FURTHER = {"young": Task(key="young", attribute="age", value="young")}
"""Asked of latent mappers alone: beside "old", which portraits does badly, the other way that age can go."""

EVERY = {**TASKS, **FURTHER}
"""What can be asked for by its key."""

SHOWN = ("purple", "mohawk", "glasses", "beard", "smile", "old")
"""One of each kind, for the small picture in the README; chosen before the first measurement."""


def grant(task: Task, cols: Mapping[str, NDArray[Any]], *, seed: int = 0) -> Columns:
    """The portraits as they would be drawn if the wish came true; those that fulfil it already stay as they are.

    Args:
        task: where several values fulfil it (an age above 0.7), one is drawn for each portrait.
        cols: columns of portraits, [N] each.
    """
    out = {name: column.copy() for name, column in cols.items()}
    truth = np.frombuffer(task.predicate.truth, dtype=np.int8)[:-1]  # the last is "hidden"
    codes = np.flatnonzero(truth == 1)
    random = np.random.default_rng(seed)
    drawn = random.choice(codes, size=len(cols["age"]))
    column = out[task.attribute]
    if task.attribute in CATEGORIES:
        lacking = truth[column] != 1
        column[lacking] = drawn[lacking]
        for name in task.tied:
            out[name][lacking] = 0  # "none"
        return out
    low, high = SCALARS[task.attribute]
    values = low + (drawn + random.random(len(drawn))) / BINS * (high - low)
    lacking = truth[np.clip((column - low) / (high - low) * BINS, 0, BINS - 1).astype(int)] != 1
    column[lacking] = values[lacking]
    return out


def held_out(first: int, num: int) -> Columns:
    """Columns of rows of the set "test", on which nothing was trained."""
    cols, _ = records("test", first + num)
    return {name: column[first:] for name, column in cols.items()}
