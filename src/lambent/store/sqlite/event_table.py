"""Events in SQLite: what is done inside one transaction. Synchronous, and the clock is an argument.

One process has the file (the data directory's lock sees to that), and one thread writes. So who holds which lease is
known in memory: a settlement is compared there, and the rows of many are removed in one statement.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, TypeVar

from lambent.model.event import EventFate
from lambent.store.queues.contracts import Claim, ClaimedEvent, EventLease, QueueKey, QueueTotals
from lambent.store.sqlite import event_schema as sql

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

    from lambent.clock import Clock
    from lambent.store.queues.contracts import NewEvent, Settlement

T = TypeVar("T")

# Statements of few sizes, so that SQLite has each of them compiled already.
_CHUNKS = (64, 16, 4, 1)
_DISCARDED_AT_ONCE = 1_000
_FATES = tuple(EventFate)


class EventTable:
    """The rows of one file. Scope: the writer's thread. After a crash: as committed; all leases are void.

    After a transaction that was rolled back `reload` must be called.
    """

    def __init__(self, connection: sqlite3.Connection, clock: Clock) -> None:
        self.connection = connection
        self._clock = clock
        self._queues: dict[QueueKey, int] = {}
        self._keys: dict[int, QueueKey] = {}
        # Number of an event → epoch and size of the one current lease on it.
        self._leased: dict[int, tuple[int, int]] = {}
        self._sums: defaultdict[int, list[int]] = defaultdict(lambda: [0] * 6)
        self._last_number = 0

    def open(self) -> int:
        """Free what the last process had claimed, then read what must be known; return how many events that were."""
        self.connection.execute("BEGIN IMMEDIATE")
        freed = self.connection.execute(sql.VOID_LEASES, {"now_ms": self._clock.time_ms()}).rowcount
        self._last_number = self.connection.execute(sql.BEGIN_NUMBERS).fetchone()[0]
        self.connection.execute("COMMIT")
        self.reload()
        return freed

    def reload(self) -> None:
        """Read again what is known in memory."""
        self._sums.clear()
        self._queues.clear()
        for row in self.connection.execute(sql.QUEUES):
            self._queues[QueueKey(row["account_id"], row["region"], row["name"])] = row["number"]
        self._keys = {number: key for key, number in self._queues.items()}
        rows = self.connection.execute(sql.LEASED) if self._leased else ()
        self._leased = {row["number"]: (row["epoch"], row["payload_bytes"]) for row in rows}

    def sizes(self) -> dict[QueueKey, tuple[int, int]]:
        """Return how many events and bytes each queue holds."""
        return {
            QueueKey(row["account_id"], row["region"], row["name"]): (row["events"], row["bytes"])
            for row in self.connection.execute(sql.QUEUES)
        }

    def put(self, events: Sequence[NewEvent]) -> list[EventLease | None]:
        """Keep events; see EventQueue.put."""
        now_ms = self._clock.time_ms()
        leases: list[EventLease | None] = []
        rows: list[tuple[object, ...]] = []
        for event in events:
            self._last_number = number = self._last_number + 1
            size = len(event.payload)
            queue = self._queue(event.queue)
            is_leased = event.lease_ms > 0
            rows.append((number, queue, now_ms + event.lease_ms, is_leased, int(is_leased), size, event.head,
                         event.payload))  # fmt: skip
            if is_leased:
                self._leased[number] = (1, size)
                leases.append(EventLease(event.queue, number, 1, size))
            else:
                leases.append(None)
            sums = self._sums[queue]
            sums[0] += 1
            sums[4] += 1
            sums[5] += size
        for chunk in _chunks(rows):
            statement = sql.INSERT + ", ".join([sql.INSERT_ROW] * len(chunk))
            self.connection.execute(statement, [value for row in chunk for value in row])
        return leases

    def is_first(self, event: NewEvent) -> bool:
        """Whether an event is to be kept: none of its name was. The name is kept by the same commit."""
        if not event.once:
            return True
        now_ms = self._clock.time_ms()
        self.connection.execute(sql.FORGET_ONCES, (now_ms - sql.ONCE_MS,))
        return self.connection.execute(sql.PUT_ONCE, (event.once, now_ms)).rowcount == 1

    def claim(self, key: QueueKey, limit: int, lease_ms: int) -> Claim:
        """See EventQueue.claim."""
        queue = self._queues.get(key)
        if queue is None:
            return Claim((), None)
        now_ms = self._clock.time_ms()
        parameters = {"queue": queue, "now_ms": now_ms, "until_ms": now_ms + max(1, lease_ms), "limit": limit}
        rows = sorted(map(tuple, self.connection.execute(sql.CLAIM, parameters)))
        for number, epoch, size, *_ in rows:
            self._leased[number] = (epoch, size)
        (next_ms,) = self.connection.execute(sql.NEXT, (queue,)).fetchone()
        events = [
            ClaimedEvent(EventLease(key, number, epoch, size), head, payload, record)
            for number, epoch, size, head, payload, record in rows
        ]
        return Claim(events, None if next_ms is None else next_ms - now_ms)

    def extend(self, leases: Sequence[EventLease], lease_ms: int) -> list[bool]:
        """See EventQueue.extend."""
        current = [self.is_current(lease) for lease in leases]
        until_ms = self._clock.time_ms() + lease_ms
        numbers = [lease.number for lease, is_current in zip(leases, current, strict=True) if is_current]
        for chunk in _chunks(numbers):
            self.connection.execute(sql.EXTEND + _marks(len(chunk)), [until_ms, *chunk])
        return current

    def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        """See EventQueue.settle."""
        done: list[bool] = []
        gone: list[int] = []
        now_ms = self._clock.time_ms()
        for settlement in settlements:
            lease = settlement.lease
            is_current = self.is_current(lease)
            done.append(is_current)
            if not is_current:
                continue
            _, size = self._leased.pop(lease.number)
            if settlement.fate is None:
                parameters = (now_ms + settlement.delay_ms, settlement.head, settlement.record, lease.number)
                self.connection.execute(sql.RETURN_EVENT, parameters)
            else:
                gone.append(lease.number)
                self._count_gone(self._queues[lease.queue], settlement.fate, 1, size)
        self._delete(gone)
        return done

    def is_current(self, lease: EventLease) -> bool:
        """Whether nobody has claimed the event since."""
        held = self._leased.get(lease.number)
        return held is not None and held[0] == lease.epoch

    def discard(self, key: QueueKey) -> int:
        """See EventQueue.discard; one piece of it: 0 when all are gone."""
        queue = self._queues.get(key)
        if queue is None:
            return 0
        rows = self.connection.execute(sql.UNCLAIMED, (queue, _DISCARDED_AT_ONCE)).fetchall()
        self._delete([number for number, _ in rows])
        self._count_gone(queue, EventFate.DROPPED, len(rows), sum(size for _, size in rows))
        return len(rows)

    def add_sums(self) -> None:
        """Write what the transaction adds to the sums: the last thing before its commit."""
        for queue, sums in self._sums.items():
            self.connection.execute(sql.ADD_TO_QUEUE, (*sums, queue))
        self._sums.clear()

    def backlog(self) -> list[tuple[QueueKey, int]]:
        """See EventQueue.backlog. One look into the index for each queue, however long it is."""
        now_ms = self._clock.time_ms()
        found = []
        for queue, key in self._keys.items():
            (next_ms,) = self.connection.execute(sql.NEXT, (queue,)).fetchone()
            if next_ms is not None:
                found.append((key, next_ms - now_ms))
        return found

    def _queue(self, key: QueueKey) -> int:
        queue = self._queues.get(key)
        if queue is None:
            queue = max(self._keys, default=0) + 1
            self.connection.execute(sql.PUT_QUEUE, (queue, key.account_id, key.region, key.name))
            self._queues[key] = queue
            self._keys[queue] = key
        return queue

    def _delete(self, numbers: Sequence[int]) -> None:
        for chunk in _chunks(numbers):
            self.connection.execute(sql.DELETE + _marks(len(chunk)), chunk)

    def _count_gone(self, queue: int, fate: EventFate, events: int, size: int) -> None:
        sums = self._sums[queue]
        sums[1 + _FATES.index(fate)] += events
        sums[4] -= events
        sums[5] -= size


def totals(connection: sqlite3.Connection, now_ms: int) -> list[QueueTotals]:
    """Return the counts of every queue. Reads on any connection, in one transaction."""
    connection.execute("BEGIN")
    try:
        counts = {row["queue"]: row for row in connection.execute(sql.COUNTS)}
        queues = connection.execute(sql.QUEUES).fetchall()
    finally:
        connection.execute("COMMIT")
    found = []
    for row in queues:
        count = counts.get(row["number"])
        in_flight = 0 if count is None else count["in_flight"]
        found.append(
            QueueTotals(
                QueueKey(row["account_id"], row["region"], row["name"]),
                received=row["received"],
                queued=0 if count is None else count["events"] - in_flight,
                in_flight=in_flight,
                succeeded=row["succeeded"],
                dropped=row["dropped"],
                dead_lettered=row["dead_lettered"],
                next_ms=None if count is None else count["next_ms"] - now_ms,
            )
        )
    return found


def peek(connection: sqlite3.Connection, key: QueueKey, limit: int) -> list[ClaimedEvent]:
    """See EventQueue.peek. Reads on any connection."""
    for row in connection.execute(sql.QUEUES):
        if (row["account_id"], row["region"], row["name"]) == (key.account_id, key.region, key.name):
            found = connection.execute(sql.PEEK, (row["number"], limit)).fetchall()
            return [
                ClaimedEvent(
                    EventLease(key, one["number"], one["epoch"], len(one["payload"])),
                    one["head"],
                    one["payload"],
                    one["record"],
                )
                for one in found
            ]
    return []


def _chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    start = 0
    for size in _CHUNKS:
        while len(items) - start >= size:
            yield items[start : start + size]
            start += size


def _marks(count: int) -> str:
    return "(" + ", ".join("?" * count) + ")"
