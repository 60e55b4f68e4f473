"""Requests of skills: who may call which function with what, and the call."""

from __future__ import annotations

import json
import logging
import uuid
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from lambent.model.arn import parse_function_name
from lambent.model.errors import LambdaError
from lambent.model.invocation import InvokeRequest, TriggerSource
from lambent.triggers.alexa.signatures import SkillSignatures, UnsignedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractAsyncContextManager

    from lambent.clock import Clock
    from lambent.model.arn import FunctionArn
    from lambent.model.invocation import InvocationResult
    from lambent.triggers.alexa.signatures import SignatureRules
    from lambent.wire.http_client import HttpClient

_log = logging.getLogger(__name__)

# Source: Alexa Skills Kit, "Host a Custom Skill as an AWS Lambda Function"; "Steps to Build a Smart Home Skill".
CUSTOM = "alexa-appkit.amazon.com"
SMART_HOME = "alexa-connectedhome.amazon.com"
PRINCIPALS = {"custom": CUSTOM, "smart-home": SMART_HOME}


class Permits(Protocol):
    """Who holds calls against functions' resource policies, and remembers what was refused."""

    def refusal(self, function: FunctionArn, source: TriggerSource) -> str | None:
        """Return why a source may not call a function, None if it may."""


class SkillParts(NamedTuple):
    """The neighbours. `knows` raises LambdaError for a function that is not there; `http` fetches certificates."""

    rules: SignatureRules
    invoke: Callable[[InvokeRequest], AbstractAsyncContextManager[InvocationResult]]
    permits: Permits
    knows: Callable[[FunctionArn], object]
    http: HttpClient
    clock: Clock
    random_bytes: Callable[[int], bytes]
    account_id: str
    region: str


class SkillRequest(NamedTuple):
    """A request. `function`: name or ARN; `place`: account and region of a caller who has said so. Header names are
    lower case. `kind` is a key of PRINCIPALS, `skill` the id that a request without one in it is of."""

    function: str
    qualifier: str | None
    headers: Mapping[str, str]
    body: bytes
    place: tuple[str, str] | None = None
    kind: str = "custom"
    skill: str = ""


class SkillRequests:
    """Calls functions for Alexa. Scope: process; keeps nothing but certificates."""

    def __init__(self, parts: SkillParts) -> None:
        self._parts = parts
        self._signatures = SkillSignatures(parts.rules, parts.http, parts.clock)

    async def signed(self, request: SkillRequest) -> tuple[int, bytes]:
        """Answer a request that Alexa has sent itself: status and body. One that is not Alexa's gets 400.

        A function that nothing permits Alexa to call is told no other way than one that is not there.
        """
        try:
            document = _document(request.body)
            self._signatures.check_head(request.headers, _inside(document, "request", "timestamp"))
            function = self._function(request)
            skill = _skill(document)
            self._require(function, TriggerSource(CUSTOM, token=skill))
            await self._signatures.check(request.headers, request.body)
        except UnsignedError as error:
            _log.warning("a request to the skill of %s is refused: %s", request.function[:200], error)
            return 400, _text("InvalidRequest", str(error))
        except LambdaError as error:
            _log.warning("a request to the skill of %s is refused: %s", request.function[:200], error.message)
            return 403, _text("AccessDeniedException", "There is no skill here that this request may call.")
        return await self._called(function, request.body)

    async def simulated(self, request: SkillRequest) -> tuple[int, bytes]:
        """Call a function as Alexa calls one: with its principal and the skill's id against the resource policy.

        Raises:
            LambdaError: there is no such function, or Alexa may not call it.
        """
        principal = PRINCIPALS.get(request.kind)
        if principal is None:
            raise LambdaError(f"There is no kind of skill {request.kind[:64]}.", code="InvalidParameterValueException")
        document = _document(request.body)
        function = self._function(request)
        self._require(function, TriggerSource(principal, token=request.skill or _skill(document)))
        return await self._called(function, request.body)

    def _function(self, request: SkillRequest) -> FunctionArn:
        account_id, region = request.place or (self._parts.account_id, self._parts.region)
        return parse_function_name(request.function, account_id=account_id, region=region, qualifier=request.qualifier)

    def _require(self, function: FunctionArn, source: TriggerSource) -> None:
        self._parts.knows(function)
        reason = self._parts.permits.refusal(function, source)
        if reason is not None:
            raise LambdaError(reason, code="AccessDeniedException")

    async def _called(self, function: FunctionArn, body: bytes) -> tuple[int, bytes]:
        request_id = str(uuid.UUID(bytes=self._parts.random_bytes(16), version=4))
        async with self._parts.invoke(InvokeRequest(function, request_id, body)) as result:
            return (200 if result.function_error is None else 502), result.payload


def _document(body: bytes) -> Any:  # noqa: ANN401
    try:
        document = json.loads(body)
    except ValueError as error:
        raise LambdaError("The request is not JSON.", code="InvalidRequestContentException") from error
    if not isinstance(document, dict):
        raise LambdaError("The request is not an object.", code="InvalidRequestContentException")
    return document


def _skill(document: Any) -> str:  # noqa: ANN401
    """Return the skill's id, which every request of a custom skill has in its context, most in the session too."""
    found = _inside(document, "context", "System", "application", "applicationId")
    found = found or _inside(document, "session", "application", "applicationId")
    return found if isinstance(found, str) else ""


def _inside(document: Any, *names: str) -> Any:  # noqa: ANN401
    for name in names:
        document = document.get(name) if isinstance(document, dict) else None
    return document


def _text(code: str, message: str) -> bytes:
    return json.dumps({"Type": "User", "Code": code, "Message": message}).encode()
