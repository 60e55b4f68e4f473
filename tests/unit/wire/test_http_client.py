"""Calls outward: framing, kept connections, back-pressure, and everything a bad endpoint can do."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest

from lambent.wire.http_client import ClientRules, ConnectionFailedError, HttpClient, Origin, OutwardRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

_HOST = (("host", "localhost"),)
_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@contextlib.asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[tuple[Origin, list[int]]]:
    """An endpoint; the list counts its connections."""
    connections: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(1)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await answer(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield Origin("http", "127.0.0.1", server.sockets[0].getsockname()[1]), connections
    finally:
        server.close()


@contextlib.asynccontextmanager
async def client(**rules: float) -> AsyncIterator[HttpClient]:
    made = HttpClient(ClientRules(**{"silence_seconds": 5.0, **rules}))  # type: ignore[arg-type]
    try:
        yield made
    finally:
        made.close()
        await asyncio.sleep(0.01)


async def _head(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")


def saying(*answers: bytes) -> Answer:
    """Answer each request on a connection with the next of `answers`, then close."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for one in answers:
            await _head(reader)
            writer.write(one)
            await writer.drain()

    return answer


async def get(made: HttpClient, origin: Origin, method: str = "GET") -> tuple[int, bytes]:
    response = await made.send(origin, OutwardRequest(method, "/", _HOST))
    return response.status, await response.read(1_000_000)


async def test_a_connection_is_used_again() -> None:
    async with serving(saying(_OK, _OK, _OK)) as (origin, connections), client() as made:
        for _ in range(3):
            assert await get(made, origin) == (200, b"ok")
        assert len(connections) == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + _OK,
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + _OK,
        b"HTTP/1.1 200 OK\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
    ],
)
async def test_every_framing_is_read(answer: bytes) -> None:
    async with serving(saying(answer)) as (origin, _), client() as made:
        assert await get(made, origin) == (200, b"ok")


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n"),
    ],
)
async def test_answers_without_a_body_leave_the_connection_usable(method: str, answer: bytes) -> None:
    async with serving(saying(answer, _OK)) as (origin, connections), client() as made:
        response = await made.send(origin, OutwardRequest(method, "/", _HOST))
        assert await response.read(10) == b""
        assert await get(made, origin) == (200, b"ok")
        assert len(connections) == 1


