"""All pollers of this process: one for each enabled mapping, begun, changed and ended as the store's changes say."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Protocol

from msgspec import Struct, field

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from lambent.model.configs.event_source import EventSourceMapping

    class Tell(Protocol):
        """Takes what a mapping's LastProcessingResult shall say (None: what it says), and why nothing can be read."""

        def __call__(self, text: str | None, trouble: str | None = None) -> None:
            """See above. Without a `trouble` the one that was told before is over."""


class Poller(Protocol):
    """What polls one mapping's source."""

    @property
    def is_ready(self) -> bool:
        """Whether what is sent from now on will be seen."""

    def change(self, mapping: EventSourceMapping) -> None:
        """Go on with other members of the same mapping and source."""

    def stop(self) -> None:
        """Take nothing more; `run` returns when what is under way is done."""

    async def run(self) -> None:
        """Poll until stopped. Never raises."""


class Progress(NamedTuple):
    """How far a mapping is. `state` is AWS's; `last_result` its LastProcessingResult, None while nothing happened.

    `reason` is why it is Disabled though its owner wants it enabled.
    """

    state: str
    last_result: str | None = None
    reason: str | None = None


class _Polled(Struct):
    """`before`: the poller of the same mapping whose place it takes, and whose batches end first."""

    mapping: EventSourceMapping
    poller: Poller
    before: _Polled | None
    was_ready: bool = False
    trouble: str | None = None
    over: asyncio.Event = field(default_factory=asyncio.Event)


async def _nothing_kept(_mapping_id: str) -> None:
    return None


class Pollers:
    """Owner of all pollers. Scope: process. After a crash: begun anew from the store's mappings.

    `make(mapping, tell)` returns a poller, or None for a kind of source that nothing here polls. `forget(mapping_id)`
    removes what pollers of a mapping have kept; it is called when the mapping was deleted and its poller has ended, and
    never raises.
    """

    def __init__(
        self,
        make: Callable[[EventSourceMapping, Tell], Poller | None],
        forget: Callable[[str], Awaitable[None]] = _nothing_kept,
    ) -> None:
        self._make = make
        self._forget = forget
        self._polled: dict[str, _Polled] = {}
        self._ending: dict[str, _Polled] = {}
        self._results: dict[str, str] = {}
        self._begun: asyncio.Queue[_Polled | str] = asyncio.Queue()
        self._is_stopping = False
        self._log = logging.getLogger(__name__)

    def put(self, mapping: EventSourceMapping) -> None:
        """There is a new mapping, or a new value of one."""
        polled = self._polled.get(mapping.uuid)
        if self._is_stopping or (polled is not None and polled.mapping.revision_id == mapping.revision_id):
            return
        if not mapping.is_enabled:
            self._end(mapping.uuid)
            return
        if polled is not None and _is_alike(polled.mapping, mapping):
            polled.mapping = mapping
            polled.poller.change(mapping)
            return
        self._end(mapping.uuid)
        poller = self._make(mapping, partial(self._told, mapping.uuid))
        if poller is not None:
            self._polled[mapping.uuid] = polled = _Polled(mapping, poller, self._ending.get(mapping.uuid))
            self._begun.put_nowait(polled)

    def remove(self, mapping_id: str) -> None:
        """A mapping was deleted."""
        self._end(mapping_id)
        self._results.pop(mapping_id, None)
        self._begun.put_nowait(mapping_id)

    def progress(self, mapping: EventSourceMapping) -> Progress | None:
        """Return how far a mapping is; None when it is enabled and this process does not poll it."""
        result = self._results.get(mapping.uuid)
        polled = self._polled.get(mapping.uuid)
        if not mapping.is_enabled:
            return Progress("Disabling" if mapping.uuid in self._ending or polled is not None else "Disabled", result)
        if polled is None:
            return None
        if polled.trouble is not None:
            return Progress("Disabled", result, polled.trouble)
        polled.was_ready = polled.was_ready or polled.poller.is_ready
        if polled.was_ready:
            return Progress("Enabled", result)
        return Progress("Creating" if result is None else "Enabling", result)

    async def run(self) -> None:
        """Run every poller until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                begun = await self._begun.get()
                tasks.create_task(self._forget_one(begun) if isinstance(begun, str) else self._run_one(begun))

    async def stop(self, seconds: float) -> None:
        """Let all pollers take nothing more; return when what is under way is settled, or after `seconds`."""
        self._is_stopping = True
        for mapping_id in list(self._polled):
            self._end(mapping_id)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                for polled in list(self._ending.values()):
                    await polled.over.wait()

    async def _run_one(self, polled: _Polled) -> None:
        if polled.before is not None:
            # Two pollers of one mapping would be in each other's way: records in order would come twice, and at once.
            await polled.before.over.wait()
            polled.before = None
        try:
            await polled.poller.run()
        except Exception:
            # The outermost frame of a task: one mapping's trouble must not end the others.
            self._log.exception("the poller of event source mapping %s has ended", polled.mapping.uuid)
            self._told(polled.mapping.uuid, "PROBLEM: internal Lambda error")
            if self._polled.get(polled.mapping.uuid) is polled:
                await asyncio.sleep(1)
            if self._polled.get(polled.mapping.uuid) is polled:
                del self._polled[polled.mapping.uuid]
                self.put(polled.mapping)
        finally:
            polled.over.set()
            if self._ending.get(polled.mapping.uuid) is polled:
                del self._ending[polled.mapping.uuid]

    async def _forget_one(self, mapping_id: str) -> None:
        ending = self._ending.get(mapping_id)
        if ending is not None:
            await ending.over.wait()
        await self._forget(mapping_id)

    def _end(self, mapping_id: str) -> None:
        polled = self._polled.pop(mapping_id, None)
        if polled is not None:
            self._ending[mapping_id] = polled
            polled.poller.stop()

    def _told(self, mapping_id: str, text: str | None, trouble: str | None = None) -> None:
        if text is not None:
            self._results[mapping_id] = text
        polled = self._polled.get(mapping_id)
        if polled is not None:
            polled.trouble = trouble


def _is_alike(one: EventSourceMapping, other: EventSourceMapping) -> bool:
    """Whether the same poller can go on: it reads the same source from the same place, in as many lines."""
    members = (
        "event_source_arn", "self_managed_event_source", "topics", "queues", "parallelization_factor",
        "tumbling_window_in_seconds", "source_access_configurations", "document_db_event_source_config",
        "amazon_managed_kafka_event_source_config", "self_managed_kafka_event_source_config",
    )  # fmt: skip
    return all(getattr(one, member) == getattr(other, member) for member in members)
