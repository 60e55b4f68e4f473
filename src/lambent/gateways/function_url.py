"""Function URLs: an HTTP request to `http://ID.lambda-url.REGION.HOST/`, or below PATH, runs a function.

Source: developer guide, "Lambda function URLs"; recorded (TestLambdaURL); texts of refusals observed.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, NamedTuple, Protocol

from lambent.gateways.cors import preflight, with_cors
from lambent.gateways.event_formats.payload_v2 import (
    DEFAULT_TYPE,
    BadAnswerError,
    Door,
    ReadAnswer,
    event_of,
    is_binary,
    read_answer,
)
from lambent.gateways.event_formats.stream_prelude import PRELUDE_TYPE, read_prelude
from lambent.model.arn import FunctionArn
from lambent.model.configs.function_url import host_of
from lambent.model.configs.policy import Principal
from lambent.model.errors import (
    AccessDeniedError,
    LambdaError,
    NotImplementedHereError,
    ResourceNotFoundError,
    TooManyRequestsError,
)
from lambent.model.invocation import InvokeRequest
from lambent.model.platform_event import UrlAnswered
from lambent.model.quotas import PAYLOAD_BYTES
from lambent.wire.http_exchange import BrokenStreamError, HttpAnswer
from lambent.wire.sigv4 import SignatureError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractAsyncContextManager

    from lambent.clock import Clock
    from lambent.gateways.event_formats.payload_v2 import Headers
    from lambent.gateways.url_table import FunctionUrlTable
    from lambent.model.configs.function_url import FunctionUrlConfig
    from lambent.model.invocation import InvocationResult, ResponseBody
    from lambent.model.platform_event import TelemetrySink
    from lambent.wire.http_exchange import HttpCall, HttpCaller

    Identify = Callable[[], HttpCaller | None]

PATH = "/_lambent/v1/function-urls/"
LABEL = ".lambda-url."
_IAM = "AWS_IAM"
_UNKNOWN_TYPE = "application/octet-stream"
_STREAM = "RESPONSE_STREAM"
_INVOKE_URL = "lambda:InvokeFunctionUrl"
_INVOKE = "lambda:InvokeFunction"
_FORBIDDEN = (
    "Forbidden. For troubleshooting Function URL authorization issues, see: "
    "https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"
)
# Larger bodies are made into events and read out of answers in a thread: JSON of 6 MB takes some 30 ms.
_THREAD_BYTES = 131_072


class Invokes(Protocol):
    """What the door needs of the data plane."""

    def invoke(self, request: InvokeRequest) -> AbstractAsyncContextManager[InvocationResult]:
        """Run one invocation; its result is valid inside the block."""


class Policies(Protocol):
    """What the door needs of resource policies."""

    def allows(
        self, principal: Principal, action: str, arn: FunctionArn, context: Mapping[str, str] | None = None
    ) -> bool:
        """Whether a statement allows it and none denies it."""

    def denies(
        self, principal: Principal, action: str, arn: FunctionArn, context: Mapping[str, str] | None = None
    ) -> bool:
        """Whether a statement denies it."""


class Surroundings(NamedTuple):
    """What the door is handed beside its neighbours: time, random bytes, and who counts."""

    clock: Clock
    random_bytes: Callable[[int], bytes]
    sink: TelemetrySink


class FunctionUrls:
    """Answers requests to function URLs. Scope: process; keeps nothing.

    `needs_invoke`: beside a statement for lambda:InvokeFunctionUrl one for lambda:InvokeFunction is needed too.
    """

    def __init__(
        self,
        table: FunctionUrlTable,
        invoker: Invokes,
        policies: Policies,
        surroundings: Surroundings,
        *,
        needs_invoke: bool = False,
    ) -> None:
        self._table = table
        self._invoker = invoker
        self._policies = policies
        self._clock = surroundings.clock
        self._random_bytes = surroundings.random_bytes
        self._sink = surroundings.sink
        self._actions = (_INVOKE_URL, _INVOKE) if needs_invoke else (_INVOKE_URL,)

    async def answer(self, call: HttpCall, identify: Identify, *, is_oversize: bool = False) -> HttpAnswer:
        """Return the answer of the function, or a refusal in AWS's form.

        `identify` returns whose signature the request carries, None for none; it may raise SignatureError.
        `is_oversize`: the body was over the quota and is not in the call.
        """
        host = call.headers.get("host", "").lower()
        config = self._find(host, call.target)
        if config is None:
            return _refusal(403, AccessDeniedError.code, None)
        path, domain_name = call.target.partition("?")[0], host
        if LABEL not in host:
            _, slash, below = path.removeprefix(PATH).partition("/")
            path, domain_name = slash + below or "/", host_of(config.url_id, config.region, host)
        asked = preflight(config.cors, call)
        if asked is not None:
            return asked
        begun_ns = self._clock.monotonic_ns()
        try:
            caller = self._admit(config, call, identify)
            trace_header = call.headers.get("x-amzn-trace-id") or self._trace_header()
            door = Door(config.url_id, domain_name, caller, self._clock.time_ms(), trace_header)
            answer = _too_large() if is_oversize else await self._run(config, call, path, door)
        except SignatureError as error:
            answer = _json(403, error.code, {"message": error.message})
        except LambdaError as error:
            answer = _failure(error)
        now_ms, latency_ms = self._clock.time_ms(), (self._clock.monotonic_ns() - begun_ns) / 1e6
        key = (config.account_id, config.region, config.name)
        self._sink.emit(UrlAnswered(*key, now_ms, answer.status, latency_ms))
        return HttpAnswer(answer.status, with_cors(config.cors, call, answer.headers), answer.body)

    def is_known(self, host: str, target: str) -> bool:
        """Whether a request to this host and target is for a URL that there is."""
        return self._find(host.lower(), target) is not None

    def _find(self, host: str, target: str) -> FunctionUrlConfig | None:
        if LABEL not in host:
            return self._table.find(target.partition("?")[0].removeprefix(PATH).partition("/")[0].lower())
        url_id, _, rest = host.partition(".")
        config = self._table.find(url_id)
        region = rest.partition(".")[2].partition(".")[0]
        return config if config is not None and config.region == region else None

    def _admit(self, config: FunctionUrlConfig, call: HttpCall, identify: Identify) -> HttpCaller | None:
        """Return who calls, None for nobody known. Raises AccessDeniedError, SignatureError."""
        caller = _identified(identify) if config.auth_type == _IAM else None
        if caller is None and config.auth_type == _IAM:
            raise AccessDeniedError(_FORBIDDEN)
        context = {
            "lambda:FunctionUrlAuthType": config.auth_type,
            "lambda:InvokedViaFunctionUrl": "true",
            "aws:SourceIp": call.source_ip,
            "aws:SecureTransport": "true" if call.scheme == "https" else "false",
        }
        principal = Principal()
        if caller is not None:
            principal = Principal(arn=caller.principal_arn, account_id=caller.account_id)
            context |= {"aws:PrincipalArn": caller.principal_arn, "aws:PrincipalAccount": caller.account_id}
        # Of one's own account the identity's policies count too, and those allow everything here.
        is_own = caller is not None and caller.account_id == config.account_id
        arn = _arn(config)
        for action in self._actions:
            is_denied = is_own and self._policies.denies(principal, action, arn, context)
            if is_denied or not (is_own or self._policies.allows(principal, action, arn, context)):
                raise AccessDeniedError(_FORBIDDEN)
        return caller

    async def _run(self, config: FunctionUrlConfig, call: HttpCall, path: str, door: Door) -> HttpAnswer:
        is_large = len(call.body) > _THREAD_BYTES
        if is_large and is_binary(call) and len(call.body) * 4 // 3 > PAYLOAD_BYTES.value:
            return _too_large()
        request = InvokeRequest(
            function=_arn(config),
            request_id=call.request_id,
            payload=await asyncio.to_thread(event_of, call, path, door) if is_large else event_of(call, path, door),
            trace_header=door.trace_header,
            wants_stream=config.invoke_mode == _STREAM,
        )
        try:
            if request.wants_stream:
                answer = await self._streamed(self._invoker.invoke(request))
            else:
                async with self._invoker.invoke(request) as result:
                    answer = await self._buffered(result)
        except BadAnswerError:
            answer = _bad_gateway()
        return HttpAnswer(answer.status, (*answer.headers, ("x-amzn-trace-id", door.trace_header)), answer.body)

    async def _buffered(self, result: InvocationResult) -> HttpAnswer:
        if result.function_error is not None:
            return _bad_gateway()
        is_large = len(result.payload) > _THREAD_BYTES
        read = await asyncio.to_thread(read_answer, result.payload) if is_large else read_answer(result.payload)
        return HttpAnswer(read.status, _typed(read.headers, DEFAULT_TYPE), read.body)

    async def _streamed(self, block: AbstractAsyncContextManager[InvocationResult]) -> HttpAnswer:
        result = await block.__aenter__()
        body: UrlStreamBody | None = None
        try:
            stream = result.stream
            if stream is None:
                if result.function_error is not None:
                    return _bad_gateway()
                # Nothing in it is taken for status or headers. Source: recorded (test_lambda_url_echo_invoke).
                return HttpAnswer(200, (("Content-Type", DEFAULT_TYPE),), result.payload)
            if stream.content_type == PRELUDE_TYPE:
                read = await read_prelude(stream)
                headers = _typed(read.headers, _UNKNOWN_TYPE)
            else:
                read = ReadAnswer(200, ())
                headers = (("Content-Type", stream.content_type or _UNKNOWN_TYPE),)
            body = UrlStreamBody(block, stream, read.body)
            return HttpAnswer(read.status, headers, body)
        finally:
            if body is None:
                await block.__aexit__(None, None, None)

    def _trace_header(self) -> str:
        # Source: X-Ray developer guide, "Tracing header".
        random = self._random_bytes(20).hex()
        return f"Root=1-{self._clock.time_ms() // 1000:08x}-{random[:24]};Parent={random[24:]};Sampled=0"


class UrlStreamBody:
    """The rest of a streamed answer. Owns the invocation's block. If the function fails, the connection breaks off."""

    # When the server stops it is seen through, as answers of known length are.
    is_finite = True

    def __init__(
        self, block: AbstractAsyncContextManager[InvocationResult], stream: ResponseBody, first: bytes
    ) -> None:
        self._block = block
        self._stream = stream
        self._first = first

    def __aiter__(self) -> UrlStreamBody:
        return self

    async def __anext__(self) -> bytes:
        if self._first:
            first, self._first = self._first, b""
            return first
        try:
            return await self._stream.__anext__()
        except StopAsyncIteration:
            ending = self._stream.ending
            if ending is not None and ending.function_error is not None:
                raise BrokenStreamError from None
            raise

    async def aclose(self) -> None:
        """The client has all, or has gone: the function runs on."""
        await self._block.__aexit__(None, None, None)


