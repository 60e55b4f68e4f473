"""What is changed in a request before it goes on; the way itself is in tests/contract/test_elsewhere.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lambent.neighbours import Forwarder
from lambent.wire.client import Place
from lambent.wire.error_forms import NeighbourError
from lambent.wire.http_client import ForwardedRequest, Origin, OutwardRequest, OutwardResponse
from lambent.wire.sigv4 import SigningCredentials

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_NOW_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z
_PRESIGNED = (
    "/bucket/key?versionId=1&X-Amz-Algorithm=AWS4-HMAC-SHA256"
    "&X-Amz-Credential=ASIA%2F20260101%2Fus-east-1%2Fs3%2Faws4_request"
    "&X-Amz-Date={}&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=0&X-Amz-Security-Token=t"
)
_SIGNATURE = "AWS4-HMAC-SHA256 Credential=ASIA/20260101/eu-west-1/sqs/aws4_request, SignedHeaders=host, Signature=0"
_HEADERS = (
    ("host", "localhost:4566"), ("authorization", _SIGNATURE), ("x-amz-security-token", "t"),
    ("x-amz-date", "20260101T000000Z"), ("x-kept", "1"),
)  # fmt: skip


_PRINCIPAL = "arn:aws:sts::111122223333:assumed-role/r/f"


class Clock:
    def time_ms(self) -> int:
        return _NOW_MS

    def monotonic_ns(self) -> int:
        return 0


class Way:
    """Keeps what is sent instead of sending it, and is where every service is."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self.sent: OutwardRequest | None = None

    async def place(self, asked: str) -> Place:
        return self._place

    async def send(self, origin: Origin, request: OutwardRequest) -> OutwardResponse:
        self.sent = request
        return OutwardResponse.__new__(OutwardResponse)


def place(*, is_embedded: bool = False, key: str = "", base_path: str = "") -> Place:
    credentials = SigningCredentials(key, "secret") if key else None
    origin = Origin("http", "127.0.0.1", 9000)
    return Place(origin, "127.0.0.1:9000", "neighbours.x.endpoint", base_path, credentials, "", is_embedded)


async def forwarded(
    where: Place, request: OutwardRequest, asked: str = "sqs", *, is_vouched: bool = False
) -> OutwardRequest:
    way = Way(where)
    made = Forwarder(way, way, Clock())  # type: ignore[arg-type]
    await made.forward(ForwardedRequest(asked, "111122223333", "eu-west-1", request, is_vouched, _PRINCIPAL))
    assert way.sent is not None
    return way.sent


