"""Builds schedules from plain values; app.py calls this once."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, NamedTuple

from lambent.model.configs.schedule import Firing, RuleScope, Schedule, ScheduledRule
from lambent.triggers.schedules.control.operations import SchedulerOperations
from lambent.triggers.schedules.firings import Firings
from lambent.triggers.schedules.holding import Holding
from lambent.triggers.schedules.rulebook import RuleBook
from lambent.triggers.schedules.stacks import StackedSchedules
from lambent.triggers.schedules.targets import ScheduleTargets, TargetParts
from lambent.triggers.schedules.timer import ScheduleTimer
from lambent.triggers.schedules.watching import WatchedNeighbours

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambent.clock import Clock
    from lambent.store import Resources
    from lambent.store.contracts import ResourceChange
    from lambent.store.queues.contracts import Leases
    from lambent.triggers.schedules.watching import Forwards


class ScheduleParts(NamedTuple):
    """The neighbours. `targets` as in TargetParts; `leases` None: no other daemon works on the same database.

    `is_timing_rules`: EventBridge is the embedded one, which fires no rule itself. `has_own_scheduler`: so is the
    Scheduler, which only CloudFormation speaks to.
    """

    resources: Resources
    targets: TargetParts
    leases: Leases | None
    clock: Clock
    random_bytes: Callable[[int], bytes]
    is_timing_rules: bool = True
    has_own_scheduler: bool = True


class SchedulePlane:
    """Schedules and scheduled rules. Scope: cluster, one daemon of which fires; see timer.py and firings.py.

    `operations` are those of EventBridge Scheduler; app.py hands the store's changes to `changed`.
    """

    def __init__(self, parts: ScheduleParts) -> None:
        resources, clock, random_bytes = parts.resources, parts.clock, parts.random_bytes
        owner = str(uuid.UUID(bytes=random_bytes(16), version=4))
        self._holding = Holding(parts.leases, owner)
        self._timer = ScheduleTimer(resources, self._holding, clock, random_bytes)
        targets = ScheduleTargets(parts.targets)
        self._firings = Firings(resources, targets, self._holding, clock, random_bytes)
        self._resources = resources
        self._is_timing_rules = parts.is_timing_rules
        self.operations = SchedulerOperations(resources, clock, random_bytes)
        client = parts.targets.client
        stacks = StackedSchedules(resources, client, self.operations) if parts.has_own_scheduler else None
        if stacks is not None:
            self.operations.forget = stacks.forget
        self._rules = RuleBook(resources, client, clock, random_bytes, stacks)

    def watching(self, neighbours: Forwards) -> Forwards:
        """Return what hands requests on and notices scheduled rules."""
        return WatchedNeighbours(neighbours, self._rules) if self._is_timing_rules else neighbours

    def changed(self, change: ResourceChange) -> None:
        """Take a change that was committed."""
        if change.resource in (ScheduledRule, RuleScope) and not self._is_timing_rules:
            return
        if change.resource in (Schedule, ScheduledRule):
            self._timer.changed(change.key, change.value)
        elif change.resource is Firing:
            self._firings.changed(change.key, change.value)
        elif change.resource is RuleScope:
            self._rules.changed(change.value)

    async def run(self) -> None:
        """Fire until cancelled."""
        await self._resources.wait_filled()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._holding.run())
            tasks.create_task(self._timer.run())
            tasks.create_task(self._firings.run())
            tasks.create_task(self._rules.run())
