"""STOMP frames as the specification has them, in whatever pieces they arrive."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest

from lambent.events.sources.brokers.stomp import Frame, StompConnection, StompError, encode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CONNECTED = b"CONNECTED\nversion:1.2\nheart-beat:0,0\n\n\0"


@contextlib.asynccontextmanager
async def answered(*pieces: bytes) -> AsyncIterator[tuple[StompConnection, list[bytes]]]:
    """A connection to a server that answers the login with these pieces and then hangs up; and what it was sent."""
    got: list[bytes] = []
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append(await reader.readuntil(b"\0"))
        for piece in (CONNECTED, *pieces):
            writer.write(piece)
            with contextlib.suppress(ConnectionError):
                await writer.drain()
            await asyncio.sleep(0)
        # One that has had enough hangs up with something unread.
        with contextlib.suppress(ConnectionError):
            writer.write_eof()
            got.append(await reader.read())
        writer.close()
        over.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    connection = StompConnection()
    async with server:
        host, port = server.sockets[0].getsockname()[:2]
        await connection.open(host, port, None, ("user", "pass:word"))
        try:
            yield connection, got
        finally:
            await connection.close()
            await over.wait()


def test_headers_are_escaped_but_for_the_login() -> None:
    assert encode(Frame("SEND", {"a:b": "c\\d\ne\r"}, b"body")) == b"SEND\na\\cb:c\\\\d\\ne\\r\n\nbody\0"
    assert encode(Frame("CONNECT", {"passcode": "a:b"})) == b"CONNECT\npasscode:a:b\n\n\0"


async def test_a_login_says_who_and_which_version() -> None:
    async with answered() as (connection, got):
        assert await connection.read() is None
    head = got[0].decode().split("\n")
    assert head[0] == "CONNECT"
    assert {"accept-version:1.2", "login:user", "passcode:pass:word", "heart-beat:10000,10000"} <= set(head)


@pytest.mark.parametrize("size", [1, 3, 1_000_000])
async def test_frames_come_whole_from_any_pieces(size: int) -> None:
    wire = (
        b"\n\nMESSAGE\nmessage-id:ID\\c1\nack:7\nack:8\r\ncontent-length:5\n\na\0b\nc\0\nMESSAGE\n\ntext \xc3\xa9\0\n"
    )
    async with answered(*(wire[start : start + size] for start in range(0, len(wire), size))) as (connection, _):
        first = await connection.read()
        assert first == Frame("MESSAGE", {"message-id": "ID:1", "ack": "7", "content-length": "5"}, b"a\0b\nc")
        assert await connection.read() == Frame("MESSAGE", {}, "text é".encode())
        assert await connection.read() is None


async def test_a_text_longer_than_the_buffer_comes_whole() -> None:
    text = b"x" * 3_000_000
    async with answered(b"MESSAGE\n\n", text, b"\0") as (connection, _):
        frame = await connection.read()
    assert frame is not None
    assert frame.body == text


async def test_an_error_frame_is_a_refusal() -> None:
    async with answered(b"ERROR\nmessage:no\\cway\n\nlong text\0") as (connection, _):
        with pytest.raises(StompError, match="no:way") as caught:
            await connection.read()
    assert caught.value.is_refusal


@pytest.mark.parametrize(
    "wire",
    [
        b"MESSAGE\ncontent-length:-1\n\n\0",
        b"MESSAGE\ncontent-length:x\n\n\0",
        b"MESSAGE\ncontent-length:1\n\nab\0",
        b"MESSAGE\ncontent-length:999999999999\n\nab\0",
        b"\xff\xfe\n\n\0",
        b"x" * 2_000_000,
    ],
)
async def test_what_is_no_stomp_is_refused(wire: bytes) -> None:
    async with answered(wire) as (connection, _):
        with pytest.raises(StompError) as caught:
            await connection.read()
    assert not caught.value.is_refusal


async def test_a_frame_that_is_cut_off_is_a_loss() -> None:
    async with answered(b"MESSAGE\ncontent-length:10\n\nabc") as (connection, _):
        with pytest.raises(StompError, match="lost"):
            await connection.read()


async def test_what_is_sent_is_on_the_wire() -> None:
    async with answered() as (connection, got):
        assert await connection.read() is None
        await connection.send(Frame("ACK", {"id": "a"}), Frame("ACK", {"id": "b"}))
        await connection.beat()
    assert got[1] == b"ACK\nid:a\n\n\0ACK\nid:b\n\n\0\n"