async def _stream(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def test_a_callers_own_key_reaches_child_and_endpoint_as_it_came() -> None:
    request = OutwardRequest("POST", "/", _HEADERS, b"body")
    assert await forwarded(place(is_embedded=True), request) == request
    assert await forwarded(place(), request) == request
    assert (await forwarded(place(base_path="/base"), request)).target == "/base/"


async def test_a_key_of_ours_becomes_its_account_for_the_child() -> None:
    sent = await forwarded(place(is_embedded=True), OutwardRequest("POST", "/", _HEADERS, b"body"), is_vouched=True)
    headers = dict(sent.headers)
    assert "Credential=111122223333/20260101/eu-west-1/sqs/aws4_request" in headers["authorization"]
    assert "x-amz-security-token" not in headers
    assert (headers["host"], headers["x-kept"], sent.body) == ("localhost:4566", "1", b"body")


async def test_only_the_daemon_says_who_calls() -> None:
    said = (*_HEADERS, ("x-lambent-principal", "arn:aws:sts::1:assumed-role/admin/x"), ("x-lambent-proof", "guessed"))
    request = OutwardRequest("POST", "/", said, b"body")
    names = ("x-lambent-principal", "x-lambent-proof")
    sent = await forwarded(place(is_embedded=True), request)
    assert [pair for pair in sent.headers if pair[0] in names] == []
    sent = await forwarded(place(is_embedded=True), request, is_vouched=True)
    assert [pair for pair in sent.headers if pair[0] in names] == [("x-lambent-principal", _PRINCIPAL)]


async def test_a_presigned_url_of_ours_is_judged_here() -> None:
    fresh = OutwardRequest("GET", _PRESIGNED.format("20251231T235930Z"), (("host", "h"),))
    sent = await forwarded(place(is_embedded=True), fresh, "s3", is_vouched=True)
    assert sent.target == "/bucket/key?versionId=1"
    assert "Credential=111122223333/" in dict(sent.headers)["authorization"]
    old = OutwardRequest("GET", _PRESIGNED.format("20251231T235830Z"), (("host", "h"),))
    for where in (place(is_embedded=True), place(key="AKID")):
        with pytest.raises(NeighbourError, match="Request has expired") as refused:
            await forwarded(where, old, "s3", is_vouched=True)
        assert (refused.value.code, refused.value.status) == ("AccessDenied", 403)


async def test_an_endpoints_credentials_sign_anew() -> None:
    sent = await forwarded(
        place(key="AKIDREAL", base_path="/base"), OutwardRequest("POST", "/", _HEADERS, b"body"), "cloudwatch"
    )
    headers = dict(sent.headers)
    assert sent.target == "/base/"
    assert headers["host"] == "127.0.0.1:9000"
    assert "Credential=AKIDREAL/20260101/eu-west-1/monitoring/aws4_request" in headers["authorization"]
    assert "x-amz-security-token" not in headers


async def test_what_changes_on_the_way_is_not_signed() -> None:
    changing = (("user-agent", "u"), ("x-amzn-trace-id", "Root=1"), ("x-forwarded-proto", "https"))
    request = OutwardRequest("POST", "/", (*_HEADERS, *changing), b"body")
    headers = dict((await forwarded(place(key="AKIDREAL"), request)).headers)
    assert {name: headers[name] for name, _ in changing} == dict(changing)
    signed = headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    assert signed == ["host", "x-amz-date", "x-kept"]


async def test_a_streamed_body_is_signed_unsigned_for_s3_and_whole_for_others() -> None:
    where = place(key="AKIDREAL")
    sent = await forwarded(where, OutwardRequest("PUT", "/bucket/k", (("host", "h"),), _stream(b"a"), 1), "s3")
    assert dict(sent.headers)["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD"
    assert not isinstance(sent.body, bytes)
    sent = await forwarded(where, OutwardRequest("POST", "/", (("host", "h"),), _stream(b"a", b"b"), 2))
    assert sent.body == b"ab"


async def test_a_bucket_in_the_host_goes_into_the_path() -> None:
    request = OutwardRequest("GET", "/key", (("host", "bucket.s3.localhost:4566"),))
    assert (await forwarded(place(key="AKIDREAL"), request, "s3")).target == "/bucket/key"


async def test_signed_chunks_go_on_as_an_unsigned_body() -> None:
    headers = (
        ("host", "h"), ("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"),
        ("x-amz-decoded-content-length", "5"), ("content-encoding", "aws-chunked,gzip"), ("x-amz-trailer", "x-amz-c"),
    )  # fmt: skip
    framed = b"3;chunk-signature=a\r\nabc\r\n2;chunk-signature=b\r\nde\r\n0;chunk-signature=c\r\nx-amz-c:1\r\n\r\n"
    for body in (framed, _stream(*(framed[at : at + 7] for at in range(0, len(framed), 7)))):
        sent = await forwarded(place(key="AKIDREAL"), OutwardRequest("PUT", "/b/k", headers, body, len(framed)), "s3")
        assert not isinstance(sent.body, bytes)
        assert b"".join([part async for part in sent.body]) == b"abcde"
        told = dict(sent.headers)
        assert (sent.length_bytes, told["x-amz-content-sha256"], told["content-encoding"]) == (
            5,
            "UNSIGNED-PAYLOAD",
            "gzip",
        )
        assert "x-amz-trailer" not in told
    with pytest.raises(NeighbourError, match="decoded-content-length"):
        await forwarded(place(key="AKIDREAL"), OutwardRequest("PUT", "/b/k", headers[:2], _stream(b""), 1), "s3")
