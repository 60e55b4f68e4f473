"""What stands between the embedded child and our functions: their shadows there, its calls back here."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from lambent.neighbours.calls import ChildCalls
from lambent.neighbours.shadows import ShadowFunctions

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from lambent.model.arn import FunctionArn
    from lambent.model.invocation import TriggeredAnswer, TriggeredCall
    from lambent.neighbours.calls import Operate
    from lambent.neighbours.shadows import KnowsFunctions
    from lambent.wire.http_client import HttpClient, Origin


class ChildBridge:
    """Scope: process. Keeps nothing itself; see its two parts. `password` is what daemon and child know."""

    def __init__(
        self,
        known: KnowsFunctions,
        answer: Callable[[TriggeredCall], Awaitable[TriggeredAnswer]],
        http: HttpClient,
        password: str,
        operate: Operate | None = None,
    ) -> None:
        self._shadows = ShadowFunctions(known, http, password)
        self._calls = ChildCalls(answer, password, operate)

    async def run(self) -> None:
        """Keep the shadows, take calls, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._shadows.run())
            tasks.create_task(self._calls.run())

    async def deliver(self, token: str, response: bytes) -> int:
        """Hand the response of a custom resource to the child; return the answer's status."""
        return await self._shadows.tell(f"/_ministack/cfn-response/{token}", response)

    def port(self) -> int:
        """Return where the child calls."""
        return self._calls.port()

    async def greet(self, origin: Origin) -> None:
        """Tell a child that has started of our functions. Raises ConnectionFailedError."""
        await self._shadows.greet(origin)

    def changed(self, function: FunctionArn) -> None:
        """Note that something of a function has changed."""
        self._shadows.changed(function)

    async def wait_settled(self) -> None:
        """Return when the child knows of every change so far, or after two seconds."""
        await self._shadows.wait_settled()
