"""The parts of schedules, put together."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING

from lambent.model.configs.schedule import Firing, RuleScope, Schedule, ScheduledRule
from lambent.triggers.schedules.control.operations import SchedulerOperations
from lambent.triggers.schedules.firings import Firings
from lambent.triggers.schedules.holding import Holding
from lambent.triggers.schedules.rulebook import RuleBook
from lambent.triggers.schedules.stacks import StackedSchedules
from lambent.triggers.schedules.targets import ScheduleTargets
from lambent.triggers.schedules.timer import ScheduleTimer

if TYPE_CHECKING:
    from lambent.store.contracts import ResourceChange
    from lambent.triggers.schedules.parts import ScheduleParts


class RunningSchedules:
    """Scope: process; the parts say what they own. `operations` are those of EventBridge Scheduler."""

    def __init__(self, parts: ScheduleParts) -> None:
        resources, clock, random_bytes = parts.resources, parts.clock, parts.random_bytes
        client = parts.targets.client
        self._resources = resources
        self._timed = parts.timed_services()
        self._holding = Holding(parts.leases, str(uuid.UUID(bytes=random_bytes(16), version=4)))
        self._timer = ScheduleTimer(resources, self._holding, clock, random_bytes)
        targets = ScheduleTargets(parts.targets)
        self._firings = Firings(resources, targets, self._holding, clock, random_bytes)
        self.operations = SchedulerOperations(resources, clock, random_bytes)
        stacks = StackedSchedules(resources, client, self.operations) if parts.has_own_scheduler else None
        if stacks is not None:
            self.operations.forget = stacks.forget
        self.rules = RuleBook(resources, client, clock, random_bytes, stacks, self._timed)

    def changed(self, change: ResourceChange) -> None:
        """Take a change that was committed."""
        if change.resource in (ScheduledRule, RuleScope) and not self._is_timed(change):
            return
        if change.resource in (Schedule, ScheduledRule):
            self._timer.changed(change.key, change.value)
        elif change.resource is Firing:
            self._firings.changed(change.key, change.value)
        elif change.resource is RuleScope:
            self.rules.changed(change.value)

    def _is_timed(self, change: ResourceChange) -> bool:
        if change.resource is RuleScope:
            return bool(self._timed)
        # Names of rules have no colons; a rotation has the ARN of its secret.
        return ("secretsmanager" if change.key.name.startswith("arn:") else "events") in self._timed

    async def run(self) -> None:
        """Fire until cancelled, when everything is known."""
        await self._resources.wait_filled()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._holding.run())
            tasks.create_task(self._timer.run())
            tasks.create_task(self._firings.run())
            tasks.create_task(self.rules.run())
