"""What is due when: keys in the order of their time."""

from __future__ import annotations

import asyncio
import heapq
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable

    from lambent.clock import Clock

K = TypeVar("K", bound="Hashable")

# The machine's clock may be set: nothing is slept through for longer.
_LOOK_SECONDS = 2.0


class DueQueue(Generic[K]):
    """Keys with the ms of the Unix epoch at which they are due. Scope: process; memory only."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due: dict[K, int] = {}
        self._heap: list[tuple[int, int, K]] = []
        self._count = 0
        self._changed = asyncio.Event()

    def put(self, key: K, due_ms: int) -> None:
        """Let a key be due at a time, in place of any other."""
        if self._due.get(key) == due_ms:
            return
        self._due[key] = due_ms
        self._count += 1
        heapq.heappush(self._heap, (due_ms, self._count, key))
        if self._heap[0][2] == key:
            self._changed.set()
        if len(self._heap) > 2 * len(self._due) + 64:
            self._heap = [(due, number, one) for number, (one, due) in enumerate(self._due.items())]
            self._count = len(self._heap)
            heapq.heapify(self._heap)

    def remove(self, key: K) -> None:
        """Forget a key; none is no failure."""
        self._due.pop(key, None)

    def take_due(self, limit: int) -> list[K]:
        """Remove and return up to `limit` keys that are due, the earliest first."""
        now_ms = self._clock.time_ms()
        found: list[K] = []
        while len(found) < limit and (first := self._first()) is not None and first[0] <= now_ms:
            heapq.heappop(self._heap)
            del self._due[first[2]]
            found.append(first[2])
        return found

    async def wait(self) -> None:
        """Return when something is due, or may be."""
        first = self._first()
        seconds = None if first is None else (first[0] - self._clock.time_ms()) / 1_000
        if seconds is not None and seconds <= 0:
            return
        self._changed.clear()
        try:
            async with asyncio.timeout(None if seconds is None else min(seconds, _LOOK_SECONDS)):
                await self._changed.wait()
        except TimeoutError:
            pass

    def _first(self) -> tuple[int, int, K] | None:
        while self._heap and self._due.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0] if self._heap else None
