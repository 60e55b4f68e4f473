"""HTTP as sockets see it: keep-alive, pipelining, framing, limits, slow clients, what smuggles, the end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import struct
import threading
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lambent.api import HttpResponse, LocalRequest, LocalRoute
from tests.certificates import self_signed
from tests.contract.door import Door, options, read_all

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from concurrent.futures import Executor
    from pathlib import Path

HOST = b"Host: localhost\r\n"
INVOKE = b"POST /2015-03-31/functions/f/invocations HTTP/1.1\r\n" + HOST
SLOW_SECONDS = 0.4


class Counting:
    """A body without an end, which knows when it was closed."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()
        self.sent_bytes = 0

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        await asyncio.sleep(0)
        self.sent_bytes += 65_536
        return bytes(65_536)

    async def aclose(self) -> None:
        self.closed.set()


class Lines:
    """Three lines and the end."""

    def __init__(self) -> None:
        self._left = [b"c\n", b"b\n", b"", b"a\n"]

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        await asyncio.sleep(0)
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop()


@pytest.fixture(scope="module")
def endless() -> Counting:
    return Counting()


@pytest.fixture(scope="module")
def quick_door(tmp_path_factory: pytest.TempPathFactory, workers: Executor, endless: Counting) -> Iterator[Door]:
    """A door with quick time-outs."""

    async def flood(request: LocalRequest) -> HttpResponse:
        return HttpResponse(200, (), endless)

    made = options(
        tmp_path_factory.mktemp("spool"), auth_mode="accept", slow_client_seconds=SLOW_SECONDS, idle_seconds=1.0
    )
    with Door(made, workers, (LocalRoute("GET", "/_lambent/v1/flood", flood, is_public=True),)) as served:
        yield served


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory, workers: Executor) -> Iterator[Door]:
    """A door in accept mode with routes of its own."""
    file = tmp_path_factory.mktemp("files") / "file"
    file.write_bytes(bytes(range(256)) * 10_000)

    async def echo(request: LocalRequest) -> HttpResponse:
        heard = {"path": dict(request.parameters), "query": dict(request.query), "body": request.body.decode()}
        return HttpResponse(200, (("Content-Type", "application/json"),), json.dumps(heard).encode())

    async def stream(request: LocalRequest) -> HttpResponse:
        return HttpResponse(200, (), Lines())

    async def send_file(request: LocalRequest) -> HttpResponse:
        return HttpResponse.of_file(file, int(request.query.get("size", [str(file.stat().st_size)])[0]))

    async def split(request: LocalRequest) -> HttpResponse:
        return HttpResponse(200, (("X-Echo", "a\r\nX-Evil: 1"),), b"ok")

    routes = (
        LocalRoute("POST", "/_lambent/v1/echo/{name}/{rest+}", echo, is_public=True),
        LocalRoute("GET", "/_lambent/v1/stream", stream, is_public=True),
        LocalRoute("GET", "/_lambent/v1/file", send_file, is_public=True),
        LocalRoute("GET", "/_lambent/v1/split", split, is_public=True),
    )
    with Door(options(tmp_path_factory.mktemp("spool"), auth_mode="accept"), workers, routes) as served:
        yield served


def statuses(answer: bytes) -> list[int]:
    """Return the status of every answer in what a connection brought (bodies here hold no status line)."""
    return [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]]


def request(body: bytes, *headers: bytes) -> bytes:
    return (
        INVOKE + b"".join(header + b"\r\n" for header in headers) + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    )


def test_keep_alive_and_pipelining_in_order(door: Door) -> None:
    bodies = [b"%d" % number for number in range(40)]
    wanted = b"".join(request(body) for body in bodies[:-1]) + request(bodies[-1], b"Connection: close")
    answer = door.exchange(wanted)
    assert statuses(answer) == [200] * 40
    assert [part.rpartition(b"\r\n\r\n")[2] for part in answer.split(b"HTTP/1.1 ")[1:]] == bodies


def test_a_request_byte_by_byte(door: Door) -> None:
    with door.connect() as connection:
        for byte in request(b'{"a": 1}', b"Connection: close"):
            connection.sendall(bytes([byte]))
        assert read_all(connection).endswith(b'\r\n\r\n{"a": 1}')


