"""What stands between the embedded services and our functions, put together: shadows there, calls back here."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, NamedTuple

from lambent.api import HttpResponse, LocalRequest, LocalRoute
from lambent.neighbours import ChildCalls, ShadowFunctions
from lambent.triggers import CallParts, TriggeredCalls

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambent.clock import Clock
    from lambent.events import AsyncPlane
    from lambent.invocation import Catalog, Invoker, ResourcePolicies
    from lambent.model.arn import FunctionArn
    from lambent.wire.client import OutwardClient
    from lambent.wire.http_client import HttpClient, Origin

_JSON = (("Content-Type", "application/json"),)


class TriggeringParts(NamedTuple):
    """The rooms that are joined here. `password` is what daemon and child know."""

    catalog: Catalog
    invoker: Invoker
    asynchronous: AsyncPlane
    policies: ResourcePolicies
    client: OutwardClient
    http: HttpClient
    password: str
    clock: Clock
    random_bytes: Callable[[int], bytes]


class Triggering:
    """Scope: process. Keeps nothing itself; see its three parts."""

    def __init__(self, parts: TriggeringParts) -> None:
        self._catalog = parts.catalog
        self.calls = TriggeredCalls(
            CallParts(
                invoke=parts.invoker.invoke,
                events=parts.asynchronous.invocations,
                knows=parts.catalog.resolve,
                allows=parts.policies.allows,
                client=parts.client,
                clock=parts.clock,
                random_bytes=parts.random_bytes,
            )
        )
        self.shadows = ShadowFunctions(parts.catalog, parts.http, parts.password)
        self._door = ChildCalls(self.calls.answer, parts.password)

    async def run(self) -> None:
        """Keep the shadows, take calls, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.shadows.run())
            tasks.create_task(self._door.run())

    def port(self) -> int:
        """Return where the child calls."""
        return self._door.port()

    async def greet(self, origin: Origin) -> None:
        """Tell a child that has started of our functions. Raises ConnectionFailedError."""
        await self.shadows.greet(origin)

    def changed(self, function: FunctionArn) -> None:
        """Note that something of a function has changed."""
        self.shadows.changed(function)

    def routes(self) -> list[LocalRoute]:
        """Return the operations of our own: what was refused for want of a permission."""
        return [LocalRoute("GET", "/_lambent/v1/triggers/refusals", self._refusals)]

    async def _refusals(self, request: LocalRequest) -> HttpResponse:
        assert request.caller is not None
        mine = f":{request.caller.account_id}:"
        found = [one._asdict() for one in self.calls.refusals() if mine in one.function_arn]
        return HttpResponse(200, _JSON, json.dumps({"refusals": found}).encode())
