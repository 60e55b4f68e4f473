"""Waiting that a stop ends."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable

T = TypeVar("T")

# A request that waits at a source may bring something in its last moment; after this nobody waits for it any more.
_GRACE_SECONDS = 1.0


class Stop(asyncio.Event):
    """Says once that a poller shall end. What waits at a source then has a second to come back."""

    def __init__(self) -> None:
        super().__init__()
        self._limits: set[asyncio.Timeout] = set()

    def set(self) -> None:
        """Say it. Idempotent."""
        if not self.is_set():
            super().set()
            for limit in self._limits:
                limit.reschedule(asyncio.get_running_loop().time() + _GRACE_SECONDS)

    async def unless(self, work: Awaitable[T]) -> T | None:
        """Return what `work` returns; None when it had to be given up because of the stop."""
        limit = asyncio.timeout(None)
        try:
            async with limit:
                if self.is_set():
                    limit.reschedule(asyncio.get_running_loop().time() + _GRACE_SECONDS)
                self._limits.add(limit)
                return await work
        except TimeoutError:
            if not limit.expired():
                raise
            return None
        finally:
            self._limits.discard(limit)


async def pause(seconds: float, stopped: asyncio.Event) -> bool:
    """Return after `seconds`, or as soon as it is stopped; whether it is."""
    try:
        async with asyncio.timeout(seconds):
            await stopped.wait()
    except TimeoutError:
        return False
    return True