@pytest.mark.parametrize(
    "answer",
    [b"", b"HTTP/1.1 200 OK\r\nContent-", b"SMTP ready\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 100_000],
)
async def test_what_is_no_answer_is_an_error(answer: bytes) -> None:
    async with serving(saying(answer)) as (origin, _), client() as made:
        with pytest.raises(ConnectionFailedError):
            await get(made, origin)


async def test_a_body_that_breaks_off_is_an_error() -> None:
    for half in (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok",
                 b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nok"):  # fmt: skip
        async with serving(saying(half)) as (origin, _), client() as made:
            response = await made.send(origin, OutwardRequest("GET", "/", _HOST))
            with pytest.raises(ConnectionFailedError, match="closed"):
                await response.read(100)


async def test_nobody_there() -> None:
    async with serving(saying()) as (origin, _):
        pass
    async with client() as made:
        with pytest.raises(ConnectionFailedError):
            await get(made, origin)


async def test_silence_ends_the_wait_before_and_within_the_body() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
        await reader.read()

    async def dumb(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with client(silence_seconds=0.05) as made:
        async with serving(dumb) as (origin, _):
            with pytest.raises(ConnectionFailedError, match="no answer within") as failed:
                await get(made, origin)
            assert failed.value.is_silent
        async with serving(silent) as (origin, _):
            response = await made.send(origin, OutwardRequest("GET", "/", _HOST))
            with pytest.raises(ConnectionFailedError, match="no answer within"):
                await response.read(100)


async def _parts(count: int, sent: list[int]) -> AsyncIterator[bytes]:
    for _ in range(count):
        sent.append(1)
        yield bytes(65_536)


@pytest.mark.parametrize("length", [None, 64 * 65_536])
async def test_bodies_are_sent_chunked_or_with_their_length(length: int | None) -> None:
    received: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await _head(reader)
        if length is None:
            assert b"transfer-encoding: chunked" in head
            while size := int(await reader.readline(), 16):
                received.append(await reader.readexactly(size))
                await reader.readline()
            await reader.readline()
        else:
            assert f"content-length: {length}".encode() in head
            received.append(await reader.readexactly(length))
        writer.write(_OK)

    async with serving(answer) as (origin, _), client() as made:
        request = OutwardRequest("PUT", "/", _HOST, _parts(64, []), length)
        response = await made.send(origin, request)
        assert await response.read(10) == b"ok"
    assert sum(map(len, received)) == 64 * 65_536


async def test_a_reader_that_does_not_read_holds_the_sender_up() -> None:
    sent: list[int] = []
    may_read = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _head(reader)
        await may_read.wait()
        await reader.readexactly(2_000 * 65_536)
        writer.write(_OK)

    async with serving(answer) as (origin, _), client() as made, asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(
            made.send(origin, OutwardRequest("PUT", "/", _HOST, _parts(2_000, sent), 2_000 * 65_536))
        )
        seen = -1
        while seen != len(sent):
            seen = len(sent)
            await asyncio.sleep(0.05)
        # What the kernel holds for a connection, not the whole of it.
        assert len(sent) < 500
        may_read.set()
        assert await (await sending).read(10) == b"ok"


async def test_an_early_answer_ends_the_sending() -> None:
    sent: list[int] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _head(reader)
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
        await writer.drain()
        await reader.read(1)

    async with serving(answer) as (origin, connections), client() as made:
        response = await made.send(origin, OutwardRequest("PUT", "/", _HOST, _parts(100_000, sent), 100_000 * 65_536))
        assert (response.status, await response.read(10)) == (403, b"no")
        assert len(sent) < 100_000
        with contextlib.suppress(ConnectionFailedError):
            await get(made, origin)
        assert len(connections) == 2


async def test_a_body_that_fails_ends_the_request_and_the_connection() -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"half"
        raise ValueError("lost")

    ended = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _head(reader)
        with contextlib.suppress(ConnectionError):
            while await reader.read(100):
                pass
        ended.set()

    async with serving(answer) as (origin, _), client() as made:
        with pytest.raises(ValueError, match="lost"):
            await made.send(origin, OutwardRequest("PUT", "/", _HOST, broken(), 100))
        await ended.wait()


@pytest.mark.parametrize(
    "request_", [OutwardRequest("GET", "/a b", _HOST), OutwardRequest("GET", "/", (("x", "a\r\nInjected: yes"),))]
)
async def test_nothing_is_smuggled_into_a_head(request_: OutwardRequest) -> None:
    async with serving(saying(_OK)) as (origin, _), client() as made:
        with pytest.raises(ConnectionFailedError, match="line break"):
            await made.send(origin, request_)


async def test_an_abandoned_answer_closes_its_connection() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n")
        while not writer.is_closing():
            writer.write(bytes(65_536))
            await writer.drain()

    async with serving(answer) as (origin, connections), client(connections_max=1) as made:
        for _ in range(3):
            response = await made.send(origin, OutwardRequest("GET", "/", _HOST))
            assert await response.__anext__()
            await response.aclose()
        assert len(connections) == 3


async def test_what_only_reads_survives_a_connection_closed_meanwhile() -> None:
    # Closed behind the client's back: nothing in the answer says so.
    async with serving(saying(_OK)) as (origin, connections), client() as made:
        for _ in range(5):
            assert await get(made, origin) == (200, b"ok")
        assert len(connections) == 5


async def test_what_changes_something_is_never_sent_twice() -> None:
    seen: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for count in range(2):
            seen.append(await _head(reader))
            if count == 0:
                writer.write(_OK)

    async with serving(answer) as (origin, _), client() as made:
        assert await get(made, origin) == (200, b"ok")
        with pytest.raises(ConnectionFailedError):
            await get(made, origin, "DELETE")
    assert len(seen) == 2


@pytest.mark.parametrize("announced", [65_535, 65_537])
async def test_a_body_of_another_length_than_announced_never_leaves_whole(announced: int) -> None:
    received: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _head(reader)
        received.append(await reader.read(1_000_000))
        await reader.read()

    async with serving(answer) as (origin, _), client() as made:
        with pytest.raises(ConnectionFailedError, match="announced"):
            await made.send(origin, OutwardRequest("PUT", "/", _HOST, _parts(1, []), announced))
    assert sum(map(len, received)) < announced
