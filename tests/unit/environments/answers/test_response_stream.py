"""What a runtime writes is what its caller reads, at the pace of the slower side."""

from __future__ import annotations

import asyncio

from lambent.environments.answers.response_stream import PENDING_BYTES_MAX, ResponseStream
from lambent.model.invocation import InvocationResult

RESULT = InvocationResult(b"", "1")


class Room:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


async def test_parts_are_read_as_they_come() -> None:
    stream = ResponseStream("text/plain", Room())
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(anext(stream))
        await asyncio.sleep(0)
        assert not first.done()
        stream.put(b"a")
    assert first.result() == b"a"
    stream.put(b"b")
    stream.put(b"c")
    stream.end(RESULT)
    stream.put(b"after the end")
    assert [part async for part in stream] == [b"bc"]
    assert stream.ending is RESULT


async def test_a_reader_that_waits_learns_of_the_end() -> None:
    stream = ResponseStream(None, Room())
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(_read(stream))
        await asyncio.sleep(0)
        stream.end(RESULT)
    assert reading.result() == []


async def test_the_writer_waits_for_room() -> None:
    room = Room()
    stream = ResponseStream(None, room)
    stream.put(bytes(PENDING_BYTES_MAX - 1))
    assert not stream.is_full
    stream.put(b"x")
    assert stream.is_full
    assert len(await anext(stream)) == PENDING_BYTES_MAX
    assert (room.count, stream.is_full, stream.pending_bytes) == (1, False, 0)
    stream.put(b"x")
    await anext(stream)
    assert room.count == 1  # It had not waited.


async def test_without_a_reader_everything_is_dropped() -> None:
    room = Room()
    stream = ResponseStream(None, room)
    stream.put(bytes(PENDING_BYTES_MAX))
    stream.abandon()
    stream.abandon()
    assert room.count == 1
    stream.put(bytes(PENDING_BYTES_MAX))
    assert stream.pending_bytes == 0
    assert not stream.is_full


async def _read(stream: ResponseStream) -> list[bytes]:
    return [part async for part in stream]
