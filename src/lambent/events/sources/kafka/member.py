"""One member of a consumer group: a consumer, and a lane for each partition that the brokers gave it."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING

from msgspec import Struct

from lambent.events.sources.kafka.consumer import KafkaConsumer
from lambent.events.sources.kafka.records import offset_of, place_of
from lambent.events.sources.meter import Metric
from lambent.events.sources.pausing import pause
from lambent.events.sources.source import SourceError
from lambent.events.sources.streams.failures import LostBatch
from lambent.events.sources.streams.lane import Lane, LaneParts
from lambent.events.sources.streams.shard_reader import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from confluent_kafka import Message

    from lambent.clock import Clock
    from lambent.events.sources.deliverer import Deliverer
    from lambent.events.sources.filtering.selection import Selection
    from lambent.events.sources.kafka.consumer import ConsumerPlan
    from lambent.events.sources.kafka.records import KafkaRecords
    from lambent.events.sources.kafka.schemas.decoding import SchemaDecoder
    from lambent.events.sources.meter import Meter
    from lambent.events.sources.source import SourceRecord
    from lambent.events.sources.streams.failures import FailureRecords
    from lambent.model.configs.event_source import EventSourceMapping

_HELD_FROM = 2_000
_TROUBLE_SECONDS = (0.5, 1.0, 2.0, 5.0, 15.0, 30.0)
# Source: developer guide: without a time-out of their own, batches of Kafka close after half a second.
_WINDOW_SECONDS = 0.5


class MemberParts(Struct, frozen=True):
    """What all members of one mapping's poller work with; see LaneParts. `selection` returns the present filters.

    `decoder` reads records by their schemas, if the mapping has a registry.
    """

    mapping: Callable[[], EventSourceMapping]
    selection: Callable[[], Selection]
    records: KafkaRecords
    deliverer: Deliverer
    failures: FailureRecords
    meter: Meter
    clock: Clock
    tell: Callable[[str], None]
    decoder: SchemaDecoder | None = None


class _Partition:
    """One partition that is read here: its lane, and how far it is. `is_ours`: nobody else reads it yet."""

    def __init__(self, key: tuple[str, int]) -> None:
        self.key = key
        self.stopped = asyncio.Event()
        self.progress = Progress()
        self.waiting: asyncio.Queue[SourceRecord | None] = asyncio.Queue()
        self.is_held = False
        self.is_handing_on = False
        self.is_ours = True
        self.next_offset: int | None = None
        self.ended: Callable[[], None] = lambda: None


class GroupMember:
    """Scope: process. After a crash: the brokers give its partitions to others, from the offsets committed.

    A partition that is taken away is left in order: its invocation ends, what is done is committed, and only then does
    the next reader begin.
    """

    def __init__(self, parts: MemberParts, plan: ConsumerPlan) -> None:
        """Raises SourceError: see KafkaConsumer."""
        self._parts = parts
        self._partitions: dict[tuple[str, int], _Partition] = {}
        self._leaving: set[_Partition] = set()
        self._ends: dict[tuple[str, int], int] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._consumer = KafkaConsumer(plan, self, asyncio.get_running_loop())
        self._log = logging.getLogger(__name__)
        self.is_ready = False
        self.ended_by: str | None = None

    async def run(self, stopped: asyncio.Event) -> None:
        """Read until stopped; then bring what is under way to its end and leave the group. Never raises."""
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                self._consumer.start()
                await stopped.wait()
                self._tasks = None
                self._leave(list(self._partitions))
        finally:
            await asyncio.to_thread(self._consumer.stop)

    def lags(self) -> Mapping[tuple[str, int], int]:
        """Return how many records of each partition are not done yet, where that is known."""
        found = {}
        for key, end in self._ends.items():
            partition = self._partitions.get(key)
            if partition is not None and partition.next_offset is not None:
                found[key] = max(0, end - partition.next_offset)
        return found

    @property
    def partition_count(self) -> int:
        """How many partitions are read here."""
        return len(self._partitions)

    def assigned(self, partitions: Sequence[tuple[str, int]]) -> None:
        """See Listener."""
        self.is_ready = True
        for key in partitions:
            if key not in self._partitions and self._tasks is not None:
                partition = self._partitions[key] = _Partition(key)
                self._tasks.create_task(self._work(partition))

    def revoked(self, partitions: Sequence[tuple[str, int]], released: Callable[[], None]) -> None:
        """See Listener."""
        leaving = self._leave(partitions)
        left = len(leaving)

        def one_ended() -> None:
            nonlocal left
            left -= 1
            if not left:
                released()

        for partition in leaving:
            partition.ended = one_ended
        if not leaving:
            released()

    def lost(self, partitions: Sequence[tuple[str, int]]) -> None:
        """See Listener."""
        self._leave(partitions)
        for partition in self._leaving:
            if partition.key in partitions:
                partition.is_ours = False

    def received(self, messages: Sequence[Message]) -> None:
        """See Listener."""
        for message in messages:
            place = place_of(message)
            partition = self._partitions.get((place.topic, place.partition))
            if partition is None:
                continue
            if partition.next_offset is None:
                partition.next_offset = place.offset
            record = self._parts.records.of(message)
            partition.progress.read(record)
            partition.waiting.put_nowait(record)
            if partition.waiting.qsize() >= _HELD_FROM and not partition.is_held:
                partition.is_held = True
                self._consumer.hold(*partition.key, is_held=True)
        self._parts.meter.count(self._parts.mapping(), Metric.POLLED, len(messages))

    def measured(self, ends: Mapping[tuple[str, int], int]) -> None:
        """See Listener."""
        self._ends = dict(ends)

    def failed(self, text: str) -> None:
        """See Listener."""
        mapping = self._parts.mapping()
        self._log.warning("event source mapping %s: %s", mapping.uuid, text)
        self._parts.meter.count(mapping, Metric.POLLING_ERROR)
        self._parts.tell(f"PROBLEM: {text}")

    def ended(self, text: str) -> None:
        """See Listener."""
        self.ended_by = text
        self.lost(list(self._partitions))

    def _leave(self, partitions: Sequence[tuple[str, int]]) -> list[_Partition]:
        leaving = [partition for key in partitions if (partition := self._partitions.pop(key, None)) is not None]
        for partition in leaving:
            partition.stopped.set()
            partition.waiting.put_nowait(None)
        self._leaving.update(leaving)
        return leaving

    async def _work(self, partition: _Partition) -> None:
        parts, key = self._parts, partition.key
        lane = Lane(
            LaneParts(
                parts.mapping, f"{key[0]}-{key[1]}", parts.records, parts.deliverer, parts.failures, parts.clock,
                partition.stopped, parts.tell, partial(self._done, partition), _WINDOW_SECONDS,
            )
        )  # fmt: skip
        try:
            async with asyncio.TaskGroup() as tasks:
                feeding = tasks.create_task(self._feed(partition, lane))
                tasks.create_task(self._wake(partition, lane))
                await lane.run()
                if partition.is_handing_on:
                    # The lane is full, and takes nothing more.
                    feeding.cancel()
        finally:
            self._leaving.discard(partition)
            partition.ended()

    @staticmethod
    async def _wake(partition: _Partition, lane: Lane) -> None:
        await partition.stopped.wait()
        lane.wake()

    async def _feed(self, partition: _Partition, lane: Lane) -> None:
        """Hand what is wanted of the records to the lane until the partition is left."""
        parts = self._parts
        while not partition.stopped.is_set():
            record = await partition.waiting.get()
            if record is None:
                return
            if partition.is_held and partition.waiting.qsize() < _HELD_FROM // 2:
                partition.is_held = False
                self._consumer.hold(*partition.key, is_held=False)
            if parts.decoder is not None:
                decoded = await self._decoded(partition, record, parts.decoder)
                if decoded is None:
                    continue
                record = decoded
            if not parts.selection().wants(record):
                parts.meter.count(parts.mapping(), Metric.FILTERED_OUT)
                self._done(partition, (record,))
                continue
            if partition.stopped.is_set():
                return
            partition.is_handing_on = True
            await lane.put(record)
            partition.is_handing_on = False

    async def _decoded(
        self, partition: _Partition, record: SourceRecord, decoder: SchemaDecoder
    ) -> SourceRecord | None:
        """Return the record as its schemas say; None when it is over, or the partition is left.

        Source: developer guide, "How Lambda performs schema validation for Kafka messages": what has no schema, or
        does not fit it, goes to the on-failure destination, or away.
        """
        parts, tries = self._parts, 0
        while not partition.stopped.is_set():
            try:
                result = await decoder.decoded(record)
            except SourceError as error:
                parts.meter.count(parts.mapping(), Metric.SCHEMA_REGISTRY_ERROR)
                self.failed(str(error))
                await pause(_TROUBLE_SECONDS[min(tries, len(_TROUBLE_SECONDS) - 1)], partition.stopped)
                tries += 1
                continue
            if result.record is not None:
                return result.record
            assert result.reason is not None
            parts.meter.count(parts.mapping(), Metric.SCHEMA_REGISTRY_ERROR)
            self._log.warning("event source mapping %s: %s: %s", parts.mapping().uuid, record.item_id, result.text)
            shard_id, batch = f"{partition.key[0]}-{partition.key[1]}", [record]
            info, event = parts.records.lost_info(shard_id, batch), parts.records.event(batch)
            lost = LostBatch(shard_id, batch, result.reason, 0, None, info, event)
            if await parts.failures.send(parts.mapping(), lost, partition.stopped):
                self._done(partition, batch)
            return None
        return None

    def _done(self, partition: _Partition, records: Sequence[SourceRecord]) -> None:
        before = partition.progress.sequence_number
        partition.progress.done(records)
        number = partition.progress.sequence_number
        if number is not None and number != before:
            partition.next_offset = offset_of(number) + 1
            if partition.is_ours:
                self._consumer.commit(*partition.key, partition.next_offset)
