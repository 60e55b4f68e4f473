"""The loop over a broker's queue: take, filter, gather a batch, invoke, acknowledge.

    connect ──► take ──► filter ──► batch (size, window, 6 MB) ──► invoke ──► acknowledge what succeeded
       ▲          │ others: acknowledged                             │ throttled: kept, tried again
       └── lost ──┴── the broker gives out again what nobody acknowledged ◄──┘ failed: redelivered

Nothing is acknowledged before its function has answered. While a batch is with the function the connection stays, and
its heartbeats go on. Source: developer guide, "Using Lambda with Amazon MQ".
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, NamedTuple

from lambent.events.sources.brokers.gathering import Gatherer, Rules
from lambent.events.sources.deliverer import Verdict
from lambent.events.sources.filtering.selection import Selection
from lambent.events.sources.pausing import pause
from lambent.events.sources.source import SourceError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from lambent.clock import Clock
    from lambent.events.sources.brokers.contracts import Broker
    from lambent.events.sources.deliverer import Delivered, Deliverer
    from lambent.events.sources.pollers import Tell
    from lambent.events.sources.source import SourceRecord
    from lambent.model.configs.event_source import EventSourceMapping

_RETRY_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_TROUBLE_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0)


class BrokerParts(NamedTuple):
    """What a poller works with. `connect(mapping)` returns a new connection, not yet open; it raises SourceError."""

    connect: Callable[[EventSourceMapping], Awaitable[Broker]]
    deliverer: Deliverer
    clock: Clock


class BrokerPoller:
    """Polls one queue for one mapping. Scope: process; the broker shares messages out among all processes.

    Keeps no state that a crash could lose: what is not acknowledged comes again.
    """

    def __init__(self, mapping: EventSourceMapping, parts: BrokerParts, tell: Tell) -> None:
        self._rules = Rules(mapping, Selection(mapping.filter_criteria, "data"))
        self._parts = parts
        self._tell = tell
        self._stopped = asyncio.Event()
        # Ends the pause before the next try: the owner has changed something.
        self._woken = asyncio.Event()
        self._broker: Broker | None = None
        self._workers = 0
        self._failures = 0
        self._log = logging.getLogger(__name__)
        self.is_ready = False

    def change(self, mapping: EventSourceMapping) -> None:
        """Go on with other members of the same mapping; a batch under way is finished as it began."""
        is_resized = mapping.batch_size != self._rules.mapping.batch_size
        self._rules = Rules(mapping, Selection(mapping.filter_criteria, "data"))
        if is_resized and self._broker is not None:
            # How much the broker sends ahead is said when it is asked to send.
            self._broker.inbox.close()
        self._woken.set()

    def stop(self) -> None:
        """Take nothing more; batches under way are finished, and `run` returns."""
        self._stopped.set()
        self._woken.set()
        if self._broker is not None:
            self._broker.inbox.close()

    async def run(self) -> None:
        """Poll until stopped. Never raises."""
        troubles = 0
        while not self._stopped.is_set():
            self._woken.clear()
            try:
                await self._poll()
            except SourceError as error:
                if self._broker is not None:
                    troubles = 0
                self._log.warning("event source mapping %s: %s", self._rules.mapping.uuid, error)
                if self._stopped.is_set():
                    return
                self._tell(f"PROBLEM: {error}", error.trouble)
                await pause(_TROUBLE_SECONDS[min(troubles, len(_TROUBLE_SECONDS) - 1)], self._woken)
                troubles += 1
            finally:
                self._broker = None

    async def _poll(self) -> None:
        """Serve one connection to its end. Raises SourceError, with `_broker` set if it was open."""
        broker = await self._parts.connect(self._rules.mapping)
        try:
            await broker.open()
            self._broker = broker
            self.is_ready = True
            self._tell(None)
            if self._stopped.is_set():
                return
            async with asyncio.TaskGroup() as tasks:
                watching = tasks.create_task(broker.watch())
                async with asyncio.TaskGroup() as workers:
                    gatherer = Gatherer(broker, lambda: self._rules, self._parts.clock)
                    await self._work(workers, broker, gatherer)
                watching.cancel()
        finally:
            await broker.close()
        if broker.inbox.error is not None:
            raise broker.inbox.error

    async def _work(self, tasks: asyncio.TaskGroup, broker: Broker, gatherer: Gatherer) -> None:
        """Bring batches to their end until stopped or the connection is lost. Never raises."""
        self._workers += 1
        try:
            while True:
                batch = await gatherer.gather()
                if not batch.records:
                    return
                if batch.is_full and self._workers < broker.concurrency_max:
                    tasks.create_task(self._work(tasks, broker, gatherer))
                await self._settle(broker, batch.records)
        except SourceError as error:
            broker.inbox.fail(error)
        finally:
            self._workers -= 1

    async def _settle(self, broker: Broker, records: Sequence[SourceRecord]) -> None:
        tries = 0
        while True:
            delivered = await self._deliver(broker, records)
            self._tell(delivered.verdict.value)
            if delivered.verdict is Verdict.SUCCEEDED:
                self._failures = 0
                await broker.remove(records)
                return
            if delivered.verdict is not Verdict.FAILED:
                # Stopped, or the connection is lost: the broker has them again when it closes.
                return
            tries += 1
            seconds = broker.failed_seconds
            await pause(seconds[min(self._failures, len(seconds) - 1)], self._stopped)
            self._failures += 1
            again = await broker.failed(records, tries)
            if again is None or self._stopped.is_set() or broker.inbox.error is not None:
                return
            records = again

    async def _deliver(self, broker: Broker, records: Sequence[SourceRecord]) -> Delivered:
        """Invoke, as often as none of the function's code has run, unless stopped meanwhile."""
        event = broker.event(records)
        tries = 0
        while True:
            delivered = await self._parts.deliverer.deliver(self._rules.mapping, event)
            if delivered.verdict in (Verdict.SUCCEEDED, Verdict.FAILED):
                return delivered
            if self._stopped.is_set() or broker.inbox.error is not None:
                return delivered
            self._tell(delivered.verdict.value)
            await pause(_RETRY_SECONDS[min(tries, len(_RETRY_SECONDS) - 1)], self._stopped)
            tries += 1
