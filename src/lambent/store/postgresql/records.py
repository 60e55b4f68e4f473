"""Records in PostgreSQL: the contract of `store/contracts.py`, for several daemons at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from lambent.store.postgresql import queries
from lambent.store.postgresql.blobs import PostgresqlBlobs
from lambent.store.postgresql.connection import ANY_FAILURE, Database, service_error
from lambent.store.postgresql.feed import Feed
from lambent.store.postgresql.opening import Expectations, prepare_database
from lambent.store.postgresql.rows import key_row, record_of
from lambent.store.postgresql.writer import Writer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    import asyncpg

    from lambent.store.contracts import Blobs, ChangeBatch, Record, RecordKey, Write


class PostgresqlRecordStore:
    """A RecordStore in a PostgreSQL database. Scope: cluster. After a crash, its own or the database's: as committed.

    `run` commits and listens: without it a commit waits.
    """

    def __init__(self, url: str, expectations: Expectations, blobs: Blobs | None = None) -> None:
        """Check the database and bring it to today's form. Blocks; called while the daemon starts.

        Packages are in the database unless `blobs` is given.

        Raises:
            StoreUnusableError: see `prepare_database`.
        """
        prepare_database(url, expectations)
        self._database = Database(url)
        self.blobs = blobs or PostgresqlBlobs(self._database)
        self._feed = Feed(self._database)
        self._writer = Writer(self._database, self._feed.offer)

    async def run(self) -> None:
        """See RecordStore.run."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._writer.run())
            tasks.create_task(self._feed.listen())

    async def commit(self, writes: Sequence[Write]) -> int:
        """See RecordStore.commit."""
        return await self._writer.commit(writes)

    async def read(self, key: RecordKey, *, may_be_ahead: bool = False) -> Record | None:
        """See RecordStore.read."""
        rows = await self._read(queries.READ, *key_row(key))
        return record_of(rows[0]) if rows else None

    async def read_page(
        self,
        account_id: str,
        region: str,
        kind: str,
        *,
        name: str | None = None,
        after: tuple[str, str] | None = None,
        limit: int,
    ) -> Sequence[Record]:
        """See RecordStore.read_page."""
        if name is None:
            query = queries.FIRST_PAGE if after is None else queries.PAGE
        else:
            query = queries.FIRST_PAGE_OF_NAME if after is None else queries.PAGE_OF_NAME
        rest = (*(() if name is None else (name,)), *(after or ()))
        return [record_of(row) for row in await self._read(query, account_id, region, kind, limit, *rest)]

    async def read_page_of_qualifier(
        self, account_id: str, region: str, kind: str, qualifier: str, *, after_name: str | None = None, limit: int
    ) -> Sequence[Record]:
        """See RecordStore.read_page_of_qualifier."""
        # No name is empty.
        parameters = (account_id, region, kind, qualifier, after_name or "", limit)
        return [record_of(row) for row in await self._read(queries.PAGE_OF_QUALIFIER, *parameters)]

    async def read_named(self, account_id: str, region: str, kinds: Sequence[str], name: str) -> Sequence[Record]:
        """See RecordStore.read_named."""
        return [record_of(row) for row in await self._read(queries.NAMED, account_id, region, list(kinds), name)]

    async def read_unsettled(self) -> Sequence[Record]:
        """See RecordStore.read_unsettled."""
        return [record_of(row) for row in await self._read(queries.UNSETTLED)]

    async def count(self, account_id: str, region: str, kind: str) -> int:
        """See RecordStore.count."""
        number: int = (await self._read(queries.COUNT, account_id, region, kind))[0][0]
        return number

    async def blob_bytes(self, account_id: str, region: str) -> int:
        """See RecordStore.blob_bytes."""
        number: int = (await self._read(queries.BLOB_BYTES, account_id, region))[0][0]
        return number

    async def blobs_in_use(self) -> frozenset[str]:
        """See RecordStore.blobs_in_use."""
        return frozenset(row["blob_sha256"] for row in await self._read(queries.BLOBS_IN_USE))

    def changes(self) -> AsyncIterator[ChangeBatch]:
        """See RecordStore.changes."""
        return self._feed.reader()

    async def close(self) -> None:
        """See RecordStore.close."""
        await self._database.close()

    async def _read(self, query: str, *parameters: Any) -> list[asyncpg.Record]:
        try:
            async with self._database.connection() as connection:
                rows: list[asyncpg.Record] = await connection.fetch(query, *parameters)
                # Asked afterwards: it is at least as new as what was read.
                last = await connection.fetchval(queries.LAST_SEQUENCE)
        except ANY_FAILURE as error:
            raise service_error(error) from error
        # Without this a caller could be told of a new state a moment before the data plane hears of it.
        await self._feed.wait_told(last)
        return rows
