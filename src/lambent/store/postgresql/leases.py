"""Leases and slices in PostgreSQL, by the database's clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lambent.store.postgresql import event_queries as sql
from lambent.store.postgresql.connection import ANY_FAILURE, service_error
from lambent.store.queues.contracts import HeldLease

if TYPE_CHECKING:
    from collections.abc import Sequence

    import asyncpg

    from lambent.store.postgresql.connection import Database


class PostgresqlLeases:
    """Scope and crash: see Leases."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def acquire(self, name: str, owner: str, ttl_ms: int) -> int | None:
        """See Leases.acquire."""
        row = await self._row(sql.ACQUIRE, name, owner, ttl_ms)
        return None if row is None else int(row["epoch"])

    async def renew(self, name: str, epoch: int, ttl_ms: int) -> bool:
        """See Leases.renew."""
        return await self._row(sql.RENEW, name, epoch, ttl_ms) is not None

    async def write(self, name: str, epoch: int, value: bytes) -> bool:
        """See Leases.write."""
        return await self._row(sql.WRITE, name, epoch, value) is not None

    async def release(self, name: str, epoch: int) -> bool:
        """See Leases.release."""
        return await self._row(sql.RELEASE, name, epoch) is not None

    async def read(self, name: str) -> HeldLease | None:
        """See Leases.read."""
        row = await self._row(sql.READ_LEASE, name)
        return None if row is None else HeldLease(row["owner"], row["epoch"], row["value"])

    async def names(self, prefix: str) -> Sequence[str]:
        """See Leases.names."""
        return [row["name"] for row in await self._rows(sql.LEASE_NAMES, prefix)]

    async def forget(self, prefix: str) -> int:
        """See Leases.forget."""
        return len(await self._rows(sql.FORGET_LEASES, prefix))

    async def _row(self, statement: str, *parameters: Any) -> asyncpg.Record | None:
        try:
            async with self._database.connection() as connection:
                return await connection.fetchrow(statement, *parameters)
        except ANY_FAILURE as error:
            raise service_error(error) from error

    async def _rows(self, statement: str, *parameters: Any) -> Sequence[asyncpg.Record]:
        try:
            async with self._database.connection() as connection:
                rows: Sequence[asyncpg.Record] = await connection.fetch(statement, *parameters)
        except ANY_FAILURE as error:
            raise service_error(error) from error
        return rows


class PostgresqlLimiter:
    """Scope and crash: see Limiter."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self, limit: str, owner: str, wanted: int, total: int, ttl_ms: int) -> int:
        """See Limiter.take."""
        try:
            async with self._database.connection() as connection, connection.transaction(isolation="read_committed"):
                await connection.execute(sql.LOCK_LIMIT, limit)
                await connection.execute(sql.END_SLICES, limit, owner)
                lent: int = await connection.fetchval(sql.LENT, limit)
                amount = max(0, min(wanted, total - lent))
                await connection.execute(sql.LEND, limit, owner, amount, ttl_ms)
        except ANY_FAILURE as error:
            raise service_error(error) from error
        return amount

    async def give(self, limit: str, owner: str) -> None:
        """See Limiter.give."""
        try:
            async with self._database.connection() as connection:
                await connection.execute(sql.END_SLICES, limit, owner)
        except ANY_FAILURE as error:
            raise service_error(error) from error
