"""The Invoke door: what bypasses the generic machinery, because it is the main path."""

from __future__ import annotations

import asyncio
import base64
import binascii
from typing import TYPE_CHECKING, Protocol
from urllib.parse import parse_qs, unquote

from msgspec import Struct

from lambent.api.messages import BodyPlan, HttpResponse
from lambent.model.arn import parse_function_name
from lambent.model.errors import (
    AccessDeniedError,
    InvalidRequestContentError,
    NotImplementedHereError,
    RequestTooLargeError,
    ResourceNotFoundError,
)
from lambent.model.invocation import InvocationType, InvokeRequest
from lambent.model.quotas import CLIENT_CONTEXT_BYTES, PAYLOAD_BYTES
from lambent.wire.json_text import find_json_error, is_json_object
from lambent.wire.rest_json import RequestParts, check_request

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from lambent.api.authentication import Identity
    from lambent.api.messages import HttpRequest
    from lambent.model.arn import FunctionArn
    from lambent.model.invocation import InvocationResult
    from lambent.wire.api_description import ApiDescription

    Allows = Callable[[str, str, str, FunctionArn], bool]


class InvokeForm(Struct, frozen=True):
    """What a request of an operation that invokes looks like: POST PREFIX name SUFFIX."""

    operation: str
    prefix: str
    suffix: str
    types: frozenset[str]
    wants_stream: bool = False


INVOKE_FORM = InvokeForm("Invoke", "/2015-03-31/functions/", "/invocations", frozenset(InvocationType))
STREAM_FORM = InvokeForm(
    "InvokeWithResponseStream",
    "/2021-11-15/functions/",
    "/response-streaming-invocations",
    frozenset({InvocationType.REQUEST_RESPONSE, InvocationType.DRY_RUN}),
    wants_stream=True,
)
_TARGETS_MAX = 8_192
# Source: recorded (test_invocation_type_event): no version, an empty body.
_ACCEPTED = HttpResponse(202, (("x-amzn-Remapped-Content-Length", "0"),))
# Larger payloads are checked in a thread, so that a check never holds the loop for more than some 0.3 ms.
_THREAD_BYTES = 262_144
_LOG_TYPES = frozenset({"None", "Tail"})
_ACTION = "lambda:InvokeFunction"


class Invokes(Protocol):
    """What the door needs of the data plane."""

    def invoke(self, request: InvokeRequest) -> AbstractAsyncContextManager[InvocationResult]:
        """Run one invocation; its result is valid inside the block."""

    def check(self, request: InvokeRequest) -> object:
        """Do the checks of an invocation without running it."""


class TakesEvents(Protocol):
    """What the door needs of the queue of events."""

    async def accept(self, request: InvokeRequest) -> None:
        """Take an event; it is on disk when this returns."""


def nobody(_principal_arn: str, _account_id: str, _action: str, _arn: FunctionArn) -> bool:
    """Allow nothing."""
    return False


