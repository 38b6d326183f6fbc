"""Options that two public functions share are spelled out in both, so that `help()` tells them: here they stay equal.

A bank or corpus is built at once by one function, and planned for shards by another. One object for the options would
keep them in one place, but would hide their names and defaults from whoever asks the function.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from textmorph.banks.bank import ChannelBank, build_bank
from textmorph.banks.differences import plan_bank
from textmorph.banks.gradients import Screen
from textmorph.corpora.corpus import Corpus
from textmorph.corpora.making import plan_corpus

PAIRS = {
    "bank": (build_bank, plan_bank, {"progress", "shard_size"}),
    "corpus": (Corpus.build, plan_corpus, {"progress", "path", "thumbnail"}),
    "relevance": (Screen.direction, Screen.relevance, set()),
    "direction": (Screen.direction, ChannelBank.direction, {"progress", "max_resolution", "to_rgb"}),
}


def options(function: Callable[..., Any]) -> dict[str, tuple[Any, Any]]:
    """Name → default and annotation."""
    return {
        name: (parameter.default, parameter.annotation)
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }


@pytest.mark.parametrize("name", PAIRS)
def test_two_functions_take_the_same_options_with_the_same_defaults(name: str) -> None:
    one, other, own = PAIRS[name]
    first, second = options(one), options(other)
    assert {k: v for k, v in first.items() if k not in own} == {k: v for k, v in second.items() if k not in own}
    assert len(first) > len(own)
