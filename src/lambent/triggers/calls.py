"""Calls of functions by other services: held against the resource policy, then run, or put into the queue of events."""

from __future__ import annotations

import logging
import re
import uuid
from typing import TYPE_CHECKING, NamedTuple, Protocol

from lambent.model.configs.policy import Principal
from lambent.model.errors import LambdaError
from lambent.model.invocation import InvokeRequest, TriggeredAnswer, TriggeredCall
from lambent.triggers.dead_letters import dead_letter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractAsyncContextManager

    from lambent.clock import Clock
    from lambent.model.arn import FunctionArn
    from lambent.model.invocation import InvocationResult, TriggerSource
    from lambent.wire.client import OutwardClient

_log = logging.getLogger(__name__)

ACTION = "lambda:InvokeFunction"
_REFUSALS_MAX = 100
_NO_LETTERS = re.compile(r"[^A-Za-z0-9-]+")


class Allows(Protocol):
    """What is asked of resource policies."""

    def __call__(
        self, principal: Principal, action: str, arn: FunctionArn, context: Mapping[str, str] | None = None
    ) -> bool:
        """Return whether the policy of `arn` allows it."""


class Accepts(Protocol):
    """What is asked of the queue of events."""

    async def accept(self, request: InvokeRequest) -> None:
        """Take an event; it is on disk when this returns. Raises LambdaError."""


class CallParts(NamedTuple):
    """The neighbours. `knows` raises LambdaError for a function that is not there; `client` reaches queues."""

    invoke: Callable[[InvokeRequest], AbstractAsyncContextManager[InvocationResult]]
    events: Accepts
    knows: Callable[[FunctionArn], object]
    allows: Allows
    client: OutwardClient
    clock: Clock
    random_bytes: Callable[[int], bytes]


class Refusal(NamedTuple):
    """Calls that nothing permitted: how many, when last, and the command that would permit them."""

    function_arn: str
    principal: str
    source_arn: str
    calls: int
    last_at_ms: int
    permission: str


class TriggeredCalls:
    """Answers calls. Scope: process. Remembers the last refusals, a hundred at most; after a crash none."""

    def __init__(self, parts: CallParts) -> None:
        self._parts = parts
        self._refusals: dict[tuple[str, str, str], Refusal] = {}

    async def answer(self, call: TriggeredCall) -> TriggeredAnswer:
        """Do a call; return its result, or why there was none. An event is on disk when this returns."""
        request_id = str(uuid.UUID(bytes=self._parts.random_bytes(16), version=4))
        if call.failure is not None:
            if call.dead_letter_arn:
                await dead_letter(self._parts.client, call, *call.failure)
            return TriggeredAnswer()
        try:
            self._parts.knows(call.function)
            is_permitted = self.is_permitted(call.function, call.source)
            if call.is_check:
                return TriggeredAnswer(code="" if is_permitted else "AccessDeniedException")
            if not is_permitted:
                return await self._undelivered(call, "AccessDeniedException", self._refuse(call))
            request = InvokeRequest(
                call.function,
                request_id,
                call.payload or b"{}",
                client_context=call.client_context,
                trace_header=call.trace_header,
            )
            if call.is_event:
                await self._parts.events.accept(request)
                return TriggeredAnswer()
            async with self._parts.invoke(request) as result:
                return TriggeredAnswer(result.payload, is_function_error=result.function_error is not None)
        except LambdaError as error:
            if call.is_event:
                _log.warning("%s cannot call %s: %s", call.source.principal, call.function, error.message)
            return await self._undelivered(call, error.code, error.message)

    def is_permitted(self, function: FunctionArn, source: TriggerSource) -> bool:
        """Return whether the function's resource policy lets the source call it."""
        if source.has_role:
            return True
        context = {"aws:PrincipalServiceName": source.principal}
        if source.arn:
            context["aws:SourceArn"] = source.arn
        if source.account_id:
            context["aws:SourceAccount"] = source.account_id
        if source.token:
            context["lambda:EventSourceToken"] = source.token
        names = (source.principal, regional_name(source.principal, function.region))
        return any(self._parts.allows(Principal(service=name), ACTION, function, context) for name in names)

    def refusal(self, function: FunctionArn, source: TriggerSource) -> str | None:
        """Return why a source may not call a function, which is remembered; None if it may."""
        if self.is_permitted(function, source):
            return None
        return self._refuse(TriggeredCall(function, source, b"", is_event=True))

    def refusals(self, account_id: str) -> list[dict[str, object]]:
        """Return what was refused for functions of an account, the latest last: the members of Refusal."""
        found = sorted(self._refusals.values(), key=lambda one: one.last_at_ms)
        return [one._asdict() for one in found if f":{account_id}:" in one.function_arn]

    def _refuse(self, call: TriggeredCall) -> str:
        source, function = call.source, str(call.function)
        key = (function, source.principal, source.arn or source.token)
        known = self._refusals.pop(key, None)
        calls = 1 if known is None else known.calls + 1
        refusal = Refusal(
            function, source.principal, source.arn, calls, self._parts.clock.time_ms(), permission_for(call)
        )
        if len(self._refusals) >= _REFUSALS_MAX:
            del self._refusals[next(iter(self._refusals))]
        self._refusals[key] = refusal
        text = f"{source.principal} may not call {function}: no statement of its resource policy allows it"
        where = source.arn or source.token or "an unnamed source"
        _log.warning("%s (from %s). Missing: %s", text, where, refusal.permission)
        return f"{text}."

    async def _undelivered(self, call: TriggeredCall, code: str, text: str) -> TriggeredAnswer:
        is_passing = code in ("TooManyRequestsException", "ServiceException")
        if call.is_event and call.dead_letter_arn and not is_passing:
            await dead_letter(self._parts.client, call, code, text)
        return TriggeredAnswer(text.encode(), code)


def regional_name(principal: str, region: str) -> str:
    """Return a service's principal with the region in it (logs.REGION.amazonaws.com), as some policies have it."""
    name, _, domain = principal.partition(".")
    return f"{name}.{region}.{domain}"


def permission_for(call: TriggeredCall) -> str:
    """Return the command that makes the statement which a call lacks."""
    source, function = call.source, call.function
    statement_id = _NO_LETTERS.sub("-", source.principal.partition(".")[0]) + "-invoke"
    words = [
        "aws lambda add-permission", f"--function-name {function.unqualified}", f"--statement-id {statement_id}",
        f"--action {ACTION}", f"--principal {source.principal}",
    ]  # fmt: skip
    if function.qualifier is not None:
        words.append(f"--qualifier '{function.qualifier}'")
    if source.arn:
        words.append(f"--source-arn '{source.arn}'")
    if source.token:
        words.append(f"--event-source-token '{source.token}'")
    if source.account_id and source.arn.startswith("arn:aws:s3:::"):
        # Only S3's ARNs do not name the account, and a bucket may get another owner.
        words.append(f"--source-account {source.account_id}")
    return " ".join(words)