@settings(suppress_health_check=list(HealthCheck), max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(1, 400), max_size=12))
def test_where_packets_end_does_not_matter(door: Door, cuts: list[int]) -> None:
    chunked = INVOKE + b"Transfer-Encoding: chunked\r\n\r\n2\r\n[1\r\n1\r\n]\r\n0\r\n\r\n"
    wanted = request(b"[0]") + chunked + request(b"[2]", b"Connection: close")
    received = b""
    with door.connect() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        start = 0
        for cut in cuts:
            connection.sendall(wanted[start : start + cut])
            start += cut
        connection.sendall(wanted[start:])
        received = read_all(connection)
    assert [part.rpartition(b"\r\n\r\n")[2] for part in received.split(b"HTTP/1.1 ")[1:]] == [b"[0]", b"[1]", b"[2]"]


def test_chunked_with_extensions_and_trailers(door: Door) -> None:
    head = INVOKE + b"Transfer-Encoding: Chunked\r\nConnection: close\r\n\r\n"
    answer = door.exchange(head + b'4;name=value\r\n{"a"\r\n04\r\n: 1}\r\n0\r\nX-Trailer: 1\r\n\r\n')
    assert statuses(answer) == [200]
    assert answer.endswith(b'{"a": 1}')


def test_http_10(door: Door) -> None:
    answer = door.exchange(b"GET /_lambent/v1/stream HTTP/1.0\r\n\r\n")
    assert statuses(answer) == [200]
    assert answer.endswith(b"\r\n\r\na\nb\nc\n")
    assert b"Transfer-Encoding" not in answer


def test_expect_100_continue(door: Door) -> None:
    with door.connect() as connection:
        connection.sendall(INVOKE + b"Expect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\n")
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"[]")
        assert statuses(read_all(connection)) == [200]


def test_a_body_too_large_is_refused_before_it_is_sent(door: Door) -> None:
    with door.connect() as connection:
        connection.sendall(INVOKE + b"Expect: 100-continue\r\nContent-Length: 6291457\r\n\r\n")
        answer = connection.recv(65_536)
        assert statuses(answer) == [413]
        assert b"Connection: close" in answer


def test_a_chunked_body_that_grows_too_large(door: Door) -> None:
    for path, text in (
        (b"/2015-03-31/functions/f/invocations", b"Request must be smaller than 6291456 bytes for the InvokeFunction"),
        (b"/2015-03-31/functions", b"Request must be smaller than 70167211 bytes for the CreateFunction operation"),
        (b"/2017-03-31/tags/x", b"Request must be smaller than 6291456 bytes for the TagResource operation"),
        (b"/nowhere", b"Request must be smaller than 262144 bytes"),
    ):
        with door.connect() as connection:
            connection.sendall(b"POST " + path + b" HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n")
            part = b"100000\r\n" + b" " * 1_048_576 + b"\r\n"
            for _ in range(68):
                connection.sendall(part)
            connection.sendall(b"0\r\n\r\n")
            answer = connection.recv(65_536)
        assert statuses(answer) == [413]
        assert text in answer


def test_a_stream_is_chunked(door: Door) -> None:
    answer = door.exchange(b"GET /_lambent/v1/stream HTTP/1.1\r\nConnection: close\r\n" + HOST + b"\r\n")
    assert answer.endswith(b"\r\n\r\n2\r\na\n\r\n2\r\nb\n\r\n2\r\nc\n\r\n0\r\n\r\n")


def test_a_file(door: Door) -> None:
    answer = door.exchange(b"GET /_lambent/v1/file HTTP/1.1\r\nConnection: close\r\n" + HOST + b"\r\n")
    assert answer.partition(b"\r\n\r\n")[2] == bytes(range(256)) * 10_000
    short = door.exchange(b"GET /_lambent/v1/file?size=9000000 HTTP/1.1\r\n" + HOST + b"\r\n")
    assert len(short) < 9_000_000  # Cut, not padded: the client sees that it is not whole.


def test_head_and_local_parameters(door: Door) -> None:
    answer = door.exchange(b"HEAD /_lambent/v1/file HTTP/1.1\r\nConnection: close\r\n" + HOST + b"\r\n")
    assert b"Content-Length: 2560000\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")
    body = b"x=1"
    head = b"POST /_lambent/v1/echo/a%2Fb/c/d?q=1&q=2&e= HTTP/1.1\r\nConnection: close\r\nContent-Length: 3\r\n" + HOST
    heard = json.loads(door.exchange(head + b"\r\n" + body).partition(b"\r\n\r\n")[2])
    assert heard == {"path": {"name": "a/b", "rest": "c/d"}, "query": {"q": ["1", "2"], "e": [""]}, "body": "x=1"}
    missing = door.exchange(b"GET /_lambent/v1/nothing HTTP/1.1\r\nConnection: close\r\n" + HOST + b"\r\n")
    assert statuses(missing) == [404]


