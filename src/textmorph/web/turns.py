"""Fair turns: whoever has many wishes waits behind whoever has one."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ..errors import OptionError


class Turns:
    """Some works at a time, one per visitor; the visitors who wait are served in a circle.

    For one event loop; nothing here is shared between threads.

    Args:
        at_once: works that run at the same time, over all visitors.
        max_waiting: works that one visitor may have waiting.
    """

    def __init__(self, at_once: int, max_waiting: int) -> None:
        self._free = at_once
        self._max_waiting = max_waiting
        self._running: set[str] = set()
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    @property
    def num_waiting(self) -> int:
        return sum(len(queue) for queue in self._waiting.values())

    @asynccontextmanager
    async def turn(self, visitor: str) -> AsyncIterator[None]:
        """Wait for a turn, and give it back.

        Raises:
            OptionError: this visitor has too much waiting already.
        """
        queue = self._waiting.setdefault(visitor, deque())
        if len(queue) >= self._max_waiting:
            raise OptionError("one thing at a time: the studio is still busy with what you asked for before")
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(future)
        self._call()
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():  # called, but its visitor has just left
                self._leave(visitor)
            elif future in queue:
                queue.remove(future)
                self._forget(visitor)
            raise
        try:
            yield
        finally:
            self._leave(visitor)

    def _leave(self, visitor: str) -> None:
        self._running.discard(visitor)
        self._free += 1
        self._call()

    def _call(self) -> None:
        """Call in the next ones: in the order of the circle, no visitor twice at the same time."""
        while self._free:
            visitor = next((v for v, queue in self._waiting.items() if queue and v not in self._running), None)
            if visitor is None:
                return
            future = self._waiting[visitor].popleft()
            self._waiting.move_to_end(visitor)
            self._forget(visitor)
            if future.cancelled():
                continue
            self._free -= 1
            self._running.add(visitor)
            future.set_result(None)

    def _forget(self, visitor: str) -> None:
        if visitor in self._waiting and not self._waiting[visitor]:
            del self._waiting[visitor]
