"""The port of the child's calls: frames in, frames out, nobody else."""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
from typing import TYPE_CHECKING, Any

import pytest

from lambent.model.invocation import TriggeredAnswer, TriggeredCall, TriggerSource
from lambent.neighbours.calls import ChildCalls

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_LENGTHS = struct.Struct(">II")
_HEAD = {
    "secret": "known", "function": "arn:aws:lambda:eu-west-1:111111111111:function:f:live",
    "principal": "sns.amazonaws.com", "arn": "arn:aws:sns:eu-west-1:111111111111:t", "account": "111111111111",
    "has_role": False, "is_event": True, "dead_letter": "d", "attributes": {"a": "b"},
}  # fmt: skip


class Calls:
    """What was called, and the port."""

    def __init__(self) -> None:
        self.seen: list[TriggeredCall] = []
        self.answer = TriggeredAnswer(b"payload", "", is_function_error=True)
        self.error: Exception | None = None
        self.door = ChildCalls(self.take, "known")

    async def take(self, call: TriggeredCall) -> TriggeredAnswer:
        self.seen.append(call)
        if self.error is not None:
            raise self.error
        return self.answer


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[Calls]:
    calls = Calls()
    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(calls.door.run())
        yield calls
        running.cancel()


async def _exchange(
    streams: tuple[asyncio.StreamReader, asyncio.StreamWriter], head: dict[str, Any], payload: bytes = b"{}"
) -> tuple[dict[str, Any], bytes]:
    reader, writer = streams
    said = json.dumps(head).encode()
    writer.write(_LENGTHS.pack(len(said), len(payload)) + said + payload)
    head_bytes, payload_bytes = _LENGTHS.unpack(await reader.readexactly(_LENGTHS.size))
    return json.loads(await reader.readexactly(head_bytes)), await reader.readexactly(payload_bytes)


async def test_calls_of_one_connection() -> None:
    async with serving() as calls:
        streams = await asyncio.open_connection("127.0.0.1", calls.door.port())
        assert await _exchange(streams, _HEAD, b'{"a":1}') == ({"code": "", "is_function_error": True}, b"payload")
        [call] = calls.seen
        assert str(call.function) == _HEAD["function"]
        assert call.source == TriggerSource("sns.amazonaws.com", str(_HEAD["arn"]), "111111111111")
        assert (call.payload, call.is_event, call.is_check) == (b'{"a":1}', True, False)
        assert (call.dead_letter_arn, call.attributes) == ("d", (("a", "b"),))
        calls.answer = TriggeredAnswer(b"why", "AccessDeniedException")
        assert await _exchange(streams, {**_HEAD, "is_check": True}) == (
            {"code": "AccessDeniedException", "is_function_error": False}, b"why"
        )  # fmt: skip
        assert calls.seen[-1].is_check
        said, _ = await _exchange(streams, {**_HEAD, "function": "no arn!"})
        assert said["code"] == "ValidationException"
        streams[1].close()


async def test_strangers_get_no_answer() -> None:
    async with serving() as calls:
        for head in ({**_HEAD, "secret": "guess"}, {**_HEAD, "secret": ""}):
            streams = await asyncio.open_connection("127.0.0.1", calls.door.port())
            with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
                await _exchange(streams, head)
            streams[1].close()
        reader, writer = await asyncio.open_connection("127.0.0.1", calls.door.port())
        writer.write(_LENGTHS.pack(1 << 31, 0))
        assert await reader.read() == b""
        writer.close()
        assert calls.seen == []


async def test_a_call_that_fails_ends_its_connection_only(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as calls:
        calls.error = RuntimeError("a fault")
        streams = await asyncio.open_connection("127.0.0.1", calls.door.port())
        with pytest.raises(asyncio.IncompleteReadError):
            await _exchange(streams, _HEAD)
        streams[1].close()
        calls.error = None
        streams = await asyncio.open_connection("127.0.0.1", calls.door.port())
        assert (await _exchange(streams, _HEAD))[1] == b"payload"
        streams[1].close()
    assert "a fault" in caplog.text
