"""Fair turns."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textmorph.errors import OptionError
from textmorph.web.turns import Turns


async def work(turns: Turns, visitor: str, log: list[str], running: set[str]) -> None:
    async with turns.turn(visitor):
        assert visitor not in running, "two works of one visitor at once"
        running.add(visitor)
        log.append(visitor)
        await asyncio.sleep(0)
        running.discard(visitor)


@given(st.lists(st.sampled_from("abc"), max_size=30), st.integers(1, 3))
def test_everyone_is_served_and_nobody_twice_at_once(visitors: list[str], at_once: int) -> None:
    async def play() -> list[str]:
        turns, log, running = Turns(at_once, 100), [], set()
        await asyncio.gather(*(work(turns, visitor, log, running) for visitor in visitors))
        assert turns.num_waiting == 0
        return log

    assert sorted(asyncio.run(play())) == sorted(visitors)


def test_one_wish_of_one_visitor_does_not_wait_for_twenty_of_another() -> None:
    async def play() -> list[str]:
        turns, log, running = Turns(1, 100), [], set()
        async with turns.turn("greedy"):
            tasks = [asyncio.create_task(work(turns, "greedy", log, running)) for _ in range(20)]
            await asyncio.sleep(0)
            tasks.append(asyncio.create_task(work(turns, "modest", log, running)))
            await asyncio.sleep(0)
        await asyncio.gather(*tasks)
        return log

    assert asyncio.run(play()).index("modest") <= 1


def test_who_asks_for_too_much_is_refused_at_once() -> None:
    async def play() -> None:
        turns = Turns(1, 2)
        async with turns.turn("a"):
            waiting = [asyncio.create_task(work(turns, "a", [], set())) for _ in range(2)]
            await asyncio.sleep(0)
            with pytest.raises(OptionError, match="one thing at a time"):
                async with turns.turn("a"):
                    pass
        await asyncio.gather(*waiting)

    asyncio.run(play())


def test_who_leaves_or_fails_gives_the_turn_back() -> None:
    async def play() -> list[str]:
        turns, log, running = Turns(1, 5), [], set()
        async with turns.turn("a"):
            leaving = asyncio.create_task(work(turns, "b", log, running))
            await asyncio.sleep(0)
            leaving.cancel()
            await asyncio.sleep(0)
        with pytest.raises(ZeroDivisionError):
            async with turns.turn("c"):
                raise ZeroDivisionError
        called = asyncio.create_task(work(turns, "d", log, running))
        await asyncio.sleep(0)
        await asyncio.wait_for(called, 1)
        late = asyncio.create_task(work(turns, "e", log, running))
        late.cancel()  # before it even began
        await asyncio.wait_for(work(turns, "f", log, running), 1)
        assert turns.num_waiting == 0
        return log

    assert asyncio.run(play()) == ["d", "f"]
