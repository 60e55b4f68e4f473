"""Thousands of seeded schedules on a virtual clock: events put, claimed, run, settled late, twice, by the wrong worker,
while processes die and time jumps. What must hold holds after every commit; a lease without an epoch is found out.
"""

from __future__ import annotations

import heapq
import itertools
import random
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from lambent.events import retries
from lambent.model.arn import FunctionArn
from lambent.model.event import AsyncEvent, Condition, EventFate, Response
from lambent.store import InstallationKey
from lambent.store.events import EventStore
from lambent.store.events.events import queue_of
from lambent.store.queues.contracts import NewEvent, QueueKey, Settlement
from lambent.store.sqlite import event_schema
from lambent.store.sqlite.event_table import EventTable, totals
from lambent.store.sqlite.migrations import migrate

if TYPE_CHECKING:
    from lambent.store.queues.contracts import ClaimedEvent, EventLease

SCHEDULES = 3_000
STEPS = 60
LEASE_MS = 15_000
LIMITS = retries.EventLimits(retries_max=2, age_seconds_max=3_600)
FUNCTIONS = [FunctionArn("000000000000", "us-east-1", name, qualifier) for name, qualifier in (("f", None), ("g", "x"))]


class Broken(AssertionError):
    """Something did not hold."""


class VirtualClock:
    """Time as the schedule says."""

    def __init__(self) -> None:
        self.now_ms = 1_700_000_000_000

    def time_ms(self) -> int:
        return self.now_ms

    def monotonic_ns(self) -> int:
        return self.now_ms * 1_000_000


class WithoutEpochs(EventTable):
    """The planted bug: whoever ever had a lease on an event may settle it."""

    def is_current(self, lease: EventLease) -> bool:
        return lease.number in self._leased


@dataclass
class Fate:
    """What the schedule knows of one event that was acknowledged."""

    ends: list[EventFate] = field(default_factory=list)
    claims: int = 0
    not_before_ms: int = 0


@dataclass(order=True)
class Arrival:
    """A settlement on its way: it comes late, and maybe twice."""

    at_ms: int
    order: int
    settlement: Settlement = field(compare=False)
    request_id: str = field(compare=False)


