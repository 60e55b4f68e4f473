"""Answers to bytes: heads, files, streams, with back-pressure from a client that reads slowly."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from lambent.api.messages import FileBody, SizedStream, encode_head
from lambent.wire.http_exchange import BrokenStreamError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lambent.api.messages import Headers, HttpRequest, HttpResponse

_JOINED_BYTES_MAX = 65_536
_FILE_PART_BYTES = 262_144


class AnswerWriter:
    """Writes the answers of one connection. Owner: the connection, which tells it what the transport says."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._waiter: asyncio.Future[None] | None = None
        self._stream_task: asyncio.Task[None] | None = None
        self._is_stream_finite = False
        self._is_paused = False
        self._left_bytes = 0
        self._progress_at = 0.0
        self.is_lost = False

    # --- the transport's side

    def pause(self) -> None:
        """The transport holds as much as it should."""
        self._is_paused = True
        self._progress_at = self._loop.time()
        self._left_bytes = self._transport.get_write_buffer_size()

    def resume(self) -> None:
        """The transport takes more."""
        self._is_paused = False
        self._wake()

    def lose(self) -> None:
        """The connection is gone: nothing more is written, and nothing is made for nobody."""
        self.is_lost = True
        if self._stream_task is not None:
            self._stream_task.cancel()
        self._wake()

    def cut_stream(self) -> None:
        """End a stream that is being sent and that might never end by itself."""
        if self._stream_task is not None and not self._is_stream_finite:
            self._stream_task.cancel()

    @property
    def is_streaming(self) -> bool:
        """Whether a stream is being sent."""
        return self._stream_task is not None

    def is_paused(self, now: float) -> bool:
        """Whether the client has to read first; notes its progress."""
        if self._is_paused:
            left = self._transport.get_write_buffer_size()
            if left < self._left_bytes:
                self._progress_at = now
            self._left_bytes = left
        return self._is_paused

    def stalled_seconds(self, now: float) -> float:
        """How long the client has read nothing of what waits for it."""
        return now - self._progress_at

    # --- the task's side

    async def send(self, request: HttpRequest | None, response: HttpResponse) -> None:
        """Write an answer and wait until the transport has taken it; `request` None: the answer to no request."""
        body = response.body
        headers = response.headers
        if request is None or request.is_last or response.is_last:
            headers = (*headers, ("Connection", "close"))
        elif request.is_http_10:
            headers = (*headers, ("Connection", "keep-alive"))
        is_head = request is not None and request.method == "HEAD"
        if isinstance(body, bytes):
            framing = "" if response.status in (204, 304) else f"Content-Length: {len(body)}\r\n"
            head = encode_head(response.status, headers, framing)
            self._write_whole(head, b"" if is_head or not framing else body)
            if self._is_paused:
                await self._drained()
        elif isinstance(body, FileBody):
            self.write(encode_head(response.status, headers, f"Content-Length: {body.size_bytes}\r\n"))
            if not is_head:
                await self._send_file(body)
        elif isinstance(body, SizedStream):
            framing = f"Content-Length: {body.size_bytes}\r\n"
            await self._send_sized(request, encode_head(response.status, headers, framing), body)
        else:
            await self._send_stream(request, response.status, headers, body)

    def write(self, data: bytes) -> None:
        """Write unless the connection is lost."""
        if not self.is_lost:
            self._transport.write(data)

    def _write_whole(self, head: bytes, body: bytes) -> None:
        if len(body) <= _JOINED_BYTES_MAX:
            self.write(head + body)
        else:
            self.write(head)
            self.write(body)

    async def _send_file(self, body: FileBody) -> None:
        left = body.size_bytes
        file = await self._loop.run_in_executor(None, body.path.open, "rb")
        try:
            while left and not self.is_lost:
                part = await self._loop.run_in_executor(None, file.read, min(left, _FILE_PART_BYTES))
                if not part:
                    self._transport.abort()  # The file is shorter than was promised.
                    return
                left -= len(part)
                self.write(part)
                if self._is_paused:
                    await self._drained()
        finally:
            await self._loop.run_in_executor(None, file.close)

    async def _send_stream(
        self, request: HttpRequest | None, status: int, headers: Headers, body: AsyncIterator[bytes]
    ) -> None:
        is_chunked = request is not None and not request.is_http_10
        if request is not None and not is_chunked:
            request.is_last = True
        is_whole = False
        # A stream may be silent for as long as it likes, so it is cancelled when there is nobody to read it.
        self._stream_task = asyncio.current_task()
        self._is_stream_finite = getattr(body, "is_finite", False)
        try:
            self.write(encode_head(status, headers, "Transfer-Encoding: chunked\r\n" if is_chunked else ""))
            if request is None or request.method != "HEAD":
                await self._send_parts(body, is_chunked=is_chunked)
            is_whole = True
        except BrokenStreamError:
            pass  # Cut off below, so that nobody takes the half for the whole.
        finally:
            self._stream_task = None
            if not is_whole and not self.is_lost:
                self._transport.abort()
            close = getattr(body, "aclose", None)
            if close is not None:
                await close()

    async def _send_sized(self, request: HttpRequest | None, head: bytes, body: SizedStream) -> None:
        left = body.size_bytes
        try:
            self.write(head)
            if request is not None and request.method != "HEAD":
                async for part in body.parts:
                    if self.is_lost:
                        return
                    left -= len(part)
                    self.write(part)
                    if self._is_paused:
                        await self._drained()
                if left:
                    self._transport.abort()
        except BrokenStreamError:
            self._transport.abort()
        finally:
            close = getattr(body.parts, "aclose", None)
            if close is not None:
                await close()

    async def _send_parts(self, body: AsyncIterator[bytes], *, is_chunked: bool) -> None:
        async for part in body:
            if self.is_lost:
                return
            if part and is_chunked:
                self._transport.writelines((b"%x\r\n" % len(part), part, b"\r\n"))
            elif part:
                self._transport.write(part)
            if self._is_paused:
                await self._drained()
        if is_chunked:
            self.write(b"0\r\n\r\n")

    async def _drained(self) -> None:
        while self._is_paused and not self.is_lost:
            self._waiter = self._loop.create_future()
            await self._waiter

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
