"""What the loop over streams (Kinesis, DynamoDB) needs of a stream: shards, places in them, pages of records."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lambent.events.sources.source import SourceRecord


class Start(StrEnum):
    """Where reading begins. Source: service description, EventSourcePosition; Kinesis API, ShardIteratorType."""

    TRIM_HORIZON = "TRIM_HORIZON"
    LATEST = "LATEST"
    AT_TIMESTAMP = "AT_TIMESTAMP"
    AFTER_SEQUENCE_NUMBER = "AFTER_SEQUENCE_NUMBER"


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a shard. `timestamp` in seconds since the Unix epoch."""

    start: Start
    sequence_number: str | None = None
    timestamp: float | None = None


@dataclass(frozen=True, slots=True)
class Shard:
    """A part of a stream whose records are in order. Its records come after those of its parents."""

    shard_id: str
    parents: tuple[str, ...] = ()
    is_closed: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """Records in order; `iterator` is where to go on, None at the end of a closed shard."""

    records: Sequence[SourceRecord]
    iterator: str | None


class IteratorExpiredError(Exception):
    """A place in a shard is not known any more: ask for it anew. `is_trimmed`: what was there is gone."""

    def __init__(self, *, is_trimmed: bool) -> None:
        super().__init__("the iterator has expired")
        self.is_trimmed = is_trimmed


class StreamSource(Protocol):
    """One stream. All calls raise SourceError.

    `batch_info` is the member of on-failure records that tells of a batch; `filtered_member` the part of a record that
    its sender wrote, for filters.
    """

    @property
    def batch_info(self) -> str:
        """See above."""

    @property
    def filtered_member(self) -> str | None:
        """See above."""

    async def shards(self) -> Sequence[Shard]:
        """Return all shards that still have records."""

    async def iterator(self, shard_id: str, position: Position) -> str:
        """Return the iterator of a place."""

    async def read(self, shard_id: str, iterator: str, count_max: int) -> Page:
        """Return the next records, perhaps none. Raises IteratorExpiredError too."""

    def event(self, records: Sequence[SourceRecord]) -> Mapping[str, Any]:
        """Return the function's event."""
