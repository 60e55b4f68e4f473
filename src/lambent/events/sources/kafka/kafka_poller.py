"""Kafka as an event source, managed (MSK) or not: a consumer group, a lane for each partition that is read here."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from lambent.events.sources.filtering.selection import Selection
from lambent.events.sources.kafka.access import access_settings, servers_of
from lambent.events.sources.kafka.consumer import ConsumerPlan, KafkaConsumer
from lambent.events.sources.pausing import pause
from lambent.events.sources.secrets import read_secrets
from lambent.events.sources.source import SourceError, SourceRecord
from lambent.events.sources.streams.contracts import time_text
from lambent.events.sources.streams.lane import Lane, LaneParts
from lambent.events.sources.streams.shard_reader import Progress
from lambent.model.configs.event_source import SourceKind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from confluent_kafka import Message

    from lambent.clock import Clock
    from lambent.events.sources.deliverer import Deliverer
    from lambent.events.sources.streams.failures import FailureRecords
    from lambent.model.configs.event_source import EventSourceMapping
    from lambent.wire.client import OutwardClient

# What an event has around one record beside its key and value.
_AROUND_BYTES = 256
_HELD_FROM = 2_000
_TROUBLE_SECONDS = (1.0, 2.0, 5.0, 15.0, 30.0)
# Source: developer guide: without a time-out of their own, batches of Kafka close after half a second.
_WINDOW_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class KafkaParts:
    """What all Kafka pollers of a process work with. `brokers`, `is_plaintext`: settings `event_sources`."""

    client: OutwardClient
    deliverer: Deliverer
    failures: FailureRecords
    clock: Clock
    brokers: Mapping[str, str]
    is_plaintext: bool


class KafkaRecords:
    """The forms of Kafka's records in events and on-failure records. Immutable."""

    def __init__(self, mapping: EventSourceMapping, servers: str) -> None:
        self._arn = mapping.event_source_arn
        self._servers = servers
        self._is_managed = mapping.kind is SourceKind.MSK

    def of(self, message: Message) -> SourceRecord:
        """Return a message as a record.

        Source: developer guide, "Example event" of MSK and self-managed Kafka.
        """
        topic, partition, offset = place_of(message)
        kind, timestamp_ms = message.timestamp()
        key, value = message.key(), message.value()
        headers = cast("list[tuple[str, bytes | None]]", message.headers() or [])
        document: dict[str, Any] = {
            "topic": topic,
            "partition": partition,
            "offset": offset,
            "timestamp": timestamp_ms,
            "timestampType": "LOG_APPEND_TIME" if kind == 2 else "CREATE_TIME",
        }
        if key is not None:
            document["key"] = base64.b64encode(key).decode()
        if value is not None:
            document["value"] = base64.b64encode(value).decode()
        document["headers"] = [{name: list(data or b"")} for name, data in headers]
        view = {**document, "key": _text(key), "value": _text(value)}
        size_bytes = _AROUND_BYTES + len(topic) + (len(key or b"") + len(value or b"")) * 4 // 3
        size_bytes += sum(len(name) + 5 * len(data or b"") for name, data in headers)
        return SourceRecord(document, view, _item_id(topic, partition, offset), size_bytes, arrived_ms=timestamp_ms)

    def event(self, records: Sequence[SourceRecord]) -> Mapping[str, Any]:
        """See OrderedSource."""
        grouped: dict[str, list[Mapping[str, Any]]] = {}
        for record in records:
            grouped.setdefault(f"{record.document['topic']}-{record.document['partition']}", []).append(record.document)
        event: dict[str, Any] = {"eventSource": "aws:kafka" if self._is_managed else "SelfManagedKafka"}
        if self._is_managed:
            event["eventSourceArn"] = self._arn
        return {**event, "bootstrapServers": self._servers, "records": grouped}

    def lost_info(self, shard_id: str, records: Sequence[SourceRecord]) -> Mapping[str, Any]:
        """See OrderedSource. Source: developer guide, "Capturing discarded batches" for Kafka."""
        first, last = records[0], records[-1]
        info = {
            "batchSize": len(records),
            "eventSourceArn": self._arn,
            "bootstrapServers": self._servers,
            "payloadSize": len(json.dumps(self.event(records)).encode()),
            "recordsInfo": {
                shard_id: {
                    "firstRecordOffset": str(first.document["offset"]),
                    "lastRecordOffset": str(last.document["offset"]),
                    "firstRecordTimestamp": time_text(first.arrived_ms),
                    "lastRecordTimestamp": time_text(last.arrived_ms),
                }
            },
        }
        return {"KafkaBatchInfo": info}

    def item_of(self, identifier: object) -> str | None:
        """See OrderedSource. Source: developer guide: {"partition": "topic-0", "offset": 100}."""
        if not isinstance(identifier, dict):
            return None
        name, _, number = str(identifier.get("partition")).rpartition("-")
        offset = identifier.get("offset")
        if not number.isdigit() or not isinstance(offset, int):
            return None
        return _item_id(name, int(number), offset)


class _Partition:
    """One partition that is read here: its lane, and how far it is."""

    def __init__(self, lane: Lane, stopped: asyncio.Event) -> None:
        self.lane = lane
        self.stopped = stopped
        self.progress = Progress()
        self.waiting: asyncio.Queue[SourceRecord | None] = asyncio.Queue()
        self.is_held = False