def test_an_answer_s_headers_cannot_be_split(door: Door) -> None:
    answer = door.exchange(b"GET /_lambent/v1/split HTTP/1.1\r\nConnection: close\r\n" + HOST + b"\r\n")
    assert b"\r\nX-Evil" not in answer
    assert b"X-Echo: a  X-Evil: 1\r\n" in answer


SMUGGLING = {
    "both lengths": INVOKE + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "both lengths, the other way": INVOKE + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    "two lengths": INVOKE + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n[]",
    "the same length twice": INVOKE + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n[]",
    "a list of lengths": INVOKE + b"Content-Length: 2, 2\r\n\r\n[]",
    "a signed length": INVOKE + b"Content-Length: +2\r\n\r\n[]",
    "a negative length": INVOKE + b"Content-Length: -2\r\n\r\n[]",
    "a length in hex": INVOKE + b"Content-Length: 0x2\r\n\r\n[]",
    "an empty length": INVOKE + b"Content-Length:\r\n\r\n[]",
    "a length too large for any integer": INVOKE + b"Content-Length: 99999999999999999999\r\n\r\n[]",
    "a length with a space": INVOKE + b"Content-Length: 1 2\r\n\r\n[]",
    "an unknown coding": INVOKE + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked and another coding": INVOKE + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "a coding before chunked": INVOKE + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "two codings": INVOKE + b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked twice": INVOKE + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a quoted coding": INVOKE + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
    "a coding with a comma": INVOKE + b"Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n",
    "a coding with a tab": INVOKE + b"Transfer-Encoding: \tchunked\t\r\n\r\n0\r\n\r\n",
    "a coding with a vertical tab": INVOKE + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    "an empty coding": INVOKE + b"Transfer-Encoding: \r\n\r\n0\r\n\r\n",
    "a space before the colon": INVOKE + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "a space before the name": INVOKE + b" Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a folded line": INVOKE + b"X: a\r\n b\r\n\r\n",
    "a folded coding": INVOKE + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "a bare line feed": INVOKE + b"X: a\nContent-Length: 2\r\n\r\n[]",
    "a bare carriage return": INVOKE + b"X: a\rContent-Length: 2\r\n\r\n[]",
    "line feeds only": b"POST /2015-03-31/functions/f/invocations HTTP/1.1\nHost: localhost\n\n",
    "a NUL": INVOKE + b"X: a\x00b\r\n\r\n",
    "a name with a bracket": INVOKE + b"X(: a\r\n\r\n",
    "no name": INVOKE + b": a\r\n\r\n",
    "no colon": INVOKE + b"nothing\r\n\r\n",
    "a chunk too large for any integer": INVOKE + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n[]\r\n",
    "a chunk in 0x": INVOKE + b"Transfer-Encoding: chunked\r\n\r\n0x2\r\n[]\r\n0\r\n\r\n",
    "a negative chunk": INVOKE + b"Transfer-Encoding: chunked\r\n\r\n-2\r\n[]\r\n0\r\n\r\n",
    "a chunk with a space": INVOKE + b"Transfer-Encoding: chunked\r\n\r\n2 \r\n[]\r\n0\r\n\r\n",
    "a chunk ended by a line feed": INVOKE + b"Transfer-Encoding: chunked\r\n\r\n2\n[]\r\n0\r\n\r\n",
    "a chunk longer than said": INVOKE + b"Transfer-Encoding: chunked\r\n\r\n2\r\n[]]\r\n0\r\n\r\n",
    "a chunk without its end": INVOKE + b"Transfer-Encoding: chunked\r\n\r\n2\r\n[]0\r\n\r\n",
    "an extension with a line feed": INVOKE + b"Transfer-Encoding: chunked\r\n\r\n2;a=\nb\r\n[]\r\n0\r\n\r\n",
    "a length in a trailer": INVOKE + b"Transfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\nContent-Length: 5\r\n\r\n",
    "chunked in HTTP/1.0": INVOKE.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "no host": b"POST /2015-03-31/functions/f/invocations HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
    "two hosts": INVOKE + HOST + b"\r\n",
    "an absolute target": b"GET http://localhost/_lambent/v1/stream HTTP/1.1\r\n" + HOST + b"\r\n",
    "an asterisk": b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n",
    "a tunnel": b"CONNECT localhost:22 HTTP/1.1\r\n" + HOST + b"\r\n",
    "an unknown method": b"SMUGGLE / HTTP/1.1\r\n" + HOST + b"\r\n",
    "a method in lower case": b"post / HTTP/1.1\r\n" + HOST + b"\r\n",
    "a space in the target": b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n",
    "a NUL in the target": b"GET /\x00 HTTP/1.1\r\n" + HOST + b"\r\n",
    "HTTP/2": b"GET / HTTP/2.0\r\n" + HOST + b"\r\n",
    "HTTP/2 with prior knowledge": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/0.9": b"GET /\r\n\r\n",
    "HTTP/1.2": b"GET / HTTP/1.2\r\n" + HOST + b"\r\n",
    "TLS to a plain port": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "an upgrade with a body": INVOKE + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\n[]",
    "an unknown expectation": INVOKE + b"Expect: 200-ok\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("name", SMUGGLING)
def test_what_could_be_read_in_two_ways_is_refused(door: Door, name: str) -> None:
    count = len(door.invoker.requests)
    # A second request behind it must never be answered.
    answer = door.exchange(SMUGGLING[name] + request(b"[]"))
    assert len(statuses(answer)) == 1
    assert statuses(answer)[0] in (400, 417, 501, 505)
    assert b"Connection: close\r\n" in answer
    assert b"x-amzn-ErrorType: " in answer
    assert len(door.invoker.requests) == count


def test_a_good_request_before_a_bad_one_is_answered(door: Door) -> None:
    assert statuses(door.exchange(request(b"[]") + SMUGGLING["both lengths"] + request(b"[]"))) == [200, 400]


def test_an_upgrade_is_not_taken(door: Door) -> None:
    plain = b"GET /_lambent/v1/split HTTP/1.1\r\n" + HOST
    answer = door.exchange(
        plain + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n" + plain + b"Connection: close\r\n\r\n"
    )
    assert statuses(answer) == [200, 200]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /" + b"a" * 16_384 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414),
        (b"GET /" + b"a" * 400_000, 414),
        (INVOKE + b"".join(b"X-%d: 1\r\n" % number for number in range(101)) + b"\r\n", 431),
        (INVOKE + b"X: 1\r\n" * 101 + b"\r\n", 431),
        (INVOKE + b"X: 1\r\n" * 50_000 + b"\r\n", 431),
        (INVOKE + b"X: " + b"a" * 70_000 + b"\r\n\r\n", 431),
        (INVOKE + b"X: " + b"a" * 400_000, 431),
        (INVOKE + b"Transfer-Encoding: chunked\r\n\r\n" + b"1;" + b"a" * 400_000 + b"\r\n[\r\n", 400),
    ],
)
def test_limits(door: Door, data: bytes, status: int) -> None:
    answer = door.exchange(data)
    assert statuses(answer) == [status]
    assert b"Connection: close\r\n" in answer


