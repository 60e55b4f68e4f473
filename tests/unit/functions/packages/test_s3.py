"""Packages from an S3 endpoint: what is asked, what is kept, what is told when S3 refuses."""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lambent.functions import S3Packages
from lambent.model.caller import Caller
from lambent.model.errors import InvalidParameterValueError, ServiceError
from lambent.wire.client import OutwardClient, Place
from lambent.wire.http_client import ClientRules, HttpClient, Origin
from lambent.wire.sigv4 import SigningCredentials
from tests.unit.functions.conftest import JumpingClock

if TYPE_CHECKING:
    from collections.abc import Iterator

CREDENTIALS = SigningCredentials("AKIDEXAMPLE", "secret")
CALLER = Caller("111111111111", "us-east-1", "arn:aws:iam::111111111111:root", "r", "http://localhost:4566")


class Objects(ThreadingHTTPServer):
    """An S3 that holds what the test puts in, by request target."""

    objects: dict[str, tuple[int, bytes]]
    seen: list[tuple[str, dict[str, str]]]


class Asked(BaseHTTPRequestHandler):
    server: Objects

    def do_GET(self) -> None:
        self.server.seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        missing = b"<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>"
        status, body = self.server.objects.get(self.path, (404, missing))
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def s3() -> Iterator[Objects]:
    with Objects(("127.0.0.1", 0), Asked) as server:
        server.objects, server.seen = {}, []
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class Here:
    """Says where the S3 of a test answers."""

    def __init__(self, port: int, credentials: SigningCredentials | None) -> None:
        self._place = Place(
            Origin("http", "127.0.0.1", port), f"127.0.0.1:{port}", "neighbours.s3.endpoint", credentials=credentials
        )

    async def place(self, asked: str) -> Place:
        assert asked == "s3"
        return self._place


def packages(port: int, spool: Path, credentials: SigningCredentials | None = None) -> S3Packages:
    client = OutwardClient(Here(port, credentials), HttpClient(ClientRules()), JumpingClock())
    return S3Packages(client, spool)


async def test_an_object_becomes_a_file_in_the_spool(s3: Objects, tmp_path: Path) -> None:
    s3.objects["/bucket/dir/k%20%C3%BC%2B.zip?versionId=v1"] = (200, b"content")
    blob = await packages(s3.server_port, tmp_path, CREDENTIALS).download(CALLER, "bucket", "dir/k ü+.zip", "v1")
    assert (blob.size_bytes, blob.sha256) == (7, hashlib.sha256(b"content").hexdigest())
    assert await asyncio.to_thread(Path(blob.path).read_bytes) == b"content"
    [(_, headers)] = s3.seen
    assert headers["authorization"].startswith(
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/us-east-1/s3/aws4_request"
    )
    assert headers["x-amz-date"] == "20260101T000000Z"


async def test_without_credentials_the_key_names_the_account(s3: Objects, tmp_path: Path) -> None:
    s3.objects["/bucket/key"] = (200, b"")
    assert (await packages(s3.server_port, tmp_path).download(CALLER, "bucket", "key", None)).size_bytes == 0
    assert "Credential=111111111111/" in s3.seen[0][1]["authorization"]


@pytest.mark.parametrize(
    ("status", "body", "kind", "text"),
    [
        (404, None, InvalidParameterValueError,
         "Error occurred while GetObject. S3 Error Code: NoSuchKey. "
         "S3 Error Message: The specified key does not exist."),
        (404, b"<Error><Code>NoSuchBucket</Code><Message>The specified bucket does not exist</Message></Error>",
         InvalidParameterValueError,
         "Error occurred while GetObject. S3 Error Code: NoSuchBucket. "
         "S3 Error Message: The specified bucket does not exist"),
        (403, b"", InvalidParameterValueError,
         "Error occurred while GetObject. S3 Error Code: 403. S3 Error Message: Forbidden"),
        (503, b"<Code>SlowDown</Code>", ServiceError,
         "The package could not be read from S3: SlowDown Service Unavailable"),
    ],
)  # fmt: skip
async def test_refusals_in_the_words_of_lambda(
    s3: Objects, tmp_path: Path, status: int, body: bytes | None, kind: type[Exception], text: str
) -> None:
    # Source: lambda/test_lambda_api.json, test_lambda_code_location_s3_errors.
    if body is not None:
        s3.objects["/bucket/key"] = (status, body)
    with pytest.raises(kind) as refusal:
        await packages(s3.server_port, tmp_path).download(CALLER, "bucket", "key", None)
    assert str(refusal.value) == text
    assert os.listdir(tmp_path) == []


async def test_no_s3_there(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="could not be read from S3"):
        await packages(9, tmp_path).download(CALLER, "bucket", "key", None)
