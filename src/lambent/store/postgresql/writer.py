"""The loop that commits: it takes all that waits, writes it in one transaction, then answers all."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import TYPE_CHECKING

import asyncpg
from msgspec import Struct

from lambent.model.errors import LambdaError, ServiceError
from lambent.store.contracts import ChangeBatch
from lambent.store.postgresql import queries
from lambent.store.postgresql.batch import Batch, keys_to_read, names_to_read
from lambent.store.postgresql.connection import ANY_FAILURE, UNREACHABLE, service_error
from lambent.store.postgresql.rows import columns, key_row, log_rows, record_of, record_row

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lambent.store.contracts import Change, Write
    from lambent.store.postgresql.connection import Database

# More than one transaction's worth never waits long; it bounds what one failing transaction takes down with it.
_BATCH_MAX = 256
# A caller that finds this many commits before it is told to come back.
_WAITING_MAX = 10_000

# What the log keeps for daemons that were away; one that was away for longer reads everything again.
_LOG_SECONDS = 600.0
_LOG_COMMITS = 20_000
_TRIM_EVERY_COMMITS = 1_000


class _Commit(Struct):
    writes: Sequence[Write]
    future: asyncio.Future[int]
    error: LambdaError | None = None
    changes: Sequence[Change] = ()
    sequence: int = 0


class Writer:
    """Scope: node; daemons take turns by the database's lock. After a crash: what was answered is committed.

    What was not answered is either committed whole or not at all, and who asked is told when that is not known.
    """

    def __init__(self, database: Database, offer: Callable[[Sequence[ChangeBatch]], None]) -> None:
        self._database = database
        self._offer = offer
        self._waiting: deque[_Commit] = deque()
        self._arrived = asyncio.Event()
        self._is_closed = False
        self._untrimmed = _TRIM_EVERY_COMMITS

    async def commit(self, writes: Sequence[Write]) -> int:
        """Return the commit's sequence once it is on disk. A caller that is cancelled may still have written.

        Raises:
            CommitRefusedError: see RecordStore.commit.
            UnavailableError: the database is away (503).
            ServiceError: it could not be written (500).
        """
        if self._is_closed:
            raise ServiceError("The store is closed.")
        if len(self._waiting) >= _WAITING_MAX:
            raise ServiceError("The store is busy; nothing was changed. Try again.")
        commit = _Commit(writes, asyncio.get_running_loop().create_future())
        self._waiting.append(commit)
        self._arrived.set()
        return await commit.future

    async def run(self) -> None:
        """Commit what comes, until cancelled; what waits then is refused."""
        try:
            while True:
                await self._arrived.wait()
                self._arrived.clear()
                while self._waiting:
                    await self._commit_some()
        finally:
            self._is_closed = True
            while self._waiting:
                _answer(self._waiting.popleft(), ServiceError("The store is closed."))

    async def _commit_some(self) -> None:
        commits = [self._waiting.popleft() for _ in range(min(len(self._waiting), _BATCH_MAX))]
        if not await self._commit(commits):
            for commit in commits:
                await self._commit([commit])

    async def _commit(self, commits: Sequence[_Commit]) -> bool:
        """Commit in one transaction and answer; False, and no answer, when it is to be tried one by one."""
        is_committing = False
        try:
            async with self._database.connection() as connection:
                batches = await self._write(connection, commits)
                is_committing = True
                await connection.execute(queries.NOTIFY_AND_COMMIT)
        except asyncio.CancelledError:
            _refuse(commits, ServiceError("The store is closed."))
            raise
        except (*UNREACHABLE, asyncpg.DiskFullError) as error:
            _refuse(commits, service_error(error, is_outcome_known=not is_committing), error)
        except Exception as error:
            # What the database does not take of one commit, or a bug in it, is no reason to fail the others.
            if len(commits) > 1 and not is_committing:
                return False
            is_database_s = isinstance(error, asyncpg.PostgresError)
            _refuse(
                commits, service_error(error, is_outcome_known=not is_committing) if is_database_s else error, error
            )
        else:
            self._offer(batches)
            for commit in commits:
                _answer(commit, commit.error)
            await self._trim(len(batches))
        return True

    async def _write(self, connection: asyncpg.Connection, commits: Sequence[_Commit]) -> list[ChangeBatch]:
        await connection.execute(queries.BEGIN)
        batch = Batch(await _content(connection, [commit.writes for commit in commits]))
        for commit in commits:
            commit.error, commit.changes = None, ()
            try:
                commit.changes = batch.commit(commit.writes)
            except LambdaError as error:
                # The caller's fault is no reason to fail the others of the batch.
                commit.error = error
        changing = [commit for commit in commits if commit.changes]
        sequence: int = await connection.fetchval(queries.TAKE_SEQUENCES, len(changing)) - len(changing)
        for commit in commits:
            # One that changed nothing stands where the one before it does.
            sequence += 1 if commit.changes else 0
            commit.sequence = sequence
        batches = [ChangeBatch(commit.sequence, commit.changes) for commit in changing]
        put, gone = batch.written()
        if gone:
            await connection.execute(queries.DELETE_MANY, *columns([key_row(key) for key in gone]))
        if put:
            await connection.execute(queries.PUT_MANY, *columns([record_row(record) for record in put]))
        if batches:
            await connection.execute(queries.LOG_MANY, *columns(log_rows(batches)))
        return batches

    async def _trim(self, commits: int) -> None:
        self._untrimmed += commits
        if self._untrimmed < _TRIM_EVERY_COMMITS:
            return
        with contextlib.suppress(*ANY_FAILURE):
            async with self._database.connection() as connection:
                await connection.execute(queries.TRIM_LOG, _LOG_SECONDS, _LOG_COMMITS)
            self._untrimmed = 0


async def _content(connection: asyncpg.Connection, commits: Sequence[Sequence[Write]]) -> list[asyncpg.Record]:
    keys, names = keys_to_read(commits), names_to_read(commits)
    rows: list[asyncpg.Record] = []
    if keys:
        rows += await connection.fetch(queries.READ_MANY, *columns([key_row(key) for key in keys]))
    if names:
        rows += await connection.fetch(queries.READ_MANY_NAMED, *columns(names))
    return [record_of(row) for row in rows]


def _refuse(commits: Sequence[_Commit], told: Exception, cause: Exception | None = None) -> None:
    # A refusal of one holds only together with the commits that it was decided after: all are told the same.
    if cause is not told:
        told.__cause__ = cause
    for commit in commits:
        _answer(commit, told)


def _answer(commit: _Commit, error: BaseException | None) -> None:
    if commit.future.done():
        return
    if error is not None:
        commit.future.set_exception(error)
    else:
        commit.future.set_result(commit.sequence)