def _identified(identify: Identify) -> HttpCaller | None:
    try:
        return identify()
    except LambdaError as error:
        # An expired token, for example: about the signature, not about the function.
        raise SignatureError(error.code, error.message) from None


def _arn(config: FunctionUrlConfig) -> FunctionArn:
    return FunctionArn(config.account_id, config.region, config.name, config.qualifier or None)


def _typed(headers: Headers, default: str) -> Headers:
    if any(name.lower() == "content-type" for name, _ in headers):
        return headers
    return (("Content-Type", default), *headers)


def _failure(error: LambdaError) -> HttpAnswer:
    if isinstance(error, TooManyRequestsError):
        return _json(429, error.code, {**error.members, "Type": "User", "message": error.message})
    if isinstance(error, ResourceNotFoundError):
        # The function, or the alias, is gone: nothing says that it ever was.
        return _refusal(403, AccessDeniedError.code, None)
    if isinstance(error, AccessDeniedError):
        return _refusal(403, error.code, error.message)
    if isinstance(error, NotImplementedHereError):
        return _refusal(501, error.code, error.message)
    return _bad_gateway()


def _too_large() -> HttpAnswer:
    text = f"Request must be smaller than {PAYLOAD_BYTES.value} bytes for the InvokeFunction operation"
    return _refusal(413, "RequestEntityTooLargeException", text)


def _bad_gateway() -> HttpAnswer:
    # Recorded (test_lambda_url_invocation_exception): bare text, whatever the type says.
    return HttpAnswer(502, (("Content-Type", DEFAULT_TYPE),), b"Internal Server Error")


def _refusal(status: int, code: str, message: str | None) -> HttpAnswer:
    return _json(status, code, {"Message": message})


def _json(status: int, code: str, document: Mapping[str, str | None]) -> HttpAnswer:
    headers = (("Content-Type", "application/json"), ("x-amzn-ErrorType", code))
    return HttpAnswer(status, headers, json.dumps(document, separators=(",", ":")).encode())
