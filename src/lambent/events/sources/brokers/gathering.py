"""Batches of what a broker sends: by size, window, or 6 MB; after the filters."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, NamedTuple

from lambent.model.quotas import PAYLOAD_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lambent.clock import Clock
    from lambent.events.sources.brokers.contracts import Broker
    from lambent.events.sources.filtering.selection import Selection
    from lambent.events.sources.source import SourceRecord
    from lambent.model.configs.event_source import EventSourceMapping

# Source: developer guide: without a time-out of their own, batches of Amazon MQ close after half a second.
_WINDOW_SECONDS = 0.5
_ENVELOPE_BYTES = 512
_BYTES_MAX = PAYLOAD_BYTES.value - _ENVELOPE_BYTES


class Rules(NamedTuple):
    """A mapping as it is now, and its filters made ready."""

    mapping: EventSourceMapping
    selection: Selection


class Batch(NamedTuple):
    """Records for one invocation; none when there will be no more. `is_full`: more was there."""

    records: Sequence[SourceRecord]
    is_full: bool = False


class Gatherer:
    """Makes batches of one connection's inbox, one at a time for all who ask. Scope: connection."""

    def __init__(self, broker: Broker, rules: Callable[[], Rules], clock: Clock) -> None:
        self._broker = broker
        self._rules = rules
        self._clock = clock
        self._turn = asyncio.Lock()
        self._left: SourceRecord | None = None
        self._log = logging.getLogger(__name__)

    async def gather(self) -> Batch:
        """Return the next batch; empty when the inbox was closed. Raises SourceError: the connection is lost."""
        async with self._turn:
            mapping = self._rules().mapping
            size_max, given = mapping.batch_size or 1, mapping.maximum_batching_window_in_seconds
            first, self._left = self._left or await self._next(None), None
            if first is None:
                return Batch(())
            gathered, room = [first], _BYTES_MAX - first.size_bytes
            end_ns = self._end(_WINDOW_SECONDS if given is None else float(given))
            while len(gathered) < size_max:
                record = await self._next(end_ns)
                if record is None:
                    return Batch(gathered)
                room -= record.size_bytes + 1
                if room < 0:
                    self._left = record
                    break
                gathered.append(record)
            return Batch(gathered, is_full=True)

    async def _next(self, end_ns: int | None) -> SourceRecord | None:
        """Return the next record that the function shall have, None without one in time. Others are settled here.

        Source: developer guide: messages that no filter matches are acknowledged; those of more than 6 MB are dropped.
        """
        inbox = self._broker.inbox
        while True:
            left = None if end_ns is None else max(end_ns - self._clock.monotonic_ns(), 0) / 1_000_000_000
            record = await inbox.take(left)
            if record is None:
                return None
            if not self._rules().selection.wants(record):
                await self._broker.remove((record,))
            elif record.size_bytes > _BYTES_MAX:
                self._log.warning(
                    "event source mapping %s: a message of %d bytes is too large for a function",
                    self._rules().mapping.uuid, record.size_bytes,
                )  # fmt: skip
                await self._broker.refuse((record,))
            else:
                return record

    def _end(self, seconds: float) -> int:
        return self._clock.monotonic_ns() + int(seconds * 1_000_000_000)
