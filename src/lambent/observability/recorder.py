"""The sink of platform events: counts at once, queues log lines within a bound, writes them off the path."""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from lambent.model.platform_event import InvokeReport, LogLines
from lambent.observability.log_format import encode, group_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lambent.model.platform_event import PlatformEvent
    from lambent.observability.delivery import LogDelivery
    from lambent.observability.log_format import LogGroup
    from lambent.observability.logs import LogStore
    from lambent.observability.metrics import FunctionMetrics

QUEUED_BYTES_MAX = 64 * 1024 * 1024
# What a queued event costs beside its bytes; bounds floods of short lines as well as of long ones.
_EVENT_BYTES = 256
# Events that arrive within this time are written together; followers see a line at most this late.
_GATHER_SECONDS = 0.02
_LOSSES_MAX = 10_000


class Recorder:
    """Takes platform events (TelemetrySink). Scope: node.

    Only log lines wait, at most QUEUED_BYTES_MAX; what does not fit is counted and said in the log it is missing
    from. A crash loses what was queued, about _GATHER_SECONDS of lines.
    """

    def __init__(self, store: LogStore, metrics: FunctionMetrics, delivery: LogDelivery | None = None) -> None:
        self._store = store
        self._metrics = metrics
        self._delivery = delivery
        self._queue: deque[LogLines] = deque()
        self._queued_bytes = 0
        self._losses: dict[str, _Loss] = {}
        self._wake = asyncio.Event()
        self._written: asyncio.Future[None] | None = None
        self.lost_bytes = 0
        self.batches_written = 0
        self.is_ending = False

    def emit(self, event: PlatformEvent) -> None:
        """Take one event, or count it as lost when the bound is reached. Call on the event loop's thread."""
        if type(event) is not LogLines:
            self._metrics.record(event)
            if self._delivery is not None and type(event) is InvokeReport:
                self._delivery.begin()
            return
        size = len(event.lines) + _EVENT_BYTES
        if self._queued_bytes + size > QUEUED_BYTES_MAX:
            self.lost_bytes += len(event.lines)
            self._lose(event, len(event.lines))
            return
        self._queued_bytes += size
        self._queue.append(event)
        self._wake.set()

    async def run(self) -> None:
        """Find what earlier runs left, write queued lines until cancelled; then write the rest and close the files."""
        with ThreadPoolExecutor(1, thread_name_prefix="logs") as writer:
            loop = asyncio.get_running_loop()
            try:
                await loop.run_in_executor(writer, self._store.load)
                while True:
                    await self._wake.wait()
                    await asyncio.sleep(_GATHER_SECONDS)
                    self._wake.clear()
                    batch = self._take()
                    if self._delivery is not None:
                        self._delivery.put(batch.events)
                    refused, lost_bytes = await loop.run_in_executor(writer, self._write, batch)
                    self.lost_bytes += lost_bytes
                    self._settle(refused)
            finally:
                # At the end of the process nobody else needs this thread: the rest is written before files close.
                writer.submit(self._write, self._take()).result()
                writer.submit(self._store.close).result()
                self._settle([])

    def end_followers(self) -> None:
        """Let readers that follow a log end after what is written now: the server is stopping."""
        self.is_ending = True
        self._settle([])

    async def wait_written(self, seen: int) -> None:
        """Return when `batches_written` is no longer `seen`."""
        while self.batches_written == seen:
            if self._written is None:
                self._written = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._written)

    def statistics(self) -> Mapping[str, int]:
        """Return what waits and what was lost, in bytes."""
        delivered = self._delivery.statistics() if self._delivery is not None else {}
        return {"queued_bytes": self._queued_bytes, "lost_bytes": self.lost_bytes, **delivered}

    def _take(self) -> _Batch:
        batch = _Batch(list(self._queue), list(self._losses.values()))
        self._queue.clear()
        self._queued_bytes = 0
        self._losses.clear()
        return batch

    def _write(self, batch: _Batch) -> tuple[list[_Loss], int]:
        """Append a batch by group; return what the disk did not take, and how many bytes of it are new losses.

        Runs in the writer's thread.
        """
        refused: list[_Loss] = []
        lost_bytes = 0
        for group, records in batch.by_group().items():
            try:
                self._store.append(group, b"".join(records.parts), records.at_ms)
            except OSError:
                refused += records.losses
                lost_bytes += records.event_bytes
        return refused, lost_bytes

    def _settle(self, refused: list[_Loss]) -> None:
        for loss in refused:
            self._lose(loss.event, loss.lost_bytes)
        self.batches_written += 1
        if self._written is not None:
            if not self._written.done():
                self._written.set_result(None)
            self._written = None

    def _lose(self, event: LogLines, lost_bytes: int) -> None:
        stream = event.environment.log_stream
        known = self._losses.get(stream)
        if known is not None or len(self._losses) < _LOSSES_MAX:
            self._losses[stream] = _Loss(event, lost_bytes + (known.lost_bytes if known else 0))


class _Loss(NamedTuple):
    """Bytes missing from a stream; `event` is the last one lost."""

    event: LogLines
    lost_bytes: int

    def note(self) -> bytes:
        """Return the line that stands in the log instead."""
        return b"LOGS_DROPPED %d bytes: lines came faster than they could be written\n" % self.lost_bytes


class _GroupRecords:
    """What one append to a group holds; `losses` says it again in case the append fails."""

    def __init__(self, at_ms: int) -> None:
        self.at_ms = at_ms
        self.event_bytes = 0
        self.parts: list[bytes] = []
        self.losses: list[_Loss] = []


class _Batch(NamedTuple):
    """What the writer's thread gets at one time."""

    events: list[LogLines]
    losses: list[_Loss]

    def by_group(self) -> dict[LogGroup, _GroupRecords]:
        """Return the records of each group, in the order they came, notes of losses last."""
        groups: dict[LogGroup, _GroupRecords] = {}
        by_stream: dict[str, tuple[_GroupRecords, str]] = {}
        for event in self.events:
            records, function = self._records_of(event, groups, by_stream)
            lines = event.lines
            records.parts.append(encode(event.at_ms, function, event.environment.log_stream, lines))
            records.event_bytes += len(lines)
            records.losses.append(_Loss(event, len(lines)))
        for loss in self.losses:
            records, function = self._records_of(loss.event, groups, by_stream)
            stream = loss.event.environment.log_stream
            records.parts.append(encode(loss.event.at_ms, function, stream, loss.note()))
            records.losses.append(loss)
        return groups

    @staticmethod
    def _records_of(
        event: LogLines, groups: dict[LogGroup, _GroupRecords], by_stream: dict[str, tuple[_GroupRecords, str]]
    ) -> tuple[_GroupRecords, str]:
        environment = event.environment
        found = by_stream.get(environment.log_stream)
        if found is None:
            group = group_of(environment)
            records = groups.get(group) or groups.setdefault(group, _GroupRecords(event.at_ms))
            found = by_stream[environment.log_stream] = (records, environment.version.name)
        return found
