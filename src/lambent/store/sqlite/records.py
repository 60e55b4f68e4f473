"""Records in SQLite: the contract of `store/contracts.py`."""

from __future__ import annotations

import asyncio
import sqlite3
from functools import partial
from typing import TYPE_CHECKING
from weakref import WeakSet

from lambent.store.contracts import (
    ANY_REVISION,
    Change,
    ChangeBatch,
    CommitRefusedError,
    Delete,
    DeleteAll,
    Put,
    Record,
    RecordKey,
    Require,
    StoreUnusableError,
)
from lambent.store.sqlite import queries
from lambent.store.sqlite.connection import connect
from lambent.store.sqlite.feed import Subscription
from lambent.store.sqlite.migrations import migrate
from lambent.store.sqlite.readers import Readers
from lambent.store.sqlite.rows import records_of
from lambent.store.sqlite.snapshot import Snapshot
from lambent.store.sqlite.writer import Insertion, Writer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from lambent.store.contracts import Write
    from lambent.store.sqlite.writer import Row


class SqliteRecordStore:
    """A RecordStore in one SQLite file. Scope: node. After a crash: as committed."""

    blobs = None

    def __init__(self, path: str | Path) -> None:
        """Open or create the database and bring it to today's form. Blocks; called while the daemon starts.

        Raises:
            StoreUnusableError: a newer Lambent wrote it, or the file cannot be opened or is no database.
        """
        try:
            self._path = str(path)
            self._writer = Writer(_opened(str(path)))
            self._readers = Readers(str(path), self._writer.commit_lock)
        except sqlite3.Error as error:
            raise StoreUnusableError(f"The database {path} cannot be used: {error}.") from error
        self._subscriptions: WeakSet[Subscription] = WeakSet()
        self._sequence = 0
        self._writer.start()

    async def commit(self, writes: Sequence[Write]) -> int:
        """See RecordStore.commit."""
        batch = await self._writer.write(
            partial(self._write, writes), after_commit=self._announce, insertion=self._insertion(writes)
        )
        return batch.sequence

    async def read(self, key: RecordKey, *, may_be_ahead: bool = False) -> Record | None:
        """See RecordStore.read."""
        if may_be_ahead:
            return self._readers.read_now(partial(_find, key))
        record = await self._readers.read_one(partial(_find, key))
        if any(subscription.is_behind for subscription in self._subscriptions):
            # Read without a thread it may be here before those are told. One turn of the loop wakes them, in the next
            # they take it.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        return record

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
        after_name, after_qualifier = after or ("", "")
        if name is None:
            query = queries.PAGE if after is not None else queries.FIRST_PAGE
        else:
            query = queries.PAGE_OF_NAME if after is not None else queries.FIRST_PAGE_OF_NAME
        parameters = {
            "account_id": account_id,
            "region": region,
            "kind": kind,
            "name": name,
            "after_name": after_name,
            "after_qualifier": after_qualifier,
            "limit": limit,
        }
        return await self._readers.read(lambda connection: records_of(connection.execute(query, parameters)))

    async def read_page_of_qualifier(
        self, account_id: str, region: str, kind: str, qualifier: str, *, after_name: str | None = None, limit: int
    ) -> Sequence[Record]:
        """See RecordStore.read_page_of_qualifier."""
        # No name is empty.
        parameters = (account_id, region, kind, qualifier, after_name or "", limit)
        query = queries.PAGE_OF_QUALIFIER
        return await self._readers.read(lambda connection: records_of(connection.execute(query, parameters)))

    async def read_named(self, account_id: str, region: str, kinds: Sequence[str], name: str) -> Sequence[Record]:
        """See RecordStore.read_named."""

        def work(connection: sqlite3.Connection) -> list[Record]:
            connection.execute("BEGIN")
            try:
                found: list[Record] = []
                for kind in sorted(kinds):
                    found += records_of(connection.execute(queries.NAMED, (account_id, region, kind, name)))
                return found
            finally:
                connection.execute("COMMIT")

        return await self._readers.read(work)

    async def read_unsettled(self) -> Sequence[Record]:
        """See RecordStore.read_unsettled."""
        return await self._readers.read(lambda connection: records_of(connection.execute(queries.UNSETTLED)))

    async def count(self, account_id: str, region: str, kind: str) -> int:
        """See RecordStore.count."""
        return await self._read_number(queries.COUNT, (account_id, region, kind))

    async def blob_bytes(self, account_id: str, region: str) -> int:
        """See RecordStore.blob_bytes."""
        return await self._read_number(queries.BLOB_BYTES, (account_id, region))

    async def blobs_in_use(self) -> frozenset[str]:
        """See RecordStore.blobs_in_use."""
        rows = await self._readers.read(lambda connection: connection.execute(queries.BLOBS_IN_USE).fetchall())
        return frozenset(row["blob_sha256"] for row in rows)

    async def changes(self) -> AsyncIterator[ChangeBatch]:
        """See RecordStore.changes."""
        subscription = Subscription(asyncio.get_running_loop())
        snapshot = await asyncio.to_thread(Snapshot, self._path)

        def begin(_: None) -> None:
            # In the writer's thread: nothing can be committed between the moment of the snapshot and this.
            snapshot.begin(self._sequence)
            subscription.begin(self._sequence)
            self._subscriptions.add(subscription)

        try:
            await self._writer.write(lambda _: None, after_commit=begin)
            following = await asyncio.to_thread(snapshot.next_piece)
            is_whole = False
            while not is_whole:
                changes = [Change(record.key, record) for record in following]
                following = await asyncio.to_thread(snapshot.next_piece)
                is_whole = not following
                yield ChangeBatch(snapshot.sequence, changes, is_whole)
        finally:
            snapshot.close()
        async for batch in subscription:
            yield batch

    async def run(self) -> None:
        """See RecordStore.run: the writer has a thread of its own, so there is nothing to do."""
        await asyncio.get_running_loop().create_future()

    async def close(self) -> None:
        """Commit what waits and close."""
        await asyncio.to_thread(self._close)

    async def _read_number(self, query: str, parameters: tuple[str, ...]) -> int:
        row = await self._readers.read(lambda connection: connection.execute(query, parameters).fetchone())
        number: int = row[0]
        return number

    def _insertion(self, writes: Sequence[Write]) -> Insertion[ChangeBatch] | None:
        """Return the rows that a commit consists of, if it does: new records, as those of a new function are."""
        rows: list[Row] = []
        changes: list[Change] = []
        for write in writes:
            if not isinstance(write, Put) or write.expected_revision_id is not None:
                return None
            rows.append(_row(write.record))
            changes.append(Change(write.record.key, write.record))
        return Insertion(rows, partial(self._batch, changes))

    def _batch(self, changes: Sequence[Change]) -> ChangeBatch:
        # Only the writer's thread counts. A commit that is rolled back leaves a hole in the numbers, not in the feed.
        self._sequence += 1
        return ChangeBatch(self._sequence, changes)

    def _write(self, writes: Sequence[Write], connection: sqlite3.Connection) -> ChangeBatch:
        changes: list[Change] = []
        for write in writes:
            if isinstance(write, Put):
                _put(connection, write)
                changes.append(Change(write.record.key, write.record))
            elif isinstance(write, Delete):
                _expect(connection, write.key, write.expected_revision_id)
                connection.execute(queries.DELETE, _identity(write.key))
                changes.append(Change(write.key, None))
            elif isinstance(write, DeleteAll):
                changes += _delete_all(connection, write)
            elif isinstance(write, Require):
                _expect(connection, write.key, write.expected_revision_id)
        return self._batch(changes)

    def _announce(self, batch: ChangeBatch) -> None:
        for subscription in list(self._subscriptions):
            subscription.offer(batch)

    def _close(self) -> None:
        self._writer.close()
        self._readers.close()


