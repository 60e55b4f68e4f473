"""All pollers of this process: one for each enabled mapping, begun, changed and ended as the store's changes say."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambent.model.configs.event_source import EventSourceMapping

    Tell = Callable[[str], None]


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
    """How far a mapping is. `state` is AWS's; `last_result` its LastProcessingResult, None while nothing happened."""

    state: str
    last_result: str | None = None


@dataclass(slots=True)
class _Polled:
    mapping: EventSourceMapping
    poller: Poller
    was_ready: bool = False


class Pollers:
    """Owner of all pollers. Scope: process. After a crash: begun anew from the store's mappings.

    `make(mapping, tell)` returns a poller, or None for a kind of source that nothing here polls.
    """

    def __init__(self, make: Callable[[EventSourceMapping, Tell], Poller | None]) -> None:
        self._make = make
        self._polled: dict[str, _Polled] = {}
        self._ending: dict[str, int] = {}
        self._results: dict[str, str] = {}
        self._begun: asyncio.Queue[_Polled] = asyncio.Queue()
        self._log = logging.getLogger(__name__)

    def put(self, mapping: EventSourceMapping) -> None:
        """There is a new mapping, or a new value of one."""
        polled = self._polled.get(mapping.uuid)
        if polled is not None and polled.mapping.revision_id == mapping.revision_id:
            return
        if not mapping.is_enabled:
            self._end(mapping.uuid)
            return
        if polled is not None and _is_alike(polled.mapping, mapping):
            polled.mapping = mapping
            polled.poller.change(mapping)
            return
        self._end(mapping.uuid)
        poller = self._make(mapping, lambda text: self._told(mapping.uuid, text))
        if poller is not None:
            self._polled[mapping.uuid] = polled = _Polled(mapping, poller)
            self._begun.put_nowait(polled)

    def remove(self, mapping_id: str) -> None:
        """A mapping was deleted."""
        self._end(mapping_id)
        self._results.pop(mapping_id, None)

    def progress(self, mapping: EventSourceMapping) -> Progress | None:
        """Return how far a mapping is; None when it is enabled and this process does not poll it."""
        result = self._results.get(mapping.uuid)
        polled = self._polled.get(mapping.uuid)
        if not mapping.is_enabled:
            return Progress("Disabling" if mapping.uuid in self._ending or polled is not None else "Disabled", result)
        if polled is None:
            return None
        polled.was_ready = polled.was_ready or polled.poller.is_ready
        if polled.was_ready:
            return Progress("Enabled", result)
        return Progress("Creating" if result is None else "Enabling", result)

    async def run(self) -> None:
        """Run every poller until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                polled = await self._begun.get()
                tasks.create_task(self._run_one(polled))

    async def _run_one(self, polled: _Polled) -> None:
        try:
            await polled.poller.run()
        except Exception:
            # The outermost frame of a task: one mapping's trouble must not end the others.
            self._log.exception("the poller of event source mapping %s has ended", polled.mapping.uuid)
            self._told(polled.mapping.uuid, "PROBLEM: internal Lambda error")
            if self._polled.get(polled.mapping.uuid) is polled:
                del self._polled[polled.mapping.uuid]
                await asyncio.sleep(1)
                self.put(polled.mapping)
        finally:
            self._ended(polled)

    def _end(self, mapping_id: str) -> None:
        polled = self._polled.pop(mapping_id, None)
        if polled is not None:
            self._ending[mapping_id] = self._ending.get(mapping_id, 0) + 1
            polled.poller.stop()

    def _ended(self, polled: _Polled) -> None:
        left = self._ending.get(polled.mapping.uuid, 0) - 1
        if left > 0:
            self._ending[polled.mapping.uuid] = left
        else:
            self._ending.pop(polled.mapping.uuid, None)

    def _told(self, mapping_id: str, text: str) -> None:
        self._results[mapping_id] = text


def _is_alike(one: EventSourceMapping, other: EventSourceMapping) -> bool:
    """Whether the same poller can go on: it reads the same source from the same place."""
    members = ("event_source_arn", "self_managed_event_source", "topics", "queues", "parallelization_factor")
    return all(getattr(one, member) == getattr(other, member) for member in members)
