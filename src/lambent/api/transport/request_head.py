"""What a request's head must look like beyond what the parser refuses: strict where two readers could disagree."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

METHODS = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"})
# Two of these are two opinions about the same thing; all other repeated headers are one list.
SINGLE_HEADERS = frozenset(
    {
        "authorization",
        "content-length",
        "content-type",
        "expect",
        "host",
        "origin",
        "transfer-encoding",
        "x-amz-content-sha256",
        "x-amz-date",
        "x-amz-security-token",
        "x-amz-target",
    }
)

Refusal = tuple[int, str]


def check_head(method: bytes, version: str, target: bytes, headers: Mapping[str, str]) -> Refusal | None:
    """Return status and reason when a head must be refused.

    The parser (llhttp, strict) has already refused Content-Length beside Transfer-Encoding, bare line feeds,
    folded lines, spaces in header names and malformed lengths.
    """
    if version not in ("1.1", "1.0"):
        return 505, "Only HTTP 1.0 and 1.1 are understood"
    if method not in METHODS:
        return 501, "Unknown method"
    if not target.startswith(b"/"):
        return 400, "The request target must be a path"
    if "host" not in headers and version == "1.1":
        return 400, "The Host header is missing"
    encoding = headers.get("transfer-encoding")
    if encoding is not None:
        if version == "1.0":
            return 400, "Transfer-Encoding in an HTTP/1.0 request"
        if encoding.lower() != "chunked":
            return 501, "Transfer-Encoding must be chunked"
        if "content-length" in headers:
            return 400, "Content-Length beside Transfer-Encoding"
    expectation = headers.get("expect")
    if expectation is not None and expectation.lower() != "100-continue":
        return 417, "Unknown expectation"
    return None
