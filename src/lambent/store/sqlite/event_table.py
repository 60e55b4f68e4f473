"""Events in SQLite: what is done inside one transaction. Synchronous, and the clock is an argument.

One process has the file (the data directory's lock sees to that), and one thread writes. So who holds which lease is
known in memory: a settlement is compared there, and the rows of many are removed in one statement.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import defaultdict
from itertools import chain
from typing import TYPE_CHECKING

import msgspec

from lambent.model.event import EventFate
from lambent.store.queues.contracts import Claim, ClaimedEvent, EventLease, QueueKey, QueueTotals
from lambent.store.sqlite import event_schema as sql

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from lambent.clock import Clock
    from lambent.store.queues.contracts import NewEvent, Settlement

# Statements of few sizes, so that SQLite has each of them compiled already; what is too short is filled up.
_SIZES = (1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256)
_STATEMENTS = {size: sql.WRITE + ", ".join([sql.WRITE_ROW] * size) for size in _SIZES}
WRITTEN_AT_ONCE = _SIZES[-1]
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
        self._rows: list[tuple[object, ...]] = []
        # Number, epoch, bytes of the payload, head and payload in hexadecimal; no payload: it is apart.
        self._decode_picked = msgspec.json.Decoder(list[tuple[int, int, int, str, str | None]]).decode
        self._last_number = 0

    def open(self) -> int:
        """Free what the last process had claimed, then read what must be known; return how many events that were."""
        self.connection.executescript(sql.WRITES)
        self.connection.execute("BEGIN IMMEDIATE")
        freed = self.connection.execute(sql.VOID_LEASES, {"now_ms": self._clock.time_ms()}).rowcount
        self.connection.execute(sql.FREE_NAMED_LEASES)
        self._last_number = self.connection.execute(sql.BEGIN_NUMBERS).fetchone()[0]
        self.connection.execute("COMMIT")
        self.reload()
        return freed

    def reload(self) -> None:
        """Read again what is known in memory."""
        self._rows.clear()
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
        """Keep events with the next `write`; see EventQueue.put."""
        now_ms = self._clock.time_ms()
        leases: list[EventLease | None] = []
        rows = self._rows
        for event in events:
            self._last_number = number = self._last_number + 1
            size = len(event.payload)
            queue = self._queue(event.queue)
            is_leased = event.lease_ms > 0
            rows.append((sql.PUT, number, queue, now_ms + event.lease_ms, is_leased, int(is_leased), size, event.head,
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
        parameters = {"queue": queue, "now_ms": now_ms, "limit": limit}
        (text,) = self.connection.execute(sql.PICK, parameters).fetchone()
        picked = sorted(self._decode_picked(text))
        events: list[ClaimedEvent] = []
        if picked:
            numbers = json.dumps([number for number, *_ in picked])
            self.connection.execute(sql.CLAIM, (now_ms + max(1, lease_ms), numbers))
            apart = self._contents([number for number, _, _, _, payload in picked if payload is None])
            for number, epoch, size, head, payload in picked:
                self._leased[number] = (epoch + 1, size)
                content, record = apart[number] if payload is None else (bytes.fromhex(payload), None)
                lease = EventLease(key, number, epoch + 1, size)
                events.append(ClaimedEvent(lease, bytes.fromhex(head), content, record))
        (next_ms,) = self.connection.execute(sql.NEXT, (queue,)).fetchone()
        return Claim(events, None if next_ms is None else next_ms - now_ms)

    def extend(self, leases: Sequence[EventLease], lease_ms: int) -> list[bool]:
        """See EventQueue.extend."""
        current = [self.is_current(lease) for lease in leases]
        until_ms = self._clock.time_ms() + lease_ms
        numbers = [lease.number for lease, is_current in zip(leases, current, strict=True) if is_current]
        self.connection.execute(sql.EXTEND, (until_ms, json.dumps(numbers)))
        return current

    def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        """Settle with the next `write`; see EventQueue.settle."""
        done: list[bool] = []
        rows = self._rows
        now_ms = self._clock.time_ms()
        for settlement in settlements:
            lease = settlement.lease
            is_current = self.is_current(lease)
            done.append(is_current)
            if not is_current:
                continue
            _, size = self._leased.pop(lease.number)
            if settlement.fate is None:
                rows.append((sql.BACK, lease.number, 0, now_ms + settlement.delay_ms, 0, 0, 0, settlement.head,
                             settlement.record))  # fmt: skip
            else:
                rows.append((sql.GONE, lease.number, 0, 0, 0, 0, 0, 0, 0))
                self._count_gone(self._queues[lease.queue], settlement.fate, 1, size)
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
        self.connection.execute(sql.DELETE, (json.dumps([number for number, _ in rows]),))
        self._count_gone(queue, EventFate.DROPPED, len(rows), sum(size for _, size in rows))
        return len(rows)

    def pending(self) -> int:
        """Return how many rows `write` would write."""
        return len(self._rows) + len(self._sums)

    def write(self) -> None:
        """Write what was put and settled, and what that adds to the sums: the last thing before a commit.

        Up to WRITTEN_AT_ONCE rows are one statement, which outside a transaction is one.
        """
        rows = self._rows
        rows += [(sql.SUM, queue, *sums, 0) for queue, sums in self._sums.items()]
        for first in range(0, len(rows), WRITTEN_AT_ONCE):
            chunk = rows[first : first + WRITTEN_AT_ONCE]
            size = _SIZES[bisect_left(_SIZES, len(chunk))]
            chunk += [sql.NO_ROW] * (size - len(chunk))
            self.connection.execute(_STATEMENTS[size], list(chain.from_iterable(chunk)))
        self._rows.clear()
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

    def _contents(self, numbers: Sequence[int]) -> dict[int, tuple[bytes, bytes | None]]:
        """Return payload and record of events, one by one: their bytes are worth more than the steps."""
        if not numbers:
            return {}
        rows = self.connection.execute(sql.PICKED, (json.dumps(numbers),))
        return {number: (payload, record) for number, payload, record in rows}

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
