"""Requests from inside: whole ones in any slicing, odd ones refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.environments.http_requests import BadRequestError, RequestParser

NEXT = b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n"
SIZED = b"POST /r HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"POST /r HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nTrailer: 1\r\n\r\n"


@given(st.lists(st.integers(min_value=1, max_value=40), min_size=1, max_size=30))
def test_the_slicing_of_the_bytes_does_not_matter(sizes: list[int]) -> None:
    parser = RequestParser(1_000)
    stream = SIZED + NEXT + CHUNKED + SIZED
    requests = []
    position = 0
    while position < len(stream):
        for size in sizes:
            requests += parser.feed(stream[position : position + size])
            position += size
    assert [(one.method, one.body) for one in requests] == [
        (b"POST", b"hello"),
        (b"GET", b""),
        (b"POST", b"hello"),
        (b"POST", b"hello"),
    ]


def test_a_body_over_the_bound_is_counted_not_kept() -> None:
    parser = RequestParser(4)
    (request,) = parser.feed(SIZED)
    assert request.is_oversize
    assert request.body == b""
    (after,) = parser.feed(NEXT)
    assert not after.is_oversize


@pytest.mark.parametrize(
    "data",
    [
        b"BREW /x HTTP/1.1\r\n\r\n",
        b"GET /x\r\n\r\n",
        b"GET /x HTTP/2\r\n\r\n",
        b"GET /x HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET /x HTTP/1.1\r\nA : b\r\n\r\n",
        b"GET /x HTTP/1.1\r\nA: b\r\n folded\r\n\r\n",
        b"POST /x HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /x HTTP/1.1\r\nContent-Length: +1\r\n\r\n",
        b"POST /x HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        b"POST /x HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /x HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
        b"GET /x HTTP/1.1\r\nA: " + b"b" * 1_200_000,
    ],
)
def test_what_is_odd_is_refused(data: bytes) -> None:
    with pytest.raises(BadRequestError):
        RequestParser(1_000).feed(data)


def test_expect_continue_is_seen_before_the_body() -> None:
    parser = RequestParser(1_000)
    assert parser.feed(b"POST /x HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n") == []
    assert parser.is_expecting_continue
    (request,) = parser.feed(b"ok")
    assert request.body == b"ok"


def test_http_1_0_and_connection_close_are_the_last_request() -> None:
    (old,) = RequestParser(10).feed(b"GET /x HTTP/1.0\r\n\r\n")
    (closing,) = RequestParser(10).feed(b"GET /x HTTP/1.1\r\nConnection: close\r\n\r\n")
    (kept,) = RequestParser(10).feed(b"GET /x HTTP/1.1\r\n\r\n")
    assert (old.is_last, closing.is_last, kept.is_last) == (True, True, False)
