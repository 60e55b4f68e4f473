"""Requests for other services through the door: verified, streamed, refused in the asked service's form."""

from __future__ import annotations

import hashlib
import http.client
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials as BotoCredentials
from botocore.exceptions import ClientError

from lambent.neighbours import Endpoints, Forwarder
from lambent.settings import NeighbourSettings, NeighboursSettings
from lambent.wire.http_client import ClientRules, HttpClient
from tests.contract.door import KNOWN, TEMPORARY, Door, WallClock, options, read_all
from tests.contract.upstream import Upstream, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Executor
    from pathlib import Path

    from lambent.model.caller import Credentials

_ACCOUNT_KEY = BotoCredentials("111122223333", "anything")


@pytest.fixture(scope="module")
def served() -> Iterator[Upstream]:
    """Where everything goes."""
    with serving() as upstream:
        yield upstream


@pytest.fixture
def upstream(served: Upstream) -> Upstream:
    """The same, with nothing remembered."""
    served.reset()
    return served


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory, workers: Executor, served: Upstream) -> Iterator[Door]:
    """A door in verify mode."""
    made = options(tmp_path_factory.mktemp("spool"))
    with Door(made, workers, neighbours=lambda: served.forwarder(WallClock()), on_end=served.leave) as door:
        yield door


@pytest.fixture(scope="module")
def lax(tmp_path_factory: pytest.TempPathFactory, workers: Executor, served: Upstream) -> Iterator[Door]:
    """A door in accept mode."""
    made = options(tmp_path_factory.mktemp("spool"), auth_mode="accept")
    with Door(made, workers, neighbours=lambda: served.forwarder(WallClock()), on_end=served.leave) as door:
        yield door


def client(door: Door, service: str, credentials: Credentials = KNOWN, **config: Any) -> Any:
    return boto3.client(
        service, endpoint_url=door.url, region_name="eu-west-1", aws_access_key_id=credentials.access_key_id,
        aws_secret_access_key=credentials.secret_access_key, aws_session_token=credentials.session_token,
        config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, **config),
    )  # fmt: skip


def signed(door: Door, method: str, path: str, body: bytes, **changed: str) -> tuple[int, bytes]:
    """Send an S3 request whose signature is right for `body` but whose headers are then `changed`."""
    request = AWSRequest(method, f"{door.url}{path}", data=body)
    S3SigV4Auth(BotoCredentials(KNOWN.access_key_id, KNOWN.secret_access_key), "s3", "eu-west-1").add_auth(request)
    return send(door, method, path, body, {**dict(request.headers.items()), **changed})


def send(
    door: Door, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(door.host, door.port, timeout=10)
    connection.request(method, path, body or None, {"Host": f"{door.host}:{door.port}", **(headers or {})})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, content


def code_of(call: Any) -> tuple[str, int]:
    with pytest.raises(ClientError) as refused:
        call()
    answer = refused.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]


@pytest.mark.parametrize("key", ["plain", "a b/ü+%&=~.txt", "double//slash", "dots/../up"])
def test_objects_pass_a_verifying_door(strict: Door, upstream: Upstream, key: str) -> None:
    s3 = client(strict, "s3")
    body = bytes(range(256)) * 4_000
    s3.put_object(Bucket="bucket", Key=key, Body=body)
    upstream.body, upstream.headers = b"content", [("ETag", '"e"'), ("x-amz-meta-m", "v")]
    answer = s3.get_object(Bucket="bucket", Key=key)
    assert (answer["Body"].read(), answer["Metadata"], answer["ETag"]) == (b"content", {"m": "v"}, '"e"')
    assert s3.head_object(Bucket="bucket", Key=key)["ContentLength"] == 7
    put = upstream.reached[0]
    assert (put.method, put.is_whole) == ("PUT", True)
    assert put.sha256 == hashlib.sha256(body).hexdigest() or "aws-chunked" in put.headers.get("content-encoding", "")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "bucket", "Key": key})
    assert "X-Amz-Signature" in url or "AWSAccessKeyId" in url


def test_a_presigned_url_passes_a_verifying_door(strict: Door, upstream: Upstream) -> None:
    upstream.body = b"content"
    request = AWSRequest("GET", f"{strict.url}/bucket/key%20%2B")
    S3SigV4QueryAuth(BotoCredentials(KNOWN.access_key_id, KNOWN.secret_access_key), "s3", "eu-west-1", 60).add_auth(
        request
    )
    path = request.prepare().url.partition(str(strict.port))[2]
    assert send(strict, "GET", path) == (200, b"content")
    assert send(strict, "GET", path[:-1] + ("0" if path[-1] != "0" else "1"))[0] == 403


