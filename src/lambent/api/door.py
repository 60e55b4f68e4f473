"""The door: lets a request in or not, finds what it asks for, and answers; errors take their form here."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple, Protocol
from urllib.parse import parse_qs

from lambent.api.control import caller_of
from lambent.api.invoke import STREAM_FORM, is_invoke
from lambent.api.local_routes import PREFIX as LOCAL_PREFIX
from lambent.api.local_routes import LocalRequest
from lambent.api.messages import BodyPlan, HttpResponse
from lambent.model.errors import LambdaError, NotImplementedHereError, RequestEntityTooLargeError
from lambent.wire.addressing import LAMBDA
from lambent.wire.http_exchange import HttpCall, HttpCaller
from lambent.wire.rest_json import RequestError
from lambent.wire.sigv4 import SignatureError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambent.api.authentication import Authenticator
    from lambent.api.control import ControlDoor
    from lambent.api.elsewhere import ElsewhereDoor
    from lambent.api.entrance import Entrance
    from lambent.api.errors import ErrorAnswers
    from lambent.api.invoke import InvokeDoor
    from lambent.api.local_routes import LocalRoutes
    from lambent.api.messages import HttpRequest
    from lambent.api.served.git import GitDoor
    from lambent.api.streams.invoke_stream import InvokeStreamDoor
    from lambent.clock import Clock
    from lambent.wire.api_description import ApiDescription
    from lambent.wire.http_exchange import HttpAnswer

# Bodies of our own operations and of requests that mean nothing here.
_SMALL = BodyPlan(262_144, 262_144)
# Nothing large is taken from somebody unknown: bodies of more than five digits of bytes, or of unsaid length.
_SMALL_DIGITS = 5
_NOTHING = BodyPlan(0, 0)
# Where function URLs are: names below this label, and everything below this path.
FUNCTION_URL_LABEL = ".lambda-url."
FUNCTION_URL_PATH = "/_lambent/v1/function-urls/"
# Where git finds CodeCommit's repositories, on AWS too.
GIT_PATH = "/v1/repos/"
# strftime's names follow the locale; HTTP's do not.
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class FunctionUrls(Protocol):
    """Who answers requests to function URLs."""

    def is_known(self, host: str, target: str) -> bool:
        """Whether there is such a URL."""

    async def answer(
        self, call: HttpCall, identify: Callable[[], HttpCaller | None], *, is_oversize: bool = False
    ) -> HttpAnswer:
        """Return the answer. `identify` returns whose signature the request carries, or raises SignatureError."""


class DoorParts(NamedTuple):
    """What the door is made of."""

    description: ApiDescription
    entrance: Entrance
    authenticator: Authenticator
    invoke: InvokeDoor
    invoke_stream: InvokeStreamDoor
    control: ControlDoor
    local: LocalRoutes
    errors: ErrorAnswers
    elsewhere: ElsewhereDoor
    function_urls: FunctionUrls | None = None
    git: Callable[[], GitDoor] | None = None


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
        if self._is_for_url(request):
            return self._plan_url(request)
        if request.target.startswith(GIT_PATH) and parts.git is not None:
            return parts.git().plan(request)
        length = request.headers.get("content-length")
        if (length is None or len(length) > _SMALL_DIGITS) and self._is_stranger(request):
            return _NOTHING
        if is_invoke(request.method, request.target) or is_invoke(request.method, request.target, STREAM_FORM):
            return parts.invoke.plan
        if request.target.startswith(LOCAL_PREFIX):
            return _SMALL
        plan = parts.elsewhere.plan(request)
        if plan is not None:
            return plan
        matched = parts.description.match(request.method, request.target)
        return (
            parts.control.plan(matched[0]) if matched is not None else parts.elsewhere.unnamed_plan(request) or _SMALL
        )

    async def answer(self, request: HttpRequest) -> HttpResponse:
        """Return the answer to a request, whatever happens."""
        request_id = self._request_id()
        try:
            response = await self._answer(request, request_id)
        except Exception as error:
            refusal = self._parts.elsewhere.refusal(request, error, request_id)
            response = refusal or self._parts.errors.of(error, request_id)
        if response.is_forwarded:
            return response
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
        # Whatever its path: nobody who asks a function shall reach the API. Pages may ask it, that is what it is for.
        is_for_url = self._is_for_url(request)
        reason = parts.entrance.host_refusal(request) if is_for_url else parts.entrance.refusal(request)
        if reason is not None:
            return parts.errors.answer("AccessDeniedException", reason, {})
        if is_for_url:
            return await self._answer_url(request, request_id)
        if request.target.startswith(LOCAL_PREFIX):
            return await self._answer_local(request, request_id)
        if request.target.startswith(GIT_PATH) and parts.git is not None:
            return await parts.git().answer(request)
        if request.is_oversize and not (request.plan is not None and request.plan.is_streamed):
            # What was not kept cannot be verified; nothing is done for such a request but to say so.
            parts.authenticator.screen(request)
            raise self._too_large(request)
        preflight = parts.entrance.preflight(request)
        if preflight is not None:
            return preflight
        identity = parts.authenticator.identify(request)
        is_lambdas = identity.service == LAMBDA
        if (is_lambdas or not identity.service) and is_invoke(request.method, request.target):
            return await parts.invoke.answer(request, identity, request_id)
        if (is_lambdas or not identity.service) and is_invoke(request.method, request.target, STREAM_FORM):
            return await parts.invoke_stream.answer(request, identity, request_id)
        asked = None if is_lambdas else parts.elsewhere.asked(request, identity)
        if asked is not None:
            return await parts.elsewhere.answer(request, asked, identity)
        matched = parts.description.match(request.method, request.target)
        if matched is not None:
            return await parts.control.answer(request, matched, identity, request_id)
        if not identity.service:
            return await parts.elsewhere.answer(request, None, identity)
        raise RequestError("UnknownOperationException", f"Unknown operation: {request.method} {request.path[:200]}")

    def _is_for_url(self, request: HttpRequest) -> bool:
        if request.target.startswith(FUNCTION_URL_PATH):
            return True
        return FUNCTION_URL_LABEL in request.headers.get("host", "").lower()

    def _plan_url(self, request: HttpRequest) -> BodyPlan:
        urls = self._parts.function_urls
        is_known = urls is not None and urls.is_known(request.headers.get("host", ""), request.target)
        return self._parts.invoke.plan if is_known else _NOTHING

    async def _answer_url(self, request: HttpRequest, request_id: str) -> HttpResponse:
        urls = self._parts.function_urls
        if urls is None:
            raise NotImplementedHereError("Function URLs are not served here.")
        peer = request.peer
        call = HttpCall(
            method=request.method,
            target=request.target,
            headers=request.headers,
            body=request.body,
            request_id=request_id,
            scheme=peer.scheme,
            source_ip=peer.remote_host,
            port=peer.local_port,
            protocol="HTTP/1.0" if request.is_http_10 else "HTTP/1.1",
        )
        answer = await urls.answer(call, lambda: self._url_caller(request), is_oversize=request.is_oversize)
        headers = (*answer.headers, ("x-amzn-RequestId", request_id), ("Date", self._date_text()))
        return HttpResponse(answer.status, headers, answer.body, is_forwarded=True)

    def _url_caller(self, request: HttpRequest) -> HttpCaller | None:
        if "authorization" not in request.headers and "X-Amz-Signature=" not in request.target:
            return None
        identity = self._parts.authenticator.identify(request)
        if identity.service != LAMBDA:
            text = f"Credential should be scoped to correct service: '{LAMBDA}'. "
            raise SignatureError("InvalidSignatureException", text)
        return HttpCaller(identity.account_id, identity.principal_arn, identity.access_key_id)

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
        if is_invoke(request.method, request.target) or is_invoke(request.method, request.target, STREAM_FORM):
            return parts.invoke.too_large()
        matched = parts.description.match(request.method, request.target)
        if matched is not None and not request.target.startswith(LOCAL_PREFIX):
            return parts.control.too_large(matched[0])
        return RequestEntityTooLargeError(f"Request must be smaller than {_SMALL.bytes_max} bytes")

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
