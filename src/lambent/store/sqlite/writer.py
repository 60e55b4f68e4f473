"""The one thread that writes: it takes all that waits, commits once, then answers all."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import queue
import sqlite3
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from lambent.model.errors import LambdaError, ServiceError
from lambent.store.sqlite.connection import service_error
from lambent.store.sqlite.queries import put_all_new

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

T = TypeVar("T")
Row = tuple[str | int | bytes | None, ...]

# More than one commit's worth never waits long; it bounds what one failing commit takes down with it.
_BATCH_MAX = 512
# A caller that finds this many writes before it is told to come back.
_WAITING_MAX = 10_000
# Rows of one statement: SQLite takes 32,766 values, and each number of rows is a statement that it keeps prepared.
_ROWS_MAX = 64


class Insertion(NamedTuple, Generic[T]):
    """What a write consists of when it is nothing but new rows of `records`; `result()` is what its work returns."""

    rows: Sequence[Row]
    result: Callable[[], T]


@dataclass(slots=True)
class _Write(Generic[T]):
    work: Callable[[sqlite3.Connection], T]
    after_commit: Callable[[T], None] | None
    future: asyncio.Future[T]
    loop: asyncio.AbstractEventLoop
    insertion: Insertion[T] | None = None
    result: T | None = None
    error: BaseException | None = None


class Writer:
    """Scope: the database file; there is one. After a crash: what was answered is committed, nothing else is.

    `commit_lock` is held from a commit until its `after_commit` calls are through: who takes it after a read knows
    that everything it read has been announced.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._waiting: queue.SimpleQueue[_Write[Any] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._is_closed = False
        self.commit_lock = threading.Lock()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    async def write(
        self,
        work: Callable[[sqlite3.Connection], T],
        *,
        after_commit: Callable[[T], None] | None = None,
        insertion: Insertion[T] | None = None,
    ) -> T:
        """Run `work` in the writer's thread inside a transaction and return its result once that is on disk.

        `after_commit` runs in the writer's thread before the answer, in the order of commits. What `work` raises
        undoes its own changes only. A caller that is cancelled has still written. With an `insertion` that is taken as
        it is `work` is not run.

        Raises:
            ServiceError: the database could not be written; nothing was changed (500).
        """
        if self._is_closed:
            raise ServiceError("The store is closed.")
        if self._waiting.qsize() >= _WAITING_MAX:
            raise ServiceError("The store is busy; nothing was changed. Try again.")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._waiting.put(_Write(work, after_commit, future, loop, insertion))
        return await future

    def close(self) -> None:
        """Write what waits, then end the thread and close the connection. May block for a commit's time."""
        self._is_closed = True
        self._waiting.put(None)
        if self._thread.ident is not None:
            self._thread.join()
        self._connection.close()

    def _run(self) -> None:
        while batch := self._next_batch():
            self._commit(batch)
            _answer(batch)
            # Not kept until the next one comes: a result can be all there is.
            del batch

    def _next_batch(self) -> list[_Write[Any]]:
        """Return all that waits; nothing when the store is closed and everything is written."""
        first = self._waiting.get()
        if first is None:
            return []
        batch: list[_Write[Any]] = [first]
        while len(batch) < _BATCH_MAX:
            try:
                following = self._waiting.get_nowait()
            except queue.Empty:
                break
            if following is None:
                # Said again, to whoever asks next.
                self._waiting.put(None)
                break
            batch.append(following)
        return batch

    def _commit(self, batch: list[_Write[Any]]) -> None:
        with self.commit_lock:
            try:
                if not self._insert(batch):
                    self._transact(batch)
            except sqlite3.Error as error:
                self._roll_back()
                for write in batch:
                    if write.error is None:
                        write.error = service_error(error)
                        write.error.__cause__ = error
                return
            except BaseException as error:
                # A bug in one write must not leave the others waiting for ever.
                self._roll_back()
                for write in batch:
                    write.error = write.error or error
                return
            for write in batch:
                if write.error is None and write.after_commit is not None:
                    write.after_commit(write.result)

    def _insert(self, batch: list[_Write[Any]]) -> bool:
        """Write and commit by one statement what consists of new rows only; False, and nothing done, if that fails.

        Each statement gives the interpreter's lock away and has to get it back from a busy loop: of the time that a
        small commit takes that is most.
        """
        rows: list[Row] = []
        for write in batch:
            if write.insertion is None:
                return False
            rows += write.insertion.rows
        if not 0 < len(rows) <= _ROWS_MAX:
            return False
        try:
            self._connection.execute(put_all_new(len(rows)), list(itertools.chain.from_iterable(rows)))
        except (sqlite3.IntegrityError, ValueError, TypeError):
            # One of them is there already, or no database takes it: whose it is, shows when each is tried.
            return False
        for write in batch:
            assert write.insertion is not None
            write.result = write.insertion.result()
        return True

    def _transact(self, batch: list[_Write[Any]]) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        if len(batch) == 1:
            self._work_alone(batch[0])
        else:
            for write in batch:
                self._work(write)
        if self._connection.in_transaction:
            self._connection.execute("COMMIT")

    def _work(self, write: _Write[Any]) -> None:
        self._connection.execute("SAVEPOINT one")
        try:
            write.result = write.work(self._connection)
        except (LambdaError, ValueError, TypeError) as error:
            # The caller's fault, or a value that no database takes, is no reason to fail the others of the batch.
            self._connection.execute("ROLLBACK TO one")
            write.error = error
        self._connection.execute("RELEASE one")

    def _work_alone(self, write: _Write[Any]) -> None:
        # Every statement gives the interpreter's lock away and has to get it back: two fewer where nobody else waits.
        try:
            write.result = write.work(self._connection)
        except (LambdaError, ValueError, TypeError) as error:
            self._roll_back()
            write.error = error

    def _roll_back(self) -> None:
        # SQLite has rolled back by itself after some failures (disk full among them).
        if self._connection.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")


def _answer(batch: Iterable[_Write[Any]]) -> None:
    for write in batch:
        # The loop may be gone when a process ends in the middle of a write.
        with contextlib.suppress(RuntimeError):
            write.loop.call_soon_threadsafe(_settle, write)


def _settle(write: _Write[Any]) -> None:
    if write.future.done():
        return
    if write.error is not None:
        write.future.set_exception(write.error)
    else:
        write.future.set_result(write.result)
