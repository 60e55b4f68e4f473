"""The event sources of one process, put together: their operations, and the pollers that do what these say."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, NamedTuple

from lambent.events.sources.deliverer import Deliverer
from lambent.events.sources.existence import SourceChecks
from lambent.events.sources.kinds import PollerMaker, PollerParts
from lambent.events.sources.mappings import EventSourceMappings
from lambent.events.sources.pollers import Pollers

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambent.clock import Clock
    from lambent.events.destinations import Destinations
    from lambent.events.sources.deliverer import Invoke
    from lambent.events.sources.kinds import SourcePlaces
    from lambent.model.configs.event_source import EventSourceMapping
    from lambent.store import Resources
    from lambent.store.queues.contracts import Leases
    from lambent.wire.client import OutwardClient


class EventSourceParts(NamedTuple):
    """Given by app.py. `invoke` runs a function synchronously; `client` calls the services that are polled.

    `role_of(function_arn)` returns a function's execution role, or "" when it is not there.
    """

    resources: Resources
    invoke: Invoke
    client: OutwardClient
    leases: Leases
    destinations: Destinations
    role_of: Callable[[str], str]
    places: SourcePlaces
    clock: Clock
    random_bytes: Callable[[int], bytes]


class EventSources:
    """Scope: process. `operations` are those on mappings; `run` polls; the store's feed tells of changes."""

    def __init__(self, parts: EventSourceParts) -> None:
        def new_id() -> str:
            return str(uuid.UUID(bytes=parts.random_bytes(16), version=4))

        maker = PollerMaker(
            PollerParts(
                Deliverer(parts.invoke, new_id),
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
        self._pollers = Pollers(maker.make)
        self.operations = EventSourceMappings(
            parts.resources,
            parts.clock,
            parts.random_bytes,
            progress=self._pollers.progress,
            check_source=SourceChecks(parts.client).check,
        )
        self.run = self._pollers.run

    def changed(self, mapping_id: str, mapping: EventSourceMapping | None) -> None:
        """A mapping was created, changed, or (None) deleted."""
        if mapping is None:
            self._pollers.remove(mapping_id)
        else:
            self._pollers.put(mapping)
