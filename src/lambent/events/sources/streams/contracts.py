"""What the loop over streams (Kinesis, DynamoDB) needs of a stream: shards, places in them, pages of records."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lambent.events.sources.source import SourceRecord


class Start(StrEnum):
    """Where reading begins. Source: service description, EventSourcePosition; Kinesis API, ShardIteratorType."""

    TRIM_HORIZON = "TRIM_HORIZON"
    LATEST = "LATEST"
    AT_TIMESTAMP = "AT_TIMESTAMP"
    AFTER_SEQUENCE_NUMBER = "AFTER_SEQUENCE_NUMBER"


class Position(Struct, frozen=True):
    """A place in a shard. `timestamp` in seconds since the Unix epoch."""

    start: Start
    sequence_number: str | None = None
    timestamp: float | None = None


class Shard(Struct, frozen=True):
    """A part of a stream whose records are in order. Its records come after those of its parents."""

    shard_id: str
    parents: tuple[str, ...] = ()
    is_closed: bool = False


class Page(Struct, frozen=True):
    """Records in order; `iterator` is where to go on, None at the end of a closed shard."""

    records: Sequence[SourceRecord]
    iterator: str | None


class IteratorExpiredError(Exception):
    """A place in a shard is not known any more: ask for it anew. `is_trimmed`: what was there is gone."""

    def __init__(self, *, is_trimmed: bool) -> None:
        super().__init__("the iterator has expired")
        self.is_trimmed = is_trimmed


class OrderedSource(Protocol):
    """What a lane needs of the source of its records."""

    def event(self, records: Sequence[SourceRecord]) -> Mapping[str, Any]:
        """Return the function's event."""

    def lost_info(self, shard_id: str, records: Sequence[SourceRecord]) -> Mapping[str, Any]:
        """Return the members of an on-failure record that tell of a batch."""

    def item_of(self, identifier: object) -> str | None:
        """Return the record's id that an `itemIdentifier` of a partial answer means."""


class StreamSource(OrderedSource, Protocol):
    """One stream. All calls raise SourceError.

    `filtered_member` is the part of a record that its sender wrote, for filters.
    """

    @property
    def filtered_member(self) -> str | None:
        """See above."""

    async def shards(self) -> Sequence[Shard]:
        """Return all shards that still have records."""

    async def iterator(self, shard_id: str, position: Position) -> str:
        """Return the iterator of a place."""

    async def read(self, shard_id: str, iterator: str, count_max: int) -> Page:
        """Return the next records, perhaps none. Raises IteratorExpiredError too."""


def batch_info(member: str, arn: str, shard_id: str, records: Sequence[SourceRecord]) -> Mapping[str, Any]:
    """Return what on-failure records tell of a stream's batch, as `member`.

    Source: recorded (test_kinesis_event_source_mapping_with_on_failure_destination_config).
    """
    first, last = records[0], records[-1]
    info = {
        "shardId": shard_id,
        "startSequenceNumber": first.item_id,
        "endSequenceNumber": last.item_id,
        "approximateArrivalOfFirstRecord": time_text(first.arrived_ms),
        "approximateArrivalOfLastRecord": time_text(last.arrived_ms),
        "batchSize": len(records),
        "streamArn": arn,
    }
    return {member: info}


def time_text(time_ms: int) -> str:
    """Return a moment as such records tell it.

    Source: recorded: milliseconds (Kinesis), none of a moment that has none (DynamoDB, which counts whole seconds).
    """
    fraction = f".{time_ms % 1_000:03d}" if time_ms % 1_000 else ""
    return f"{datetime.fromtimestamp(time_ms // 1_000, UTC):%Y-%m-%dT%H:%M:%S}{fraction}Z"
