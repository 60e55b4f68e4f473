"""CodeCommit as app.py has it: nothing but a name until there is a repository or somebody who asks for one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lambent.model.configs.repository import GitRequest
    from lambent.triggers.code_commit.parts import CodeCommitParts
    from lambent.triggers.code_commit.running import RunningRepositories
    from lambent.triggers.code_commit.smart_http import GitAnswer


class CodeCommit:
    """Repositories. Scope: cluster for what the API says of them, node for their files (codecommit.directory).

    A server without repositories pays for none of it.
    """

    def __init__(self, parts: CodeCommitParts) -> None:
        self._parts = parts
        self._running: RunningRepositories | None = None
        self._is_wanted = asyncio.Event()

    def operations(self) -> object:
        """Return the operations of CodeCommit."""
        return self._begun().operations

    async def serve(self, request: GitRequest) -> GitAnswer | None:
        """Answer what git asks over HTTP; None when there is no such repository."""
        return await self._begun().smart_http.serve(request)

    async def run(self) -> None:
        """Deliver what was pushed until cancelled."""
        if not await asyncio.to_thread(self._parts.directory.exists):
            await self._is_wanted.wait()
        await self._parts.resources.wait_filled()
        await self._begun().deliveries.run()

    def _begun(self) -> RunningRepositories:
        if self._running is None:
            from lambent.triggers.code_commit.running import RunningRepositories

            self._running = RunningRepositories(self._parts)
            self._is_wanted.set()
        return self._running
