"""HTTP requests as bytes, signed with Signature Version 4 by botocore beforehand, so that load costs no signing.

A signature holds for the server's clock skew (300 s): requests are made right before the row that sends them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

VARIANTS = 64
_INVOKE = "/2015-03-31/functions/{}/invocations"


class _UnsignedBody(S3SigV4Auth):  # type: ignore[misc]
    """Signs everything but the body, over plain HTTP too."""

    def payload(self, _request: AWSRequest) -> str:
        """Return what stands for the body's hash."""
        return "UNSIGNED-PAYLOAD"


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose requests: a port of 127.0.0.1, keys and a region."""

    port: int
    access_key_id: str
    secret_access_key: str
    region: str = "us-east-1"

    def request(self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> bytes:
        """Return one signed request. `path` may have a query, already encoded."""
        url = f"http://127.0.0.1:{self.port}{path}"
        request = AWSRequest(
            method=method, url=url, data=body, headers={"Content-Type": "application/json", **(headers or {})}
        )
        credentials = Credentials(self.access_key_id, self.secret_access_key)
        SigV4Auth(credentials, "lambda", self.region).add_auth(request)
        lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{self.port}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in request.headers.items() if name.lower() != "host"]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body

    def s3_head(self, method: str, path: str, size_bytes: int) -> bytes:
        """Return the head of a request to S3 whose body, not signed, follows."""
        url = f"http://127.0.0.1:{self.port}{path}"
        request = AWSRequest(method=method, url=url, headers={"x-amz-content-sha256": "UNSIGNED-PAYLOAD"})
        credentials = Credentials(self.access_key_id, self.secret_access_key)
        _UnsignedBody(credentials, "s3", self.region).add_auth(request)
        lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{self.port}", f"Content-Length: {size_bytes}"]
        lines += [f"{name}: {value}" for name, value in request.headers.items() if name.lower() != "host"]
        return "\r\n".join(lines).encode() + b"\r\n\r\n"

    def invokes(self, name: str, variants: int = VARIANTS) -> list[bytes]:
        """Return invocations of one function with different small payloads."""
        path = _INVOKE.format(quote(name))
        return [self.request("POST", path, b'{"n": %d}' % number) for number in range(variants)]

    def events(self, name: str, variants: int = VARIANTS) -> list[bytes]:
        """Return asynchronous invocations of one function with different small payloads."""
        path, kind = _INVOKE.format(quote(name)), {"X-Amz-Invocation-Type": "Event"}
        return [self.request("POST", path, b'{"n": %d}' % number, kind) for number in range(variants)]

    def first_invokes(self, names: Iterable[str]) -> list[bytes]:
        """Return one invocation of each function."""
        return [self.request("POST", _INVOKE.format(quote(name)), b'{"name": "Ada"}') for name in names]

    def creates(self, names: Iterable[str], members: dict[str, object]) -> list[bytes]:
        """Return CreateFunction requests that differ in the name only."""
        path = "/2015-03-31/functions"
        return [self.request("POST", path, json.dumps({"FunctionName": name, **members}).encode()) for name in names]


def unsigned(port: int, path: str, body: bytes = b"{}") -> bytes:
    """Return a POST without a signature."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    return head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body
