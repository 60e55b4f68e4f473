"""The change feed: what was there when a reader came, then every commit, in order."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lambent.store.contracts import ChangeBatch

# Far above what a reader that only fills a dictionary can fall behind by.
_WAITING_MAX = 1_000_000


class FeedOverflowError(Exception):
    """A reader of the feed stopped reading; it must begin again."""


class Subscription:
    """One reader's changes. The writer's thread offers, the loop takes. Scope: process; after a crash begun anew."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._changes: deque[ChangeBatch] = deque()
        self._after = 0
        self._arrived = asyncio.Event()
        self._is_overflown = False
        self._offered = 0
        self._taken = 0

    @property
    def is_behind(self) -> bool:
        """Whether something was offered that the reader has not taken yet."""
        return self._offered != self._taken

    def begin(self, sequence: int) -> None:
        """Take commits after this one: the reader reads what was before. Called in the writer's thread."""
        self._after = sequence

    def offer(self, batch: ChangeBatch) -> None:
        """Hand a commit to the reader; callable from any thread, in order."""
        if batch.sequence <= self._after:
            return
        self._offered += 1
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._add, batch)

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> ChangeBatch:
        """Return the next commit; waits for one.

        Raises:
            FeedOverflowError: more than a million commits were waiting.
        """
        while not self._changes:
            if self._is_overflown:
                raise FeedOverflowError
            self._arrived.clear()
            await self._arrived.wait()
        self._taken += 1
        return self._changes.popleft()

    def _add(self, batch: ChangeBatch) -> None:
        if len(self._changes) >= _WAITING_MAX:
            self._is_overflown = True
            self._changes.clear()
        elif not self._is_overflown:
            self._changes.append(batch)
        self._arrived.set()
