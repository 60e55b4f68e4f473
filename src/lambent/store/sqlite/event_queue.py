"""Events in SQLite: the one thread that writes, and what the loop gives it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import sqlite3
import threading
from collections import deque
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import Struct

from lambent.model.errors import UnavailableError
from lambent.store.contracts import StoreUnusableError
from lambent.store.queues.contracts import NewEvent, Settlement
from lambent.store.queues.sizes import QueueSizes
from lambent.store.sqlite import event_schema
from lambent.store.sqlite.connection import connect, service_error
from lambent.store.sqlite.event_table import WRITTEN_AT_ONCE, EventTable, peek, totals
from lambent.store.sqlite.migrations import migrate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from lambent.clock import Clock
    from lambent.store.queues.contracts import (
        Claim,
        ClaimedEvent,
        EventLease,
        QueueBounds,
        QueueKey,
        QueueTotals,
    )

T = TypeVar("T")

_log = logging.getLogger(__name__)

# What one commit takes: it bounds how long the next waits for it.
_BATCH_MAX = 1_024
_BATCH_BYTES_MAX = 32 * 1024 * 1024
# What may wait for a commit, in memory.
_WAITING_MAX = 20_000
_WAITING_BYTES_MAX = 256 * 1024 * 1024
_WATCH_SECONDS = 0.25
# For how long, and how many, settlements wait for others to share a commit with; an event takes them along.
_GATHER_SECONDS = 0.01
_GATHERED_MAX = 64
_PRAGMAS = (
    # A payload that must not linger is sealed; overwriting every event that is done would double the writing.
    "PRAGMA secure_delete = OFF",
    "PRAGMA wal_autocheckpoint = 4000",
    "PRAGMA cache_size = -32768",
)


class _Item(Struct):
    """One request to the writer: an event, a settlement, or work of another kind.

    `is_relaxed`: it is lost with a crash without harm, so it need not wait for the disk.
    """

    work: NewEvent | Settlement | Callable[[EventTable], Any]
    future: asyncio.Future[Any]
    size: int = 0
    due_ns: int = 0
    is_relaxed: bool = False
    is_abandoned: bool = False
    is_written: bool = False
    result: Any = None
    error: Exception | None = None


class SqliteEventQueue:
    """An EventQueue in one SQLite file. Scope: node. After a crash: as committed, what was in flight is due at once.

    The writer's thread takes all that waits, commits once, then answers all: a busy queue pays the disk once for
    hundreds of events, an idle one adds no delay.
    """

    is_shared = False

    def __init__(self, path: str | Path, clock: Clock, bounds: QueueBounds) -> None:
        """Open or create the file. Blocks; called while the daemon starts.

        Raises:
            StoreUnusableError: a newer Lambent wrote it, or the file cannot be opened or is no database.
        """
        self._path = str(path)
        self._clock = clock
        self._wait_ns = int(bounds.wait_seconds * 1_000_000_000)
        try:
            self._connection = _opened(self._path)
            self._table = EventTable(self._connection, clock)
            freed = self._table.open()
            if freed:
                _log.info("events that were in flight when the last process ended: %d; they are due again", freed)
            self._sizes = QueueSizes(bounds, self._table.sizes())
        except sqlite3.Error as error:
            raise StoreUnusableError(f"The database {path} cannot be used: {error}.") from error
        self._waiting: queue.SimpleQueue[list[_Item] | None] = queue.SimpleQueue()
        self._waiting_count = 0
        self._gathered: list[_Item] = []
        self._gathering: asyncio.TimerHandle | None = None
        self._unanswered: deque[_Item] = deque()
        self._waiting_bytes = 0
        self._is_closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="event-writer", daemon=True)
        self._thread.start()

    async def put(self, event: NewEvent) -> EventLease | None:
        """See EventQueue.put."""
        size = len(event.payload)
        self._sizes.take(event.queue, size)
        item = self._item(event, size)
        item.due_ns = self._clock.monotonic_ns() + self._wait_ns
        self._unanswered.append(item)
        lease: EventLease | None = await self._answer_of(item)
        return lease

    async def claim(self, key: QueueKey, limit: int, lease_ms: int) -> Claim:
        """See EventQueue.claim."""
        return await self.work(lambda table: table.claim(key, limit, lease_ms), is_relaxed=True)

    async def extend(self, leases: Sequence[EventLease], lease_ms: int) -> Sequence[bool]:
        """See EventQueue.extend."""
        return await self.work(lambda table: table.extend(leases, lease_ms), is_relaxed=True)

    async def settle(self, settlement: Settlement) -> bool:
        """See EventQueue.settle."""
        item = self._item(settlement, len(settlement.record or b""))
        if not self._is_closed and len(self._gathered) < _GATHERED_MAX:
            # Its function is done with it and nobody waits: it may share a commit with those that come soon.
            self._count_in(item)
            self._gathered.append(item)
            if self._gathering is None:
                assert self._loop is not None
                self._gathering = self._loop.call_later(_GATHER_SECONDS, self._hand_over)
            is_done: bool = await item.future
        else:
            is_done = await self._answer_of(item)
        return is_done

    async def backlog(self) -> Sequence[tuple[QueueKey, int]]:
        """See EventQueue.backlog."""
        return await self.work(EventTable.backlog)

    async def totals(self) -> Sequence[QueueTotals]:
        """See EventQueue.totals."""
        return await asyncio.to_thread(self._read, partial(totals, now_ms=self._clock.time_ms()))

    async def peek(self, key: QueueKey, limit: int) -> Sequence[ClaimedEvent]:
        """See EventQueue.peek."""
        return await asyncio.to_thread(self._read, lambda connection: peek(connection, key, limit))

    async def discard(self, key: QueueKey) -> int:
        """See EventQueue.discard."""
        total = 0
        while dropped := await self.work(lambda table: table.discard(key)):
            total += dropped
        self._sizes.replace(await self.work(EventTable.sizes))
        return total

    async def work(self, work: Callable[[EventTable], T], *, is_relaxed: bool = False) -> T:
        """Run `work` in the writer's thread inside a transaction; return its result once that is committed.

        What `is_relaxed` is on disk with the next commit that is not: leases mean nothing after a crash.

        Raises:
            ServiceError: the database could not be written; nothing was changed (500).
        """
        item = self._item(work, 0)
        item.is_relaxed = is_relaxed
        result: T = await self._answer_of(item)
        return result

    async def run(self) -> None:
        """Refuse what has waited for too long, until cancelled: a disk that hangs shall not make callers hang."""
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            now_ns = self._clock.monotonic_ns()
            while self._unanswered and (self._unanswered[0].future.done() or self._unanswered[0].due_ns < now_ns):
                item = self._unanswered.popleft()
                if not item.future.done():
                    item.is_abandoned = True
                    item.future.set_exception(
                        UnavailableError("The event could not be kept in time; whether it was is not known. Try again.")
                    )

    async def close(self) -> None:
        """Commit what waits and close."""
        self._is_closed = True
        self._hand_over()
        self._waiting.put(None)
        await asyncio.to_thread(self._thread.join)
        self._connection.close()

    def _item(self, work: NewEvent | Settlement | Callable[[EventTable], Any], size: int) -> _Item:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        return _Item(work, self._loop.create_future(), size)

    async def _answer_of(self, item: _Item) -> Any:
        is_event = isinstance(item.work, NewEvent)
        refusal = None
        if self._is_closed:
            refusal = UnavailableError("The store of events is closed; nothing was kept.")
        elif is_event and (self._waiting_count >= _WAITING_MAX or self._waiting_bytes >= _WAITING_BYTES_MAX):
            refusal = UnavailableError("The store of events is busy; nothing was kept. Try again.")
        if refusal is not None:
            if isinstance(item.work, NewEvent):
                self._sizes.give(item.work.queue, item.size)
            item.future.cancel()
            raise refusal
        self._count_in(item)
        if item.is_relaxed:
            self._waiting.put([item])
        else:
            self._gathered.append(item)
            self._hand_over()
        return await item.future

    def _count_in(self, item: _Item) -> None:
        self._waiting_bytes += item.size
        self._waiting_count += 1

    def _hand_over(self) -> None:
        """Give the writer what was gathered."""
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None
        if self._gathered:
            self._waiting.put(self._gathered)
            self._gathered = []

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            with closing(connect(self._path, is_read_only=True)) as connection:
                return work(connection)
        except sqlite3.Error as error:
            raise service_error(error) from error

    # --- in the writer's thread

    def _run(self) -> None:
        while batch := self._next_batch():
            relaxed = [item for item in batch if item.is_relaxed]
            if len(relaxed) < len(batch):
                self._run_and_answer([item for item in batch if not item.is_relaxed])
            if relaxed:
                # After the others, who wait for the disk, and without making them wait longer.
                self._connection.execute("PRAGMA synchronous = NORMAL")
                self._run_and_answer(relaxed)
                self._connection.execute("PRAGMA synchronous = FULL")
            del batch, relaxed

    def _run_and_answer(self, batch: list[_Item]) -> None:
        self._run_batch(batch)
        # One wake-up of the loop for all. It may be gone when a process ends in the middle of a write.
        with contextlib.suppress(RuntimeError):
            assert self._loop is not None
            self._loop.call_soon_threadsafe(self._answer, batch)

    def _next_batch(self) -> list[_Item]:
        """Return all that waits; nothing when the store is closed and everything is written."""
        first = self._waiting.get()
        if first is None:
            return []
        batch, size = list(first), sum(item.size for item in first)
        while len(batch) < _BATCH_MAX and size < _BATCH_BYTES_MAX:
            try:
                following = self._waiting.get_nowait()
            except queue.Empty:
                break
            if following is None:
                # Said again, to whoever asks next.
                self._waiting.put(None)
                break
            batch += following
            size += sum(item.size for item in following)
        return batch

    def _run_batch(self, batch: list[_Item]) -> None:
        connection, table = self._connection, self._table
        try:
            # One statement is a transaction by itself; so is each of those that are relaxed.
            is_one = all(_is_plain(item) for item in batch)
            if not is_one:
                connection.execute("BEGIN IMMEDIATE")
            self._prepare(batch)
            if is_one and table.pending() > WRITTEN_AT_ONCE:
                is_one = False
                connection.execute("BEGIN IMMEDIATE")
            table.write()
            for item in batch:
                if callable(item.work):
                    item.result = item.work(table)
            table.write()
            if not is_one:
                connection.execute("COMMIT")
        except Exception as error:
            # A bug in one piece of work must not leave the others waiting for ever.
            self._roll_back()
            for item in batch:
                item.error = service_error(error) if isinstance(error, sqlite3.Error) else error
                if item.error is not error:
                    item.error.__cause__ = error

    def _prepare(self, batch: list[_Item]) -> None:
        events = [
            item
            for item in batch
            if isinstance(item.work, NewEvent) and not item.is_abandoned and self._table.is_first(item.work)
        ]
        ends = [item for item in batch if isinstance(item.work, Settlement)]
        if events:
            leases = self._table.put([item.work for item in events if isinstance(item.work, NewEvent)])
            for item, lease in zip(events, leases, strict=True):
                item.result, item.is_written = lease, True
        if ends:
            done = self._table.settle([item.work for item in ends if isinstance(item.work, Settlement)])
            for item, is_done in zip(ends, done, strict=True):
                item.result = is_done

    def _roll_back(self) -> None:
        # SQLite has rolled back by itself after some failures (disk full among them).
        with contextlib.suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            self._table.reload()

    # --- on the loop again

    def _answer(self, batch: list[_Item]) -> None:
        self._waiting_count -= len(batch)
        for item in batch:
            self._waiting_bytes -= item.size
            work, future = item.work, item.future
            if isinstance(work, NewEvent):
                # One that was refused while its commit was under way is there all the same.
                if item.error is not None or not item.is_written:
                    self._sizes.give(work.queue, item.size)
            elif isinstance(work, Settlement) and item.error is None and item.result and work.fate is not None:
                self._sizes.give(work.lease.queue, work.lease.payload_bytes)
            if future.done():
                continue
            if item.error is not None:
                future.set_exception(item.error)
            else:
                future.set_result(item.result)


def _is_plain(item: _Item) -> bool:
    """Whether an item needs no transaction around what is written for it."""
    work = item.work
    if isinstance(work, NewEvent):
        return not work.once
    return item.is_relaxed or isinstance(work, Settlement)


def _opened(path: str) -> sqlite3.Connection:
    connection = connect(path)
    try:
        for pragma in _PRAGMAS:
            connection.execute(pragma)
        migrate(connection, steps=event_schema.STEPS)
    except BaseException:
        connection.close()
        raise
    return connection
