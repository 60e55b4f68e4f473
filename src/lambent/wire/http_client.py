"""Calls outward over HTTP/1.1: bodies streamed both ways with back-pressure, connections kept for the next call."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import TYPE_CHECKING, NamedTuple

import httptools

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

Headers = tuple[tuple[str, str], ...]

_READ_BYTES = 65_536
_BUFFER_BYTES = 262_144
_PART_BYTES = 262_144
_HEAD_BYTES_MAX = 262_144
_IDLE_PER_ORIGIN_MAX = 64
_READING = frozenset({"GET", "HEAD", "OPTIONS"})


class ConnectionFailedError(Exception):
    """No answer, or half of one; the text says why. `is_silent`: the other side said nothing for too long."""

    def __init__(self, reason: str, *, is_silent: bool = False) -> None:
        super().__init__(reason)
        self.is_silent = is_silent


class Origin(NamedTuple):
    """Where to connect. `host` without brackets."""

    scheme: str
    host: str
    port: int


class OutwardRequest(NamedTuple):
    """One request. `target` as it stands in the request line; `headers` without framing.

    A body of bytes is sent with its length; an iterator with `length_bytes`, or chunked when that is None.
    """

    method: str
    target: str
    headers: Headers
    body: bytes | AsyncIterator[bytes] = b""
    length_bytes: int | None = None


class ForwardedRequest(NamedTuple):
    """A caller's request for the service `asked` (its name on AWS's command line), and in whose name it came.

    `is_vouched`: the caller's access key is one of this installation, whose account it names. `principal_arn`: who
    calls, when that is known.
    """

    asked: str
    account_id: str
    region: str
    request: OutwardRequest
    is_vouched: bool = False
    principal_arn: str = ""


class ClientRules(NamedTuple):
    """Bounds. Times in seconds: of connecting, of neither side moving a byte, of an unused connection."""

    connect_seconds: float = 5.0
    silence_seconds: float = 60.0
    idle_seconds: float = 15.0
    connections_max: int = 1_024


class OutwardResponse:
    """An answer whose body is read as it is iterated. Whoever has it iterates to the end or calls `aclose`."""

    def __init__(self, connection: _Connection, release: _Release) -> None:
        self._connection = connection
        self._release = release
        self.status = connection.status
        self.headers: Headers = tuple(connection.headers)
        self.length_bytes = connection.length_bytes
        if connection.is_complete and not connection.parts:
            self._end()

    def __aiter__(self) -> OutwardResponse:
        return self

    async def __anext__(self) -> bytes:
        """Return the next part. Raises ConnectionFailedError when the body breaks off."""
        connection = self._connection
        if not connection.parts and not connection.is_complete:
            try:
                await connection.receive_body()
            except BaseException:
                connection.is_reusable = False
                self._end()
                raise
        if connection.parts:
            part = b"".join(connection.parts)
            connection.parts.clear()
            return part
        self._end()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Give the connection back, or close it when the body was not read to its end. Idempotent."""
        if not self._connection.is_complete:
            self._connection.is_reusable = False
        self._end()

    async def read(self, bytes_max: int) -> bytes:
        """Return the whole body. Raises ConnectionFailedError, also when it is larger than `bytes_max`."""
        parts, size = [], 0
        try:
            async for part in self:
                parts.append(part)
                size += len(part)
                if size > bytes_max:
                    raise ConnectionFailedError(f"an answer of more than {bytes_max} bytes")
        finally:
            await self.aclose()
        return b"".join(parts)

    def _end(self) -> None:
        release, self._release = self._release, _Release(None, None)
        release.call(self._connection)


