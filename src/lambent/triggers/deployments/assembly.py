"""Deployments as app.py has them: nothing but a name until there is one, or somebody who asks for one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lambent.store.contracts import ResourceChange
    from lambent.triggers.deployments.parts import DeploymentParts
    from lambent.triggers.deployments.running import RunningDeployments


class DeploymentPlane:
    """CodeDeploy for Lambda. Scope: cluster, one daemon of which shifts traffic; see running.py.

    app.py hands the store's changes of deployments to `changed`. A server without them pays for none of it.
    """

    def __init__(self, parts: DeploymentParts) -> None:
        self._parts = parts
        self._running: RunningDeployments | None = None
        self._is_wanted = asyncio.Event()

    def operations(self) -> object:
        """Return the operations of CodeDeploy."""
        return self._begun().operations

    def changed(self, change: ResourceChange) -> None:
        """Take a change that was committed."""
        if self._running is not None or (change.value is not None and change.value.is_active):
            self._begun().changed(change)

    async def run(self) -> None:
        """Shift traffic until cancelled."""
        await self._is_wanted.wait()
        await self._begun().run()

    def _begun(self) -> RunningDeployments:
        if self._running is None:
            from lambent.triggers.deployments.running import RunningDeployments

            self._running = RunningDeployments(self._parts)
            self._is_wanted.set()
        return self._running
