"""Reads one shard for one mapping: from its checkpoint to its end, into lanes, and keeps how far all of them are."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import zlib
from collections import deque
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from lambent.events.sources.filtering.selection import Selection
from lambent.events.sources.meter import Metric
from lambent.events.sources.pausing import Stop, pause
from lambent.events.sources.source import SourceError
from lambent.events.sources.streams.checkpoints import RENEW_SECONDS, Checkpoint
from lambent.events.sources.streams.contracts import IteratorExpiredError, Position, Start
from lambent.events.sources.streams.lane import Lane, LaneParts
from lambent.events.sources.streams.windows import WindowLane
from lambent.model.errors import LambdaError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lambent.clock import Clock
    from lambent.events.sources.deliverer import Deliverer
    from lambent.events.sources.source import SourceRecord
    from lambent.events.sources.streams.checkpoints import ShardLease
    from lambent.events.sources.streams.contracts import Page, Shard, StreamSource
    from lambent.events.sources.streams.failures import FailureRecords
    from lambent.model.configs.event_source import EventSourceMapping

_READ_MAX = 1_000
# After a page with records, and after empty ones. Kinesis allows five reads of a shard a second, for all its readers.
_BUSY_SECONDS = 0.2
_IDLE_SECONDS = (0.2, 0.2, 0.5, 1.0)
_TROUBLE_SECONDS = (0.5, 1.0, 2.0, 5.0, 15.0, 30.0)


class ReaderParts(Struct, frozen=True):
    """What all readers of a mapping work with; see LaneParts."""

    mapping: Callable[[], EventSourceMapping]
    source: StreamSource
    deliverer: Deliverer
    failures: FailureRecords
    clock: Clock
    tell: Callable[[str], None]


class Progress:
    """How far a shard's records are done, in the order in which they were read. Scope: shard; memory.

    Lanes end their records in any order; the checkpoint is before the oldest that is not done.
    """

    def __init__(self) -> None:
        self._order: deque[str] = deque()
        self._done: set[str] = set()
        self.sequence_number: str | None = None

    def read(self, record: SourceRecord) -> None:
        """A record was read."""
        self._order.append(record.item_id)

    def done(self, records: Sequence[SourceRecord]) -> None:
        """Records are over, one way or another."""
        self._done.update(record.item_id for record in records)
        while self._order and self._order[0] in self._done:
            self.sequence_number = self._order.popleft()
            self._done.discard(self.sequence_number)

    @property
    def beyond(self) -> frozenset[str]:
        """What is done after the oldest that is not."""
        return frozenset(self._done)

    @property
    def is_all_done(self) -> bool:
        """Whether nothing that was read is left."""
        return not self._order


class ShardReader:
    """Scope: shard and mapping. After a crash: from the checkpoint. Ends when stopped, at the shard's end, or without
    its lease."""

    def __init__(self, parts: ReaderParts, shard: Shard, lease: ShardLease, first: Position) -> None:
        self._parts = parts
        self._shard = shard
        self._lease = lease
        self._first = first
        self._stopped = Stop()
        self._progress = Progress()
        self._advanced = asyncio.Event()
        self._over = asyncio.Event()
        self._is_stepping_over = False
        self._beyond = set(lease.checkpoint.beyond) if lease.checkpoint is not None else set()
        self.is_ready = False
        self.is_finished = False
        self._log = logging.getLogger(__name__)
        mapping = parts.mapping()
        lane_parts = LaneParts(
            parts.mapping, shard.shard_id, parts.source, parts.deliverer, parts.failures, parts.clock, self._stopped,
            parts.tell, self._done,
        )  # fmt: skip
        # A window's state is one: so is its line.
        self._window = WindowLane(lane_parts, lease.checkpoint) if mapping.tumbling_window_in_seconds else None
        self._lanes: list[Lane] = (
            [Lane(lane_parts) for _ in range(mapping.parallelization_factor or 1)]
            if self._window is None
            else [self._window]
        )

    def stop(self) -> None:
        """Read nothing more; batches under way are brought to an end or left for the next reader."""
        self._stopped.set()
        self._advanced.set()
        for lane in self._lanes:
            lane.wake()

    async def run(self) -> None:
        """Read until the end. Never raises."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._keep_lease())
                tasks.create_task(self._keep_checkpoint())
                async with asyncio.TaskGroup() as lanes:
                    for lane in self._lanes:
                        lanes.create_task(lane.run())
                    lanes.create_task(self._read())
                self._over.set()
                self._advanced.set()
        finally:
            self.is_ready = True
        try:
            if not self._stopped.is_set() and self._progress.is_all_done:
                self.is_finished = await self._lease.write(replace(self._checkpoint(), is_finished=True))
            await self._lease.release()
        except LambdaError as error:
            self._log.warning("shard %s: %s", self._shard.shard_id, error)

    def _done(self, records: Sequence[SourceRecord]) -> None:
        self._progress.done(records)
        self._advanced.set()

    async def _read(self) -> None:
        iterator: str | None = None
        last: str | None = None
        empty, troubles = 0, 0
        position = await self._begin()
        while not self._stopped.is_set():
            try:
                page = await self._stopped.unless(self._page(iterator, position))
            except IteratorExpiredError as error:
                iterator = None
                position = Position(Start.TRIM_HORIZON) if error.is_trimmed else self._after(last, position)
                continue
            except SourceError as error:
                self._log.warning("event source mapping %s: %s", self._parts.mapping().uuid, error)
                self._parts.tell(f"PROBLEM: {error}")
                await pause(_TROUBLE_SECONDS[min(troubles, len(_TROUBLE_SECONDS) - 1)], self._stopped)
                troubles += 1
                iterator = None
                position = self._after(last, position)
                continue
            if page is None:
                return
            troubles = 0
            iterator = page.iterator
            if page.records:
                last = page.records[-1].item_id
                await self._hand_out(page.records)
            empty = 0 if page.records else empty + 1
            if iterator is None:
                for lane in self._lanes:
                    await lane.close()
                return
            await pause(
                _BUSY_SECONDS if page.records else _IDLE_SECONDS[min(empty, len(_IDLE_SECONDS) - 1)], self._stopped
            )

    async def _page(self, iterator: str | None, position: Position) -> Page:
        if iterator is None:
            iterator = await self._parts.source.iterator(self._shard.shard_id, position)
        self.is_ready = True
        return await self._parts.source.read(self._shard.shard_id, iterator, _READ_MAX)

    async def _begin(self) -> Position:
        """Return where to begin. That it began is kept, so that nothing that comes now is missed by a successor."""
        kept = self._lease.checkpoint
        if kept is not None and kept.sequence_number is not None:
            return Position(Start.AFTER_SEQUENCE_NUMBER, kept.sequence_number)
        if kept is not None and kept.since_ms:
            self._is_stepping_over = True
            return Position(Start.TRIM_HORIZON)
        if self._first.start is Start.LATEST:
            await self._save(Checkpoint(since_ms=self._parts.clock.time_ms()))
        return self._first

    @staticmethod
    def _after(last: str | None, position: Position) -> Position:
        return position if last is None else Position(Start.AFTER_SEQUENCE_NUMBER, last)

    async def _hand_out(self, records: Sequence[SourceRecord]) -> None:
        mapping = self._parts.mapping()
        selection = Selection(mapping.filter_criteria, self._parts.source.filtered_member)
        kept = self._lease.checkpoint
        since_ms = kept.since_ms if kept is not None and self._is_stepping_over else 0
        # Some sources tell time in whole seconds only.
        since_ms -= since_ms % 1_000
        meter = self._parts.deliverer.meter
        meter.count(mapping, Metric.POLLED, len(records))
        for record in records:
            self._progress.read(record)
            is_over = record.arrived_ms < since_ms or record.item_id in self._beyond
            self._beyond.discard(record.item_id)
            if is_over or not selection.wants(record):
                meter.count(mapping, Metric.FILTERED_OUT)
                self._done((record,))
            else:
                await self._lanes[zlib.crc32(record.group.encode()) % len(self._lanes)].put(record)
            if self._stopped.is_set():
                return

    def _checkpoint(self) -> Checkpoint:
        kept = self._lease.checkpoint or Checkpoint()
        number = self._progress.sequence_number
        if number is not None:
            kept = replace(kept, sequence_number=number, since_ms=0)
        # Written once, at the end: lanes may be far apart.
        beyond = self._progress.beyond | self._beyond if self._over.is_set() else ()
        kept = replace(kept, beyond=tuple(sorted(beyond)))
        if self._window is not None:
            kept = replace(kept, window_start_ms=self._window.start_ms, window_state=self._window.state)
        return kept

    async def _keep_checkpoint(self) -> None:
        while True:
            await self._advanced.wait()
            self._advanced.clear()
            is_last = self._over.is_set()
            checkpoint = self._checkpoint()
            if checkpoint != self._lease.checkpoint:
                await self._save(checkpoint)
            if is_last:
                return

    async def _save(self, checkpoint: Checkpoint) -> None:
        try:
            if not await self._lease.write(checkpoint):
                self._lost()
        except LambdaError as error:
            # The next one says more; until then a successor would repeat some records.
            self._log.warning("the checkpoint of shard %s could not be written: %s", self._shard.shard_id, error)
            if not self._over.is_set():
                await asyncio.sleep(1.0)
                self._advanced.set()

    async def _keep_lease(self) -> None:
        while not self._over.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RENEW_SECONDS):
                    await self._over.wait()
                return
            try:
                if not await self._lease.renew():
                    self._lost()
            except LambdaError as error:
                self._log.warning("the lease of shard %s could not be renewed: %s", self._shard.shard_id, error)

    def _lost(self) -> None:
        self._log.warning("shard %s is read by another process now", self._shard.shard_id)
        self.stop()
