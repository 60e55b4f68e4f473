"""The body inside AWS's own chunks, each of which carries a signature that nobody else can make again.

Source: Amazon S3 API reference, "Signature calculations for the authorization header: transferring payload in
multiple chunks". Frames are `SIZE[;chunk-signature=…]` and a line end, the data and a line end; the last has size 0 and
is followed by trailers.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lambent.wire.error_forms import NeighbourError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_LINE_BYTES_MAX = 4_096
_SIZE = re.compile(rb"[0-9a-fA-F]{1,12}")


class UnframedBody:
    """Iterates over the data of the chunks as they arrive; signatures and trailers are dropped, and not checked."""

    def __init__(self, framed: AsyncIterator[bytes]) -> None:
        self._framed = framed
        self._buffer = bytearray()
        self._left_bytes = 0
        self._is_after_data = False

    def __aiter__(self) -> UnframedBody:
        return self

    async def __anext__(self) -> bytes:
        """Return some data. Raises NeighbourError when a frame is malformed or cut, and what reading raises."""
        if not self._left_bytes:
            if self._is_after_data and await self._line():
                raise _malformed()
            self._left_bytes = _size(await self._line())
            self._is_after_data = True
            if not self._left_bytes:
                await self._drop_rest()
                raise StopAsyncIteration
        if not self._buffer:
            await self._more()
        part = bytes(self._buffer[: self._left_bytes])
        del self._buffer[: len(part)]
        self._left_bytes -= len(part)
        return part

    async def _line(self) -> bytes:
        while (end := self._buffer.find(b"\r\n")) < 0:
            if len(self._buffer) > _LINE_BYTES_MAX:
                raise _malformed()
            await self._more()
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line

    async def _more(self) -> None:
        try:
            self._buffer += await self._framed.__anext__()
        except StopAsyncIteration:
            raise _malformed() from None

    async def _drop_rest(self) -> None:
        self._buffer.clear()
        async for _ in self._framed:
            pass


def _size(line: bytes) -> int:
    text = line.partition(b";")[0]
    if not _SIZE.fullmatch(text):
        raise _malformed()
    return int(text, 16)


def _malformed() -> NeighbourError:
    return NeighbourError("IncompleteBody", "The request's body is not framed as its headers say.", 400)
