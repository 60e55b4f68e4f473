"""Which driver keeps what moves."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lambent.store.sqlite.event_queue import SqliteEventQueue
from lambent.store.sqlite.leases import SqliteLeases, SqliteLimiter

if TYPE_CHECKING:
    from pathlib import Path

    from lambent.clock import Clock
    from lambent.store.queues.contracts import EventQueue, Leases, Limiter, QueueBounds


class EventDatabase(NamedTuple):
    """The three contracts over one database."""

    queue: EventQueue
    leases: Leases
    limiter: Limiter

    async def run(self) -> None:
        """Do what must go on beside the calls, until cancelled."""
        await self.queue.run()

    async def close(self) -> None:
        """Commit what waits and close."""
        await self.queue.close()


def open_events(data_directory: Path, clock: Clock, bounds: QueueBounds, *, url: str = "") -> EventDatabase:
    """Open the events of an installation: SQLite in its data directory, or the PostgreSQL database of `url`. Blocks.

    The database of `url` has been brought to today's form by `open_records`.

    Raises:
        StoreUnusableError: it cannot be opened, or a newer Lambent wrote it.
    """
    if not url:
        sqlite = SqliteEventQueue(data_directory / "events.db", clock, bounds)
        return EventDatabase(sqlite, SqliteLeases(sqlite, clock), SqliteLimiter(sqlite, clock))
    # Imported only where it is used: it is a third of a start.
    from lambent.store.postgresql.event_queue import PostgresqlEventQueue
    from lambent.store.postgresql.leases import PostgresqlLeases, PostgresqlLimiter

    queue = PostgresqlEventQueue(url, clock, bounds)
    return EventDatabase(queue, PostgresqlLeases(queue.database), PostgresqlLimiter(queue.database))
