"""Schedules as app.py has them: nothing but a name until there is a schedule, a rule or somebody who asks for one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from lambent.triggers.schedules.watching import WatchedNeighbours

if TYPE_CHECKING:
    from lambent.store.contracts import ResourceChange
    from lambent.triggers.schedules.parts import ScheduleParts
    from lambent.triggers.schedules.running import RunningSchedules
    from lambent.triggers.schedules.watching import Forwards


class SchedulePlane:
    """Schedules and scheduled rules. Scope: cluster, one daemon of which fires; see running.py.

    app.py hands the store's changes to `changed`. A server without schedules pays for none of it.
    """

    def __init__(self, parts: ScheduleParts) -> None:
        self._parts = parts
        self._running: RunningSchedules | None = None
        self._is_wanted = asyncio.Event()

    def operations(self) -> object:
        """Return the operations of EventBridge Scheduler."""
        return self._begun().operations

    def watching(self, neighbours: Forwards) -> Forwards:
        """Return what hands requests on and notices scheduled rules."""
        services = self._parts.timed_services()
        return WatchedNeighbours(neighbours, lambda: self._begun().rules, services) if services else neighbours

    def changed(self, change: ResourceChange) -> None:
        """Take a change that was committed."""
        self._begun().changed(change)

    async def run(self) -> None:
        """Fire until cancelled."""
        await self._is_wanted.wait()
        await self._begun().run()

    def _begun(self) -> RunningSchedules:
        if self._running is None:
            from lambent.triggers.schedules.running import RunningSchedules

            self._running = RunningSchedules(self._parts)
            self._is_wanted.set()
        return self._running
