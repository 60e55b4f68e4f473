"""The event sources of one process, put together: their operations, and the pollers that do what these say."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, NamedTuple

from lambent.events.sources.deliverer import Deliverer
from lambent.events.sources.existence import SourceChecks
from lambent.events.sources.filtering.filter_keys import FilterKeys
from lambent.events.sources.filtering.opening import OpenedMappings
from lambent.events.sources.kept import KeptCheckpoints
from lambent.events.sources.kinds import PollerMaker, PollerParts
from lambent.events.sources.mappings import EventSourceMappings
from lambent.events.sources.meter import Meter
from lambent.events.sources.pollers import Pollers

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambent.clock import Clock
    from lambent.events.destinations import Destinations
    from lambent.events.sources.deliverer import Invoke
    from lambent.events.sources.kinds import SourcePlaces
    from lambent.model.configs.event_source import EventSourceMapping
    from lambent.model.platform_event import TelemetrySink
    from lambent.store import Resources
    from lambent.store.queues.contracts import Leases
    from lambent.wire.client import OutwardClient


class EventSourceParts(NamedTuple):
    """Given by app.py. `invoke` runs a function synchronously; `client` calls the services that are polled.

    `role_of(function_arn)` returns a function's execution role, or "" when it is not there. `sink` takes metrics.
    """

    resources: Resources
    invoke: Invoke
    client: OutwardClient
    leases: Leases
    destinations: Destinations
    role_of: Callable[[str], str]
    places: SourcePlaces
    sink: TelemetrySink
    clock: Clock
    random_bytes: Callable[[int], bytes]


class EventSources:
    """Scope: process. `operations` are those on mappings; `run` polls; the store's feed tells of changes.

    `stop(seconds)` takes nothing more and returns when what is under way is settled, or after `seconds`.
    """

    def __init__(self, parts: EventSourceParts) -> None:
        def new_id() -> str:
            return str(uuid.UUID(bytes=parts.random_bytes(16), version=4))

        maker = PollerMaker(
            PollerParts(
                Deliverer(parts.invoke, new_id, Meter(parts.sink, parts.clock)),
                parts.destinations,
                parts.leases,
                parts.client,
                parts.clock,
                parts.random_bytes,
                new_id(),
                parts.role_of,
                parts.places,
            )
        )
        self._known: set[str] = set()
        self._resources = parts.resources
        self._kept = KeptCheckpoints(parts.leases)
        self._pollers = Pollers(maker.make, self._kept.forget)
        filter_keys = FilterKeys(parts.client, parts.random_bytes)
        self._opened = OpenedMappings(filter_keys, self._pollers)
        self.operations = EventSourceMappings(
            parts.resources,
            parts.clock,
            parts.random_bytes,
            progress=self._opened.progress,
            check_source=SourceChecks(parts.client, parts.destinations.queue_urls).check,
            filter_keys=filter_keys,
        )
        self.stop = self._pollers.stop

    async def run(self) -> None:
        """Poll until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._pollers.run())
            tasks.create_task(self._opened.run())
            await self._resources.wait_filled()
            await self._kept.sweep(lambda: self._known)

    def changed(self, mapping_id: str, mapping: EventSourceMapping | None) -> None:
        """A mapping was created, changed, or (None) deleted."""
        if mapping is None:
            self._known.discard(mapping_id)
            self._opened.forget(mapping_id)
            self._pollers.remove(mapping_id)
        else:
            self._known.add(mapping_id)
            self._opened.put(mapping)
