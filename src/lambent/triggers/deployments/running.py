"""The parts of deployments, put together."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING

from lambent.triggers.deployments.alarms import Alarms
from lambent.triggers.deployments.control.operations import CodeDeployOperations
from lambent.triggers.deployments.revisions import Revisions
from lambent.triggers.deployments.shifting import TrafficShifting
from lambent.triggers.schedules.holding import Holding

if TYPE_CHECKING:
    from lambent.store.contracts import ResourceChange
    from lambent.triggers.deployments.parts import DeploymentParts

_LEASE = "deployments"


class RunningDeployments:
    """Scope: process; the parts say what they own. `operations` are those of CodeDeploy."""

    def __init__(self, parts: DeploymentParts) -> None:
        self._resources = parts.resources
        owner = str(uuid.UUID(bytes=parts.random_bytes(16), version=4))
        self._holding = Holding(parts.leases, owner, _LEASE)
        self._shifting = TrafficShifting(parts, Revisions(parts.client), Alarms(parts.client), self._holding)
        self.operations = CodeDeployOperations(parts.resources, parts.clock, parts.random_bytes)

    def changed(self, change: ResourceChange) -> None:
        """Take a change of a deployment that was committed."""
        self._shifting.changed(change.key, change.value)

    async def run(self) -> None:
        """Shift traffic until cancelled, when everything is known."""
        await self._resources.wait_filled()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._holding.run())
            tasks.create_task(self._shifting.run())
