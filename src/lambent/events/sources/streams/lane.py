"""One ordered line of a shard's records: gathers batches and brings each to its end before it takes the next.

A shard has as many lanes as its mapping's ParallelizationFactor; records of one partition key are always in one lane.

    gather ──► deliver ──► succeeded: done
                 ▲  │ ──── partly: what was before the first failed record is done, the rest again
                 │  │ ──── failed: again after a pause; cut in two if the mapping says so
                 └──┘ ──── too often, or too old: on-failure destination, done
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from msgspec import Struct

from lambent.events.sources.answers import failed_items
from lambent.events.sources.deliverer import Verdict
from lambent.events.sources.meter import Metric
from lambent.events.sources.pausing import pause
from lambent.events.sources.streams.failures import GivenUp, LostBatch
from lambent.model.configs.event_source import SourceKind
from lambent.model.quotas import PAYLOAD_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lambent.clock import Clock
    from lambent.events.sources.deliverer import Delivered, Deliverer
    from lambent.events.sources.source import SourceRecord
    from lambent.events.sources.streams.contracts import OrderedSource
    from lambent.events.sources.streams.failures import FailureRecords
    from lambent.model.configs.event_source import EventSourceMapping

_ENVELOPE_BYTES = 512
_RETRY_SECONDS_FIRST = 0.5
_RETRY_SECONDS_MAX = 60.0
_RESPONSE_TYPE = "ReportBatchItemFailures"


class LaneParts(Struct, frozen=True):
    """What all lanes of a shard work with. `mapping` returns the present one; `tell` takes LastProcessingResult.

    `window_seconds` is how long a batch waits for more when the mapping does not say.
    """

    mapping: Callable[[], EventSourceMapping]
    shard_id: str
    source: OrderedSource
    deliverer: Deliverer
    failures: FailureRecords
    clock: Clock
    stopped: asyncio.Event
    tell: Callable[[str], None]
    done: Callable[[Sequence[SourceRecord]], None]
    window_seconds: float = 0.0


class Lane:
    """Scope: shard; keeps only what was read and not yet done, which comes again after a crash."""

    def __init__(self, parts: LaneParts) -> None:
        self._parts = parts
        # Room for two batches: while one is under way the next is read.
        self._waiting: asyncio.Queue[SourceRecord | None] = asyncio.Queue(2 * max(parts.mapping().batch_size or 1, 50))
        self._next: SourceRecord | None = None
        self._is_closed = False

    async def put(self, record: SourceRecord) -> None:
        """Add a record; waits while the lane is full."""
        await self._waiting.put(record)

    async def close(self) -> None:
        """Nothing more will come: `run` ends when all is done."""
        await self._waiting.put(None)

    def wake(self) -> None:
        """Let `run` see that it shall stop."""
        # Who waits to put something gets through, and sees it too.
        while not self._waiting.empty():
            self._waiting.get_nowait()
        self._waiting.put_nowait(None)

    async def run(self) -> None:
        """Deal with all records until closed or stopped. What is left then is not done."""
        while not self._parts.stopped.is_set():
            batch = await self._gather()
            if batch and not await self._process(batch):
                return
            if self._is_closed and self._next is None:
                await self._end()
                return

    async def _end(self) -> None:
        """Do what is left to do when there are no more records."""

    async def _gather(self) -> list[SourceRecord]:
        """Return the next batch: by size, window, or 6 MB; empty when closed."""
        mapping = self._parts.mapping()
        size_max, given = mapping.batch_size or 1, mapping.maximum_batching_window_in_seconds
        window = self._parts.window_seconds if given is None else float(given)
        first = self._next or await self._take(None)
        self._next = None
        if first is None:
            return []
        gathered, room = [first], PAYLOAD_BYTES.value - _ENVELOPE_BYTES - first.size_bytes
        end_ns = self._parts.clock.monotonic_ns() + int(window * 1_000_000_000)
        while len(gathered) < size_max and not self._is_closed and not self._parts.stopped.is_set():
            left = (end_ns - self._parts.clock.monotonic_ns()) / 1e9
            if left <= 0 and self._waiting.empty():
                break
            record = await self._take(max(left, 0.0))
            if record is None:
                break
            room -= record.size_bytes + 1
            if room < 0:
                self._next = record
                break
            gathered.append(record)
        return gathered

    async def _take(self, seconds_max: float | None) -> SourceRecord | None:
        if not self._waiting.empty():
            record = self._waiting.get_nowait()
        else:
            try:
                async with asyncio.timeout(seconds_max):
                    record = await self._waiting.get()
            except TimeoutError:
                return None
        self._is_closed = self._is_closed or record is None
        return record

    async def _process(self, records: Sequence[SourceRecord], tries: int = 0) -> bool:
        """Bring a batch to its end; False when stopped before. `tries` are the failed ones that it counts."""
        invoke_count = tries
        pauses = 0
        last: Delivered | None = None
        while not self._parts.stopped.is_set():
            records, is_over = await self._without_old(records, invoke_count, last)
            if is_over:
                return True
            last = await self._deliver(records)
            if last.verdict in (Verdict.SUCCEEDED, Verdict.FAILED):
                invoke_count += 1
                left = self._left(records, last)
                if not left and last.verdict is Verdict.SUCCEEDED:
                    return True
                is_whole = len(left) == len(records)
                records = left
                tries += 1
                if 0 <= self._retries_max() < tries:
                    return await self._give_up(records, GivenUp.RETRIES_EXHAUSTED, invoke_count, last)
                if is_whole and self._parts.mapping().bisect_batch_on_function_error and len(records) > 1:
                    # Source: developer guide: to cut a batch uses up no retry.
                    middle = len(records) // 2
                    return await self._process(records[:middle], tries - 1) and await self._process(
                        records[middle:], tries - 1
                    )
            await pause(min(_RETRY_SECONDS_FIRST * 2**pauses, _RETRY_SECONDS_MAX), self._parts.stopped)
            pauses += 1
        return False

    async def _deliver(self, records: Sequence[SourceRecord]) -> Delivered:
        parts, mapping = self._parts, self._parts.mapping()
        if records and mapping.kind in (SourceKind.KINESIS, SourceKind.DYNAMODB):
            age_ms = max(0, parts.clock.time_ms() - records[-1].arrived_ms)
            parts.deliverer.meter.level(mapping, Metric.ITERATOR_AGE, age_ms)
        delivered = await parts.deliverer.deliver(mapping, self._event(records), record_count=len(records))
        parts.tell(delivered.verdict.value)
        return delivered

    def _event(self, records: Sequence[SourceRecord]) -> Mapping[str, object]:
        return self._parts.source.event(records)

    def _left(self, records: Sequence[SourceRecord], delivered: Delivered) -> Sequence[SourceRecord]:
        """Mark what succeeded as done; return the rest.

        Source: developer guide: the lowest sequence number of a partial answer becomes the checkpoint.
        """
        if delivered.verdict is Verdict.FAILED or delivered.result is None:
            return records
        if _RESPONSE_TYPE in (self._parts.mapping().function_response_types or ()):
            item_ids = [record.item_id for record in records]
            failed = failed_items(delivered.result.payload, item_ids, self._parts.source.item_of)
            for number, record in enumerate(records):
                if record.item_id in failed:
                    meter = self._parts.deliverer.meter
                    meter.count(self._parts.mapping(), Metric.FAILED_INVOKE, len(records) - number)
                    self._parts.done(records[:number])
                    return records[number:]
        self._parts.done(records)
        return ()

    async def _without_old(
        self, records: Sequence[SourceRecord], invoke_count: int, last: Delivered | None
    ) -> tuple[Sequence[SourceRecord], bool]:
        """Give up the records that grew too old; return the others, and whether none is left."""
        age = self._parts.mapping().maximum_record_age_in_seconds
        if age is None or age < 0:
            return records, False
        oldest_ms = self._parts.clock.time_ms() - age * 1_000
        number = next((n for n, record in enumerate(records) if record.arrived_ms > oldest_ms), len(records))
        if number and not await self._give_up(records[:number], GivenUp.AGE_EXCEEDED, invoke_count, last):
            return records, False
        return records[number:], bool(number) and number == len(records)

    async def _give_up(
        self, records: Sequence[SourceRecord], reason: GivenUp, invoke_count: int, last: Delivered | None
    ) -> bool:
        parts = self._parts
        if not records:
            return True
        info = parts.source.lost_info(parts.shard_id, records)
        lost = LostBatch(parts.shard_id, records, reason, invoke_count, last, info, self._event(records))
        if not await parts.failures.send(parts.mapping(), lost, parts.stopped):
            return False
        parts.done(records)
        return True

    def _retries_max(self) -> int:
        retries = self._parts.mapping().maximum_retry_attempts
        return -1 if retries is None else retries
