"""Functions and their tags in SQLite: the contract of `store/contracts.py`."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from functools import partial
from typing import TYPE_CHECKING
from weakref import WeakSet

from lambent.model.arn import LATEST, FunctionArn
from lambent.model.errors import PreconditionFailedError, ResourceConflictError, ResourceNotFoundError
from lambent.store.contracts import FunctionChange
from lambent.store.errors import StoreUnusableError
from lambent.store.sqlite import queries
from lambent.store.sqlite.connection import connect
from lambent.store.sqlite.feed import Subscription
from lambent.store.sqlite.migrations import migrate
from lambent.store.sqlite.readers import Readers
from lambent.store.sqlite.rows import function_of, row_of
from lambent.store.sqlite.writer import Writer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from lambent.model.function import FunctionVersion
    from lambent.store.keys import InstallationKey

# AWS's text. Source: recorded (lambda/test_lambda_api.json, test_function_revisions_version_and_alias).
_STALE_REVISION = (
    "The Revision Id provided does not match the latest Revision Id. "
    "Call the GetFunction/GetAlias API to retrieve the latest Revision Id"
)


class SqliteFunctionStore:
    """A FunctionStore in one SQLite file. Scope: node. Only writer: the room `functions`. After a crash: as committed.

    Environment variables are in the file only as AES-256-GCM under the installation's key.
    """

    def __init__(self, path: str | Path, key: InstallationKey) -> None:
        """Open or create the database and bring it to today's form. Blocks; called while the daemon starts.

        Raises:
            StoreUnusableError: a newer Lambent wrote it, or the file cannot be opened or is no database.
        """
        self._key = key
        try:
            self._writer = Writer(_opened(str(path)))
            self._readers = Readers(str(path), self._writer.commit_lock)
        except sqlite3.Error as error:
            raise StoreUnusableError(f"The database {path} cannot be used: {error}.") from error
        self._subscriptions: WeakSet[Subscription] = WeakSet()
        self._sequence = 0
        self._writer.start()

    async def close(self) -> None:
        """Commit what waits and close."""
        await asyncio.to_thread(self._close)

    async def insert(self, function: FunctionVersion, tags: dict[str, str]) -> None:
        """Commit a new function.

        Raises:
            ResourceConflictError: the name is taken in that account and region (409).
            ServiceError: see Writer.write.
        """

        def work(connection: sqlite3.Connection) -> list[FunctionChange]:
            try:
                connection.execute(queries.INSERT_FUNCTION, row_of(function, self._key))
                identity = (function.account_id, function.region, function.name)
                connection.execute(queries.INSERT_TAGS, (*identity, json.dumps(tags)))
            except sqlite3.IntegrityError:
                raise ResourceConflictError(f"Function already exist: {function.name}") from None
            return [self._change(function)]

        await self._writer.write(work, after_commit=self._announce)

    async def update(self, function: FunctionVersion, *, expected_revision_id: str) -> None:
        """Commit a new value of an existing version.

        Raises:
            PreconditionFailedError: another writer was first (412).
            ResourceNotFoundError: it is gone (404).
            ServiceError: see Writer.write.
        """
        identity = (function.account_id, function.region, function.name, function.version)

        def work(connection: sqlite3.Connection) -> list[FunctionChange]:
            row = row_of(function, self._key) | {"expected_revision_id": expected_revision_id}
            if connection.execute(queries.UPDATE_FUNCTION, row).rowcount == 0:
                if connection.execute(queries.GET_FUNCTION, identity).fetchone() is None:
                    raise ResourceNotFoundError(f"Function not found: {function.arn}")
                raise PreconditionFailedError(_STALE_REVISION)
            return [self._change(function)]

        await self._writer.write(work, after_commit=self._announce)

    async def get(self, arn: FunctionArn) -> FunctionVersion | None:
        """Return the version that the qualifier names ($LATEST when None)."""
        identity = (arn.account_id, arn.region, arn.name, arn.qualifier or LATEST)
        found = await self._readers.read(partial(self._select, queries.GET_FUNCTION, identity))
        return found[0] if found else None

    async def list_functions(
        self, account_id: str, region: str, *, after_name: str | None, limit: int
    ) -> Sequence[FunctionVersion]:
        """Return up to `limit` $LATEST versions with name > `after_name`, by name."""
        parameters = (account_id, region, after_name or "", limit)
        return await self._readers.read(partial(self._select, queries.LIST_FUNCTIONS, parameters))

    async def list_unsettled(self) -> Sequence[FunctionVersion]:
        """Return the versions that are Pending or whose update is InProgress, of all accounts."""
        return await self._readers.read(partial(self._select, queries.UNSETTLED_FUNCTIONS, ()))

    async def delete(self, arn: FunctionArn) -> bool:
        """Remove the function, all its versions and its tags; False when there was none."""
        identity = (arn.account_id, arn.region, arn.name)

        def work(connection: sqlite3.Connection) -> list[FunctionChange]:
            versions = [row["version"] for row in connection.execute(queries.VERSIONS_OF_FUNCTION, identity)]
            connection.execute(queries.DELETE_FUNCTION, identity)
            connection.execute(queries.DELETE_TAGS, identity)
            return [FunctionChange(self._next(), arn.unqualified, version, None) for version in versions]

        changes = await self._writer.write(work, after_commit=self._announce)
        return bool(changes)

    async def get_tags(self, arn: FunctionArn) -> dict[str, str] | None:
        """Return the function's tags; None when there is no such function."""
        identity = (arn.account_id, arn.region, arn.name)
        row = await self._readers.read(lambda connection: connection.execute(queries.GET_TAGS, identity).fetchone())
        if row is None:
            return None
        tags: dict[str, str] = json.loads(row["tags"])
        return tags

    async def put_tags(self, arn: FunctionArn, tags: dict[str, str]) -> None:
        """Replace the function's tags. Raises ResourceNotFoundError when it is gone (404)."""
        parameters = (json.dumps(tags), arn.account_id, arn.region, arn.name)

        def work(connection: sqlite3.Connection) -> None:
            if connection.execute(queries.UPDATE_TAGS, parameters).rowcount == 0:
                raise ResourceNotFoundError(f"Function not found: {arn.unqualified}")

        await self._writer.write(work)

    async def usage(self, account_id: str, region: str) -> tuple[int, int]:
        """Return (number of functions, bytes of code they hold)."""
        row = await self._readers.read(
            lambda connection: connection.execute(queries.USAGE, (account_id, region)).fetchone()
        )
        return row["functions"], row["code_bytes"]

    async def code_in_use(self) -> frozenset[str]:
        """Return the sha256 of every package some version refers to."""
        rows = await self._readers.read(lambda connection: connection.execute(queries.CODE_IN_USE).fetchall())
        return frozenset(row["code_sha256"] for row in rows)

    async def changes(self) -> AsyncIterator[FunctionChange]:
        """Yield the current content first, then every committed change, in order, without gaps."""
        subscription = Subscription(asyncio.get_running_loop())

        def work(connection: sqlite3.Connection) -> list[FunctionVersion]:
            return self._select(queries.ALL_FUNCTIONS, (), connection)

        def begin(content: list[FunctionVersion]) -> None:
            # In the writer's thread: nothing can be committed between the reading and this.
            subscription.offer([FunctionChange(self._sequence, f.arn, f.version, f) for f in content])
            self._subscriptions.add(subscription)

        await self._writer.write(work, after_commit=begin)
        async for change in subscription:
            yield change

    def _select(
        self, query: str, parameters: tuple[object, ...], connection: sqlite3.Connection
    ) -> list[FunctionVersion]:
        return [function_of(row, self._key) for row in connection.execute(query, parameters)]

    def _change(self, function: FunctionVersion) -> FunctionChange:
        return FunctionChange(self._next(), function.arn, function.version, function)

    def _next(self) -> int:
        # Only the writer's thread counts. A change that is rolled back leaves a hole in the numbers, not in the feed.
        self._sequence += 1
        return self._sequence

    def _announce(self, changes: list[FunctionChange]) -> None:
        if changes:
            for subscription in list(self._subscriptions):
                subscription.offer(changes)

    def _close(self) -> None:
        self._writer.close()
        self._readers.close()


def _opened(path: str) -> sqlite3.Connection:
    connection = connect(path)
    try:
        migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection
