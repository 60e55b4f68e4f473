"""The door of function URLs, with a function and policies made of values."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from lambent.gateways import FunctionUrls, FunctionUrlTable, Surroundings
from lambent.invocation import ResourcePolicies
from lambent.model.configs.function_url import Cors, FunctionUrlConfig
from lambent.model.configs.policy import FunctionPolicy
from lambent.model.errors import (
    LambdaError,
    NotImplementedHereError,
    ResourceConflictError,
    ResourceNotFoundError,
    ServiceError,
    TooManyRequestsError,
)
from lambent.model.invocation import FunctionErrorKind, InvocationResult
from lambent.model.platform_event import UrlAnswered
from lambent.wire.http_exchange import BrokenStreamError, HttpAnswer, HttpCall, HttpCaller
from lambent.wire.sigv4 import SignatureError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lambent.model.invocation import InvokeRequest
    from lambent.model.platform_event import PlatformEvent

ACCOUNT = "111122223333"
ARN = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:f"
CONFIG = FunctionUrlConfig(ACCOUNT, "us-east-1", "f", "", "r", "urlid", "NONE", 0, 0)
HOST = "urlid.lambda-url.us-east-1.localhost:4566"
OWN = HttpCaller(ACCOUNT, f"arn:aws:iam::{ACCOUNT}:user/u", "AKID")
OTHER = HttpCaller("444455556666", "arn:aws:iam::444455556666:user/u", "AKIDOTHER")
FORBIDDEN = (
    b'{"Message":"Forbidden. For troubleshooting Function URL authorization issues, see: '
    b'https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"}'
)


class Clock:
    def time_ms(self) -> int:
        return 1_700_000_000_000

    def monotonic_ns(self) -> int:
        return 0


class Stream:
    def __init__(self, content_type: str | None, parts: list[bytes], ending: InvocationResult) -> None:
        self.content_type = content_type
        self.parts = parts
        self._last = ending
        self.ending: InvocationResult | None = None
        self.is_abandoned = False

    async def __anext__(self) -> bytes:
        if self.parts:
            return self.parts.pop(0)
        self.ending = self._last
        raise StopAsyncIteration

    def end(self, result: InvocationResult) -> None:
        raise AssertionError

    def abandon(self) -> None:
        self.is_abandoned = True


class Function:
    """Answers with `result`, or raises `error`; `open_blocks` counts those that were entered and not left."""

    def __init__(self) -> None:
        self.requests: list[InvokeRequest] = []
        self.result = InvocationResult(b'{"a":1}', "1")
        self.error: Exception | None = None
        self.open_blocks = 0

    @asynccontextmanager
    async def invoke(self, request: InvokeRequest) -> AsyncIterator[InvocationResult]:
        self.requests.append(request)
        if self.error is not None:
            raise self.error
        self.open_blocks += 1
        try:
            yield self.result
        finally:
            self.open_blocks -= 1


def statement(sid: str, *, effect: str = "Allow", **members: Any) -> dict[str, Any]:
    return {"Sid": sid, "Effect": effect, "Principal": "*", "Resource": ARN, **members}


PUBLIC = statement(
    "url",
    Action="lambda:InvokeFunctionUrl",
    Condition={"StringEquals": {"lambda:FunctionUrlAuthType": "NONE"}},
)
VIA_URL = statement(
    "invoke", Action="lambda:InvokeFunction", Condition={"Bool": {"lambda:InvokedViaFunctionUrl": "true"}}
)


class Door:
    """A URL with its policy; `caller` is whose signature requests carry."""

    def __init__(
        self, config: FunctionUrlConfig = CONFIG, statements: tuple[dict[str, Any], ...] = (PUBLIC,), **options: Any
    ) -> None:
        self.function = Function()
        table, policies = FunctionUrlTable(), ResourcePolicies()
        table.put(config)
        document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        if statements:
            policies.put(FunctionPolicy(ACCOUNT, "us-east-1", "f", config.qualifier, document, "r"))
        self.counted: list[PlatformEvent] = []
        self.urls = FunctionUrls(table, self.function, policies, Surroundings(Clock(), bytes, self), **options)
        self.caller: HttpCaller | Exception | None = None

    def emit(self, event: PlatformEvent) -> None:
        self.counted.append(event)

    def identify(self) -> HttpCaller | None:
        if isinstance(self.caller, Exception):
            raise self.caller
        return self.caller

    async def ask(self, target: str = "/", *, is_oversize: bool = False, **members: Any) -> HttpAnswer:
        asked: dict[str, Any] = {"method": "GET", "headers": {"host": HOST}, "body": b"", **members}
        call = HttpCall(target=target, request_id="id", scheme="http", source_ip="::1", port=80, **asked)
        return await self.urls.answer(call, self.identify, is_oversize=is_oversize)

    def event(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.function.requests[-1].payload)
        return found


async def read(answer: HttpAnswer) -> bytes:
    assert not isinstance(answer.body, bytes)
    try:
        return b"".join([part async for part in answer.body])
    finally:
        await answer.body.aclose()  # type: ignore[attr-defined]


async def test_by_host_and_by_path() -> None:
    door = Door()
    answer = await door.ask("/a/b?c=d")
    assert (answer.status, answer.body) == (200, b'{"a":1}')
    assert dict(answer.headers)["Content-Type"] == "application/json"
    request = door.function.requests[-1]
    assert (str(request.function), request.request_id, request.wants_stream) == (ARN, "id", False)
    assert request.trace_header == dict(answer.headers)["x-amzn-trace-id"]
    assert (door.event()["rawPath"], door.event()["requestContext"]["domainName"]) == ("/a/b", HOST)
    for target, path in (("urlid/a/b?c=d", "/a/b"), ("urlid", "/"), ("urlid/", "/"), ("URLID//x", "//x")):
        await door.ask(f"/_lambent/v1/function-urls/{target}", headers={"host": "127.0.0.1:4566"})
        assert (door.event()["rawPath"], door.event()["requestContext"]["domainName"]) == (path, HOST)


@pytest.mark.parametrize("host", ["other.lambda-url.us-east-1.localhost", "urlid.lambda-url.eu-west-1.localhost"])
async def test_urls_that_are_not(host: str) -> None:
    # Source: LocalStack's test_lambda_url_non_existing_url, validated against AWS.
    door = Door()
    answer = await door.ask(headers={"host": host})
    assert (answer.status, answer.body) == (403, b'{"Message":null}')
    assert dict(answer.headers) == {"Content-Type": "application/json", "x-amzn-ErrorType": "AccessDeniedException"}
    assert door.function.requests == []


@pytest.mark.parametrize(
    ("statements", "needs_invoke", "status"),
    [
        ((), False, 403),
        ((PUBLIC,), False, 200),
        ((PUBLIC,), True, 403),
        ((VIA_URL,), True, 403),
        ((PUBLIC, VIA_URL), True, 200),
        ((statement("s", Action="lambda:InvokeFunctionUrl"),), False, 200),
        ((statement("s", Action="lambda:*"),), True, 200),
        ((statement("s", Action="lambda:InvokeFunction"),), False, 403),
        ((PUBLIC, statement("d", effect="Deny", Action="lambda:InvokeFunctionUrl")), False, 403),
        ((PUBLIC | {"Principal": {"AWS": "*"}},), False, 200),
        ((PUBLIC | {"Condition": {"IpAddress": {"aws:SourceIp": "::1/128"}}},), False, 200),
        ((PUBLIC | {"Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}},), False, 403),
        ((PUBLIC | {"Condition": {"Bool": {"aws:SecureTransport": "true"}}},), False, 403),
        ((PUBLIC | {"Principal": {"AWS": ACCOUNT}},), False, 403),
        ((PUBLIC | {"Condition": {"StringEquals": {"lambda:FunctionUrlAuthType": "AWS_IAM"}}},), False, 403),
    ],
)
async def test_what_lets_everybody_in(statements: tuple[dict[str, Any], ...], needs_invoke: bool, status: int) -> None:
    door = Door(statements=statements, needs_invoke=needs_invoke)
    answer = await door.ask()
    assert answer.status == status
    if status == 403:
        assert answer.body == FORBIDDEN
        assert door.function.requests == []


BY_IAM = statement(
    "s",
    Principal={"AWS": "arn:aws:iam::444455556666:root"},
    Action="lambda:InvokeFunctionUrl",
    Condition={"StringEquals": {"lambda:FunctionUrlAuthType": "AWS_IAM"}},
)


@pytest.mark.parametrize(
    ("caller", "statements", "status"),
    [
        (None, (PUBLIC,), 403),
        (None, (statement("s", Action="*"),), 403),
        (OWN, (), 200),
        (OWN, (statement("d", effect="Deny", Action="lambda:InvokeFunctionUrl"),), 403),
        (OTHER, (), 403),
        (OTHER, (PUBLIC,), 403),
        (OTHER, (BY_IAM,), 200),
    ],
)
async def test_who_has_to_sign(caller: HttpCaller | None, statements: tuple[dict[str, Any], ...], status: int) -> None:
    door = Door(replace(CONFIG, auth_type="AWS_IAM"), statements)
    door.caller = caller
    answer = await door.ask()
    assert answer.status == status
    if status == 200:
        assert caller is not None
        iam = door.event()["requestContext"]["authorizer"]["iam"]
        assert (iam["userArn"], iam["accessKey"]) == (caller.principal_arn, caller.access_key_id)
    else:
        assert answer.body == FORBIDDEN


@pytest.mark.parametrize(
    "error",
    [
        SignatureError("InvalidSignatureException", "It does not match."),
        LambdaError("It has expired.", code="ExpiredTokenException"),
    ],
)
async def test_a_signature_that_is_wrong(error: Exception) -> None:
    door = Door(replace(CONFIG, auth_type="AWS_IAM"))
    door.caller = error
    answer = await door.ask()
    assert answer.status == 403
    assert dict(answer.headers)["x-amzn-ErrorType"] in ("InvalidSignatureException", "ExpiredTokenException")
    assert isinstance(answer.body, bytes)
    assert json.loads(answer.body) == {"message": str(error)}
    # Nobody has to sign this one, so nobody looks.
    public = Door()
    public.caller = error
    assert (await public.ask()).status == 200


@pytest.mark.parametrize(
    ("error", "status", "body"),
    [
        (
            TooManyRequestsError("Rate Exceeded.", members={"Reason": "ConcurrentInvocationLimitExceeded"}),
            429,
            {"Reason": "ConcurrentInvocationLimitExceeded", "Type": "User", "message": "Rate Exceeded."},
        ),
        (ResourceNotFoundError("Function not found"), 403, {"Message": None}),
        (NotImplementedHereError("Not yet."), 501, {"Message": "Not yet."}),
        (ResourceConflictError("Pending"), 502, None),
        (ServiceError("lost"), 502, None),
    ],
)
@pytest.mark.parametrize("mode", ["BUFFERED", "RESPONSE_STREAM"])
async def test_refusals(error: Exception, status: int, body: dict[str, Any] | None, mode: str) -> None:
    door = Door(replace(CONFIG, invoke_mode=mode))
    door.function.error = error
    answer = await door.ask()
    assert answer.status == status
    assert isinstance(answer.body, bytes)
    if body is None:
        assert answer.body == b"Internal Server Error"
    else:
        assert json.loads(answer.body) == body


@pytest.mark.parametrize("mode", ["BUFFERED", "RESPONSE_STREAM"])
async def test_a_function_s_error(mode: str) -> None:
    # Recorded: test_lambda_url_invocation_exception.
    door = Door(replace(CONFIG, invoke_mode=mode))
    door.function.result = InvocationResult(b'{"errorMessage":"x"}', "1", FunctionErrorKind.UNHANDLED)
    answer = await door.ask()
    assert (answer.status, answer.body) == (502, b"Internal Server Error")
    assert door.function.open_blocks == 0


async def test_an_answer_of_wrong_shape() -> None:
    door = Door()
    door.function.result = InvocationResult(b'{"statusCode":"no"}', "1")
    assert (await door.ask()).status == 502


@pytest.mark.slow
async def test_bodies_over_the_bound() -> None:
    door = Door()
    answer = await door.ask(method="POST", is_oversize=True)
    assert (answer.status, dict(answer.headers)["x-amzn-ErrorType"]) == (413, "RequestEntityTooLargeException")
    text = {"host": HOST, "content-type": "text/plain"}
    assert (await door.ask(method="POST", headers=text, body=b"x" * 6_291_456)).status == 200
    # In base64 it is a third larger.
    assert (await door.ask(method="POST", body=b"x" * 4_718_592)).status == 200
    assert (await door.ask(method="POST", body=b"x" * 4_718_595)).status == 413


def test_urls_that_are_known() -> None:
    urls = Door().urls
    assert urls.is_known(HOST.upper(), "/x")
    assert urls.is_known("127.0.0.1", "/_lambent/v1/function-urls/urlid?x")
    assert not urls.is_known("other.lambda-url.us-east-1.localhost", "/_lambent/v1/function-urls/urlid")
    assert not urls.is_known("127.0.0.1", "/_lambent/v1/function-urls/other")


async def test_what_is_counted() -> None:
    door = Door()
    await door.ask()
    door.function.error = TooManyRequestsError("Rate Exceeded.")
    await door.ask()
    await door.ask(headers={"host": "nobody.lambda-url.us-east-1.localhost"})
    assert door.counted == [UrlAnswered(ACCOUNT, "us-east-1", "f", 1_700_000_000_000, n, 0.0) for n in (200, 429)]


async def test_pages() -> None:
    cors = Cors(allow_origins=("https://a.example",), allow_methods=("GET",))
    door = Door(replace(CONFIG, cors=cors))
    page = {"host": HOST, "origin": "https://a.example"}
    answer = await door.ask(method="OPTIONS", headers={**page, "access-control-request-method": "GET"})
    assert (answer.status, door.function.requests) == (200, [])
    assert ("Access-Control-Allow-Origin", "https://a.example") in answer.headers
    door.function.error = TooManyRequestsError("Rate Exceeded.")
    # A page must be able to read a refusal too.
    assert ("Access-Control-Allow-Origin", "https://a.example") in (await door.ask(headers=page)).headers


PRELUDE = b'{"statusCode":418,"headers":{"X":"y"},"cookies":["a=b"]}' + bytes(8)
INTEGRATION = "application/vnd.awslambda.http-integration-response"
WELL = InvocationResult(b"", "1")
ILL = InvocationResult(b"{}", "1", FunctionErrorKind.UNHANDLED, error_type="E")


def streaming(content_type: str | None, parts: list[bytes], ending: InvocationResult = WELL) -> tuple[Door, Stream]:
    door = Door(replace(CONFIG, invoke_mode="RESPONSE_STREAM"))
    stream = Stream(content_type, parts, ending)
    door.function.result = InvocationResult(b"", "1", stream=stream)
    return door, stream


async def test_a_streamed_answer() -> None:
    door, _ = streaming(INTEGRATION, [PRELUDE + b"one", b"two"])
    answer = await door.ask()
    assert door.function.requests[-1].wants_stream
    assert answer.status == 418
    assert answer.headers[:3] == (("Content-Type", "application/octet-stream"), ("X", "y"), ("Set-Cookie", "a=b"))
    assert door.function.open_blocks == 1
    assert await read(answer) == b"onetwo"
    assert door.function.open_blocks == 0


@pytest.mark.parametrize("content_type", ["text/html", None])
async def test_a_stream_without_prelude(content_type: str | None) -> None:
    door, _ = streaming(content_type, [b"one"])
    answer = await door.ask()
    assert (answer.status, answer.headers[0][1]) == (200, content_type or "application/octet-stream")
    assert await read(answer) == b"one"


async def test_a_buffered_function_behind_a_streaming_url() -> None:
    door = Door(replace(CONFIG, invoke_mode="RESPONSE_STREAM"))
    door.function.result = InvocationResult(b'{"statusCode": 418, "body": "x"}', "1")
    answer = await door.ask()
    assert (answer.status, answer.body) == (200, b'{"statusCode": 418, "body": "x"}')


async def test_a_prelude_that_is_none() -> None:
    door, _ = streaming(INTEGRATION, [b"no prelude"])
    assert (await door.ask()).status == 502
    assert door.function.open_blocks == 0


async def test_a_failure_in_the_middle_breaks_the_connection() -> None:
    door, _ = streaming("text/plain", [b"one"], ILL)
    answer = await door.ask()
    with pytest.raises(BrokenStreamError):
        await read(answer)
    assert door.function.open_blocks == 0