@pytest.mark.slow
@pytest.mark.parametrize(
    "start",
    [
        b"POST /2015",
        INVOKE + b"X: ",
        INVOKE + b"Content-Length: 10\r\n\r\n{",
        INVOKE + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{",
        b"POST /2015-03-31/functions HTTP/1.1\r\n" + HOST + b"Content-Length: 500000\r\n\r\n" + b"x" * 300_000,
    ],
)
def test_a_client_that_stops_sending(quick_door: Door, start: bytes) -> None:
    answer = quick_door.exchange(start)
    assert statuses(answer) == [408]
    assert b"Connection: close\r\n" in answer


@pytest.mark.slow
def test_a_client_that_drips(quick_door: Door) -> None:
    with quick_door.connect() as connection:
        connection.settimeout(0.02)
        connection.sendall(INVOKE)
        for number in range(90):
            connection.sendall(b"X-%d: 1\r\n" % number)
            with contextlib.suppress(TimeoutError):
                answer = connection.recv(65_536)
                break
    assert statuses(answer) == [408]


@pytest.mark.slow
def test_an_idle_connection_is_closed_without_a_word(quick_door: Door) -> None:
    with quick_door.connect() as connection:
        assert read_all(connection) == b""


@pytest.mark.slow
def test_a_client_that_does_not_read_is_dropped(quick_door: Door, endless: Counting) -> None:
    with quick_door.connect() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.sendall(b"GET /_lambent/v1/flood HTTP/1.1\r\n" + HOST + b"\r\n")
        connection.recv(100)
        closing = asyncio.run_coroutine_threadsafe(endless.closed.wait(), quick_door.loop)
        assert closing.result(10)
        # What was not taken was not made: the stream waited for the client.
        assert endless.sent_bytes < 64 * 1_048_576


def test_a_client_that_goes_away_changes_nothing_inside(door: Door) -> None:
    door.invoker.gate = asyncio.Event()
    door.invoker.started.clear()
    door.invoker.ended.clear()
    try:
        with door.connect() as connection:
            connection.sendall(request(b"[]") + request(b"[]"))
            assert door.invoker.started.wait(5)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        count = len(door.invoker.requests)
        deadline = time.monotonic() + 5
        while door.server.connection_count and time.monotonic() < deadline:
            time.sleep(0.01)
        assert door.server.connection_count == 0
        assert not door.invoker.ended.is_set()
    finally:
        door.call(door.invoker.gate.set)
    assert door.invoker.ended.wait(5)
    assert len(door.invoker.requests) == count  # The second had not begun, and nobody waits for it.
    door.invoker.gate = None


def test_a_client_that_closes_only_its_sending_side_is_answered(door: Door) -> None:
    assert statuses(door.exchange(request(b"[]"), is_last=True)) == [200]


def test_half_a_request_and_the_end(door: Door) -> None:
    assert door.exchange(INVOKE + b"Content-Length: 10\r\n\r\n{", is_last=True) == b""
    upload = b"POST /2015-03-31/functions HTTP/1.1\r\n" + HOST + b"Content-Length: 500000\r\n\r\n" + b"x" * 300_000
    assert door.exchange(upload, is_last=True)[:12] in (b"", b"HTTP/1.1 400")


def test_the_spool_that_cannot_be_written(
    door: Door, tmp_path_factory: pytest.TempPathFactory, workers: Executor
) -> None:
    gone = options(tmp_path_factory.mktemp("x") / "gone", auth_mode="accept")
    with Door(gone, workers) as broken:
        body = b" " * 400_000
        answer = broken.exchange(
            b"POST /2015-03-31/functions HTTP/1.1\r\n" + HOST + b"Content-Length: 400000\r\n\r\n" + body
        )
        assert statuses(answer) == [500]
        assert b"ServiceException" in answer
        assert statuses(broken.exchange(request(b"[]", b"Connection: close"))) == [200]


def test_stop_lets_requests_under_way_end(tmp_path_factory: pytest.TempPathFactory, workers: Executor) -> None:
    with Door(options(tmp_path_factory.mktemp("spool"), auth_mode="accept"), workers) as stopping:
        stopping.invoker.gate = asyncio.Event()
        with stopping.connect() as idle, stopping.connect() as busy:
            busy.sendall(request(b"[7]"))
            assert stopping.invoker.started.wait(5)
            ending = stopping.begin_stop(5)
            assert read_all(idle) == b""
            with pytest.raises(ConnectionRefusedError):
                stopping.connect()
            assert not ending.done()
            stopping.call(stopping.invoker.gate.set)
            answer = read_all(busy)
            assert statuses(answer) == [200]
            assert answer.endswith(b"[7]")
            ending.result(5)


def test_stop_drops_connections_after_its_grace(tmp_path_factory: pytest.TempPathFactory, workers: Executor) -> None:
    with Door(options(tmp_path_factory.mktemp("spool"), auth_mode="accept"), workers) as stopping:
        stopping.invoker.gate = asyncio.Event()
        with stopping.connect() as busy:
            busy.sendall(request(b"[7]"))
            assert stopping.invoker.started.wait(5)
            stopping.stop(grace_seconds=0.05)
            assert read_all(busy) == b""
        assert not stopping.invoker.ended.is_set()
        stopping.call(stopping.invoker.gate.set)
        assert stopping.invoker.ended.wait(5)


def test_listeners_made_elsewhere(door: Door) -> None:
    listener = socket.create_server(("127.0.0.2", 0))
    address = listener.getsockname()
    asyncio.run_coroutine_threadsafe(door.server.serve_listener(listener), door.loop).result(5)
    with socket.create_connection(address, timeout=5) as connection:
        connection.sendall(request(b"[]", b"Connection: close"))
        assert statuses(read_all(connection)) == [200]
    door.call(lambda: door.server.stop_listener(listener))
    door.call(lambda: door.server.stop_listener(listener))
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            socket.create_connection(address, timeout=5).close()
        except ConnectionRefusedError:
            return
        time.sleep(0.01)
    pytest.fail("the listener is still there")


@pytest.mark.parametrize("is_tls", [False, True])
def test_listeners_that_somebody_connects_to(door: Door, tmp_path: Path, is_tls: bool) -> None:
    """Served from the first connection on, which is answered too; those that nobody asks are only closed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*self_signed(tmp_path))
    asked, silent = (socket.create_server(("127.0.0.2", 0)) for _ in range(2))

    async def begin() -> None:
        for listener in (asked, silent):
            listener.setblocking(False)
            door.server.await_first(listener, (lambda: context) if is_tls else None)

    async def end() -> None:
        for listener in (asked, silent):
            door.server.stop_listener(listener)

    asyncio.run_coroutine_threadsafe(begin(), door.loop).result(5)
    trusting = ssl._create_unverified_context()
    for _ in range(2):
        with contextlib.ExitStack() as stack:
            connection = stack.enter_context(socket.create_connection(asked.getsockname(), timeout=5))
            if is_tls:
                connection = stack.enter_context(trusting.wrap_socket(connection))
            connection.sendall(request(b"[]", b"Connection: close"))
            assert statuses(read_all(connection)) == [200]
    asyncio.run_coroutine_threadsafe(end(), door.loop).result(5)
    assert silent.fileno() >= 0
    silent.close()


class Silent:
    """A stream that has nothing to say, which knows when it was closed."""

    def __init__(self) -> None:
        self.closed = threading.Event()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        await asyncio.Event().wait()
        return b""

    async def aclose(self) -> None:
        self.closed.set()


@pytest.mark.parametrize("ending", ["client", "server"])
def test_a_silent_stream_ends_with_its_reader_or_the_server(
    tmp_path_factory: pytest.TempPathFactory, workers: Executor, ending: str
) -> None:
    silent = Silent()

    async def follow(request: LocalRequest) -> HttpResponse:
        return HttpResponse(200, (), silent)

    made = options(tmp_path_factory.mktemp("spool"), auth_mode="accept")
    with Door(made, workers, (LocalRoute("GET", "/_lambent/v1/follow", follow, is_public=True),)) as served:
        with served.connect() as connection:
            connection.sendall(b"GET /_lambent/v1/follow HTTP/1.1\r\n" + HOST + b"\r\n")
            assert connection.recv(1_000).startswith(b"HTTP/1.1 200")
            if ending == "server":
                served.stop(grace_seconds=5)
                assert silent.closed.wait(1)
        assert silent.closed.wait(5)


def test_head_of_a_stream_has_no_body(door: Door) -> None:
    head = b"HEAD /_lambent/v1/stream HTTP/1.1\r\n" + HOST
    answer = door.exchange(head + b"\r\n" + head + b"Connection: close\r\n\r\n")
    assert statuses(answer) == [200, 200]
    assert answer.count(b"\r\n\r\n") == 2
    assert answer.endswith(b"\r\n\r\n")


def test_bodies_of_all_connections_together_are_bounded(
    tmp_path_factory: pytest.TempPathFactory, workers: Executor
) -> None:
    with Door(options(tmp_path_factory.mktemp("spool"), auth_mode="accept"), workers) as served:
        served.server.limits = served.server.limits._replace(body_memory_bytes_max=3_000_000)
        half = INVOKE + b"Content-Length: 2000000\r\n\r\n" + b" " * 1_500_000
        with served.connect() as first, served.connect() as second:
            first.sendall(half)
            second.sendall(half)
            deadline = time.monotonic() + 5
            while served.server.held_bytes < 3_000_000 and time.monotonic() < deadline:
                time.sleep(0.01)
            assert statuses(served.exchange(request(b"[]"))) == [503]
            first.sendall(b" " * 499_998 + b"[]")
            assert statuses(first.recv(65_536)) == [503]
        deadline = time.monotonic() + 5
        while served.server.held_bytes and time.monotonic() < deadline:
            time.sleep(0.01)
        assert served.server.held_bytes == 0
        assert statuses(served.exchange(request(b"[]", b"Connection: close"))) == [200]
        assert served.server.held_bytes == 0