class KafkaPoller:
    """Polls one cluster for one mapping. Scope: process; the brokers share partitions out among all processes.

    After a crash: from the offsets that were committed for the consumer group.
    """

    def __init__(self, mapping: EventSourceMapping, parts: KafkaParts, tell: Callable[[str], None]) -> None:
        self._mapping = mapping
        self._selection = Selection(mapping.filter_criteria, "value")
        self._parts = parts
        self._tell = tell
        self._stopped = asyncio.Event()
        self._records: KafkaRecords | None = None
        self._consumer: KafkaConsumer | None = None
        self._partitions: dict[tuple[str, int], _Partition] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._log = logging.getLogger(__name__)
        self.is_ready = False

    def change(self, mapping: EventSourceMapping) -> None:
        """Go on with other members of the same mapping."""
        self._mapping = mapping
        self._selection = Selection(mapping.filter_criteria, "value")

    def stop(self) -> None:
        """Read nothing more; batches under way are brought to an end."""
        self._stopped.set()
        self.revoked(list(self._partitions))

    async def run(self) -> None:
        """Poll until stopped. Never raises."""
        failures = 0
        while not self._stopped.is_set():
            try:
                await self._poll()
            except SourceError as error:
                self.failed(str(error))
                await pause(_TROUBLE_SECONDS[min(failures, len(_TROUBLE_SECONDS) - 1)], self._stopped)
                failures += 1

    async def _poll(self) -> None:
        mapping, parts = self._mapping, self._parts
        servers = servers_of(mapping, parts.brokers)
        secrets = await read_secrets(parts.client, mapping)
        managed = mapping.amazon_managed_kafka_event_source_config
        config = managed or mapping.self_managed_kafka_event_source_config
        timestamp = mapping.starting_position_timestamp
        plan = ConsumerPlan(
            servers,
            (config.consumer_group_id if config is not None else None) or mapping.uuid,
            mapping.topics or (),
            mapping.starting_position == "LATEST",
            None if timestamp is None else int(timestamp * 1_000),
            access_settings(secrets, is_plaintext=parts.is_plaintext),
        )
        self._records = KafkaRecords(mapping, servers)
        self._consumer = consumer = KafkaConsumer(plan, self, asyncio.get_running_loop())
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                consumer.start()
                await self._stopped.wait()
        finally:
            self._tasks = None
            await asyncio.to_thread(consumer.stop)

    def assigned(self, partitions: Sequence[tuple[str, int]]) -> None:
        """See Listener."""
        self.is_ready = True
        for key in partitions:
            if key not in self._partitions and self._tasks is not None and not self._stopped.is_set():
                self._tasks.create_task(self._work(key, self._begin(key)))

    def revoked(self, partitions: Sequence[tuple[str, int]]) -> None:
        """See Listener."""
        for key in partitions:
            partition = self._partitions.pop(key, None)
            if partition is not None:
                partition.stopped.set()
                partition.waiting.put_nowait(None)
                partition.lane.wake()

    def received(self, messages: Sequence[Message]) -> None:
        """See Listener."""
        assert self._records is not None
        for message in messages:
            topic, number, _ = place_of(message)
            key = (topic, number)
            partition = self._partitions.get(key)
            if partition is None:
                continue
            record = self._records.of(message)
            partition.progress.read(record)
            partition.waiting.put_nowait(record)
            if partition.waiting.qsize() >= _HELD_FROM and not partition.is_held:
                partition.is_held = True
                self._hold(key, is_held=True)

    def failed(self, text: str) -> None:
        """See Listener."""
        self._log.warning("event source mapping %s: %s", self._mapping.uuid, text)
        self._tell(f"PROBLEM: {text}")

    def _begin(self, key: tuple[str, int]) -> _Partition:
        assert self._records is not None
        stopped = asyncio.Event()
        parts = LaneParts(
            lambda: self._mapping, f"{key[0]}-{key[1]}", self._records, self._parts.deliverer, self._parts.failures,
            self._parts.clock, stopped, self._tell, lambda records: self._done(key, records), _WINDOW_SECONDS,
        )  # fmt: skip
        partition = self._partitions[key] = _Partition(Lane(parts), stopped)
        return partition

    async def _work(self, key: tuple[str, int], partition: _Partition) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(partition.lane.run())
            while not partition.stopped.is_set():
                record = await partition.waiting.get()
                if record is None:
                    break
                if partition.is_held and partition.waiting.qsize() < _HELD_FROM // 2:
                    partition.is_held = False
                    self._hold(key, is_held=False)
                if self._selection.wants(record):
                    await partition.lane.put(record)
                else:
                    self._done(key, (record,))
            partition.lane.wake()

    def _done(self, key: tuple[str, int], records: Sequence[SourceRecord]) -> None:
        partition = self._partitions.get(key)
        if partition is None or self._consumer is None:
            # Somebody else reads it now, from what was committed before.
            return
        before = partition.progress.sequence_number
        partition.progress.done(records)
        number = partition.progress.sequence_number
        if number is not None and number != before:
            self._consumer.commit(*key, int(number.rpartition("/")[2]) + 1)

    def _hold(self, key: tuple[str, int], *, is_held: bool) -> None:
        if self._consumer is not None:
            self._consumer.hold(*key, is_held=is_held)


def place_of(message: Message) -> tuple[str, int, int]:
    """Return topic, partition and offset of a message that was received."""
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    assert topic is not None
    assert partition is not None
    assert offset is not None
    return topic, partition, offset


def _item_id(topic: str, partition: int, offset: int) -> str:
    return f"{topic}-{partition}/{offset}"


def _text(data: bytes | None) -> str | None:
    try:
        return None if data is None else data.decode()
    except ValueError:
        return None