class HttpClient:
    """Sends requests. Scope: process; connections are kept, at most `connections_max` are open.

    Nothing is sent twice but what only reads, when a kept connection turns out to have been closed meanwhile.
    """

    def __init__(self, rules: ClientRules | None = None) -> None:
        self._rules = rules or ClientRules()
        self._slots = asyncio.Semaphore(self._rules.connections_max)
        self._idle: dict[Origin, list[_Connection]] = {}
        self._tls: ssl.SSLContext | None = None
        self._is_closed = False

    async def send(self, origin: Origin, request: OutwardRequest) -> OutwardResponse:
        """Send a request and return its answer as soon as the head has arrived.

        Raises:
            ConnectionFailedError: nobody is there, the connection broke, or nothing moved for too long.
        """
        await self._slots.acquire()
        try:
            connection = await self._exchanged(origin, request)
        except BaseException:
            self._slots.release()
            raise
        return OutwardResponse(connection, _Release(self, origin))

    def close(self) -> None:
        """Close the connections that nobody uses; those in use close when their answer is read."""
        self._is_closed = True
        for connections in self._idle.values():
            for connection in connections:
                connection.abort()
        self._idle.clear()

    def give_back(self, origin: Origin, connection: _Connection) -> None:
        """Keep a connection for the next request, or close it. Called by its answer."""
        self._slots.release()
        idle = self._idle.setdefault(origin, [])
        if connection.is_reusable and not self._is_closed and len(idle) < _IDLE_PER_ORIGIN_MAX:
            idle.append(connection)
        else:
            connection.abort()

    async def _exchanged(self, origin: Origin, request: OutwardRequest) -> _Connection:
        kept = self._kept(origin)
        if kept is not None:
            try:
                await kept.exchange(request)
            except ConnectionFailedError as error:
                kept.abort()
                is_stale = not error.is_silent and not kept.has_heard
                if not (is_stale and request.method in _READING and request.body == b""):
                    raise
            except BaseException:
                kept.abort()
                raise
            else:
                return kept
        connection = await self._connect(origin)
        try:
            await connection.exchange(request)
        except BaseException:
            connection.abort()
            raise
        return connection

    def _kept(self, origin: Origin) -> _Connection | None:
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            if connection.is_usable(self._rules.idle_seconds):
                return connection
            connection.abort()
        return None

    async def _connect(self, origin: Origin) -> _Connection:
        if origin.scheme == "https" and self._tls is None:
            # It reads the machine's certificates: some ten milliseconds, off the loop.
            self._tls = await asyncio.to_thread(ssl.create_default_context)
        context = self._tls if origin.scheme == "https" else None
        try:
            async with asyncio.timeout(self._rules.connect_seconds):
                reader, writer = await asyncio.open_connection(
                    origin.host, origin.port, ssl=context, limit=_BUFFER_BYTES
                )
        except TimeoutError as error:
            raise ConnectionFailedError("it does not answer", is_silent=True) from error
        except OSError as error:
            raise ConnectionFailedError(error.strerror or str(error)) from error
        return _Connection(reader, writer, self._rules.silence_seconds)


class _Release(NamedTuple):
    """How an answer gives its connection back, once."""

    client: HttpClient | None
    origin: Origin | None

    def call(self, connection: _Connection) -> None:
        if self.client is not None and self.origin is not None:
            self.client.give_back(self.origin, connection)


