"""Our own calls to other services: signed in an account's name, refusals with their code."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from lambent.wire.client import CallError, OutwardClient, Place, Principal
from lambent.wire.error_forms import NeighbourError
from lambent.wire.sigv4 import SigningCredentials
from tests.unit.wire.test_http_client import client, serving

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable

    from lambent.wire.http_client import HttpClient, Origin

_SOMEBODY = Principal("111122223333", "eu-west-1")


class Clock:
    def time_ms(self) -> int:
        return 1_767_225_600_000

    def monotonic_ns(self) -> int:
        return 0


class OnePlace:
    """Every service answers at one place."""

    def __init__(self, origin: Origin, credentials: SigningCredentials | None = None, base_path: str = "") -> None:
        self._place = Place(origin, f"localhost:{origin.port}", "neighbours.s3.endpoint", base_path, credentials)

    async def place(self, asked: str) -> Place:
        return self._place


def answering(status: int, body: bytes, seen: list[bytes]) -> Callable[..., Awaitable[None]]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0] or b"0")
        seen.append(head + await reader.readexactly(length))
        writer.write(b"HTTP/1.1 %d X\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body))

    return answer


def caller(http: HttpClient, origin: Origin, credentials: SigningCredentials | None = None) -> OutwardClient:
    return OutwardClient(OnePlace(origin, credentials, "/base"), http, Clock())


async def test_a_json_call_is_signed_in_the_callers_name() -> None:
    seen: list[bytes] = []
    async with serving(answering(200, b'{"a": 1}', seen)) as (origin, _), client() as http:
        made = caller(http, origin)
        assert await made.call("logs", "DescribeLogGroups", {"limit": 1}, _SOMEBODY) == {"a": 1}
        made = caller(http, origin, SigningCredentials("AKIDOWN", "own"))
        await made.call("kms", "ListKeys", {}, _SOMEBODY)
    first, second = (one.decode() for one in seen)
    assert first.startswith("POST /base/ HTTP/1.1\r\n")
    assert "x-amz-target: Logs_20140328.DescribeLogGroups\r\n" in first
    assert "Credential=111122223333/20260101/eu-west-1/logs/aws4_request" in first
    assert json.loads(first.partition("\r\n\r\n")[2]) == {"limit": 1}
    assert "Credential=AKIDOWN/20260101/eu-west-1/kms/aws4_request" in second


@pytest.mark.parametrize(
    ("body", "code", "text"),
    [
        (b'{"__type": "com.amazonaws#NotFoundException", "message": "no key"}', "NotFoundException", "no key"),
        (b'{"__type": "DisabledException", "Message": "off"}', "DisabledException", "off"),
        (b"<html>", "400", "<html>"),
        (b"[]", "400", "[]"),
    ],
)
async def test_a_refusal_has_code_and_text(body: bytes, code: str, text: str) -> None:
    async with serving(answering(400, body, [])) as (origin, _), client() as http:
        with pytest.raises(CallError) as refused:
            await caller(http, origin).call("kms", "Decrypt", {}, _SOMEBODY)
    assert (refused.value.code, refused.value.message, refused.value.status) == (code, text, 400)


async def test_an_answer_that_is_no_json_is_refused() -> None:
    async with serving(answering(200, b"hello", [])) as (origin, _), client() as http:
        with pytest.raises(CallError, match="SerializationException"):
            await caller(http, origin).call("kms", "Decrypt", {}, _SOMEBODY)


async def test_rest_calls_have_path_and_query() -> None:
    seen: list[bytes] = []
    async with serving(answering(200, b'{"a": 1}', seen)) as (origin, _), client() as http:
        query = {"groupName": "a b"}
        assert await caller(http, origin).rest("scheduler", "GET", "/schedules/s", query, _SOMEBODY) == {"a": 1}
    assert seen[0].startswith(b"GET /base/schedules/s?groupName=a%20b HTTP/1.1\r\n")


async def test_any_operation_as_an_sdk_makes_it() -> None:
    seen: list[bytes] = []
    async with serving(answering(200, b"{}", seen)) as (origin, _), client() as http:
        parameters = {"stateMachineArn": "arn:aws:states:a", "input": "{}"}
        assert await caller(http, origin).operate("sfn", "startExecution", parameters, _SOMEBODY) == b"{}"
    head, _, body = seen[0].partition(b"\r\n\r\n")
    assert b"x-amz-target: AWSStepFunctions.StartExecution\r\n" in head
    assert b"/eu-west-1/states/aws4_request" in head
    assert json.loads(body)["input"] == "{}"


@pytest.mark.parametrize(
    ("body", "code"), [(b"<Error><Code>Gone</Code></Error>", "Gone"), (b'{"__type": "a#Gone"}', "Gone"), (b"{}", "404")]
)
async def test_any_operation_may_be_refused(body: bytes, code: str) -> None:
    async with serving(answering(404, body, [])) as (origin, _), client() as http:
        with pytest.raises(CallError) as refused:
            await caller(http, origin).operate("sns", "publish", {"TopicArn": "t", "Message": "m"}, _SOMEBODY)
    assert refused.value.code == code


async def test_nobody_there_names_the_setting() -> None:
    async with serving(answering(200, b"", [])) as (origin, _):
        pass
    async with client() as http:
        with pytest.raises(NeighbourError, match=r"neighbours\.s3\.endpoint") as error:
            await caller(http, origin).call("kms", "Decrypt", {}, _SOMEBODY)
    assert (error.value.code, error.value.status) == ("ServiceUnavailable", 503)


async def test_an_object_is_asked_for_by_its_encoded_path() -> None:
    seen: list[bytes] = []
    async with serving(answering(200, b"content", seen)) as (origin, _), client() as http:
        response = await caller(http, origin).get_object("bucket", "dir/k ü+.zip", "v 1", _SOMEBODY)
        assert await response.read(100) == b"content"
    assert seen[0].startswith(b"GET /base/bucket/dir/k%20%C3%BC%2B.zip?versionId=v+1 HTTP/1.1\r\n")
    assert b"x-amz-content-sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\r\n" in seen[0]


async def test_a_refused_object_has_code_and_text() -> None:
    body = b"<Error><Code>NoSuchKey</Code><Message>Gone &amp; away</Message></Error>"
    async with serving(answering(404, body, [])) as (origin, _), client() as http:
        with pytest.raises(CallError) as refused:
            await caller(http, origin).get_object("bucket", "key", None, _SOMEBODY)
    assert (refused.value.code, refused.value.message) == ("NoSuchKey", "Gone & away")
