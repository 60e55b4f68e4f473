"""The door: lets a request in or not, finds what it asks for, and answers; errors take their form here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from lambent.api.control import caller_of
from lambent.api.invoke import is_invoke
from lambent.api.local_routes import PREFIX as LOCAL_PREFIX
from lambent.api.local_routes import LocalRequest
from lambent.api.messages import BodyPlan, HttpResponse
from lambent.model.errors import LambdaError, RequestEntityTooLargeError
from lambent.wire.rest_json import RequestError
from lambent.wire.sigv4 import SignatureError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambent.api.authentication import Authenticator
    from lambent.api.control import ControlDoor
    from lambent.api.entrance import Entrance
    from lambent.api.errors import ErrorAnswers
    from lambent.api.invoke import InvokeDoor
    from lambent.api.local_routes import LocalRoutes
    from lambent.api.messages import HttpRequest
    from lambent.clock import Clock
    from lambent.wire.api_description import ApiDescription

# Bodies of our own operations and of requests that mean nothing here.
_SMALL = BodyPlan(262_144, 262_144)
# Nothing large is taken from somebody unknown: bodies of more than five digits of bytes, or of unsaid length.
_SMALL_DIGITS = 5
_NOTHING = BodyPlan(0, 0)
# strftime's names follow the locale; HTTP's do not.
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_OURS = frozenset({"", "lambda", "lambent"})


@dataclass(frozen=True, slots=True)
class DoorParts:
    """What the door is made of."""

    description: ApiDescription
    entrance: Entrance
    authenticator: Authenticator
    invoke: InvokeDoor
    control: ControlDoor
    local: LocalRoutes
    errors: ErrorAnswers


class ApiDoor:
    """Answers requests. Scope: process. Keeps no state but the text of the current second."""

    def __init__(self, parts: DoorParts, clock: Clock, random_bytes: Callable[[int], bytes]) -> None:
        self._parts = parts
        self._clock = clock
        self._random_bytes = random_bytes
        self._second = -1
        self._date = ""

    def plan_body(self, request: HttpRequest) -> BodyPlan:
        """Say how the body of a request whose head has arrived shall be taken."""
        parts = self._parts
        length = request.headers.get("content-length")
        if (length is None or len(length) > _SMALL_DIGITS) and self._is_stranger(request):
            return _NOTHING
        if is_invoke(request.method, request.target):
            return parts.invoke.plan
        matched = parts.description.match(request.method, request.target)
        if matched is None or request.target.startswith(LOCAL_PREFIX):
            return _SMALL
        return parts.control.plan(matched[0])

    async def answer(self, request: HttpRequest) -> HttpResponse:
        """Return the answer to a request, whatever happens."""
        request_id = self._request_id()
        try:
            response = await self._answer(request, request_id)
        except Exception as error:
            response = self._parts.errors.of(error, request_id)
        headers = (*response.headers, ("x-amzn-RequestId", request_id), ("Date", self._date_text()))
        if "origin" in request.headers:
            headers = (*headers, *self._parts.entrance.permission(request))
        return HttpResponse(response.status, headers, response.body, response.is_last)

    def refusal(self, status: int, reason: str) -> HttpResponse:
        """Return the answer to bytes that are no request."""
        answer = self._parts.errors.refusal(status, reason)
        headers = (*answer.headers, ("x-amzn-RequestId", self._request_id()), ("Date", self._date_text()))
        return HttpResponse(status, headers, answer.body, is_last=True)

    async def _answer(self, request: HttpRequest, request_id: str) -> HttpResponse:
        parts = self._parts
        reason = parts.entrance.refusal(request)
        if reason is not None:
            return parts.errors.answer("AccessDeniedException", reason, {})
        if request.target.startswith(LOCAL_PREFIX):
            return await self._answer_local(request, request_id)
        if request.is_oversize:
            # What was not kept cannot be verified; nothing is done for such a request but to say so.
            parts.authenticator.screen(request)
            raise self._too_large(request)
        preflight = parts.entrance.preflight(request)
        if preflight is not None:
            return preflight
        identity = parts.authenticator.identify(request)
        if identity.service not in _OURS:
            return self._elsewhere(request, identity.service)
        if request.plan is parts.invoke.plan or is_invoke(request.method, request.target):
            return await parts.invoke.answer(request, identity, request_id)
        matched = parts.description.match(request.method, request.target)
        if matched is not None:
            return await parts.control.answer(request, matched, identity, request_id)
        target = request.headers.get("x-amz-target")
        if target is not None:
            return self._elsewhere(request, target.partition(".")[0].partition("_")[0].lower())
        raise RequestError("UnknownOperationException", f"Unknown operation: {request.method} {request.path[:200]}")

    async def _answer_local(self, request: HttpRequest, request_id: str) -> HttpResponse:
        parts = self._parts
        preflight = parts.entrance.preflight(request)
        if preflight is not None:
            return preflight
        path, _, query = request.target.partition("?")
        matched = parts.local.match(request.method, path)
        if matched is None:
            raise RequestError("UnknownOperationException", f"Unknown operation: {request.method} {path[:200]}")
        if request.is_oversize:
            raise self._too_large(request)
        route, parameters = matched
        caller = None
        if not route.is_public:
            caller = caller_of(request, parts.authenticator.identify(request), request_id)
        return await route.respond(
            LocalRequest(
                method=request.method,
                path=path,
                parameters=parameters,
                query=parse_qs(query, keep_blank_values=True, errors="replace"),
                headers=request.headers,
                body=request.body,
                caller=caller,
            )
        )

    def _is_stranger(self, request: HttpRequest) -> bool:
        try:
            self._parts.authenticator.screen(request)
        except (LambdaError, SignatureError):
            return True
        return False

    def _too_large(self, request: HttpRequest) -> LambdaError:
        parts = self._parts
        if is_invoke(request.method, request.target):
            return parts.invoke.too_large()
        matched = parts.description.match(request.method, request.target)
        if matched is not None and not request.target.startswith(LOCAL_PREFIX):
            return parts.control.too_large(matched[0])
        return RequestEntityTooLargeError(f"Request must be smaller than {_SMALL.bytes_max} bytes")

    def _elsewhere(self, request: HttpRequest, service: str) -> HttpResponse:
        message = f"The service '{service[:64]}' is not available at this endpoint, which answers AWS Lambda."
        is_query = request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
        return self._parts.errors.of_service(service, is_query=is_query, message=message)

    def _request_id(self) -> str:
        # A random UUID (version 4), as AWS's request ids are.
        text = self._random_bytes(16).hex()
        variant = "89ab"[int(text[16], 16) & 3]
        return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{variant}{text[17:20]}-{text[20:]}"

    def _date_text(self) -> str:
        second = self._clock.time_ms() // 1000
        if second != self._second:
            self._second = second
            moment = datetime.fromtimestamp(second, UTC)
            day, month = _DAYS[moment.weekday()], _MONTHS[moment.month - 1]
            self._date = f"{day}, {moment.day:02} {month} {moment:%Y %H:%M:%S} GMT"
        return self._date