class _Connection:
    """One connection and the answer being read from it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, silence_seconds: float) -> None:
        self._reader = reader
        self._writer = writer
        self._silence_seconds = silence_seconds
        self._loop = asyncio.get_running_loop()
        self._progress_at = self._loop.time()
        self._parser: httptools.HttpResponseParser
        self._head_bytes = 0
        self._interim = False
        self._is_until_close = False
        self._is_head_request = False
        self.is_reusable = True
        self.has_heard = False
        self.is_head_complete = False
        self.is_complete = False
        self.status = 0
        self.headers: list[tuple[str, str]] = []
        self.length_bytes: int | None = None
        self.parts: list[bytes] = []

    def is_usable(self, idle_seconds: float) -> bool:
        """Whether a kept connection may be used again."""
        is_fresh = self._loop.time() - self._progress_at < idle_seconds
        return is_fresh and not self._reader.at_eof() and not self._writer.is_closing()

    def abort(self) -> None:
        """Close at once."""
        with contextlib.suppress(OSError, RuntimeError):
            self._writer.transport.abort()

    async def exchange(self, request: OutwardRequest) -> None:
        """Send a request and read the answer's head. An answer may come before the request is whole."""
        self._start(request.method)
        self._progress_at = self._loop.time()
        body = request.body
        try:
            self._writer.write(_encoded_head(request))
            if isinstance(body, bytes) and len(body) <= _PART_BYTES:
                if body:
                    self._writer.write(body)
                await self._receive_head()
                return
            async with asyncio.TaskGroup() as tasks:
                upload = tasks.create_task(self._upload(request))
                await self._receive_head()
                if not upload.done():
                    # Answered early: what is left of the body will not be read.
                    self.is_reusable = False
                    upload.cancel()
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from group
        except OSError as error:
            raise ConnectionFailedError(error.strerror or str(error)) from error

    async def receive_body(self) -> None:
        """Read until there is a part of the body, or its end."""
        self._progress_at = self._loop.time()
        while not self.parts and not self.is_complete:
            await self._receive()

    async def _receive_head(self) -> None:
        while not self.is_head_complete:
            await self._receive()

    async def _receive(self) -> None:
        data = await self._read()
        self.has_heard = self.has_heard or bool(data)
        if not data:
            if self.is_head_complete and self._is_until_close:
                self.is_complete, self.is_reusable = True, False
                return
            raise ConnectionFailedError("the connection was closed before the answer was whole")
        if not self.is_head_complete:
            self._head_bytes += len(data)
            if self._head_bytes > _HEAD_BYTES_MAX + _READ_BYTES:
                raise ConnectionFailedError("the answer's head is too large")
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            if not self.is_complete:
                raise ConnectionFailedError("the answer is not HTTP") from error
            self.is_reusable = False

    async def _read(self) -> bytes:
        while True:
            deadline = self._progress_at + self._silence_seconds
            try:
                async with asyncio.timeout_at(deadline):
                    data = await self._reader.read(_READ_BYTES)
            except TimeoutError as error:
                if self._progress_at + self._silence_seconds > deadline:
                    continue  # The request's body moved meanwhile.
                raise ConnectionFailedError(f"no answer within {self._silence_seconds:g} s", is_silent=True) from error
            except OSError as error:
                raise ConnectionFailedError(error.strerror or str(error)) from error
            self._progress_at = self._loop.time()
            return data

    async def _upload(self, request: OutwardRequest) -> None:
        body, writer = request.body, self._writer
        is_chunked = not isinstance(body, bytes) and request.length_bytes is None
        try:
            if isinstance(body, bytes):
                for start in range(0, len(body), _PART_BYTES):
                    await self._upload_part(body[start : start + _PART_BYTES])
                return
            left = request.length_bytes
            async for part in body:
                if left is not None:
                    left -= len(part)
                    if left < 0:
                        break
                if part:
                    await self._upload_part(b"%x\r\n%b\r\n" % (len(part), part) if is_chunked else part)
            if is_chunked:
                writer.write(b"0\r\n\r\n")
            elif left:
                # What is too much would be taken for the next request of somebody else.
                raise ConnectionFailedError("the request's body has not the length that was announced")
        except (ConnectionError, BrokenPipeError):
            # Whoever closes early has often answered first: the reader knows.
            self.is_reusable = False

    async def _upload_part(self, part: bytes) -> None:
        self._writer.write(part)
        await self._writer.drain()
        self._progress_at = self._loop.time()

    def _start(self, method: str) -> None:
        self._is_head_request = method == "HEAD"
        self._parser = httptools.HttpResponseParser(self)
        self._head_bytes = 0
        self.has_heard = False
        self._is_until_close = False
        self._interim = False
        self.status = 0
        self.headers = []
        self.length_bytes = None
        self.parts = []
        self.is_head_complete = False
        self.is_complete = False

    # --- the parser's side

    def on_message_begin(self) -> None:
        self.headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.is_head_complete:
            self.headers.append((name.decode("latin-1"), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        self._interim = self.status < 200
        if self._interim:
            return
        named = {name.lower(): value for name, value in self.headers}
        length = named.get("content-length", "")
        self.length_bytes = int(length) if length.isdigit() else None
        is_chunked = "transfer-encoding" in named
        self._is_until_close = self.length_bytes is None and not is_chunked
        self.is_reusable = self.is_reusable and self._parser.get_http_version() == "1.1"
        self.is_reusable = self.is_reusable and "close" not in named.get("connection", "").lower()
        self.is_head_complete = True
        if self._is_head_request or self.status in (204, 304):
            # The parser would wait for the body that this head announces.
            self.is_complete = True

    def on_body(self, part: bytes) -> None:
        if not self._is_head_request:
            self.parts.append(part)

    def on_message_complete(self) -> None:
        if not self._interim:
            self.is_complete = True


def _encoded_head(request: OutwardRequest) -> bytes:
    lines = [f"{request.method} {request.target} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in request.headers]
    if isinstance(request.body, bytes):
        if request.body or request.method in ("POST", "PUT", "PATCH"):
            lines.append(f"content-length: {len(request.body)}")
    elif request.length_bytes is None:
        lines.append("transfer-encoding: chunked")
    else:
        lines.append(f"content-length: {request.length_bytes}")
    text = "\r\n".join(lines)
    if text.count("\n") != len(lines) - 1 or text.count("\r") != len(lines) - 1 or " " in request.target:
        raise ConnectionFailedError("a header or the target holds a line break or a space")
    return f"{text}\r\n\r\n".encode("latin-1", "surrogateescape")
