"""Mappings whose filters are encrypted wait here for their key before anything is polled for them."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from lambent.events.sources.filtering.filter_keys import FilterKeyError
from lambent.events.sources.pausing import pause
from lambent.events.sources.pollers import Progress

if TYPE_CHECKING:
    from lambent.events.sources.filtering.filter_keys import FilterKeys
    from lambent.events.sources.pollers import Pollers
    from lambent.model.configs.event_source import EventSourceMapping

_TROUBLE_SECONDS = (1.0, 2.0, 5.0, 15.0, 30.0, 60.0)


class OpenedMappings:
    """Hands mappings to the pollers. Scope: process. After a crash: begun anew from the store's mappings.

    A poller that runs goes on with the filters that it has until new ones are decrypted.
    """

    def __init__(self, keys: FilterKeys, pollers: Pollers) -> None:
        self._keys = keys
        self._pollers = pollers
        self._waiting: dict[str, EventSourceMapping] = {}
        self._troubles: dict[str, str] = {}
        self._begun: asyncio.Queue[EventSourceMapping] = asyncio.Queue()
        self._never = asyncio.Event()
        self._log = logging.getLogger(__name__)

    def put(self, mapping: EventSourceMapping) -> None:
        """There is a new mapping, or a new value of one."""
        self.forget(mapping.uuid)
        if mapping.filter_criteria_cipher is None or not mapping.is_enabled:
            self._pollers.put(mapping)
            return
        self._waiting[mapping.uuid] = mapping
        self._begun.put_nowait(mapping)

    def forget(self, mapping_id: str) -> None:
        """A mapping was deleted, or there is a newer value of it."""
        self._waiting.pop(mapping_id, None)
        self._troubles.pop(mapping_id, None)

    def progress(self, mapping: EventSourceMapping) -> Progress | None:
        """See Pollers.progress."""
        trouble = self._troubles.get(mapping.uuid)
        found = self._pollers.progress(mapping)
        if mapping.uuid not in self._waiting or not mapping.is_enabled:
            return found
        return Progress("Creating" if found is None and trouble is None else "Enabling", trouble)

    async def run(self) -> None:
        """Decrypt what waits until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                tasks.create_task(self._open(await self._begun.get()))

    async def _open(self, mapping: EventSourceMapping) -> None:
        tries = 0
        while self._waiting.get(mapping.uuid) is mapping:
            try:
                opened = await self._keys.opened(mapping)
            except FilterKeyError as error:
                self._log.warning("event source mapping %s: %s", mapping.uuid, error)
                self._troubles[mapping.uuid] = f"PROBLEM: {error}"
                await pause(_TROUBLE_SECONDS[min(tries, len(_TROUBLE_SECONDS) - 1)], self._never)
                tries += 1
                continue
            if self._waiting.get(mapping.uuid) is mapping:
                self.forget(mapping.uuid)
                self._pollers.put(opened)
