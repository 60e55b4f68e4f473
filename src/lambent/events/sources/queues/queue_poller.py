"""The loop over a queue: receive, filter, gather a batch, invoke, settle.

    receive ──► filter ──► batch (size, window, 6 MB) ──► invoke ──► remove what succeeded
       ▲          │ others: removed                          │ throttled: kept invisible, tried again
       └──────────┴────────────── the rest comes again ◄─────┘ failed: left to come again

An idle mapping is one request that waits. Further workers start when batches come back full, and end when nothing
comes. While a batch waits for a slot its mapping receives nothing more, and the batch is never returned: a throttle
uses up no receive. Source: developer guide, "Using Lambda with Amazon SQS".
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from msgspec import Struct, field

from lambent.events.sources.answers import failed_items
from lambent.events.sources.deliverer import Verdict
from lambent.events.sources.filtering.selection import Selection
from lambent.events.sources.meter import Metric
from lambent.events.sources.pausing import Stop, pause
from lambent.events.sources.source import SourceError
from lambent.model.quotas import PAYLOAD_BYTES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from lambent.clock import Clock
    from lambent.events.sources.deliverer import Delivered, Deliverer
    from lambent.events.sources.source import QueueSource, SourceRecord
    from lambent.model.configs.event_source import EventSourceMapping

# Source: developer guide, "Scaling behavior": 5 at first, 300 more each minute, at most 1,000.
_WORKERS_FIRST = 5
_WORKERS_PER_SECOND = 5.0
_WORKERS_MAX = 1_000
# Source: service description, ProvisionedPollerConfig: the defaults for SQS.
_PROVISIONED_FIRST = 2
_PROVISIONED_MAX = 200
# A request that waits cannot be taken back without losing what it brings: it is short while things happen.
_WAIT_SECONDS = (1, 1, 2, 5, 10, 20)
_KEPT_SECONDS = 1.0
_RETRY_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_SOURCE_RETRY_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
# What the event has around its records.
_ENVELOPE_BYTES = 64
_RESPONSE_TYPE = "ReportBatchItemFailures"


class _Batch(Struct):
    """`kept_ns`: since when the source hides its records, at least."""

    kept_ns: int
    records: list[SourceRecord] = field(default_factory=list)
    is_full: bool = False


class QueuePoller:
    """Polls one queue for one mapping. Scope: process; keeps no state that a crash could lose.

    `tell(text)` takes what the mapping's LastProcessingResult shall say.
    """

    def __init__(
        self,
        mapping: EventSourceMapping,
        source: QueueSource,
        deliverer: Deliverer,
        clock: Clock,
        tell: Callable[[str], None],
    ) -> None:
        self._mapping = mapping
        self._source = source
        self._deliverer = deliverer
        self._clock = clock
        self._tell = tell
        self._selection = Selection(mapping.filter_criteria, "body")
        self._stopped = Stop()
        self._workers = 0
        self._busy_since_ns: int | None = None
        self._open = asyncio.Event()
        self._open.set()
        self._held = 0
        self._log = logging.getLogger(__name__)

    is_ready = True

    def change(self, mapping: EventSourceMapping) -> None:
        """Go on with other members of the same mapping; a batch under way is finished as it began."""
        self._mapping = mapping
        self._selection = Selection(mapping.filter_criteria, "body")

    def stop(self) -> None:
        """Receive nothing more; batches under way are finished, and `run` returns."""
        self._stopped.set()

    async def run(self) -> None:
        """Poll until stopped. Never raises."""
        async with asyncio.TaskGroup() as tasks:
            self._begin(tasks)

    def _begin(self, tasks: asyncio.TaskGroup) -> None:
        self._workers += 1
        self._measure()
        tasks.create_task(self._work(tasks))

    def _measure(self) -> None:
        if self._mapping.provisioned_poller_config is not None:
            self._deliverer.meter.level(self._mapping, Metric.PROVISIONED_POLLERS, self._workers)

    async def _work(self, tasks: asyncio.TaskGroup) -> None:
        empty, failures = 0, 0
        left: list[SourceRecord] = []
        try:
            while not self._stopped.is_set():
                while self._workers < self._least():
                    self._begin(tasks)
                await self._wait_open(left)
                if self._stopped.is_set():
                    return
                try:
                    batch = await self._gather(left, _WAIT_SECONDS[min(empty, len(_WAIT_SECONDS) - 1)])
                except SourceError as error:
                    self._log.warning("event source mapping %s: %s", self._mapping.uuid, error)
                    self._tell(f"PROBLEM: {error}")
                    await pause(_SOURCE_RETRY_SECONDS[min(failures, len(_SOURCE_RETRY_SECONDS) - 1)], self._stopped)
                    failures += 1
                    continue
                failures = 0
                if not batch.records:
                    empty += 1
                    if self._workers > self._least():
                        return
                    self._busy_since_ns = None
                    continue
                empty = 0
                if batch.is_full and self._may_grow():
                    self._begin(tasks)
                if not await self._settle(batch, left) and self._source.is_ordered:
                    # What stays behind comes again before what follows it.
                    await self._return(left)
                if left:
                    await self._quietly(self._source.keep(left))
        finally:
            self._workers -= 1
            self._measure()
            await self._return(left)

    async def _wait_open(self, left: Sequence[SourceRecord]) -> None:
        """Wait while batches wait for their slots; what was received stays hidden meanwhile."""
        while not self._open.is_set():
            try:
                async with asyncio.timeout(self._source.keep_seconds if left else None):
                    await self._open.wait()
            except TimeoutError:
                await self._quietly(self._source.keep(left))

    async def _return(self, left: list[SourceRecord]) -> None:
        """Give back what was received and is not begun."""
        if left:
            given, left[:] = list(left), []
            await self._quietly(self._source.give_back(given))

    def _least(self) -> int:
        provisioned = self._mapping.provisioned_poller_config
        return 1 if provisioned is None else provisioned.minimum_pollers or _PROVISIONED_FIRST

    def _may_grow(self) -> bool:
        now_ns = self._clock.monotonic_ns()
        if self._busy_since_ns is None:
            self._busy_since_ns = now_ns
        scaling = self._mapping.scaling_config
        most = (scaling.maximum_concurrency if scaling is not None else None) or _WORKERS_MAX
        provisioned = self._mapping.provisioned_poller_config
        if provisioned is not None:
            most = max(provisioned.maximum_pollers or _PROVISIONED_MAX, self._least())
        ramp = max(_WORKERS_FIRST, self._least()) + int((now_ns - self._busy_since_ns) / 1e9 * _WORKERS_PER_SECOND)
        return not self._stopped.is_set() and not self._held and self._workers < min(most, ramp)

    async def _gather(self, left: list[SourceRecord], wait_seconds: int) -> _Batch:
        """Return the next batch; what does not fit any more stays in `left`."""
        size_max = self._mapping.batch_size or 1
        window_ns = (self._mapping.maximum_batching_window_in_seconds or 0) * 1_000_000_000
        batch = _Batch(self._clock.monotonic_ns())
        gathered = batch.records
        room = PAYLOAD_BYTES.value - _ENVELOPE_BYTES
        begun_ns: int | None = None
        while True:
            if not left:
                try:
                    left += await self._receive(min(10, size_max - len(gathered)), wait_seconds)
                except SourceError:
                    if not gathered:
                        raise
                    return batch
            if left and begun_ns is None:
                begun_ns = batch.kept_ns = self._clock.monotonic_ns()
            while left and len(gathered) < size_max:
                batch.is_full = left[0].size_bytes > room and bool(gathered)
                if batch.is_full:
                    return batch
                room -= left[0].size_bytes + 1
                gathered.append(left.pop(0))
            batch.is_full = len(gathered) >= size_max
            if batch.is_full or begun_ns is None or not window_ns or self._stopped.is_set():
                return batch
            left_ns = window_ns - (self._clock.monotonic_ns() - begun_ns)
            if left_ns <= 0:
                return batch
            if self._clock.monotonic_ns() - batch.kept_ns > self._source.keep_seconds * 1e9:
                # A window may be longer than the queue hides what it gave away.
                batch.kept_ns = self._clock.monotonic_ns()
                await self._quietly(self._source.keep(gathered))
            step_ns = min(left_ns, int(self._source.keep_seconds * 1e9))
            wait_seconds = min(20, step_ns // 1_000_000_000)
            if not wait_seconds:
                await pause(step_ns / 1e9, self._stopped)

    async def _receive(self, count_max: int, wait_seconds: int) -> list[SourceRecord]:
        received = await self._stopped.unless(self._source.receive(count_max, wait_seconds))
        if not received:
            return []
        if self._stopped.is_set():
            await self._quietly(self._source.give_back(received))
            return []
        wanted, others = self._selection.split(received)
        self._deliverer.meter.count(self._mapping, Metric.POLLED, len(received))
        if others:
            self._deliverer.meter.count(self._mapping, Metric.FILTERED_OUT, len(others))
            # Source: developer guide: messages that no filter matches are deleted.
            await self._quietly(self._source.remove(others))
        return wanted

    async def _settle(self, batch: _Batch, left: Sequence[SourceRecord]) -> bool:
        """Bring a batch to its end; whether none of it comes again."""
        records = batch.records
        delivered = await self._deliver(batch, left)
        self._tell(delivered.verdict.value)
        done: Sequence[SourceRecord] = ()
        if delivered.verdict is Verdict.SUCCEEDED:
            done = self._succeeded(records, delivered)
        elif delivered.verdict in (Verdict.THROTTLED, Verdict.NOT_RUN):
            # Only a stop ends the wait for a slot.
            await self._quietly(self._source.give_back(records))
        elif delivered.verdict is Verdict.NO_FUNCTION:
            await pause(_SOURCE_RETRY_SECONDS[2], self._stopped)
        if not done or not await self._quietly(self._source.remove(done)):
            return False
        self._deliverer.meter.count(self._mapping, Metric.DELETED, len(done))
        return len(done) == len(records)

    def _succeeded(self, records: Sequence[SourceRecord], delivered: Delivered) -> Sequence[SourceRecord]:
        if _RESPONSE_TYPE not in (self._mapping.function_response_types or ()) or delivered.result is None:
            return records
        failed = failed_items(delivered.result.payload, [record.item_id for record in records])
        self._deliverer.meter.count(self._mapping, Metric.FAILED_INVOKE, len(failed))
        return [record for record in records if record.item_id not in failed]

    async def _deliver(self, batch: _Batch, left: Sequence[SourceRecord]) -> Delivered:
        records = batch.records
        event = self._source.event(records)
        trace_header = next((record.trace_header for record in records if record.trace_header is not None), None)
        tries = 0
        # The function may run for as long as the queue hides messages: it begins with nearly all of that.
        await self._hide(batch, left, self._source.keep_seconds / 2)
        while True:
            delivered = await self._deliverer.deliver(self._mapping, event, trace_header, record_count=len(records))
            if delivered.verdict not in (Verdict.THROTTLED, Verdict.NOT_RUN) or self._stopped.is_set():
                if tries:
                    self._release()
                return delivered
            if not tries:
                self._hold()
            seconds = _RETRY_SECONDS[min(tries, len(_RETRY_SECONDS) - 1)]
            await pause(min(seconds, self._source.keep_seconds), self._stopped)
            tries += 1
            await self._hide(batch, left, min(self._source.keep_seconds, _KEPT_SECONDS))

    async def _hide(self, batch: _Batch, left: Sequence[SourceRecord], seconds: float) -> None:
        """Let the source hide all that is held here for its whole time again, if that was `seconds` ago."""
        if self._clock.monotonic_ns() - batch.kept_ns > seconds * 1e9:
            batch.kept_ns = self._clock.monotonic_ns()
            await self._quietly(self._source.keep([*batch.records, *left]))

    def _hold(self) -> None:
        self._held += 1
        self._open.clear()

    def _release(self) -> None:
        self._held -= 1
        if not self._held:
            self._open.set()

    async def _quietly(self, call: Awaitable[None]) -> bool:
        try:
            await call
        except SourceError as error:
            # The records come again: that is what at least once means.
            self._log.warning("event source mapping %s: %s", self._mapping.uuid, error)
            return False
        return True
