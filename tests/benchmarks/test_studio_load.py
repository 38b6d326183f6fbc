"""The load's own checks must be able to fail."""

from __future__ import annotations

import os

import pytest
import torch
from torch import Tensor

from benchmarks.studio_load import Answer, memory, mistaken, waits
from benchmarks.studio_server import MemoryWatch, resident_mib


def right_answers(clients: int = 4, wishes: int = 2) -> Tensor:
    return torch.rand(clients, wishes, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1


def answers(expected: Tensor) -> list[Answer]:
    return [
        Answer(client=client, action="edit", wait=client + 1, finished=client, image=expected[client, wish], wish=wish)
        for client in range(expected.shape[0])
        for wish in range(expected.shape[1])
    ]


def test_right_answers_pass_and_rounding_to_bytes_does_no_harm() -> None:
    expected = right_answers()
    rounded = ((expected + 1) * 127.5).round() / 127.5 - 1
    assert mistaken(answers(rounded), expected) == []


def test_answers_of_two_clients_swapped_are_both_found() -> None:
    expected = right_answers()
    swapped = expected[[1, 0, 2, 3]]
    found = mistaken(answers(swapped), expected)
    assert len(found) == 4
    assert "client 0 asked for wish 0 (edit) and got wish 0 of client 1" in found


def test_the_asker_s_own_picture_with_another_wish_is_found() -> None:
    expected = right_answers()
    assert len(mistaken(answers(expected.flip(1)), expected)) == 8


def test_a_picture_that_is_only_nearly_right_is_found() -> None:
    expected = right_answers()
    assert "from the right one" in mistaken(answers((expected + 0.05).clamp(-1, 1)), expected)[0]


def test_right_answers_too_alike_to_tell_apart_prove_nothing() -> None:
    expected = right_answers()
    expected[1] = expected[0] + 0.01
    with pytest.raises(ValueError, match="two clients differ by"):
        mistaken(answers(expected), expected)
    expected = right_answers()
    expected[:, 1] = expected[:, 0] + 0.01
    with pytest.raises(ValueError, match="two wishes of a client differ by"):
        mistaken(answers(expected), expected)


def test_no_picture_at_all_proves_nothing() -> None:
    with pytest.raises(ValueError, match="no picture"):
        mistaken([Answer(client=0, action="open", wait=1, finished=1)], right_answers())


def test_waits_are_told_for_every_action_and_for_all() -> None:
    table = waits(answers(right_answers()))
    assert set(table) == {"edit", "all"}
    assert table["all"] == {"answers": 8, "p50": 2.5, "p95": 4.0, "max": 4.0}


def test_memory_that_grows_is_not_flat() -> None:
    watch = MemoryWatch(os.getpid())
    watch.samples = [(float(second), 500.0) for second in range(100)]
    assert memory(watch, warm=20, end=99)["flat"]
    watch.samples = [(float(second), 500.0 + second) for second in range(100)]
    told = memory(watch, warm=20, end=99)
    assert told["growth"] > 50
    assert not told["flat"]


def test_a_process_that_has_ended_has_no_memory() -> None:
    assert resident_mib(os.getpid()) > 10
    assert resident_mib(2**22 + 1) == 0
