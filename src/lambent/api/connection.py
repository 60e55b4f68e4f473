"""One HTTP/1.1 connection: bytes to requests, answers to bytes, in order, with a bound on everything.

The protocol's callbacks only take and count; one task per connection (`serve`) asks the door and writes. A client
that goes away does not disturb the request being answered: the task sees it through and then ends.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from enum import Enum
from typing import TYPE_CHECKING, Protocol, cast

import httptools

from lambent.api.messages import HttpRequest, HttpResponse, Peer
from lambent.api.transport.answer_writer import AnswerWriter
from lambent.api.transport.request_head import SINGLE_HEADERS, check_head
from lambent.api.transport.spool import BodyFailure, IncomingBody, SpooledBody

if TYPE_CHECKING:
    import logging

    from lambent.api.messages import Answers, HttpLimits

_FRAMING_BYTES_MAX = 131_072
_QUEUED_BYTES_MAX = 1_048_576
_SPOOL_PENDING_BYTES_MAX = 1_048_576
_DISCARD_BYTES_MAX = 256 * 1_048_576
_DISCARD_SECONDS = 10.0
# A body arriving more slowly than this on the whole is a client holding a place, not a slow line.
_BODY_BYTES_PER_SECOND_MIN = 1_024
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Reading(Enum):
    """What the next bytes belong to. DISCARD: the connection is ending and they belong to nothing."""

    IDLE = 0
    HEAD = 1
    BODY = 2
    DISCARD = 3


class RefusedError(Exception):
    """Leaves the parser from inside a callback; what to do was noted on the connection."""


class ConnectionHost(Protocol):
    """What a connection needs of the server."""

    loop: asyncio.AbstractEventLoop
    limits: HttpLimits
    door: Answers
    log: logging.Logger
    is_stopping: bool
    header_names: dict[bytes, str]

    def opened(self, connection: HttpConnection) -> bool:
        """Take a new connection and start its task; False when there are too many."""

    def closed(self, connection: HttpConnection) -> None:
        """Forget a connection."""

    def hold(self, size_bytes: int) -> bool:
        """Count memory taken by a body; False when that is too much for all connections together."""

    def release(self, size_bytes: int) -> None:
        """Count memory given back."""

    def header_name(self, name: bytes) -> str:
        """Return a header name in lower case, and keep it in `header_names`."""


class HttpConnection(asyncio.Protocol):
    """Owner: the server. Scope: one connection. Limits: `HttpLimits`, the door's body plans, the constants above."""

    def __init__(self, host: ConnectionHost, scheme: str) -> None:
        self._host = host
        self._scheme = scheme
        self._limits = host.limits
        self._names = host.header_names
        self._loop = host.loop
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport
        self._writer: AnswerWriter
        self._peer = Peer(scheme, "", 0)
        self._queue: deque[HttpRequest | HttpResponse] = deque()
        self._queued_bytes = 0
        self._waiter: asyncio.Future[None] | None = None
        self._is_lost = False
        self._is_ended_by_client = False
        self._is_busy = False
        self._is_reading_paused = False
        self._is_continue_wanted = False
        self._refusal: tuple[int, str] | None = None
        self._reading = Reading.IDLE
        self._since = self._loop.time()
        self._progress_at = self._since
        self._paused_at = self._since
        self._request: HttpRequest | None = None
        self._headers: dict[str, str] = {}
        self._parts: list[bytes] = []
        self._body_bytes = 0
        self._held_bytes = 0
        self._start_message()

    # --- the transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._writer = AnswerWriter(self._transport, self._loop)
        name = transport.get_extra_info("sockname")
        if isinstance(name, tuple):
            remote = transport.get_extra_info("peername")
            remote_host = str(remote[0]) if isinstance(remote, tuple) else ""
            self._peer = Peer(self._scheme, str(name[0]), int(name[1]), remote_host)
        if not self._host.opened(self):
            self._is_lost = True
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_lost = True
        self._writer.lose()
        if self._request is not None and self._request.incoming is not None:
            self._request.incoming.fail(BodyFailure.LOST)
        self._drop_parts()
        self._host.release(self._queued_bytes)
        self._queued_bytes = 0
        self._queue.clear()
        self._wake()
        self._host.closed(self)

    def eof_received(self) -> bool:
        self._is_ended_by_client = True
        if self._request is not None and self._request.incoming is not None:
            self._request.incoming.fail(BodyFailure.LOST)
        self._wake()
        # A client may close its sending side and still wait for its answers (TLS has no such half-close). One that
        # follows a stream has gone: nothing else would ever end a silent stream.
        is_waiting = self._is_busy or bool(self._queue)
        return self._scheme == "http" and is_waiting and not self._writer.is_streaming

    def pause_writing(self) -> None:
        self._writer.pause()

    def resume_writing(self) -> None:
        self._writer.resume()

    def data_received(self, data: bytes) -> None:
        if self._reading is Reading.DISCARD:
            self._body_bytes += len(data)
            if self._body_bytes > _DISCARD_BYTES_MAX:
                self._transport.abort()
            return
        self._raw_bytes += len(data)
        self._progress_at = self._loop.time()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._ignore_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            self._refuse(error)
        else:
            self._check_sizes()

    # --- the parser's side

    def on_message_begin(self) -> None:
        self._reading = Reading.HEAD
        self._since = self._progress_at
        self._start_message()

    def on_url(self, url: bytes) -> None:
        self._target += url
        if len(self._target) > self._limits.request_line_bytes_max:
            self._leave(414, "The request target is too long")

    def on_header(self, name: bytes, value: bytes) -> None:
        # What a head may hold is counted when it is whole; until then its bytes are (`_check_sizes`).
        if self._reading is not Reading.HEAD:
            return  # A trailer: nothing here uses one.
        key = self._names.get(name) or self._host.header_name(name)
        headers = self._headers
        if key not in headers:
            headers[key] = value.decode("latin-1")
        elif key in SINGLE_HEADERS:
            self._leave(400, f"Repeated header: {key}")
        else:
            headers[key] = f"{headers[key]},{value.decode('latin-1')}"
            self._repeated_headers += 1
            if self._repeated_headers > self._limits.header_count_max:
                self._leave(431, "Too many headers")

    def on_headers_complete(self) -> None:
        parser, headers = self._parser, self._headers
        method, version = parser.get_method(), parser.get_http_version()
        refusal = check_head(method, version, self._target, headers)
        if refusal is not None:
            self._leave(*refusal)
        limits = self._limits
        if len(headers) + self._repeated_headers > limits.header_count_max:
            self._leave(431, "Too many headers")
        if sum(map(len, headers)) + sum(map(len, headers.values())) > limits.headers_bytes_max:
            self._leave(431, "Too large headers")
        request = HttpRequest(method.decode(), self._target.decode("latin-1"), headers, self._peer)
        request.is_http_10 = version == "1.0"
        request.is_last = self._host.is_stopping or not parser.should_keep_alive()
        self._request = request
        self._reading = Reading.BODY
        self._since = self._progress_at
        self._raw_bytes = 0
        length = headers.get("content-length")
        if length is None and "transfer-encoding" not in headers:
            return
        request.plan = plan = self._host.door.plan_body(request)
        self._body_bytes_max = plan.memory_bytes_max if plan.spool_directory is None else plan.bytes_max
        if plan.is_streamed:
            self._body_bytes_max = plan.bytes_max
        if length is not None and int(length) > self._body_bytes_max:
            self._oversize(request)
        if plan.is_streamed:
            request.incoming = IncomingBody(self._loop, [], self._resume_reading)
            self._put(request)
        if "expect" in headers and length != "0":
            self._is_continue_wanted = True
            self._continue_if_idle()

    def on_body(self, part: bytes) -> None:
        request = self._request
        assert request is not None
        assert request.plan is not None
        self._is_continue_wanted = False
        self._body_bytes += len(part)
        if self._body_bytes > self._body_bytes_max:
            self._oversize(request)
        if request.incoming is not None:
            request.incoming.put(part)
            if request.incoming.pending_bytes > _SPOOL_PENDING_BYTES_MAX:
                self._pause_reading()
            return
        self._parts.append(part)
        self._held_bytes += len(part)
        if not self._host.hold(len(part)):
            self._leave(503, "Too many large requests at one time")
        if self._body_bytes > request.plan.memory_bytes_max:
            request.incoming = IncomingBody(self._loop, self._parts, self._resume_reading)
            self._drop_parts()
            self._put(request)

    def on_message_complete(self) -> None:
        request, self._request = self._request, None
        assert request is not None
        self._is_continue_wanted = False
        self._reading = Reading.IDLE
        self._since = self._progress_at
        self._raw_bytes = 0
        if request.incoming is not None:
            request.incoming.complete()
            return
        parts = self._parts
        if parts:
            request.body = parts[0] if len(parts) == 1 else b"".join(parts)
            self._queued_bytes += len(request.body)
            self._held_bytes = 0  # The request holds them now, until it is answered.
        self._put(request)

    def _start_message(self) -> None:
        self._target = b""
        self._headers = {}
        self._repeated_headers = 0
        self._drop_parts()
        self._body_bytes = 0
        self._body_bytes_max = 0
        self._raw_bytes = 0

    def _drop_parts(self) -> None:
        self._parts = []
        if self._held_bytes:
            self._host.release(self._held_bytes)
            self._held_bytes = 0

    def _leave(self, status: int, reason: str) -> None:
        self._refusal = (status, reason)
        raise RefusedError

    def _oversize(self, request: HttpRequest) -> None:
        request.is_oversize = True
        request.is_last = True
        if request.incoming is None:
            self._drop_parts()
            self._put(request)
        else:
            request.incoming.fail(BodyFailure.OVERSIZE)
        self._request = None
        self._start_discarding()
        raise RefusedError

    def _refuse(self, error: httptools.HttpParserError) -> None:
        if self._reading is Reading.DISCARD:
            return
        if isinstance(error, httptools.HttpParserCallbackError) and not isinstance(error.__context__, RefusedError):
            self._host.log.error("a request could not be taken", exc_info=error.__context__)
            self._refuse_with(500, "Internal error")
        else:
            self._refuse_with(*(self._refusal or (400, "Malformed request")))

    def _refuse_with(self, status: int, reason: str) -> None:
        request, self._request = self._request, None
        if request is not None and request.incoming is not None:
            request.incoming.fail(BodyFailure.TIMED_OUT if status == 408 else BodyFailure.MALFORMED)
        else:
            self._put(self._host.door.refusal(status, reason))
        self._start_discarding()

    def _start_discarding(self) -> None:
        self._reading = Reading.DISCARD
        self._drop_parts()
        self._since = self._loop.time()
        self._body_bytes = 0
        self._is_continue_wanted = False
        self._resume_reading()

    def _ignore_upgrade(self, rest: bytes) -> None:
        # The parser cannot go on after Upgrade or CONNECT; we speak no other protocol, so a new one takes the rest.
        last = self._queue[-1] if self._queue else None
        if isinstance(last, HttpRequest) and ("content-length" in last.headers or "transfer-encoding" in last.headers):
            self._queue.pop()
            self._refuse_with(400, "Upgrade with a body")
            return
        self._parser = httptools.HttpRequestParser(self)
        if rest:
            self.data_received(rest)

    def _check_sizes(self) -> None:
        if self._reading is Reading.HEAD:
            limits = self._limits
            if self._raw_bytes > limits.headers_bytes_max + limits.request_line_bytes_max:
                self._refuse_with(431, "Too many or too large headers")
        elif self._reading is Reading.BODY and self._raw_bytes > 16 * self._body_bytes + _FRAMING_BYTES_MAX:
            self._refuse_with(400, "More framing than body")

    def _continue_if_idle(self) -> None:
        if self._is_continue_wanted and not self._is_busy and not self._queue:
            self._is_continue_wanted = False
            self._transport.write(_CONTINUE)

    # --- the task's side

    async def serve(self) -> None:
        """Answer requests until the connection ends. Never raises but for cancellation."""
        try:
            while (item := await self._next()) is not None:
                self._is_busy = True
                is_last = await self._answer(item)
                self._is_busy = False
                if is_last:
                    break
                self._continue_if_idle()
        except Exception:
            self._host.log.exception("a connection failed")
            self._transport.abort()
        finally:
            self._is_busy = False
            self._end()

    async def _next(self) -> HttpRequest | HttpResponse | None:
        while not self._queue:
            if self._is_lost or self._is_ended_by_client or (self._host.is_stopping and self._reading is Reading.IDLE):
                return None
            self._waiter = self._loop.create_future()
            await self._waiter
        item = self._queue.popleft()
        if isinstance(item, HttpRequest):
            self._queued_bytes -= len(item.body)
        if self._is_reading_paused and not self._is_full():
            self._resume_reading()
        return item

    async def _answer(self, item: HttpRequest | HttpResponse) -> bool:
        """Answer one request; return whether it was the connection's last."""
        if isinstance(item, HttpResponse):
            await self._writer.send(None, item)
            return True
        is_streamed = item.plan is not None and item.plan.is_streamed
        failure = await self._spool(item) if item.incoming is not None and not is_streamed else None
        if is_streamed and self._is_continue_wanted and self._request is item:
            self._is_continue_wanted = False
            self._transport.write(_CONTINUE)
        try:
            response = failure or await self._host.door.answer(item)
        finally:
            if item.body:
                self._host.release(len(item.body))
            if item.spooled is not None:
                await self._loop.run_in_executor(None, item.spooled.discard)
        if item.incoming is not None and not item.incoming.is_complete:
            # Answered before the body had arrived: nobody will read the rest.
            item.is_last = True
            if self._request is item:
                self._request = None
                self._start_discarding()
        await self._writer.send(item, response)
        return item.is_last or response.is_last

    async def _spool(self, request: HttpRequest) -> HttpResponse | None:
        """Write a body to its file as it arrives; return an answer when that cannot be."""
        incoming, plan = request.incoming, request.plan
        assert incoming is not None
        assert plan is not None
        assert plan.spool_directory is not None
        try:
            request.spooled = spooled = await self._loop.run_in_executor(None, SpooledBody, plan.spool_directory)
            while incoming.failure is None:
                parts = incoming.take()
                if parts:
                    await self._loop.run_in_executor(None, spooled.write, parts)
                elif incoming.is_complete:
                    await self._loop.run_in_executor(None, spooled.close)
                    return None
                else:
                    await incoming.wait()
        except OSError as error:
            self._host.log.error("a request's body could not be stored: %s", error)
            self._request = None
            self._start_discarding()
            return self._host.door.refusal(500, f"The request's body could not be stored: {error.strerror}")
        if incoming.failure is BodyFailure.OVERSIZE:
            return None
        status = 408 if incoming.failure is BodyFailure.TIMED_OUT else 400
        return self._host.door.refusal(status, f"The request's body is not complete: {incoming.failure}")

    def _put(self, item: HttpRequest | HttpResponse) -> None:
        self._queue.append(item)
        if self._is_full():
            self._pause_reading()
        self._wake()

    def _is_full(self) -> bool:
        return len(self._queue) >= self._limits.pipelined_max or self._queued_bytes > _QUEUED_BYTES_MAX

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _pause_reading(self) -> None:
        if not self._is_reading_paused and not self._is_lost:
            self._is_reading_paused = True
            self._paused_at = self._loop.time()
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._is_reading_paused and not self._is_lost:
            self._is_reading_paused = False
            self._progress_at = self._loop.time()
            self._since += self._progress_at - self._paused_at  # Our pause is not the client's slowness.
            self._transport.resume_reading()

    def _end(self) -> None:
        """Close; when the client may still be sending, take and drop it first so that it gets its answer."""
        if self._is_lost:
            return
        if self._reading is not Reading.DISCARD:
            self._transport.close()
            return
        self._since = self._loop.time()
        with contextlib.suppress(OSError, RuntimeError):
            if self._transport.can_write_eof():
                self._transport.write_eof()

    # --- the server's side

    def stop_when_idle(self) -> None:
        """The server is stopping: end now if idle or sending a stream, else after the answers under way."""
        self._writer.cut_stream()
        self._wake()

    def abort(self) -> None:
        """Drop the connection at once."""
        if not self._is_lost:
            self._transport.abort()

    def check_time(self, now: float) -> None:
        """End what takes too long; called by the server from time to time."""
        slow = self._limits.slow_client_seconds
        if self._writer.is_paused(now):
            if self._writer.stalled_seconds(now) > slow:
                self._transport.abort()
        elif self._reading is Reading.DISCARD:
            if not self._is_busy and not self._queue and now - self._since > min(slow, _DISCARD_SECONDS):
                self._transport.abort()
        elif self._is_reading_paused:
            return
        elif self._reading is Reading.IDLE:
            if not self._is_busy and not self._queue and now - self._since > self._limits.idle_seconds:
                self._transport.close()
        elif self._is_too_slow(now, slow):
            self._refuse_with(408, "The request did not arrive in time")

    def _is_too_slow(self, now: float, slow: float) -> bool:
        if self._reading is Reading.HEAD:
            return now - self._since > slow
        due = (now - self._since - slow) * _BODY_BYTES_PER_SECOND_MIN
        return now - self._progress_at > slow or self._body_bytes < due
