"""Leases and slices in the events' SQLite file. With one daemon they are always granted; epochs are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from lambent.store.queues.contracts import HeldLease

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence

    from lambent.clock import Clock
    from lambent.store.sqlite.event_queue import SqliteEventQueue

T = TypeVar("T")

_READ = "SELECT owner, epoch, until_ms, value FROM leases WHERE name = ?"
_ACQUIRE = """
INSERT INTO leases (name, owner, epoch, until_ms, value) VALUES (:name, :owner, 1, :until_ms, x'')
ON CONFLICT (name) DO UPDATE
SET epoch = epoch + (owner <> :owner OR until_ms <= :now_ms), owner = :owner, until_ms = :until_ms
WHERE owner = :owner OR until_ms <= :now_ms
RETURNING epoch
"""
_CURRENT = "WHERE name = :name AND epoch = :epoch AND until_ms > :now_ms"
_RENEW = f"UPDATE leases SET until_ms = :until_ms {_CURRENT}"
_WRITE = f"UPDATE leases SET value = :value {_CURRENT}"
_RELEASE = f"UPDATE leases SET until_ms = 0 {_CURRENT}"

_WITH_PREFIX = "WHERE substr(name, 1, length(:prefix)) = :prefix"

_END_SLICES = "DELETE FROM slices WHERE name = :name AND (owner = :owner OR until_ms <= :now_ms)"
_LENT = "SELECT COALESCE(SUM(amount), 0) FROM slices WHERE name = :name"
_LEND = "INSERT INTO slices (name, owner, amount, until_ms) VALUES (:name, :owner, :amount, :until_ms)"


class SqliteLeases:
    """Leases over the file of a SqliteEventQueue, whose thread writes. Scope and crash: see Leases."""

    def __init__(self, events: SqliteEventQueue, clock: Clock) -> None:
        self._events = events
        self._clock = clock

    async def acquire(self, name: str, owner: str, ttl_ms: int) -> int | None:
        """See Leases.acquire."""
        now_ms = self._clock.time_ms()
        parameters = {"name": name, "owner": owner, "now_ms": now_ms, "until_ms": now_ms + ttl_ms}
        rows = await self._execute(lambda connection: connection.execute(_ACQUIRE, parameters).fetchall())
        return int(rows[0]["epoch"]) if rows else None

    async def renew(self, name: str, epoch: int, ttl_ms: int) -> bool:
        """See Leases.renew."""
        return await self._change(_RENEW, name, epoch, until_ms=self._clock.time_ms() + ttl_ms)

    async def write(self, name: str, epoch: int, value: bytes) -> bool:
        """See Leases.write."""
        return await self._change(_WRITE, name, epoch, value=value)

    async def release(self, name: str, epoch: int) -> bool:
        """See Leases.release."""
        return await self._change(_RELEASE, name, epoch)

    async def read(self, name: str) -> HeldLease | None:
        """See Leases.read."""
        rows = await self._execute(lambda connection: connection.execute(_READ, (name,)).fetchall())
        return HeldLease(rows[0]["owner"], rows[0]["epoch"], bytes(rows[0]["value"])) if rows else None

    async def names(self, prefix: str) -> Sequence[str]:
        """See Leases.names."""
        statement = f"SELECT name FROM leases {_WITH_PREFIX} ORDER BY name"
        rows = await self._execute(lambda connection: connection.execute(statement, {"prefix": prefix}).fetchall())
        return [row["name"] for row in rows]

    async def forget(self, prefix: str) -> int:
        """See Leases.forget."""
        statement = f"DELETE FROM leases {_WITH_PREFIX}"
        return await self._execute(lambda connection: connection.execute(statement, {"prefix": prefix}).rowcount)

    async def _change(self, statement: str, name: str, epoch: int, **more: object) -> bool:
        parameters = {"name": name, "epoch": epoch, "now_ms": self._clock.time_ms(), **more}
        return await self._execute(lambda connection: connection.execute(statement, parameters).rowcount == 1)

    async def _execute(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await self._events.work(lambda table: work(table.connection))


class SqliteLimiter:
    """Slices in the same file. Scope and crash: see Limiter."""

    def __init__(self, events: SqliteEventQueue, clock: Clock) -> None:
        self._events = events
        self._clock = clock

    async def take(self, limit: str, owner: str, wanted: int, total: int, ttl_ms: int) -> int:
        """See Limiter.take."""
        now_ms = self._clock.time_ms()

        def lend(connection: sqlite3.Connection) -> int:
            parameters = {"name": limit, "owner": owner, "now_ms": now_ms, "until_ms": now_ms + ttl_ms}
            connection.execute(_END_SLICES, parameters)
            lent: int = connection.execute(_LENT, parameters).fetchone()[0]
            amount = max(0, min(wanted, total - lent))
            connection.execute(_LEND, {**parameters, "amount": amount})
            return amount

        return await self._events.work(lambda table: lend(table.connection))

    async def give(self, limit: str, owner: str) -> None:
        """See Limiter.give."""
        parameters = {"name": limit, "owner": owner, "now_ms": 0}
        await self._events.work(lambda table: table.connection.execute(_END_SLICES, parameters).rowcount)
