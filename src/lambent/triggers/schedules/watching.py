"""Calls of services on their way to them: what makes, changes or removes a scheduled rule or a rotation is noticed.

EventBridge keeps the rules; the timer is ours. So an expression is judged before EventBridge sees it, and a call's
answer is handed on when the timer knows what the call has done.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Protocol

from lambent.model.errors import LambdaError
from lambent.triggers.schedules.names import ROTATION_CHANGES
from lambent.wire.error_forms import NeighbourError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from lambent.triggers.schedules.rulebook import RuleBook
    from lambent.wire.http_client import ForwardedRequest, OutwardRequest, OutwardResponse

# Source: API reference of EventBridge: what changes rules and targets.
_CHANGES = frozenset({"PutRule", "DeleteRule", "EnableRule", "DisableRule", "PutTargets", "RemoveTargets"})
# What makes rules of its own, in part after its answer: every answer of these is a reason to look.
_BUILDERS = frozenset({"cloudformation", "cloudcontrol"})
_WATCHED = {"events": _CHANGES, "secretsmanager": ROTATION_CHANGES}
_RULE_BYTES_MAX = 1_048_576


class Forwards(Protocol):
    """Who hands requests on; see neighbours.Forwarder."""

    async def forward(self, request: ForwardedRequest) -> OutwardResponse:
        """Hand a request on; return the answer when its head has arrived. Raises NeighbourError."""


class WatchedNeighbours:
    """Hands requests on and tells the rule book, which is made when it is first asked for. Scope: process.

    `services`: whose rules are timed here.
    """

    def __init__(
        self, neighbours: Forwards, rules: Callable[[], RuleBook], services: frozenset[str] = frozenset({"events"})
    ) -> None:
        self._neighbours = neighbours
        self._rules = rules
        self._watched = {name: changes for name, changes in _WATCHED.items() if name in services}

    async def forward(self, forwarded: ForwardedRequest) -> OutwardResponse:
        """Hand a request on; return the answer when its head has arrived, and rules are known.

        Raises:
            NeighbourError: see Forwarder.forward; ValidationException about an expression (400).
        """
        asked = forwarded.asked
        if asked not in _BUILDERS and (asked not in self._watched or _action(forwarded) not in self._watched[asked]):
            return await self._neighbours.forward(forwarded)
        if _action(forwarded) == "PutRule":
            forwarded = forwarded._replace(request=await _checked(forwarded.request))
        account_id, region = forwarded.account_id, forwarded.region
        rules = self._rules()
        await rules.begin(account_id, region)
        response = await self._neighbours.forward(forwarded)
        try:
            await rules.learn(account_id, region, asked, is_built=asked in _BUILDERS)
        except BaseException:
            await response.aclose()
            raise
        return response


def _action(forwarded: ForwardedRequest) -> str:
    for name, value in forwarded.request.headers:
        if name == "x-amz-target":
            return value.rpartition(".")[2]
    return ""


async def _checked(request: OutwardRequest) -> OutwardRequest:
    """Return a PutRule whose schedule, if it has one, is in order; its body is whole now."""
    body = request.body if isinstance(request.body, bytes) else await _whole(request.body)
    try:
        members = json.loads(body)
        text, bus = members.get("ScheduleExpression"), members.get("EventBusName", "")
    except (ValueError, AttributeError):
        text = bus = None
    if isinstance(text, str) and text and isinstance(bus, str):
        from lambent.triggers.schedules.control.checks import check_rule_expression

        try:
            check_rule_expression(text, bus)
        except LambdaError as error:
            raise NeighbourError(error.code, error.message, 400) from error
    return request._replace(body=body, length_bytes=None)


async def _whole(body: AsyncIterator[bytes]) -> bytes:
    parts, size = [], 0
    async for part in body:
        parts.append(part)
        size += len(part)
        if size > _RULE_BYTES_MAX:
            raise NeighbourError("RequestEntityTooLargeException", "The request's body is too large.", 413)
    return b"".join(parts)
