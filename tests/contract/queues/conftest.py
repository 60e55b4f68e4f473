"""Every driver of the contracts of what moves, one after the other."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from lambent.clock import SystemClock
from lambent.store import InstallationKey, open_records
from lambent.store.events import EventDatabase, open_events
from lambent.store.queues.contracts import NewEvent, QueueBounds, QueueKey
from tests.contract.store.conftest import Place, postgres, postgres_place

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

__all__ = ["postgres"]

KEY = QueueKey("000000000000", "us-east-1", "f")
LEASE_MS = 60_000


@dataclass(frozen=True)
class QueuePlace:
    """Where the queues lie, and what bounds them."""

    place: Place
    bounds: QueueBounds = field(default_factory=QueueBounds)

    def bounded(self, **bounds: float) -> QueuePlace:
        """Return the same place with other bounds."""
        return replace(self, bounds=self.bounds._replace(**bounds))  # type: ignore[arg-type]

    async def open(self) -> Opened:
        """Open them as a starting daemon does."""
        if self.place.url:
            key = InstallationKey.open(self.place.directory / "keys")
            await open_records(self.place.directory, url=self.place.url, key=key).close()
        return Opened(open_events(self.place.directory, SystemClock(), self.bounds, url=self.place.url))

    async def execute(self, statement: str) -> None:
        """Change the database behind the store's back."""
        await self.place.execute(statement)


class Opened:
    """One daemon's view. It runs until it is closed."""

    def __init__(self, database: EventDatabase) -> None:
        self.database = database
        self.queue, self.leases, self.limiter = database.queue, database.leases, database.limiter
        self._running = asyncio.get_running_loop().create_task(database.run())

    async def close(self) -> None:
        """Close in order."""
        self._running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._running
        await self.database.close()


def an_event(text: str = "{}", key: QueueKey = KEY, lease_ms: int = 0) -> NewEvent:
    """Return a new event whose head and payload are this text."""
    return NewEvent(key, text.encode(), text.encode(), lease_ms)


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> QueuePlace:
    if request.param == "sqlite":
        return QueuePlace(Place(tmp_path))
    return QueuePlace(postgres_place(request.getfixturevalue("postgres"), tmp_path))


@pytest.fixture
async def opened(place: QueuePlace) -> AsyncIterator[Opened]:
    made = await place.open()
    yield made
    await made.close()
