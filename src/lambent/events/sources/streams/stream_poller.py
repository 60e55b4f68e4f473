"""The loop over a stream: finds its shards, gives each a reader in the right order, follows resharding."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from msgspec import Struct

from lambent.events.sources.pausing import Stop
from lambent.events.sources.source import SourceError
from lambent.events.sources.streams.checkpoints import ShardLease
from lambent.events.sources.streams.contracts import Position, Start
from lambent.events.sources.streams.shard_reader import ReaderParts, ShardReader
from lambent.model.errors import LambdaError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambent.clock import Clock
    from lambent.events.sources.deliverer import Deliverer
    from lambent.events.sources.streams.contracts import Shard, StreamSource
    from lambent.events.sources.streams.failures import FailureRecords
    from lambent.model.configs.event_source import EventSourceMapping
    from lambent.store.queues.contracts import Leases

_LOOK_SECONDS = 5.0
_TROUBLE_SECONDS = 2.0


class StreamParts(Struct, frozen=True):
    """What all stream pollers of a process work with. `owner` names the process to others on the same store."""

    deliverer: Deliverer
    failures: FailureRecords
    leases: Leases
    owner: str
    clock: Clock


class StreamPoller:
    """Polls one stream for one mapping. Scope: process. After a crash: from the checkpoints of its shards."""

    def __init__(
        self, mapping: EventSourceMapping, source: StreamSource, parts: StreamParts, tell: Callable[[str], None]
    ) -> None:
        self._mapping = mapping
        self._source = source
        self._parts = parts
        self._tell = tell
        self._stopped = Stop()
        self._changed = asyncio.Event()
        self._readers: dict[str, ShardReader] = {}
        self._finished: set[str] = set()
        self._has_looked = False
        self._log = logging.getLogger(__name__)

    @property
    def is_ready(self) -> bool:
        """Whether every shard's place has been found."""
        return self._has_looked and all(reader.is_ready for reader in list(self._readers.values()))

    def change(self, mapping: EventSourceMapping) -> None:
        """Go on with other members of the same mapping."""
        self._mapping = mapping

    def stop(self) -> None:
        """Read nothing more."""
        self._stopped.set()
        self._changed.set()
        for reader in self._readers.values():
            reader.stop()

    async def run(self) -> None:
        """Poll until stopped. Never raises."""
        async with asyncio.TaskGroup() as tasks:
            while not self._stopped.is_set():
                try:
                    await self._look(tasks)
                except (SourceError, LambdaError) as error:
                    self._log.warning("event source mapping %s: %s", self._mapping.uuid, error)
                    self._tell(f"PROBLEM: {error}")
                    await self._pause(_TROUBLE_SECONDS)
                    continue
                await self._pause(_LOOK_SECONDS)

    async def _look(self, tasks: asyncio.TaskGroup) -> None:
        """Give a reader to every shard that has none and whose parents are done."""
        found = await self._stopped.unless(self._source.shards())
        if found is None:
            return
        shards = {shard.shard_id: shard for shard in found}
        is_first_look = not self._has_looked
        for shard in shards.values():
            if shard.shard_id in self._readers or shard.shard_id in self._finished or self._stopped.is_set():
                continue
            lease = self._lease(shard.shard_id)
            if not await lease.acquire():
                continue
            if self._stopped.is_set():
                await lease.release()
                return
            if lease.checkpoint is not None and lease.checkpoint.is_finished:
                self._finished.add(shard.shard_id)
                continue
            first = await self._first(shard, is_first_look=is_first_look)
            if lease.checkpoint is None and first is None:
                # What it holds is older than what is wanted.
                self._finished.add(shard.shard_id)
                continue
            if lease.checkpoint is None and any(
                parent in shards and parent not in self._finished for parent in shard.parents
            ):
                await lease.release()
                continue
            self._start(tasks, shard, lease, first or Position(Start.TRIM_HORIZON))
        self._has_looked = True

    def _lease(self, shard_id: str) -> ShardLease:
        return ShardLease(self._parts.leases, self._mapping.uuid, shard_id, self._parts.owner)

    async def _first(self, shard: Shard, *, is_first_look: bool) -> Position | None:
        """Return where to begin in a shard that was never read; None when nothing in it is wanted."""
        start = Start(self._mapping.starting_position or Start.TRIM_HORIZON)
        if start is Start.LATEST:
            if not is_first_look:
                return Position(Start.TRIM_HORIZON)
            for parent in shard.parents:
                # What went on while nobody looked is wanted too.
                if parent in self._readers or await self._lease(parent).has_begun():
                    return Position(Start.TRIM_HORIZON)
            return None if shard.is_closed else Position(Start.LATEST)
        if start is Start.AT_TIMESTAMP:
            return Position(start, timestamp=self._mapping.starting_position_timestamp)
        return Position(Start.TRIM_HORIZON)

    def _start(self, tasks: asyncio.TaskGroup, shard: Shard, lease: ShardLease, first: Position) -> None:
        parts = ReaderParts(
            lambda: self._mapping, self._source, self._parts.deliverer, self._parts.failures, self._parts.clock,
            self._tell,
        )  # fmt: skip
        reader = ShardReader(parts, shard, lease, first)
        self._readers[shard.shard_id] = reader
        tasks.create_task(self._read(shard.shard_id, reader))

    async def _read(self, shard_id: str, reader: ShardReader) -> None:
        await reader.run()
        del self._readers[shard_id]
        if reader.is_finished:
            self._finished.add(shard_id)
            # Its children can begin.
            self._changed.set()

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
            if not self._stopped.is_set():
                self._changed.clear()
        except TimeoutError:
            return