class World:
    """One schedule: a database, processes that come and go, workers that are slow."""

    def __init__(self, seed: int, key: InstallationKey, table: type[EventTable]) -> None:
        self.random = random.Random(seed)
        self.clock = VirtualClock()
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        self.connection.row_factory = sqlite3.Row
        migrate(self.connection, steps=event_schema.STEPS)
        self.table_type = table
        self.store = EventStore(None, key)  # type: ignore[arg-type]
        self.known: dict[str, Fate] = {}
        self.last_epoch: dict[int, int] = {}
        self.arrivals: list[Arrival] = []
        self.numbers = itertools.count()
        self.start()

    def start(self) -> None:
        """Begin a process: what the last one had claimed is free."""
        self.table = self.table_type(self.connection, self.clock)
        self.table.open()
        for fate in self.known.values():
            fate.not_before_ms = min(fate.not_before_ms, self.clock.now_ms)

    def step(self) -> None:
        """Let one thing happen."""
        often = (self.put, self.claim, self.arrive, self.wait)
        self.random.choice((*often, *often, self.arrive, self.extend, self.crash))()
        if self.random.random() < 0.2:
            self.check()

    def put(self) -> None:
        """Put some events; the process may die before the commit."""
        events = [self.new_event() for _ in range(self.random.randint(1, 6))]
        rows = [NewEvent(queue_of(event.function), self.store._head(event), event.payload,
                         self.random.choice([0, 0, LEASE_MS])) for event in events]  # fmt: skip
        self.connection.execute("BEGIN IMMEDIATE")
        leases = self.table.put(rows)
        self.table.write()
        if self.random.random() < 0.1:
            self.connection.execute("ROLLBACK")
            self.start()
            return
        self.connection.execute("COMMIT")
        for event, row, lease in zip(events, rows, leases, strict=True):
            self.known[event.request_id] = Fate(not_before_ms=self.clock.now_ms + row.lease_ms)
            if lease is not None:
                self.last_epoch[lease.number] = lease.epoch
                self.run(event, lease)

    def new_event(self) -> AsyncEvent:
        """Return an event with an id of its own."""
        number = next(self.numbers)
        return AsyncEvent(self.random.choice(FUNCTIONS), f"id-{number}", b'{"n": %d}' % number, self.clock.now_ms)

    def claim(self) -> None:
        """Let a worker claim."""
        key = queue_of(self.random.choice(FUNCTIONS))
        self.connection.execute("BEGIN IMMEDIATE")
        claim = self.table.claim(key, self.random.randint(1, 5), LEASE_MS)
        self.connection.execute("COMMIT")
        for claimed in claim.events:
            self.take(claimed)

    def take(self, claimed: ClaimedEvent) -> None:
        """A worker has an event: it runs, and its settlement is on its way."""
        event = self.store._event(claimed)
        fate = self.known.get(event.request_id)
        if fate is None or fate.ends:
            raise Broken(f"{event.request_id} was claimed after its end, or before it was acknowledged")
        if self.clock.now_ms < fate.not_before_ms:
            raise Broken(f"{event.request_id} was claimed {fate.not_before_ms - self.clock.now_ms} ms too soon")
        if claimed.lease.epoch <= self.last_epoch.get(claimed.lease.number, 0):
            raise Broken(f"the epoch of {event.request_id} did not grow")
        self.last_epoch[claimed.lease.number] = claimed.lease.epoch
        fate.claims += 1
        fate.not_before_ms = self.clock.now_ms + LEASE_MS
        self.run(event, claimed.lease)

    def run(self, event: AsyncEvent, lease: EventLease) -> None:
        """Run the function; sometimes nothing ever comes of it."""
        now_ms = self.clock.now_ms
        outcome = self.random.choice(["succeeds", "fails", "fails", "throttled", "hangs"])
        if outcome == "hangs":
            return
        if retries.is_too_old(event, LIMITS, now_ms):
            verdict = retries.Verdict(event, Condition.EVENT_AGE_EXCEEDED)
        elif outcome == "throttled":
            verdict = retries.after_setback(event, Response(429), LIMITS, now_ms)
        else:
            error = None if outcome == "succeeds" else "Unhandled"
            verdict = retries.after_run(event, Response(200, b"{}", "1", error), LIMITS, now_ms)
        if verdict.event.attempts > LIMITS.retries_max + 1:
            raise Broken(f"{event.request_id} ran {verdict.event.attempts} times")
        settlement = Settlement(lease, self.fate_of(verdict), verdict.delay_ms, self.store._head(verdict.event), b"r")
        for _ in range(self.random.choice([1, 1, 1, 2])):
            delay_ms = self.random.choice([0, 10, 1_000, LEASE_MS - 1, LEASE_MS + 1, 5 * LEASE_MS])
            heapq.heappush(self.arrivals, Arrival(now_ms + delay_ms, next(self.numbers), settlement, event.request_id))

    def fate_of(self, verdict: retries.Verdict) -> EventFate | None:
        """Return how an event that ended is counted."""
        if verdict.condition is None:
            return None
        if verdict.condition is Condition.SUCCESS:
            return EventFate.SUCCEEDED
        return self.random.choice([EventFate.DROPPED, EventFate.DEAD_LETTERED])

    def arrive(self) -> None:
        """Let settlements that are due arrive, out of order."""
        due: list[Arrival] = []
        while self.arrivals and self.arrivals[0].at_ms <= self.clock.now_ms and len(due) < 8:
            due.append(heapq.heappop(self.arrivals))
        self.random.shuffle(due)
        if not due:
            return
        self.connection.execute("BEGIN IMMEDIATE")
        done = self.table.settle([arrival.settlement for arrival in due])
        self.table.write()
        if self.random.random() < 0.1:
            # The process dies before the commit; its workers' messages are lost with it.
            self.connection.execute("ROLLBACK")
            self.start()
            return
        self.connection.execute("COMMIT")
        for arrival, is_done in zip(due, done, strict=True):
            if is_done:
                self.settled(arrival)

    def settled(self, arrival: Arrival) -> None:
        """Something was settled: was it its owner who did?"""
        settlement, fate = arrival.settlement, self.known[arrival.request_id]
        if settlement.lease.epoch != self.last_epoch[settlement.lease.number]:
            raise Broken(f"{arrival.request_id} was settled by a worker that had been overtaken")
        if fate.ends:
            raise Broken(f"{arrival.request_id} was settled after its end")
        if settlement.fate is not None:
            fate.ends.append(settlement.fate)
        else:
            fate.not_before_ms = self.clock.now_ms + settlement.delay_ms

    def wait(self) -> None:
        """Let time pass."""
        self.clock.now_ms += self.random.choice([1, 500, 2_000, LEASE_MS // 2, LEASE_MS + 1, 130_000])

    def extend(self) -> None:
        """Let workers keep some of their leases, current or not."""
        leases = [arrival.settlement.lease for arrival in self.arrivals if self.random.random() < 0.5]
        self.connection.execute("BEGIN IMMEDIATE")
        current = self.table.extend(leases, LEASE_MS)
        self.connection.execute("COMMIT")
        for arrival, lease, is_current in zip(
            [one for one in self.arrivals if one.settlement.lease in leases], leases, current, strict=False
        ):
            if is_current and lease == arrival.settlement.lease:
                self.known[arrival.request_id].not_before_ms = self.clock.now_ms

    def crash(self) -> None:
        """Kill the process. Workers' messages may still come, as those of another machine would."""
        if self.random.random() < 0.3:
            if self.random.random() < 0.5:
                self.arrivals.clear()
            self.start()

    def check(self) -> None:
        """Look whether the equation holds, and the sums are what was acknowledged and what ended."""
        counts = totals(self.connection, self.clock.now_ms)
        ends = [end for fate in self.known.values() for end in fate.ends]
        told = (len(self.known), *(ends.count(end) for end in EventFate))
        summed = (
            sum(one.received for one in counts), sum(one.succeeded for one in counts),
            sum(one.dropped for one in counts), sum(one.dead_lettered for one in counts),
        )  # fmt: skip
        if told != summed or any(one.drift for one in counts):
            raise Broken(f"told {told}, summed {summed}, drift {[one.drift for one in counts]}")

    def finish(self) -> None:
        """Let everybody work in peace: every event ends, once."""
        self.arrivals.clear()
        for _ in range(200):
            self.clock.now_ms += 400_000
            for function in FUNCTIONS:
                self.connection.execute("BEGIN IMMEDIATE")
                claim = self.table.claim(queue_of(function), 100, LEASE_MS)
                self.connection.execute("COMMIT")
                for claimed in claim.events:
                    self.take(claimed)
                    self.clock.now_ms += 1
            self.clock.now_ms += 1_000
            while self.arrivals:
                self.arrivals = [replace(arrival, at_ms=0) for arrival in self.arrivals]
                self.arrive()
            self.check()
            if all(fate.ends for fate in self.known.values()):
                return
        raise Broken("some events never end")


def simulate(seed: int, key: InstallationKey, table: type[EventTable] = EventTable) -> World:
    """Run one schedule to its end. Raises Broken."""
    world = World(seed, key, table)
    with closing(world.connection):
        for _ in range(STEPS):
            world.step()
        world.finish()
    return world


@pytest.fixture(scope="module")
def key() -> InstallationKey:
    return InstallationKey(b"k" * 32)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(6))
def test_schedules(part: int, key: InstallationKey) -> None:
    events = claims = 0
    for seed in range(part * SCHEDULES // 6, (part + 1) * SCHEDULES // 6):
        try:
            world = simulate(seed, key)
        except Broken as error:
            raise AssertionError(f"schedule {seed}: {error}") from error
        events += len(world.known)
        claims += sum(fate.claims for fate in world.known.values())
    # The schedules are such that things go wrong in them.
    assert events > 10_000
    assert claims > events


@pytest.mark.slow
def test_a_lease_without_an_epoch_is_found_out(key: InstallationKey) -> None:
    found = 0
    for seed in range(100):
        try:
            simulate(seed, key, WithoutEpochs)
        except Broken:
            found += 1
    assert found >= 20


def test_queue_keys() -> None:
    assert queue_of(FUNCTIONS[1]) == QueueKey("000000000000", "us-east-1", "g")