@pytest.mark.parametrize(
    ("service", "method"), [("sqs", "list_queues"), ("sns", "list_topics"), ("dynamodb", "list_tables")]
)
def test_requests_of_every_protocol_are_verified(strict: Door, upstream: Upstream, service: str, method: str) -> None:
    upstream.body = b"{}" if service != "sns" else b"<ListTopicsResponse><ListTopicsResult/></ListTopicsResponse>"
    getattr(client(strict, service), method)()
    getattr(client(strict, service, TEMPORARY), method)()
    assert len(upstream.reached) == 2
    wrong = KNOWN.__class__(KNOWN.access_key_id, "wrong", KNOWN.account_id)
    assert code_of(getattr(client(strict, service, wrong), method)) == ("InvalidSignatureException", 403)
    stranger = KNOWN.__class__("AKIDSTRANGER", "secret", KNOWN.account_id)
    assert code_of(getattr(client(strict, service, stranger), method)) == ("UnrecognizedClientException", 403)
    assert len(upstream.reached) == 2


def test_a_body_other_than_the_signed_one_never_arrives_whole(strict: Door, upstream: Upstream) -> None:
    body = b"x" * 500_000
    assert signed(strict, "PUT", "/bucket/key", body)[0] == 200
    status, text = signed(
        strict, "PUT", "/bucket/key", body, **{"X-Amz-Content-SHA256": hashlib.sha256(b"").hexdigest()}
    )
    assert status == 403
    assert b"InvalidSignatureException" in text or b"does not match" in text
    connection = http.client.HTTPConnection(strict.host, strict.port, timeout=10)
    request = AWSRequest("PUT", f"{strict.url}/bucket/key", data=body)
    S3SigV4Auth(BotoCredentials(KNOWN.access_key_id, KNOWN.secret_access_key), "s3", "eu-west-1").add_auth(request)
    connection.request("PUT", "/bucket/key", body[:-1] + b"y", dict(request.headers.items()))
    answer = connection.getresponse()
    assert answer.status == 403
    assert b"<Code>XAmzContentSHA256Mismatch</Code>" in answer.read()
    connection.close()
    assert [one.is_whole for one in upstream.reached if one.is_whole] == [True]


def test_unsigned_bodies_and_signed_chunks_are_told_by_their_header(strict: Door, upstream: Upstream) -> None:
    for payload in ("UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"):
        request = AWSRequest("PUT", f"{strict.url}/bucket/key", data=b"whatever")
        request.context["payload_signing_enabled"] = False
        auth = S3SigV4Auth(BotoCredentials(KNOWN.access_key_id, KNOWN.secret_access_key), "s3", "eu-west-1")
        auth.payload = lambda _, value=payload: value
        auth.add_auth(request)
        assert send(strict, "PUT", "/bucket/key", b"whatever", dict(request.headers.items()))[0] == 200
    assert [one.size_bytes for one in upstream.reached if one.is_whole] == [8, 8, 8]


def test_strangers_send_no_bodies(strict: Door, upstream: Upstream) -> None:
    assert send(strict, "PUT", "/bucket/key", bytes(200_000))[0] == 403
    assert upstream.reached == []


def test_what_is_signed_with_another_scope_never_reaches_lambda(strict: Door, upstream: Upstream) -> None:
    request = AWSRequest("POST", f"{strict.url}/2015-03-31/functions/f/invocations", data=b"{}")
    S3SigV4Auth(BotoCredentials(KNOWN.access_key_id, KNOWN.secret_access_key), "s3", "eu-west-1").add_auth(request)
    assert send(strict, "POST", "/2015-03-31/functions/f/invocations", b"{}", dict(request.headers.items()))[0] == 200
    assert strict.invoker.requests == []
    assert [one.target for one in upstream.reached] == ["/2015-03-31/functions/f/invocations"]


def test_hop_by_hop_headers_stay_here(lax: Door, upstream: Upstream) -> None:
    upstream.headers = [("Connection", "x-private"), ("X-Private", "1"), ("X-Kept", "a"), ("X-Kept", "b")]
    connection = http.client.HTTPConnection(lax.host, lax.port, timeout=10)
    connection.request(
        "GET", "/bucket/key", headers={"Connection": "close, x-mine", "X-Mine": "1", "TE": "trailers", "X-Sent": "1"}
    )
    answer = connection.getresponse()
    answer.read()
    assert answer.getheader("X-Private") is None
    assert answer.headers.get_all("X-Kept") == ["a", "b"]
    reached = upstream.reached[0].headers
    assert "x-mine" not in reached
    assert "te" not in reached
    assert reached["x-sent"] == "1"
    assert reached["host"] == f"{lax.host}:{lax.port}"
    connection.close()


