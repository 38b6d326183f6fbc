"""Values from files and users against the annotations of the dataclass they are for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pytest

from textmorph.errors import OptionError
from textmorph.fields import check_fields, shown


@dataclass
class Sample:
    count: int = 1
    share: float | None = 0.5
    kind: Literal["a", "b"] = "a"
    flag: bool = False
    sizes: tuple[int, ...] = ()


@pytest.mark.parametrize(
    "values",
    [
        {"count": 3, "share": 1, "kind": "b", "flag": True, "sizes": (1, 2)},
        {"share": None, "sizes": [4], "unknown": object()},
        {"count": -(2**53), "share": 1e308},
    ],
)
def test_values_of_the_right_kind_pass(values: dict[str, object]) -> None:
    check_fields(Sample, values)


@pytest.mark.parametrize(
    "values",
    [
        {"count": 1.0}, {"count": True}, {"count": "1"}, {"count": None}, {"count": 2**60}, {"count": 10**9999},
        {"share": float("nan")}, {"share": float("inf")}, {"share": "0.5"}, {"share": 10**400}, {"kind": "c"},
        {"kind": ["a"]}, {"flag": 1}, {"sizes": 3}, {"sizes": [1, "2"]}, {"sizes": [10**400]}, {"sizes": [1] * 20_000},
    ],
)  # fmt: skip
def test_a_value_of_another_kind_is_refused_in_one_line(values: dict[str, object]) -> None:
    with pytest.raises(OptionError, match=next(iter(values))) as caught:
        check_fields(Sample, values)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


def test_what_is_shown_of_a_value_is_short() -> None:
    nested: list[object] = []
    for _ in range(100_000):
        nested = [nested]
    for value in (nested, "x" * 10**6, 10**9999, {"a": nested}, "a\nb", [10**9999]):
        assert len(shown(value)) <= 80
        assert "\n" not in shown(value)
