"""S3's GetObject against a small server that speaks as S3 does."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from lambent.wire.s3_download import S3Download, S3DownloadError, S3ObjectSource
from lambent.wire.sigv4 import SigningCredentials

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONTENT = bytes(range(256)) * 9_000
CREDENTIALS = SigningCredentials("AKIDEXAMPLE", "secret", "token")
ERRORS = {
    "missing": (404, "NoSuchKey", "The specified key does not exist."),
    "denied": (403, "AccessDenied", "Access Denied"),
}


class S3(BaseHTTPRequestHandler):
    """Serves /bucket/zip, fails as told otherwise."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        name = path.removeprefix("/bucket/")
        assert self.headers["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
        assert "/eu-west-3/s3/aws4_request" in self.headers["Authorization"]
        assert self.headers["X-Amz-Security-Token"] == "token"
        if name in ERRORS:
            status, code, message = ERRORS[name]
            body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
        else:
            status = 200
            body = query.encode() if name == "versioned" else CONTENT
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(body[: len(body) // 2] if name == "cut" else body)
        if name == "cut":
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


class QuietServer(ThreadingHTTPServer):
    """Says nothing about clients that leave."""

    def handle_error(self, request: object, client_address: object) -> None:
        pass


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with QuietServer(("127.0.0.1", 0), S3) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def fetch(
    endpoint: str, path: Path, key: str, version: str | None = None, size_bytes_max: int = 10_000_000
) -> tuple[int, str]:
    source = S3ObjectSource("bucket", key, version)
    return S3Download(endpoint, size_bytes_max).fetch(source, str(path), "eu-west-3", CREDENTIALS)


@pytest.mark.slow
def test_an_object(endpoint: str, tmp_path: Path) -> None:
    assert fetch(endpoint, tmp_path / "zip", "folder/a zip+é") == (len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
    assert (tmp_path / "zip").read_bytes() == CONTENT


@pytest.mark.slow
def test_a_version(endpoint: str, tmp_path: Path) -> None:
    fetch(endpoint, tmp_path / "zip", "versioned", "v1")
    assert (tmp_path / "zip").read_bytes() == b"versionId=v1"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("missing", "Error occurred while GetObject. S3 Error Code: NoSuchKey. S3 Error Message: The specified key"),
        ("denied", "Your access has been denied by S3, please make sure your request credentials have permission to"),
        ("cut", "Error occurred while GetObject. The answer was cut: "),
        ("zip", "The object is larger than 2000000 bytes"),
    ],
)
def test_refusals_leave_nothing(endpoint: str, tmp_path: Path, key: str, text: str) -> None:
    with pytest.raises(S3DownloadError) as refused:
        fetch(endpoint, tmp_path / "zip", key, size_bytes_max=2_000_000)
    assert str(refused.value).startswith(text)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(S3DownloadError, match="S3 cannot be reached"):
        fetch("http://127.0.0.1:9", tmp_path / "zip", "zip")
