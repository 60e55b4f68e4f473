"""What a broker has sent and nobody has taken, and that the connection is lost."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lambent.clock import Clock
    from lambent.events.sources.source import SourceError, SourceRecord


class Inbox:
    """Scope: connection; bounded by what the broker sends without acknowledgement. One taker at a time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._records: deque[SourceRecord] = deque()
        self._changed = asyncio.Event()
        self._is_closed = False
        self.error: SourceError | None = None

    @property
    def is_empty(self) -> bool:
        """Whether `take` would wait."""
        return not self._records

    def put(self, record: SourceRecord) -> None:
        """The broker sent something."""
        self._records.append(record)
        self._changed.set()

    def fail(self, error: SourceError) -> None:
        """The connection is lost. The broker gives what nobody acknowledged to the next one."""
        self.error = self.error or error
        self._records.clear()
        self._changed.set()

    def close(self) -> None:
        """Nothing more will be taken."""
        self._is_closed = True
        self._changed.set()

    async def take(self, seconds_max: float | None) -> SourceRecord | None:
        """Return the next record, None without one in time or when closed. Raises SourceError: it is lost."""
        end_ns = None if seconds_max is None else self._clock.monotonic_ns() + int(seconds_max * 1_000_000_000)
        while True:
            if self.error is not None:
                raise self.error
            if self._is_closed:
                return None
            if self._records:
                return self._records.popleft()
            left = None if end_ns is None else (end_ns - self._clock.monotonic_ns()) / 1_000_000_000
            if left is not None and left <= 0:
                return None
            self._changed.clear()
            try:
                async with asyncio.timeout(left):
                    await self._changed.wait()
            except TimeoutError:
                return None