def _delete_all(connection: sqlite3.Connection, write: DeleteAll) -> list[Change]:
    gone: list[Change] = []
    for kind in write.kinds:
        identity = (write.account_id, write.region, kind, write.name)
        rows = connection.execute(queries.QUALIFIERS, identity).fetchall()
        connection.execute(queries.DELETE_NAMED, identity)
        gone += [Change(RecordKey(*identity, row["qualifier"]), None) for row in rows]
    return gone


def _put(connection: sqlite3.Connection, write: Put) -> None:
    record = write.record
    parameters = _row(record)
    if write.expected_revision_id is None:
        if not connection.execute(queries.PUT_NEW, parameters).rowcount:
            raise CommitRefusedError(record.key, _find(record.key, connection))
        return
    if write.expected_revision_id != ANY_REVISION:
        _expect(connection, record.key, write.expected_revision_id)
    connection.execute(queries.PUT, parameters)


def _expect(connection: sqlite3.Connection, key: RecordKey, expected_revision_id: str | None) -> None:
    """Raise CommitRefusedError unless the record is as expected. The one writer makes check and write one step."""
    row = connection.execute(queries.REVISION, _identity(key)).fetchone()
    if row is None:
        if expected_revision_id is not None:
            raise CommitRefusedError(key, None)
    elif expected_revision_id != row["revision_id"] and expected_revision_id != ANY_REVISION:
        raise CommitRefusedError(key, _find(key, connection))


def _find(key: RecordKey, connection: sqlite3.Connection) -> Record | None:
    rows = records_of(connection.execute(queries.READ, _identity(key)))
    return rows[0] if rows else None


def _row(record: Record) -> Row:
    return (
        *_identity(record.key),
        record.revision_id,
        int(record.is_unsettled),
        record.blob_sha256,
        record.blob_bytes,
        record.document,
        record.sealed,
    )


def _identity(key: RecordKey) -> tuple[str, str, str, str, str]:
    return key.account_id, key.region, key.kind, key.name, key.qualifier


def _opened(path: str) -> sqlite3.Connection:
    connection = connect(path)
    try:
        migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection
