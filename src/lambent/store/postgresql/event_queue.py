"""Events in PostgreSQL: the loop that takes all that waits, writes it in one transaction, then answers all."""

from __future__ import annotations

import asyncio
import secrets
from collections import defaultdict, deque
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import Struct

from lambent.model.errors import LambdaError, UnavailableError
from lambent.model.event import EventFate
from lambent.store.postgresql import event_queries as sql
from lambent.store.postgresql.connection import ANY_FAILURE, UNREACHABLE, Database, service_error
from lambent.store.queues.contracts import Claim, ClaimedEvent, EventLease, NewEvent, QueueKey, QueueTotals, Settlement
from lambent.store.queues.sizes import QueueSizes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    import asyncpg

    from lambent.clock import Clock
    from lambent.store.queues.contracts import QueueBounds

T = TypeVar("T")

_BATCH_MAX = 512
_BATCH_BYTES_MAX = 16 * 1024 * 1024
_WAITING_MAX = 20_000
_WAITING_BYTES_MAX = 256 * 1024 * 1024
_WATCH_SECONDS = 0.25
# How old the sizes of other daemons' doing may be.
_SIZES_SECONDS = 5.0
_FATES = tuple(EventFate)


class _Item(Struct):
    """An event or a settlement that waits for its commit."""

    work: NewEvent | Settlement
    future: asyncio.Future[Any]
    size: int
    due_ns: int = 0
    is_passed_over: bool = False


class PostgresqlEventQueue:
    """An EventQueue in a database that several daemons share. Scope: cluster. After a crash: as committed.

    One transaction at a time writes what this node puts and settles; claims have transactions of their own, in which
    rows that others hold are passed over.
    """

    is_shared = True

    def __init__(self, url: str, clock: Clock, bounds: QueueBounds) -> None:
        """Connects at the first use; the database has its form already (see prepare_database)."""
        self.database = Database(url)
        self._clock = clock
        self._wait_ns = int(bounds.wait_seconds * 1_000_000_000)
        self._sizes = QueueSizes(bounds, {})
        self._are_sizes_known = False
        self._node = secrets.token_hex(8)
        self._queues: dict[QueueKey, int] = {}
        self._waiting: deque[_Item] = deque()
        self._waiting_bytes = 0
        self._arrived = asyncio.Event()
        self._is_closed = False

    async def put(self, event: NewEvent) -> EventLease | None:
        """See EventQueue.put."""
        if not self._are_sizes_known:
            await self._read_sizes()
        size = len(event.payload)
        if len(self._waiting) >= _WAITING_MAX or self._waiting_bytes >= _WAITING_BYTES_MAX:
            raise UnavailableError("The store of events is busy; nothing was kept. Try again.")
        self._sizes.take(event.queue, size)
        item = _Item(event, asyncio.get_running_loop().create_future(), size)
        item.due_ns = self._clock.monotonic_ns() + self._wait_ns
        try:
            lease: EventLease | None = await self._answer_of(item)
        except LambdaError:
            self._sizes.give(event.queue, size)
            raise
        return lease

    async def settle(self, settlement: Settlement) -> bool:
        """See EventQueue.settle."""
        size = len(settlement.record or b"")
        is_done: bool = await self._answer_of(_Item(settlement, asyncio.get_running_loop().create_future(), size))
        return is_done

    async def claim(self, key: QueueKey, limit: int, lease_ms: int) -> Claim:
        """See EventQueue.claim."""

        async def work(connection: asyncpg.Connection) -> Claim:
            queue = await self._queue(connection, key, is_made=False)
            if queue is None:
                return Claim((), None)
            await connection.execute(sql.BEGIN)
            rows = await connection.fetch(sql.CLAIM, queue, limit, lease_ms)
            next_ms = await connection.fetchval(sql.NEXT, queue)
            await connection.execute(sql.COMMIT)
            return Claim(sorted((_claimed(key, row) for row in rows), key=lambda one: one.lease.number), next_ms)

        return await self._with_connection(work)

    async def extend(self, leases: Sequence[EventLease], lease_ms: int) -> Sequence[bool]:
        """See EventQueue.extend."""
        columns = [lease.number for lease in leases], [lease.epoch for lease in leases]

        async def work(connection: asyncpg.Connection) -> list[bool]:
            rows = await connection.fetch(sql.EXTEND, *columns, lease_ms)
            current = {(row["number"], row["epoch"]) for row in rows}
            return [(lease.number, lease.epoch) in current for lease in leases]

        return await self._with_connection(work)

    async def backlog(self) -> Sequence[tuple[QueueKey, int]]:
        """See EventQueue.backlog."""
        rows = await self._with_connection(lambda connection: connection.fetch(sql.BACKLOG))
        return [(_key(row), row["next_ms"]) for row in rows]

    async def totals(self) -> Sequence[QueueTotals]:
        """See EventQueue.totals."""
        rows = await self._with_connection(lambda connection: connection.fetch(sql.TOTALS))
        return [
            QueueTotals(
                _key(row),
                received=row["received"],
                queued=row["events"] - row["in_flight"],
                in_flight=row["in_flight"],
                succeeded=row["succeeded"],
                dropped=row["dropped"],
                dead_lettered=row["dead_lettered"],
                next_ms=row["next_ms"],
            )
            for row in rows
        ]

    async def peek(self, key: QueueKey, limit: int) -> Sequence[ClaimedEvent]:
        """See EventQueue.peek."""
        place = (key.account_id, key.region, key.name, limit)
        rows = await self._with_connection(lambda connection: connection.fetch(sql.PEEK, *place))
        return [_claimed(key, row) for row in rows]

    async def discard(self, key: QueueKey) -> int:
        """See EventQueue.discard."""

        async def work(connection: asyncpg.Connection) -> int:
            queue = await self._queue(connection, key, is_made=False)
            if queue is None:
                return 0
            await connection.execute(sql.BEGIN)
            rows = await connection.fetch(sql.DISCARD, queue)
            sums = _Sums()
            for row in rows:
                sums.gone(queue, EventFate.DROPPED, row["payload_bytes"])
            await sums.write(connection, self._node)
            await connection.execute(sql.COMMIT)
            return len(rows)

        dropped = await self._with_connection(work)
        await self._read_sizes()
        return dropped

    async def run(self) -> None:
        """Commit what comes, until cancelled; what waits then is refused."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._run_watch())
                tasks.create_task(self._run_sizes())
                while True:
                    await self._arrived.wait()
                    self._arrived.clear()
                    while self._waiting:
                        await self._run_batch(self._next_batch())
        finally:
            self._is_closed = True
            while self._waiting:
                _refuse(self._waiting.popleft(), UnavailableError("The store of events is closed."))

    async def close(self) -> None:
        """Close every connection."""
        await self.database.close()

    async def _answer_of(self, item: _Item) -> Any:
        if self._is_closed:
            raise UnavailableError("The store of events is closed; nothing was kept.")
        self._waiting.append(item)
        self._waiting_bytes += item.size
        self._arrived.set()
        return await item.future

    def _next_batch(self) -> list[_Item]:
        batch: list[_Item] = []
        size = 0
        while self._waiting and len(batch) < _BATCH_MAX and size < _BATCH_BYTES_MAX:
            item = self._waiting.popleft()
            self._waiting_bytes -= item.size
            size += item.size
            if not item.future.done():
                batch.append(item)
        return batch

    async def _run_batch(self, batch: list[_Item]) -> None:
        is_committing = False
        try:
            async with self.database.connection() as connection:
                await self._make_queues(connection, {item.work.queue for item in _events(batch)})
                await connection.execute(sql.BEGIN)
                sums = _Sums()
                answers = [
                    *await self._put(connection, batch, sums),
                    *await _end(connection, self._queues, batch, sums),
                ]
                await sums.write(connection, self._node)
                is_committing = True
                await connection.execute(sql.COMMIT)
        except asyncio.CancelledError:
            for item in batch:
                _refuse(item, UnavailableError("The store of events is closed."))
            raise
        except Exception as error:
            told = service_error(error, is_outcome_known=not is_committing) if isinstance(error, ANY_FAILURE) else error
            for item in batch:
                _refuse(item, told)
            if isinstance(error, UNREACHABLE):
                # Whoever comes now finds the same: not as fast as the loop turns.
                await asyncio.sleep(0.05)
            return
        for item, answer in answers:
            if not item.future.done():
                item.future.set_result(answer)
            if item.is_passed_over:
                # Nothing of it is kept, so nothing of it is counted.
                assert isinstance(item.work, NewEvent)
                self._sizes.give(item.work.queue, item.size)
            if isinstance(item.work, Settlement) and item.work.fate is not None and answer:
                self._sizes.give(item.work.lease.queue, item.work.lease.payload_bytes)

    async def _put(
        self, connection: asyncpg.Connection, batch: list[_Item], sums: _Sums
    ) -> list[tuple[_Item, EventLease | None]]:
        given = list(_events(batch))
        items = await _first(connection, given)
        kept = {id(item) for item in items}
        passed_over: list[tuple[_Item, EventLease | None]] = [(item, None) for item in given if id(item) not in kept]
        for item, _ in passed_over:
            item.is_passed_over = True
        if not items:
            return passed_over
        events = [item.work for item in items]
        queues = [self._queues[event.queue] for event in events]
        rows = await connection.fetch(
            sql.PUT,
            queues,
            [event.lease_ms for event in events],
            [item.size for item in items],
            [event.head for event in events],
            [event.payload for event in events],
        )
        answers: list[tuple[_Item, EventLease | None]] = []
        # Numbers are given in the order of the rows.
        for item, queue, number in zip(items, queues, sorted(row["number"] for row in rows), strict=True):
            sums.received(queue, item.size)
            lease = EventLease(item.work.queue, number, 1, item.size) if item.work.lease_ms > 0 else None
            answers.append((item, lease))
        return [*answers, *passed_over]

    async def _make_queues(self, connection: asyncpg.Connection, keys: Iterable[QueueKey]) -> None:
        for key in keys:
            await self._queue(connection, key, is_made=True)

    async def _queue(self, connection: asyncpg.Connection, key: QueueKey, *, is_made: bool) -> int | None:
        queue = self._queues.get(key)
        if queue is None:
            names = (key.account_id, key.region, key.name)
            if is_made:
                await connection.execute(sql.PUT_QUEUE, *names)
            queue = await connection.fetchval(sql.QUEUE, *names)
            if queue is not None:
                self._queues[key] = queue
        return queue

    async def _with_connection(self, work: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        try:
            async with self.database.connection() as connection:
                return await work(connection)
        except ANY_FAILURE as error:
            raise service_error(error) from error

    async def _read_sizes(self) -> None:
        rows = await self._with_connection(lambda connection: connection.fetch(sql.SIZES))
        self._sizes.replace({_key(row): (row["events"], row["bytes"]) for row in rows})
        self._are_sizes_known = True

    async def _run_sizes(self) -> None:
        while True:
            await asyncio.sleep(_SIZES_SECONDS)
            try:
                await self._read_sizes()
            except LambdaError:
                # Those who put are told; what was known still holds.
                continue

    async def _run_watch(self) -> None:
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            now_ns = self._clock.monotonic_ns()
            for item in self._waiting:
                if item.due_ns and item.due_ns < now_ns:
                    _refuse(item, UnavailableError("The event could not be kept in time; nothing was kept. Try again."))


class _Sums:
    """What one transaction adds to the sums of queues."""

    def __init__(self) -> None:
        self._rows: defaultdict[int, list[int]] = defaultdict(lambda: [0] * 6)

    def received(self, queue: int, size: int) -> None:
        """Count an event that came."""
        row = self._rows[queue]
        row[0] += 1
        row[4] += 1
        row[5] += size

    def gone(self, queue: int, fate: EventFate, size: int) -> None:
        """Count an event that went."""
        row = self._rows[queue]
        row[1 + _FATES.index(fate)] += 1
        row[4] -= 1
        row[5] -= size

    async def write(self, connection: asyncpg.Connection, node: str) -> None:
        """Write them."""
        if self._rows:
            # In one order everywhere.
            rows = sorted(self._rows.items())
            columns = [[sums[position] for _, sums in rows] for position in range(6)]
            await connection.execute(sql.ADD, [queue for queue, _ in rows], node, *columns)


async def _end(
    connection: asyncpg.Connection, queues: dict[QueueKey, int], batch: list[_Item], sums: _Sums
) -> list[tuple[_Item, bool]]:
    """Write the settlements of a batch."""
    items = [(item, item.work) for item in batch if isinstance(item.work, Settlement)]
    done: set[tuple[int, int]] = set()
    ends = [work.lease for _, work in items if work.fate is not None]
    if ends:
        rows = await connection.fetch(sql.END, [one.number for one in ends], [one.epoch for one in ends])
        done |= {(row["number"], row["epoch"]) for row in rows}
    back = [work for _, work in items if work.fate is None]
    if back:
        rows = await connection.fetch(
            sql.RETURN,
            [work.lease.number for work in back],
            [work.lease.epoch for work in back],
            [work.delay_ms for work in back],
            [work.head for work in back],
            [work.record for work in back],
        )
        done |= {(row["number"], row["epoch"]) for row in rows}
    answers = []
    for item, work in items:
        lease = work.lease
        is_done = (lease.number, lease.epoch) in done
        # Two settlements of one lease in a batch: one of them counts.
        done.discard((lease.number, lease.epoch))
        answers.append((item, is_done))
        if is_done and work.fate is not None:
            queue = queues.get(lease.queue) or await connection.fetchval(
                sql.QUEUE, lease.queue.account_id, lease.queue.region, lease.queue.name
            )
            sums.gone(queue, work.fate, lease.payload_bytes)
    return answers


async def _first(connection: asyncpg.Connection, items: list[Any]) -> list[Any]:
    """Return the events that are to be kept: none of their name was. Their names are kept by the same commit."""
    names = [item.work.once for item in items if item.work.once]
    if not names:
        return items
    await connection.execute(sql.FORGET_ONCES)
    left = {row["name"] for row in await connection.fetch(sql.PUT_ONCES, list(dict.fromkeys(names)))}
    found = []
    for item in items:
        if not item.work.once or item.work.once in left:
            # Two of one name in a batch: the first counts.
            left.discard(item.work.once)
            found.append(item)
    return found


def _events(batch: Iterable[_Item]) -> Iterable[Any]:
    return (item for item in batch if isinstance(item.work, NewEvent))


def _claimed(key: QueueKey, row: asyncpg.Record) -> ClaimedEvent:
    lease = EventLease(key, row["number"], row["epoch"], row["payload_bytes"])
    return ClaimedEvent(lease, row["head"], row["payload"], row["record"])


def _key(row: asyncpg.Record) -> QueueKey:
    return QueueKey(row["account_id"], row["region"], row["name"])


def _refuse(item: _Item, error: Exception) -> None:
    if not item.future.done():
        item.future.set_exception(error)
