"""The loop that brings events to their functions: claims what is due, runs it, and settles what came of it."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from lambent.events.pacing.courtesy import START_SECONDS, Courtesy
from lambent.events.pacing.lanes import NEVER, WINDOW, YOUNG_SECONDS, Attempt, Lane
from lambent.model.errors import LambdaError
from lambent.store.queues.contracts import QueueKey

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from lambent.model.event import AsyncEvent
    from lambent.store.events import EventStore

_log = logging.getLogger(__name__)

_LEASE_SECONDS = 15.0
_EXTEND_SECONDS = 5.0
# How often the store is asked what it has: what other daemons put, and what this one should know anyway.
_LOOK_SECONDS_SHARED = 1.0
_LOOK_SECONDS = 10.0
_TICK_SECONDS = YOUNG_SECONDS / 2
_AFTER_FAILURE_SECONDS = 1.0
# Claimed payloads in memory; beyond it each lane fetches one at a time.
_HELD_BYTES_MAX = 128 * 1024 * 1024
_HUNGRY_TRIED = 16


class DeliveryRules(NamedTuple):
    """`attempts_max`: how many events this node tries at one time, of all functions together.

    `courtesy_window`: see Courtesy.
    """

    attempts_max: int = 128
    courtesy_window: int = WINDOW


class Delivery:
    """Scope: node. After a crash: what was in flight is due again, at once (SQLite) or when its lease has run out.

    Memory holds what is claimed, some hundreds of events, and a few numbers for each function that has events; the
    store holds the rest, delays included. `attempt(claimed, finished)` does one attempt and settles it; it calls
    `finished` when the function is done with it, so that the next may start while the disk still works.
    """

    def __init__(
        self,
        store: EventStore,
        attempt: Callable[[Delivery, Lane, Attempt], Awaitable[None]],
        rules: DeliveryRules,
    ) -> None:
        self._store = store
        self._attempt = attempt
        self._rules = rules
        self._courtesy = Courtesy(rules.courtesy_window)
        self._lanes: dict[QueueKey, Lane] = {}
        self._hungry: deque[Lane] = deque()
        # When lanes are due, the soonest first; one that has meanwhile been served finds nothing to do.
        self._due: list[tuple[float, int, Lane]] = []
        self._numbers = itertools.count()
        self._crowded: dict[Lane, None] = {}
        self._held: dict[int, Attempt] = {}
        self._held_bytes = 0
        self._running = 0
        self._tasks: asyncio.TaskGroup | None = None
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._is_stopping = False

    async def put(self, event: AsyncEvent, once: str = "") -> None:
        """Keep an event durably and see to its delivery; `once` as in NewEvent. Raises as EventStore.put."""
        key = QueueKey(event.function.account_id, event.function.region, event.function.name)
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Lane(key)
        now = asyncio.get_running_loop().time()
        is_waiting = self._tasks is None or self._is_stopping or lane.has_backlog(now)
        self._courtesy.arrived(key, now, is_first=not is_waiting)
        if is_waiting or once or not self._may_start(lane, now):
            await self._store.put(event, once=once)
            lane = self._lanes.setdefault(key, lane)
            self._note_due(lane, now)
            self._pump(lane)
            return
        # Nobody is before it: it is claimed by the commit that keeps it, and starts when that is on disk.
        attempt = Attempt(None, event)
        attempt.is_guest = True
        self._courtesy.guest_began(now)
        self._count_start(lane, attempt, now)
        try:
            attempt.lease = await self._store.put(event, int(_LEASE_SECONDS * 1_000))
        except BaseException:
            self.finished(lane, attempt)
            raise
        self._hold(attempt)
        self._begin(lane, attempt)

    def finished(self, lane: Lane, attempt: Attempt) -> None:
        """The function is done with an event: the next may start. Idempotent."""
        if attempt.is_over:
            return
        lane.finish(attempt)
        self._running -= 1
        if attempt.is_guest and self._courtesy.guest_ended() and self._crowded:
            self._wake.set()
        if not self._running:
            self._idle.set()
        if self._hungry:
            self._feed_hungry()
        self._pump(lane)

    def note_due(self, lane: Lane, delay_ms: int) -> None:
        """An event of this lane went back to the store and is due in `delay_ms`."""
        lane = self._lanes.setdefault(lane.key, lane)
        self._note_due(lane, asyncio.get_running_loop().time() + delay_ms / 1_000)
        self._wake.set()

    def settled(self, attempt: Attempt) -> None:
        """The lease on an event has ended."""
        lease = attempt.lease
        if lease is not None and self._held.get(lease.number) is attempt:
            del self._held[lease.number]
            self._held_bytes -= lease.payload_bytes

    def statistics(self) -> dict[str, int]:
        """Return what this node does at the moment."""
        return {"running": self._running, "held": len(self._held), "lanes": len(self._lanes)}

    async def run(self) -> None:
        """Deliver until cancelled; never raises."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            tasks.create_task(self._run_look())
            tasks.create_task(self._run_extend())
            try:
                while True:
                    await self._wait_for_work()
                    self._pump_due()
            finally:
                # Attempts that end with this group must start nothing in it.
                self._is_stopping = True

    async def stop(self, seconds: float) -> None:
        """Start nothing any more; return when what runs is done, or after `seconds`."""
        self._is_stopping = True
        while self._running:
            self._idle.clear()
            try:
                async with asyncio.timeout(seconds):
                    await self._idle.wait()
            except TimeoutError:
                return

    def _pump_due(self) -> None:
        now = asyncio.get_running_loop().time()
        crowded, self._crowded = self._crowded, {}
        for lane in crowded:
            self._pump(lane)
        while self._due and self._due[0][0] <= now:
            _, _, lane = heapq.heappop(self._due)
            if lane.next_due <= now:
                self._pump(lane)

    def _note_due(self, lane: Lane, due: float) -> None:
        """The store has an event that is due then. What a lane knew already needs no other alarm."""
        if lane.note_due(due):
            heapq.heappush(self._due, (due, next(self._numbers), lane))

    async def _wait_for_work(self) -> None:
        now = asyncio.get_running_loop().time()
        due = self._due[0][0] if self._due else NEVER
        seconds = max(0.001, min(due - now, _LOOK_SECONDS))
        if self._crowded:
            seconds = min(seconds, START_SECONDS if self._courtesy.waits(now) else _TICK_SECONDS)
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()

    def _pump(self, lane: Lane) -> None:
        """Start what may start of a lane, and fetch more when it runs short."""
        if self._tasks is None or self._is_stopping:
            return
        now = asyncio.get_running_loop().time()
        if self._courtesy.waits(now) and (lane.ready or lane.wants_claim(now)):
            self._crowded[lane] = None
            return
        while lane.ready:
            if not self._may_start(lane, now):
                self._crowded[lane] = None
                if self._running >= self._rules.attempts_max and not lane.is_hungry:
                    lane.is_hungry = True
                    self._hungry.append(lane)
                break
            attempt = lane.ready.popleft()
            self._courtesy.started(now)
            self._count_start(lane, attempt, now)
            self._begin(lane, attempt)
        if lane.wants_claim(now):
            lane.is_claiming = True
            self._tasks.create_task(self._run_claim(lane))
        elif lane.is_unused():
            self._lanes.pop(lane.key, None)

    def _feed_hungry(self) -> None:
        for _ in range(min(len(self._hungry), _HUNGRY_TRIED)):
            if self._running >= self._rules.attempts_max:
                return
            lane = self._hungry.popleft()
            lane.is_hungry = False
            self._pump(lane)

    def _may_start(self, lane: Lane, now: float) -> bool:
        window = self._courtesy.window(lane.key, now)
        return lane.may_start(now, self._rules.attempts_max - self._running, window)

    def _count_start(self, lane: Lane, attempt: Attempt, now: float) -> None:
        lane.start(attempt, now)
        self._running += 1

    def _begin(self, lane: Lane, attempt: Attempt) -> None:
        assert self._tasks is not None
        self._tasks.create_task(self._run_attempt(lane, attempt))

    def _hold(self, attempt: Attempt) -> None:
        assert attempt.lease is not None
        self._held[attempt.lease.number] = attempt
        self._held_bytes += attempt.lease.payload_bytes

    async def _run_attempt(self, lane: Lane, attempt: Attempt) -> None:
        try:
            await self._attempt(self, lane, attempt)
        except Exception:
            # Its lease will run out, and it comes again.
            _log.exception("an event of %s could not be settled", lane.key.name)
        finally:
            self.settled(attempt)
            self.finished(lane, attempt)

    async def _run_claim(self, lane: Lane) -> None:
        loop = asyncio.get_running_loop()
        limit = 1
        if self._held_bytes < _HELD_BYTES_MAX:
            now = loop.time()
            limit = min(lane.next_batch(now), self._courtesy.claim_max(lane.key, now))
        try:
            claimed, next_ms = await self._store.claim(lane.key, limit, int(_LEASE_SECONDS * 1_000))
        except LambdaError as error:
            _log.warning("events of %s cannot be read: %s", lane.key.name, error.message)
            lane.next_due = NEVER
            self._note_due(lane, loop.time() + _AFTER_FAILURE_SECONDS)
        else:
            lane.next_due = NEVER
            if next_ms is not None:
                self._note_due(lane, loop.time() + next_ms / 1_000)
            for lease, event in claimed:
                attempt = Attempt(lease, event)
                self._hold(attempt)
                lane.ready.append(attempt)
        finally:
            lane.is_claiming = False
        self._pump(lane)
        self._wake.set()

    async def _run_look(self) -> None:
        while True:
            try:
                backlog = await self._store.backlog()
            except LambdaError as error:
                _log.warning("the store of events cannot be read: %s", error.message)
                backlog = []
            now = asyncio.get_running_loop().time()
            for key, next_ms in backlog:
                lane = self._lanes.get(key) or self._lanes.setdefault(key, Lane(key))
                if not lane.is_claiming:
                    self._note_due(lane, now + next_ms / 1_000)
            self._wake.set()
            await asyncio.sleep(_LOOK_SECONDS_SHARED if self._store.is_shared else _LOOK_SECONDS)

    async def _run_extend(self) -> None:
        """Keep the leases on what is claimed; forget what was lost before it began."""
        while True:
            await asyncio.sleep(_EXTEND_SECONDS)
            held = list(self._held.values())
            leases = [attempt.lease for attempt in held if attempt.lease is not None]
            if not leases:
                continue
            try:
                current = await self._store.extend(leases, int(_LEASE_SECONDS * 1_000))
            except LambdaError as error:
                _log.warning("leases on events cannot be extended: %s", error.message)
                continue
            for attempt, is_current in zip(held, current, strict=True):
                lease = attempt.lease
                lane = None if is_current or lease is None else self._lanes.get(lease.queue)
                if lane is not None and attempt in lane.ready:
                    lane.ready.remove(attempt)
                    self.settled(attempt)
