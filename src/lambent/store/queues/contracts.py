"""The contracts of what moves: events, leases, slices of limits. A driver implements them; one suite runs over each.

The store of events is apart from that of resources: a database file of its own (SQLite), tables and connections of its
own (PostgreSQL). Events are written thousands of times a second and read once; one file would make every change of a
configuration wait in their line for the disk, and a backup of the functions as large as the backlog.

Times are given as spans and counted by the store's own clock: with several daemons only the database's is common.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lambent.model.event import EventFate


class QueueKey(NamedTuple):
    """Every function has a queue of its own, with all its versions and aliases."""

    account_id: str
    region: str
    name: str


class QueueBounds(NamedTuple):
    """How many events and how many bytes of payload may wait altogether.

    The longest queue may hold four times the room that is left, so that there is always room for the others.
    `wait_seconds`: an event that could not be committed for so long is refused.
    """

    events_max: int = 2_000_000
    bytes_max: int = 8 * 1024**3
    wait_seconds: float = 5.0


class NewEvent(NamedTuple):
    """An event to be kept. `head` and `payload` are the store's affair to keep and not to understand.

    `lease_ms` above 0: it is claimed by who puts it, in the same commit. `once`: a name under which one event is kept
    in two days; any further one of that name is not, and its put returns None all the same.
    """

    queue: QueueKey
    head: bytes
    payload: bytes
    lease_ms: int = 0
    once: str = ""


class EventLease(NamedTuple):
    """The right to settle one event. `epoch` grows with every claim: who was overtaken settles nothing.

    `payload_bytes` is what it takes of the queue's bounds.
    """

    queue: QueueKey
    number: int
    epoch: int
    payload_bytes: int


class ClaimedEvent(NamedTuple):
    """An event and the lease on it. `record` is what an earlier attempt kept with it."""

    lease: EventLease
    head: bytes
    payload: bytes
    record: bytes | None


class Claim(NamedTuple):
    """What a claim got, and in how many ms the next of the queue is due (None: it is empty)."""

    events: Sequence[ClaimedEvent]
    next_ms: int | None


class Settlement(NamedTuple):
    """The end of an attempt. With a `fate` the event leaves the queue; without it comes back in `delay_ms`.

    `head` and `record` replace the event's own when it comes back.
    """

    lease: EventLease
    fate: EventFate | None = None
    delay_ms: int = 0
    head: bytes = b""
    record: bytes | None = None


class QueueTotals(NamedTuple):
    """Counts of one queue, from one moment. `queued` and `in_flight` are counted, the others are summed up.

    `drift` is what is missing in received = queued + in flight + succeeded + dropped + dead-lettered: always 0.
    `next_ms`: when the earliest is due, from now on (negative: it was); None in an empty queue.
    """

    queue: QueueKey
    received: int
    queued: int
    in_flight: int
    succeeded: int
    dropped: int
    dead_lettered: int
    next_ms: int | None = None

    @property
    def drift(self) -> int:
        """See above."""
        gone = self.succeeded + self.dropped + self.dead_lettered
        return self.received - self.queued - self.in_flight - gone


class EventQueue(Protocol):
    """Durable queues of events. Scope: cluster. After a crash: every event whose `put` returned is there.

    Events of a queue are claimed in the order in which they are due; leases that ran out make them due again.
    """

    @property
    def is_shared(self) -> bool:
        """Whether other daemons put and claim too."""

    async def put(self, event: NewEvent) -> EventLease | None:
        """Keep an event durably; return the lease if it was asked for.

        Raises:
            TooManyRequestsError: the queue is full (429).
            ServiceError: it could not be committed, or not in time (5xx). A caller that is told so may find that it
                was kept all the same, when the answer of the disk came too late.
        """

    async def claim(self, queue: QueueKey, limit: int, lease_ms: int) -> Claim:
        """Lease up to `limit` events that are due. Raises ServiceError."""

    async def extend(self, leases: Sequence[EventLease], lease_ms: int) -> Sequence[bool]:
        """Let leases run for `lease_ms` from now; False for those that are not current. Raises ServiceError."""

    async def settle(self, settlement: Settlement) -> bool:
        """End an attempt durably; False when the lease was not current and nothing was done. Raises ServiceError."""

    async def backlog(self) -> Sequence[tuple[QueueKey, int]]:
        """Return the queues that are not empty, each with the ms until its next event is due. Raises ServiceError."""

    async def totals(self) -> Sequence[QueueTotals]:
        """Return the counts of every queue, as one moment saw them. Raises ServiceError."""

    async def peek(self, queue: QueueKey, limit: int) -> Sequence[ClaimedEvent]:
        """Return up to `limit` events, those due first first, without claiming them. Raises ServiceError."""

    async def discard(self, queue: QueueKey) -> int:
        """Drop all events that nobody has claimed; return how many. Raises ServiceError."""

    async def run(self) -> None:
        """Do what must go on beside the calls, until cancelled."""

    async def close(self) -> None:
        """Commit what waits and close."""


class HeldLease(NamedTuple):
    """Who holds a named lease. `value` is what the holders have written."""

    owner: str
    epoch: int
    value: bytes


class Leases(Protocol):
    """Named leases, for work that one daemon at a time may do. Scope: cluster. After a crash: as committed.

    `epoch` grows each time that the lease changes hands; what an older epoch writes is refused.
    """

    async def acquire(self, name: str, owner: str, ttl_ms: int) -> int | None:
        """Take a lease that is free, run out or the owner's already; return its epoch, or None. Raises ServiceError."""

    async def renew(self, name: str, epoch: int, ttl_ms: int) -> bool:
        """Let it run for `ttl_ms` from now; False when it was lost. Raises ServiceError."""

    async def write(self, name: str, epoch: int, value: bytes) -> bool:
        """Keep a value with the lease; False, and nothing kept, when it was lost. Raises ServiceError."""

    async def release(self, name: str, epoch: int) -> bool:
        """Give it back, its value stays; False when it was lost. Raises ServiceError."""

    async def read(self, name: str) -> HeldLease | None:
        """Return who held it last and what was written; None: nobody ever. Raises ServiceError."""

    async def names(self, prefix: str) -> Sequence[str]:
        """Return the names with this beginning of all leases that were ever held. Raises ServiceError."""

    async def forget(self, prefix: str) -> int:
        """Remove the leases with this beginning, held or not, and what was written; return how many.

        Who holds one has lost it. Raises ServiceError.
        """


class Limiter(Protocol):
    """Slices of limits, lent to daemons. Scope: cluster. The sum of all slices that run never exceeds the limit."""

    async def take(self, limit: str, owner: str, wanted: int, total: int, ttl_ms: int) -> int:
        """Let an owner have up to `wanted` of `total` for `ttl_ms`, in place of what it has; return what it got.

        Raises ServiceError.
        """

    async def give(self, limit: str, owner: str) -> None:
        """Give a slice back. Raises ServiceError."""