@pytest.mark.parametrize("is_chunked", [False, True])
def test_answers_keep_their_length_and_the_connection(lax: Door, upstream: Upstream, is_chunked: bool) -> None:
    upstream.is_chunked, upstream.body = is_chunked, bytes(3_000_000)
    connection = http.client.HTTPConnection(lax.host, lax.port, timeout=30)
    for _ in range(3):
        connection.request("GET", "/bucket/key")
        answer = connection.getresponse()
        assert answer.getheader("Content-Length") == (None if is_chunked else "3000000")
        assert answer.read() == upstream.body
    for status in (204, 304):
        upstream.status = status
        connection.request("GET", "/bucket/key")
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (status, b"")
    connection.close()


def test_an_early_answer_ends_the_upload(lax: Door, upstream: Upstream) -> None:
    upstream.is_early, upstream.status, upstream.body = True, 403, b"<Error><Code>AccessDenied</Code></Error>"
    with socket.create_connection((lax.host, lax.port), timeout=10) as connection:
        connection.sendall(
            b"PUT /bucket/key HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000\r\n\r\n" + bytes(100_000)
        )
        answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert b"AccessDenied" in answer
    assert b"Connection: close" in answer


def test_a_client_is_told_to_go_on(lax: Door, upstream: Upstream) -> None:
    with socket.create_connection((lax.host, lax.port), timeout=10) as connection:
        connection.sendall(
            b"PUT /bucket/key HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n"
            b"Expect: 100-continue\r\nConnection: close\r\n\r\n"
        )
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"abc")
        assert read_all(connection).startswith(b"HTTP/1.1 200 ")
    assert upstream.reached[0].size_bytes == 3
    assert "expect" not in upstream.reached[0].headers


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/key", {"Host": "bucket.s3.localhost:4566"}),
        ("GET", "/key", {"Host": "bucket.s3.eu-west-1.amazonaws.com"}),
        ("GET", "/bucket/key", {"Host": "s3.amazonaws.com"}),
        ("GET", "/bucket/key?AWSAccessKeyId=a&Signature=b&Expires=1", {}),
        ("GET", "/bucket/key", {"Authorization": "AWS test:signature"}),
        ("GET", "/bucket/key", {}),
        ("POST", "/", {"Host": "sqs.us-east-1.amazonaws.com"}),
        ("POST", "/", {"X-Amz-Target": "DynamoDB_20120810.ListTables"}),
        ("POST", "/", {"X-Amz-Target": "DynamoDBStreams_20120810.ListStreams"}),
    ],
)
def test_unsigned_requests_are_told_by_host_target_or_path(
    lax: Door, upstream: Upstream, method: str, path: str, headers: dict[str, str]
) -> None:
    assert send(lax, method, path, b"{}" if method == "POST" else b"", headers)[0] == 200
    assert [one.target for one in upstream.reached] == [path]


def test_pages_and_private_paths_stay_out(lax: Door, upstream: Upstream) -> None:
    assert send(lax, "GET", "/bucket/key", headers={"Origin": "https://evil.example"})[0] == 403
    assert send(lax, "GET", "/bucket/key", headers={"Host": "evil.example"})[0] == 403
    assert send(lax, "GET", "/bucket/key", headers={"Sec-Fetch-Site": "cross-site"})[0] == 403
    assert send(lax, "POST", "/_ministack/reset")[0] == 404
    assert upstream.reached == []


def test_an_endpoint_with_credentials_gets_its_own_signature(
    tmp_path: Any, workers: Executor, upstream: Upstream
) -> None:
    way = lambda: upstream.forwarder(WallClock(), credentials=("AKIDREAL", "real"))  # noqa: E731
    with Door(options(tmp_path, auth_mode="accept"), workers, neighbours=way, on_end=upstream.leave) as door:
        s3 = client(door, "s3")
        s3.put_object(Bucket="bucket", Key="a b/ü", Body=b"x" * 1_000)
        upstream.body = b"{}"
        client(door, "dynamodb").list_tables()
    for one, service in zip(upstream.reached, ("s3", "dynamodb"), strict=True):
        assert one.headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIDREAL/")
        assert f"/eu-west-1/{service}/aws4_request" in one.headers["authorization"]
        assert one.headers["host"] == upstream.url.partition("://")[2]


