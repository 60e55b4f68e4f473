"""Streamed responses through the Runtime API, for regular and for hostile runtimes."""

from __future__ import annotations

import asyncio
import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.environments.answers.response_stream import PENDING_BYTES_MAX, ResponseStream
from lambent.environments.lifecycle import EnvironmentState
from lambent.environments.runtime_api import RuntimeConnection
from lambent.environments.sandbox.sandbox import RuntimeExit
from lambent.environments.session import Answered, DeadlinePassed, Exited, RuntimeSession, Truncated
from lambent.model.quotas import RESPONSE_BYTES
from tests.loops import run_apart

PREFIX = b"/2018-06-01/runtime/"
NEXT = b"GET " + PREFIX + b"invocation/next HTTP/1.1\r\n\r\n"
HEAD = (
    b"POST " + PREFIX + b"invocation/id-1/response HTTP/1.1\r\nContent-Type: text/plain\r\n"
    b"Lambda-Runtime-Function-Response-Mode: streaming\r\nTransfer-Encoding: chunked\r\n\r\n"
)


class Transport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.is_taking = True
        self.is_closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def close(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed

    def pause_reading(self) -> None:
        self.is_taking = False

    def resume_reading(self) -> None:
        self.is_taking = True


class Runtime:
    """A runtime with an invocation under way, whose caller wants a stream unless `is_buffered`."""

    def __init__(self, *, is_buffered: bool = False, bytes_max: int = 1_000_000) -> None:
        self.session = RuntimeSession(lambda: None, bytes_max)
        self.streams: list[ResponseStream] = []
        self.connection, self.transport = self.connect()
        self.connection.data_received(NEXT)
        self.outcome = self.session.deliver("id-1", b"message", None if is_buffered else self.streams.append)
        self.transport.written = b""

    def connect(self) -> tuple[RuntimeConnection, Transport]:
        connection, transport = RuntimeConnection(self.session), Transport()
        connection.connection_made(transport)
        return connection, transport

    def state(self) -> EnvironmentState:
        return self.session.state

    def send(self, data: bytes) -> None:
        self.connection.data_received(data)

    def error(self) -> tuple[int, str]:
        head, _, body = self.transport.written.partition(b"\r\n\r\n")
        return int(head.split()[1]), json.loads(body)["errorType"]


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def test_parts_arrive_while_it_is_written() -> None:
    runtime = Runtime()
    runtime.send(HEAD + chunk(b"one"))
    (stream,) = runtime.streams
    assert stream.content_type == "text/plain"
    assert await anext(stream) == b"one"
    runtime.send(chunk(b"two")[:4])
    assert await anext(stream) == b"t"
    runtime.send(chunk(b"two")[4:] + b"0\r\n\r\n")
    assert await anext(stream) == b"wo"
    assert runtime.transport.written.startswith(b"HTTP/1.1 202 Accepted")
    assert await runtime.outcome == Answered(b"")
    assert runtime.state() is EnvironmentState.SETTLING
    runtime.send(NEXT)
    assert runtime.state() is EnvironmentState.IDLE


async def test_a_whole_response_and_the_next_question_in_one_piece() -> None:
    runtime = Runtime()
    runtime.send(HEAD + chunk(b"all") + b"0\r\n\r\n" + NEXT)
    assert runtime.state() is EnvironmentState.IDLE
    assert await runtime.outcome == Answered(b"")
    assert await anext(runtime.streams[0]) == b"all"


async def test_a_runtime_that_does_not_say_that_it_streams() -> None:
    """AWS's own Go library says nothing: whether a response is streamed is its caller's to say."""
    head = HEAD.replace(b"Lambda-Runtime-Function-Response-Mode: streaming\r\n", b"")
    runtime = Runtime()
    runtime.send(head + chunk(b"one"))
    assert await anext(runtime.streams[0]) == b"one"
    runtime.send(b"0\r\nLambda-Runtime-Function-Error-Type: E\r\n\r\n")
    assert await runtime.outcome == Answered(b"", is_error=True, error_type="E")
    buffered = Runtime(is_buffered=True)
    buffered.send(head + chunk(b"one"))
    buffered.send(chunk(b"two") + b"0\r\nLambda-Runtime-Function-Error-Type: E\r\n\r\n")
    assert await buffered.outcome == Answered(b"onetwo")


async def test_with_a_length_instead_of_chunks() -> None:
    runtime = Runtime()
    runtime.send(HEAD.replace(b"Transfer-Encoding: chunked", b"Content-Length: 5") + b"ab")
    assert await anext(runtime.streams[0]) == b"ab"
    runtime.send(b"cde")
    assert await anext(runtime.streams[0]) == b"cde"
    assert await runtime.outcome == Answered(b"")


async def test_the_error_it_ended_with() -> None:
    runtime = Runtime()
    body = b'{"errorType":"E","errorMessage":"' + b"x" * 20_000 + b'"}'
    trailers = (
        b"Lambda-Runtime-Function-Error-Type: Function.E\r\n"
        b"Lambda-Runtime-Function-Error-Body: " + base64.b64encode(body) + b"\r\n"
    )
    runtime.send(HEAD + chunk(b"a") + b"0\r\n" + trailers + b"\r\n" + NEXT)
    assert await runtime.outcome == Answered(body, is_error=True, error_type="Function.E")


async def test_collected_for_who_wants_it_whole() -> None:
    runtime = Runtime(is_buffered=True)
    runtime.send(HEAD + chunk(b"one"))
    runtime.send(chunk(b"two") + b"0\r\n\r\n")
    assert await runtime.outcome == Answered(b"onetwo")
    runtime = Runtime(is_buffered=True)
    runtime.send(HEAD + chunk(bytes(RESPONSE_BYTES.value)) + chunk(b"x"))
    outcome = await runtime.outcome
    assert isinstance(outcome, Answered)
    assert (outcome.is_oversize, outcome.bytes_max) == (True, RESPONSE_BYTES.value)
    runtime.send(chunk(b"more") + b"0\r\n\r\n")
    assert runtime.error() == (413, "RequestEntityTooLarge")


async def test_over_the_bound() -> None:
    runtime = Runtime(bytes_max=10)
    runtime.send(HEAD + chunk(b"0123456789"))
    assert not runtime.outcome.done()
    runtime.send(chunk(b"x"))
    outcome = await runtime.outcome
    assert isinstance(outcome, Answered)
    assert (outcome.is_oversize, outcome.bytes_max) == (True, 10)
    assert await anext(runtime.streams[0]) == b"0123456789"
    runtime.send(chunk(b"x" * 100))
    assert runtime.streams[0].pending_bytes == 0
    assert runtime.transport.written == b""
    runtime.send(b"0\r\n\r\n")
    assert runtime.error() == (413, "RequestEntityTooLarge")


async def test_up_to_the_bound() -> None:
    runtime = Runtime(bytes_max=10)
    runtime.send(HEAD + chunk(b"012345") + chunk(b"6789ab"))
    assert await anext(runtime.streams[0]) == b"0123456789"


async def test_a_slow_reader_holds_the_runtime_up() -> None:
    runtime = Runtime()
    runtime.send(HEAD + chunk(bytes(PENDING_BYTES_MAX)))
    assert not runtime.transport.is_taking
    await anext(runtime.streams[0])
    assert runtime.transport.is_taking
    runtime.send(chunk(bytes(PENDING_BYTES_MAX)))
    assert not runtime.transport.is_taking
    runtime.streams[0].abandon()
    assert runtime.transport.is_taking
    runtime.send(chunk(bytes(PENDING_BYTES_MAX)) + b"0\r\n\r\n")
    assert runtime.transport.is_taking
    assert await runtime.outcome == Answered(b"")


async def test_nobody_else_answers_meanwhile() -> None:
    runtime = Runtime()
    runtime.send(HEAD + chunk(b"a"))
    for request in (
        b"POST " + PREFIX + b"invocation/id-1/response HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
        b"POST " + PREFIX + b"invocation/id-1/error HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
        HEAD + b"0\r\n\r\n",
    ):
        other, transport = runtime.connect()
        other.data_received(request)
        assert transport.written.startswith(b"HTTP/1.1 403 ")
    runtime.send(b"0\r\n\r\n")
    assert await runtime.outcome == Answered(b"")
    # Twice, by the same one.
    runtime.transport.written = b""
    runtime.send(HEAD + chunk(b"a") + b"0\r\n\r\n")
    assert runtime.error() == (403, "InvalidStateTransition")


async def test_to_a_wrong_id() -> None:
    runtime = Runtime()
    runtime.send(HEAD.replace(b"id-1", b"id-2") + chunk(b"a"))
    assert runtime.transport.written == b""
    runtime.send(b"0\r\n\r\n")
    assert runtime.error() == (400, "InvalidRequestID")
    assert runtime.streams == []
    assert runtime.state() is EnvironmentState.INVOKE


async def test_an_unknown_mode() -> None:
    runtime = Runtime()
    runtime.send(
        HEAD.replace(b"mode: streaming", b"mode: trickling").replace(b"Mode: streaming", b"Mode: x") + b"0\r\n\r\n"
    )
    assert runtime.error() == (400, "InvalidFunctionResponseMode")
    assert await runtime.outcome == Answered(b"", is_error=True, error_type="Runtime.InvalidResponseModeHeader")


async def test_a_runtime_that_expects_to_be_told_to_go_on() -> None:
    runtime = Runtime()
    runtime.send(HEAD.replace(b"Transfer", b"Expect: 100-continue\r\nTransfer"))
    assert runtime.transport.written == b"HTTP/1.1 100 Continue\r\n\r\n"


async def test_a_connection_that_ends_in_the_middle() -> None:
    runtime = Runtime()
    runtime.send(HEAD + chunk(b"a"))
    runtime.connection.connection_lost(None)
    assert not runtime.outcome.done()  # Its process may have died, which says more.
    assert await runtime.outcome == Truncated()
    assert runtime.state() is EnvironmentState.SETTLING


async def test_a_runtime_that_breaks_off_and_asks_for_more() -> None:
    runtime = Runtime()
    runtime.send(HEAD + chunk(b"a"))
    runtime.connection.connection_lost(None)
    other, transport = runtime.connect()
    other.data_received(NEXT)
    assert await runtime.outcome == Truncated()
    assert (transport.written, runtime.state()) == (b"", EnvironmentState.IDLE)


async def test_a_process_that_ends_in_the_middle() -> None:
    runtime = Runtime()
    runtime.send(HEAD + chunk(b"a"))
    runtime.connection.connection_lost(None)
    exited = Exited(RuntimeExit(code=None, signal=9))
    runtime.session.fail(exited)
    assert await runtime.outcome == exited


async def test_garbage_in_the_middle() -> None:
    runtime = Runtime()
    runtime.send(HEAD + chunk(b"a"))
    runtime.send(b"no number\r\n")
    assert runtime.transport.written.startswith(b"HTTP/1.1 400 ")
    assert runtime.transport.is_closed
    assert await runtime.outcome == Truncated()


async def test_what_comes_after_the_deadline() -> None:
    runtime = Runtime()
    runtime.send(HEAD + chunk(b"a"))
    runtime.session.deadline_passed()
    assert await runtime.outcome == DeadlinePassed()
    runtime.send(chunk(b"b") + b"0\r\n\r\n")
    assert runtime.state() is EnvironmentState.BROKEN


async def test_a_stream_behind_a_question_is_not_kept() -> None:
    runtime = Runtime()
    runtime.send(NEXT + HEAD)
    assert runtime.transport.written.startswith(b"HTTP/1.1 403 ")
    runtime = Runtime()
    runtime.send(HEAD + b"0\r\n\r\n" + NEXT)
    runtime.send(HEAD + chunk(b"a"))
    assert runtime.transport.is_closed


@pytest.mark.parametrize("trailer", [b"no colon", b"A: " + b"x" * 1_200_000, b"A: b\r\n" * 65])
async def test_trailers_have_a_bound(trailer: bytes) -> None:
    runtime = Runtime()
    runtime.send(HEAD + b"0\r\n" + trailer + b"\r\n\r\n")
    assert runtime.transport.written.startswith(b"HTTP/1.1 400 ")


@given(st.lists(st.binary(min_size=1, max_size=400), max_size=8), st.integers(1, 57))
def test_any_parts_in_any_pieces(parts: list[bytes], piece_bytes: int) -> None:
    run_apart(_in_pieces(parts, piece_bytes))


async def _in_pieces(parts: list[bytes], piece_bytes: int) -> None:
    runtime = Runtime()
    sent = HEAD + b"".join(map(chunk, parts)) + b"0\r\n\r\n" + NEXT
    for start in range(0, len(sent), piece_bytes):
        runtime.send(sent[start : start + piece_bytes])
    assert await runtime.outcome == Answered(b"")
    assert runtime.state() is EnvironmentState.IDLE
    read = await anext(runtime.streams[0]) if parts else b""
    assert read == b"".join(parts)
