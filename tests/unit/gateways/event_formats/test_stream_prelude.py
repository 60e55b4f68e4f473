"""Status, headers and cookies before a streamed body."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lambent.gateways.event_formats.payload_v2 import BadAnswerError, ReadAnswer
from lambent.gateways.event_formats.stream_prelude import read_prelude

if TYPE_CHECKING:
    from lambent.model.invocation import InvocationResult

END = bytes(8)


class Stream:
    content_type: str | None = None
    ending: InvocationResult | None = None

    def __init__(self, parts: list[bytes]) -> None:
        self.parts = parts

    async def __anext__(self) -> bytes:
        if not self.parts:
            raise StopAsyncIteration
        return self.parts.pop(0)

    def end(self, result: InvocationResult) -> None:
        raise AssertionError

    def abandon(self) -> None:
        raise AssertionError


async def read(*parts: bytes) -> ReadAnswer:
    return await read_prelude(Stream(list(parts)))


async def test_in_pieces_and_with_a_part_of_the_body() -> None:
    head = b'{"statusCode":404,"headers":{"Content-Type":"text/html"},"cookies":["a=b"]}'
    wanted = ReadAnswer(404, (("Content-Type", "text/html"), ("Set-Cookie", "a=b")), b"body")
    assert await read(head + END + b"body") == wanted
    assert await read(head[:10], head[10:] + END[:3], END[3:] + b"body") == wanted


async def test_without_members() -> None:
    assert await read(b"{}" + END) == ReadAnswer(200, ())


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [b"{}"],
        [b"{}", END[:7]],
        [b"no json" + END],
        [b"[]" + END],
        [b'{"statusCode":"x"}' + END],
        [b'{"headers":[]}' + END],
        [b"x" * 40_000, b"x" * 40_000, END],
    ],
)
async def test_what_is_none(parts: list[bytes]) -> None:
    with pytest.raises(BadAnswerError):
        await read(*parts)