class Broken:
    """Neighbours with a fault of ours in them."""

    async def forward(self, request: object) -> Any:
        raise RuntimeError("a fault of ours")


def test_a_fault_of_ours_has_the_form_of_the_asked_service(
    tmp_path: Any, workers: Executor, caplog: pytest.LogCaptureFixture
) -> None:
    with Door(options(tmp_path, auth_mode="accept"), workers, neighbours=Broken) as door:
        for service, method in {"s3": "list_buckets", "sqs": "list_queues", "sns": "list_topics"}.items():
            assert code_of(getattr(client(door, service), method)) == ("InternalFailure", 500)
    assert [record.exc_info is not None for record in caplog.records if "failed" in record.message] == [True] * 3


class Passage:
    """A door whose S3 is a socket of the test's own, which reads and writes when the test does."""

    def __init__(self, directory: Path, workers: Executor) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        one = NeighbourSettings(f"http://127.0.0.1:{self._listener.getsockname()[1]}")
        self._places = Endpoints(NeighboursSettings(enabled=False, services={"s3": one}), None)
        made = options(directory, auth_mode="accept")
        self.door = Door(made, workers, neighbours=self._forwarder, on_end=lambda: self._http.close())

    def __enter__(self) -> Passage:
        self.door.__enter__()
        self.near = self.door.connect()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.near.close()
        self.door.__exit__()
        self._listener.close()

    def far(self) -> socket.socket:
        """Return the other end, once the door has connected to it."""
        return self._listener.accept()[0]

    def _forwarder(self) -> Forwarder:
        self._http = HttpClient(ClientRules(silence_seconds=30))
        return Forwarder(self._places, self._http, WallClock())


class Pouring(threading.Thread):
    """Sends LARGE_BYTES as fast as they are taken; `sent` counts them."""

    def __init__(self, connection: socket.socket) -> None:
        super().__init__(daemon=True)
        connection.settimeout(30)
        self._connection = connection
        self.sent = 0
        self.start()

    def run(self) -> None:
        piece = bytes(65_536)
        while self.sent < LARGE_BYTES:
            self._connection.sendall(piece)
            self.sent += len(piece)

    def at_rest(self) -> int:
        """Return how much was sent when no more is taken."""
        seen = -1
        while seen != self.sent:
            seen = self.sent
            time.sleep(0.3)
        return seen


def drained(connection: socket.socket, count: int) -> bytes:
    """Read so many bytes; return the first of them."""
    connection.settimeout(30)
    first = connection.recv(65_536)
    left = count - len(first)
    while left:
        left -= len(connection.recv(min(left, 1 << 20)))
    return first


# What systems hold for two connections, and far less than the whole.
LARGE_BYTES, HELD_BYTES_MAX = 256 << 20, 64 << 20


@pytest.mark.slow
def test_who_sends_waits_for_a_service_that_does_not_read(tmp_path: Path, workers: Executor) -> None:
    with Passage(tmp_path, workers) as passage:
        passage.near.sendall(
            f"PUT /bucket/key HTTP/1.1\r\nHost: localhost\r\nContent-Length: {LARGE_BYTES}\r\n\r\n".encode()
        )
        pouring = Pouring(passage.near)
        far = passage.far()
        assert pouring.at_rest() < HELD_BYTES_MAX
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += far.recv(1)
        assert head.startswith(b"PUT /bucket/key ")
        drained(far, LARGE_BYTES)
        far.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        pouring.join(30)
        assert passage.near.recv(65_536).startswith(b"HTTP/1.1 200 ")
        far.close()


@pytest.mark.slow
def test_a_service_waits_for_a_client_that_does_not_read(tmp_path: Path, workers: Executor) -> None:
    with Passage(tmp_path, workers) as passage:
        passage.near.sendall(b"GET /bucket/key HTTP/1.1\r\nHost: localhost\r\n\r\n")
        far = passage.far()
        assert far.recv(65_536).startswith(b"GET /bucket/key ")
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {LARGE_BYTES}\r\n\r\n".encode()
        far.sendall(head)
        pouring = Pouring(far)
        assert pouring.at_rest() < HELD_BYTES_MAX
        told = b""
        while not told.endswith(b"\r\n\r\n"):
            told += passage.near.recv(1)
        assert told.startswith(b"HTTP/1.1 200 ")
        drained(passage.near, LARGE_BYTES)
        pouring.join(30)
        far.close()
