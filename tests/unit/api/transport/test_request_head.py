"""Heads that are refused, beyond what the parser refuses; the whole corpus is in tests/contract."""

from __future__ import annotations

import pytest

from lambent.api.transport.request_head import check_head


def test_a_good_head() -> None:
    headers = {"host": "h", "transfer-encoding": "chunked", "expect": "100-Continue"}
    assert check_head(b"POST", "1.1", b"/x", headers) is None


@pytest.mark.parametrize(
    ("method", "version", "target", "headers", "status"),
    [
        (b"GET", "2.0", b"/", {"host": "h"}, 505),
        (b"TRACE", "1.1", b"/", {"host": "h"}, 501),
        (b"GET", "1.1", b"http://h/", {"host": "h"}, 400),
        (b"GET", "1.1", b"/", {}, 400),
        (b"GET", "1.0", b"/", {"transfer-encoding": "chunked"}, 400),
        (b"GET", "1.1", b"/", {"host": "h", "transfer-encoding": "gzip, chunked"}, 501),
        (b"GET", "1.1", b"/", {"host": "h", "transfer-encoding": "chunked", "content-length": "1"}, 400),
        (b"GET", "1.1", b"/", {"host": "h", "expect": "else"}, 417),
    ],
)
def test_refusals(method: bytes, version: str, target: bytes, headers: dict[str, str], status: int) -> None:
    refusal = check_head(method, version, target, headers)
    assert refusal is not None
    assert refusal[0] == status
