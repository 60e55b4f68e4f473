"""The forms of Kafka's records: in events, in on-failure records, as filters see them."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from lambent.events.sources.source import SourceRecord
from lambent.events.sources.streams.contracts import time_text
from lambent.model.configs.event_source import SourceKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from confluent_kafka import Message

    from lambent.model.configs.event_source import EventSourceMapping

# What an event has around one record beside its key and value.
_AROUND_BYTES = 256


class Place(NamedTuple):
    """Where a message is."""

    topic: str
    partition: int
    offset: int


class KafkaRecords:
    """Makes them for one mapping. Immutable. A record's `receipt` is its key as it was, base64, "" without one."""

    def __init__(self, mapping: EventSourceMapping, servers: str) -> None:
        self._arn = mapping.event_source_arn
        self._servers = servers
        self._is_managed = mapping.kind is SourceKind.MSK

    def of(self, message: Message) -> SourceRecord:
        """Return a message as a record; keys and values are base64.

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
        item_id, receipt = _item_id(topic, partition, offset), document.get("key", "")
        return SourceRecord(document, view, item_id, size_bytes, receipt, arrived_ms=timestamp_ms)

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
        about = {
            "firstRecordOffset": str(first.document["offset"]),
            "lastRecordOffset": str(last.document["offset"]),
            "firstRecordTimestamp": time_text(first.arrived_ms),
            "lastRecordTimestamp": time_text(last.arrived_ms),
        }
        return {"KafkaBatchInfo": {**self._batch(records), "recordsInfo": {shard_id: about}}}

    def lost_record(self, record: SourceRecord) -> Mapping[str, Any]:
        """Return the members of an on-failure record in a topic, which tells of one record and carries it.

        Source: developer guide, "Using a Kafka topic as an on-failure destination".
        """
        about = {"offset": str(record.document["offset"]), "timestamp": time_text(record.arrived_ms)}
        info = {**self._batch([record]), "recordInfo": about}
        return {"KafkaBatchInfo": info, "payload": self.event([record])}

    def item_of(self, identifier: object) -> str | None:
        """See OrderedSource. Source: developer guide: {"partition": "topic-0", "offset": 100}."""
        if not isinstance(identifier, dict):
            return None
        name, _, number = str(identifier.get("partition")).rpartition("-")
        offset = identifier.get("offset")
        if not number.isdigit() or not isinstance(offset, int):
            return None
        return _item_id(name, int(number), offset)

    def _batch(self, records: Sequence[SourceRecord]) -> dict[str, Any]:
        info: dict[str, Any] = {"batchSize": len(records)}
        info["eventSourceArn"] = self._arn
        info["bootstrapServers"] = self._servers
        info["payloadSize"] = len(json.dumps(self.event(records)).encode())
        return info


def place_of(message: Message) -> Place:
    """Return where a message that was received is."""
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    assert topic is not None
    assert partition is not None
    assert offset is not None
    return Place(topic, partition, offset)


def offset_of(item_id: str) -> int:
    """Return the offset in a record's id."""
    return int(item_id.rpartition("/")[2])


def _item_id(topic: str, partition: int, offset: int) -> str:
    return f"{topic}-{partition}/{offset}"


def _text(data: bytes | None) -> str | None:
    try:
        return None if data is None else data.decode()
    except ValueError:
        return None
