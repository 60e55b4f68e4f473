"""Builds the queue of events from plain values; app.py calls this once."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from lambent.events.attempts import AttemptParts, Attempts
from lambent.events.configs import EventConfigs
from lambent.events.delivery import Delivery, DeliveryRules
from lambent.events.destinations import Destinations
from lambent.events.exposition import EventExposition
from lambent.events.figures import EventFigures
from lambent.events.legacy import LegacyInvocations
from lambent.events.queue import AsyncInvocations, EventRules
from lambent.events.redrive import Redrive

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambent.clock import Clock
    from lambent.events.figures import Operation
    from lambent.invocation import Invoker
    from lambent.model.arn import FunctionArn
    from lambent.model.function import FunctionVersion
    from lambent.model.platform_event import TelemetrySink
    from lambent.store.events import EventStore
    from lambent.wire.client import OutwardClient


class AsyncRules(NamedTuple):
    """Settings async.* and quotas.async_payload_bytes_max; see there."""

    payload_bytes_max: int
    retry_base_seconds: float
    attempts_max: int


class AsyncParts(NamedTuple):
    """The neighbours: see AttemptParts. `resolve` is Catalog.resolve."""

    store: EventStore
    invoker: Invoker
    resolve: Callable[[FunctionArn], FunctionVersion]
    is_switched_off: Callable[[FunctionArn], bool]
    next_trace_header: Callable[[str, FunctionArn], str]
    client: OutwardClient
    sink: TelemetrySink
    clock: Clock
    random_bytes: Callable[[int], bytes]


class AsyncPlane:
    """All that asynchronous invocation is made of. Scope: node; the queue is the cluster's.

    `invocations` take events, `operations` answer InvokeAsync, `configs` are fed by app.py, `destinations` send for
    everybody in this room.
    """

    def __init__(self, parts: AsyncParts, rules: AsyncRules) -> None:
        self.configs = EventConfigs(parts.resolve, rules.retry_base_seconds)
        self.destinations = Destinations(parts.client, self._enqueue)
        attempts = Attempts(
            AttemptParts(
                parts.store,
                parts.invoker,
                self.configs,
                self.destinations,
                parts.is_switched_off,
                parts.next_trace_header,
                parts.sink,
                parts.clock,
                parts.random_bytes,
            )
        )
        # A core stays free for the others.
        window = max(1, (os.cpu_count() or 1) - 1)
        self._delivery = Delivery(parts.store, attempts.attempt, DeliveryRules(rules.attempts_max, window))
        self.invocations = AsyncInvocations(
            self._delivery,
            parts.invoker,
            EventRules(rules.payload_bytes_max, parts.random_bytes),
            parts.sink,
            parts.clock,
        )
        self.operations = LegacyInvocations(self.invocations)
        redrive = Redrive(parts.client, self.destinations.queue_urls, self.invocations)
        self.figures = EventFigures(parts.store, redrive, parts.clock)
        self.exposition = EventExposition(parts.store, self._delivery.statistics)

    def routes(self) -> list[Operation]:
        """Return the documented operations on events: method, path, and what answers."""
        return self.figures.operations()

    async def run(self) -> None:
        """Deliver events until cancelled; never raises."""
        await self._delivery.run()

    async def stop(self, seconds: float) -> None:
        """Start no attempt any more; return when what runs is done, or after `seconds`."""
        await self._delivery.stop(seconds)

    async def _enqueue(self, function: FunctionArn, payload: bytes, trace_header: str | None) -> None:
        await self.invocations.enqueue(function, payload, trace_header)
