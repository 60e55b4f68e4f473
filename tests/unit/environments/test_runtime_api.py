"""The Runtime API's answers on the wire, for regular and for hostile runtimes."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import cast

import pytest

from lambent.environments.runtime_api import RuntimeConnection, next_message
from lambent.environments.sandbox.sandbox import RuntimeExit
from lambent.environments.session import Answered, Exited, InitFailed, RuntimeSession
from lambent.model.function import CodeReference, FunctionVersion
from lambent.model.invocation import Invocation

PREFIX = b"/2018-06-01/runtime/"
NEXT = b"GET " + PREFIX + b"invocation/next HTTP/1.1\r\n\r\n"


class Transport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.is_closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if data:
            self.writes.append(bytes(data))

    def close(self) -> None:
        self.is_closed = True


def post(path: bytes, body: bytes, headers: bytes = b"") -> bytes:
    return b"POST " + PREFIX + path + b" HTTP/1.1\r\n" + headers + b"Content-Length: %d\r\n\r\n" % len(body) + body


def connected() -> tuple[RuntimeSession, RuntimeConnection, Transport]:
    session = RuntimeSession(lambda: None)
    connection, transport = RuntimeConnection(session), Transport()
    connection.connection_made(transport)
    return session, connection, transport


def invocation(client_context: str | None = None) -> Invocation:
    version = FunctionVersion(
        account_id="0" * 12,
        region="us-east-1",
        name="f",
        role="r",
        code=CodeReference("0" * 64, 1, 1),
        configuration_id="c",
        revision_id="r",
        last_modified_ms=0,
    )
    return Invocation("id-1", version, "arn:f", b'{"a":1}', "Root=1-2-3", client_context=client_context)


def error_of(written: bytes) -> tuple[int, dict[str, str]]:
    head, _, body = written.partition(b"\r\n\r\n")
    return int(head.split()[1]), cast("dict[str, str]", json.loads(body))


def test_next_message() -> None:
    head, _, body = next_message(invocation('{"custom":\n{}}'), 1_000).partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert body == b'{"a":1}'
    assert "Lambda-Runtime-Aws-Request-Id: id-1" in lines
    assert "Lambda-Runtime-Deadline-Ms: 1000" in lines
    assert "Lambda-Runtime-Invoked-Function-Arn: arn:f" in lines
    assert "Lambda-Runtime-Trace-Id: Root=1-2-3" in lines
    assert 'Lambda-Runtime-Client-Context: {"custom": {}}' in lines


async def test_answer_and_next_in_one_write_are_replied_to_with_the_next_invocation() -> None:
    session, connection, transport = connected()
    connection.data_received(NEXT)
    outcome = session.deliver("id-1", b"first")
    connection.data_received(post(b"invocation/id-1/response", b"1") + NEXT)
    assert await outcome == Answered(b"1")
    assert transport.writes == [b"first"]
    session.deliver("id-2", b"second")
    assert len(transport.writes) == 2
    assert transport.writes[1].startswith(b"HTTP/1.1 202 Accepted\r\n")
    assert transport.writes[1].endswith(b"second")


async def test_an_answer_alone_is_replied_to_at_once() -> None:
    session, connection, transport = connected()
    connection.data_received(NEXT)
    session.deliver("id-1", b"first")
    connection.data_received(post(b"invocation/id-1/response", b"1"))
    assert transport.writes[1].startswith(b"HTTP/1.1 202 Accepted\r\n")


async def test_errors_of_function_and_init() -> None:
    session, connection, _ = connected()
    waiting = asyncio.ensure_future(session.wait_ready())
    await asyncio.sleep(0)
    header = b"Lambda-Runtime-Function-Error-Type: Runtime.X\r\n"
    connection.data_received(post(b"init/error", b'{"errorMessage":"m"}', header))
    assert await waiting == InitFailed(b'{"errorMessage":"m"}', "Runtime.X")
    session.restarted()
    connection.data_received(NEXT)
    outcome = session.deliver("id-1", b"first")
    connection.data_received(post(b"invocation/id-1/error", b"{}", header))
    assert await outcome == Answered(b"{}", is_error=True, error_type="Runtime.X")


@pytest.mark.parametrize(
    ("request_", "status", "error_type"),
    [
        (post(b"invocation/other/response", b"1"), 400, "InvalidRequestID"),
        (post(b"invocation/id-1/elsewhere", b"1"), 404, "NotFound"),
        (b"GET /nowhere HTTP/1.1\r\n\r\n", 404, "NotFound"),
        (NEXT, 403, "InvalidStateTransition"),
        (post(b"init/error", b"{}"), 403, "InvalidStateTransition"),
        (b"nonsense\r\n\r\n", 400, "BadRequest"),
    ],
)
async def test_refusals_while_an_invocation_runs(request_: bytes, status: int, error_type: str) -> None:
    session, connection, transport = connected()
    connection.data_received(NEXT)
    outcome = session.deliver("id-1", b"first")
    connection.data_received(request_)
    assert error_of(transport.writes[-1])[0] == status
    assert error_of(transport.writes[-1])[1]["errorType"] == error_type
    assert not outcome.done()


async def test_a_response_over_the_quota() -> None:
    session, connection, transport = connected()
    connection.data_received(NEXT)
    outcome = session.deliver("id-1", b"first")
    connection.data_received(post(b"invocation/id-1/response", b"x" * 6_291_557))
    assert (await outcome) == Answered(b"", is_oversize=True)
    assert error_of(transport.writes[-1])[0] == 413


async def test_an_exit_ends_the_wait() -> None:
    session, connection, _ = connected()
    connection.data_received(NEXT)
    outcome = session.deliver("id-1", b"first")
    session.fail(Exited(RuntimeExit(1, None)))
    assert await outcome == Exited(RuntimeExit(1, None))


async def test_a_runtime_that_asks_for_one_answer_a_connection_gets_it_closed() -> None:
    # A script that reads to the end of the stream would wait for ever.
    session, connection, transport = connected()
    connection.data_received(NEXT.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert not transport.is_closed
    session.deliver("id-1", b"first")
    assert transport.writes == [b"first"]
    assert transport.is_closed


@pytest.mark.skipif(not hasattr(socket, "TCP_QUICKACK"), reason="acknowledgements at once are Linux's")
async def test_a_part_of_a_request_is_acknowledged_at_once() -> None:
    """Clients that send head and body apart wait for that, up to 200 ms a call; whole requests cost nothing more."""

    options: list[tuple[int, ...]] = []

    class Socket:
        def setsockopt(self, *option: int) -> None:
            options.append(option)

    class Connected(Transport):
        def get_extra_info(self, name: str, default: object = None) -> object:
            return Socket() if name == "socket" else default

    session = RuntimeSession(lambda: None)
    connection = RuntimeConnection(session)
    connection.connection_made(Connected())
    connection.data_received(NEXT)
    session.deliver("id-1", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert options == []
    head, _, body = post(b"invocation/id-1/response", b'"answer"').partition(b"\r\n\r\n")
    connection.data_received(head + b"\r\n\r\n")
    assert options == [(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)]
    connection.data_received(body)
    assert len(options) == 1