class InvokeDoor:
    """Answers Invoke, reads requests of its kin. Scope: process; its memory of targets is bounded, to spare parsing."""

    def __init__(
        self,
        invoker: Invokes,
        description: ApiDescription,
        allows: Allows = nobody,
        form: InvokeForm = INVOKE_FORM,
        events: TakesEvents | None = None,
    ) -> None:
        self._invoker = invoker
        self._events = events
        self._allows = allows
        self._form = form
        self._operation = description.operation(form.operation)
        self._targets: dict[tuple[str, str, str], FunctionArn] = {}
        self.plan = BodyPlan(PAYLOAD_BYTES.value, PAYLOAD_BYTES.value)

    async def answer(self, request: HttpRequest, identity: Identity, request_id: str) -> HttpResponse:
        """Run the function and return its result as an answer.

        Raises:
            TooManyRequestsError, ServiceError: an event could not be taken. Others: as `read`, and what the function's
            state forbids.
        """
        kind, invocation = await self.read(request, identity, request_id)
        if kind == "RequestResponse":
            async with self._invoker.invoke(invocation) as result:
                return _encode(result)
        if kind == "Event" and self._events is not None:
            await self._events.accept(invocation)
            return _ACCEPTED
        self._invoker.check(invocation)
        if kind == "DryRun":
            return HttpResponse(204)
        raise NotImplementedHereError("This door takes no events.")

    async def read(self, request: HttpRequest, identity: Identity, request_id: str) -> tuple[str, InvokeRequest]:
        """Return the invocation type, and what is to be invoked with what.

        Raises:
            InvalidRequestContentError, ResourceNotFoundError, AccessDeniedError: see model.
            NotImplementedHereError: durable and tenant headers.
            RequestError: a header or the name breaks the description.
        """
        headers = request.headers
        kind = headers.get("x-amz-invocation-type", "RequestResponse")
        log_type = headers.get("x-amz-log-type", "None")
        function = self._targets.get((request.target, identity.account_id, identity.region))
        is_later = "x-amz-durable-execution-name" in headers or "x-amz-tenant-id" in headers
        if function is None or is_later or kind not in self._form.types or log_type not in _LOG_TYPES:
            function = self._resolve(request, identity)
        context = headers.get("x-amz-client-context")
        if is_later:
            raise NotImplementedHereError("Durable executions and tenant isolation are not implemented yet.")
        return kind, InvokeRequest(
            function=function,
            request_id=request_id,
            payload=await _checked(request.body),
            wants_log_tail=log_type == "Tail",
            client_context=None if context is None else _decoded_context(context),
            trace_header=headers.get("x-amzn-trace-id"),
            wants_stream=self._form.wants_stream,
        )

    def too_large(self) -> RequestTooLargeError:
        """Return the error about a payload over its quota (413)."""
        return RequestTooLargeError(
            f"Request must be smaller than {PAYLOAD_BYTES.value} bytes for the InvokeFunction operation"
        )

    def _resolve(self, request: HttpRequest, identity: Identity) -> FunctionArn:
        path, _, query = request.target.partition("?")
        name = unquote(path[len(self._form.prefix) : -len(self._form.suffix)])
        parsed = parse_qs(query, keep_blank_values=True)
        check_request(self._operation, RequestParts({"FunctionName": name}, parsed, request.headers, None))
        qualifier = parsed["Qualifier"][-1] if "Qualifier" in parsed else None
        account_id, region = identity.account_id, identity.region
        function = parse_function_name(name, account_id=account_id, region=region, qualifier=qualifier)
        if function.region != region:
            raise ResourceNotFoundError(
                f"Functions from '{function.region}' are not reachable in this region ('{region}')"
            )
        if function.account_id != account_id:
            # Not remembered: the policy may be another one at the next call.
            if self._allows(identity.principal_arn, account_id, _ACTION, function):
                return function
            raise AccessDeniedError(
                f"User: {identity.principal_arn} is not authorized to perform: lambda:InvokeFunction on resource: "
                f"{function} because no resource-based policy allows the lambda:InvokeFunction action"
            )
        if len(self._targets) >= _TARGETS_MAX:
            self._targets.clear()
        self._targets[(request.target, account_id, region)] = function
        return function


def is_invoke(method: str, target: str, form: InvokeForm = INVOKE_FORM) -> bool:
    """Whether a request is an Invoke (or another that invokes), told by its form alone."""
    if method != "POST" or not target.startswith(form.prefix):
        return False
    path = target.partition("?")[0]
    return path.endswith(form.suffix) and path.count("/") == 4 and len(path) > len(form.prefix) + len(form.suffix)


async def _checked(payload: bytes) -> bytes:
    """Return the payload; an empty one is `{}`. Source: observed (an Invoke without Payload gets an empty object)."""
    if not payload:
        return b"{}"
    if len(payload) <= _THREAD_BYTES:
        error = find_json_error(payload)
    else:
        error = await asyncio.get_running_loop().run_in_executor(None, find_json_error, payload)
    if error is not None:
        raise InvalidRequestContentError(f"Could not parse request body into json: {error}")
    return payload


def _decoded_context(header: str) -> str:
    if len(header) > CLIENT_CONTEXT_BYTES.value:
        raise InvalidRequestContentError(
            f"Client context must be no more than {CLIENT_CONTEXT_BYTES.value} bytes when base64-encoded."
        )
    try:
        text = base64.b64decode(header, validate=True)
    except (binascii.Error, ValueError):
        text = b""
    if not is_json_object(text):
        raise InvalidRequestContentError("Client context must be a valid Base64-encoded JSON object.")
    return text.decode()


def _encode(result: InvocationResult) -> HttpResponse:
    headers: tuple[tuple[str, str], ...] = (
        ("Content-Type", "application/json"),
        ("X-Amz-Executed-Version", result.executed_version),
        ("x-amzn-Remapped-Content-Length", "0"),
    )
    if result.function_error is not None:
        headers = (*headers, ("X-Amz-Function-Error", result.function_error.value))
    if result.log_tail is not None:
        headers = (*headers, ("X-Amz-Log-Result", base64.b64encode(result.log_tail).decode()))
    return HttpResponse(200, headers, result.payload)
