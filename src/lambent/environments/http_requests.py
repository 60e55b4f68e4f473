"""Requests from inside the sandbox, parsed without I/O.

The peer is customer code: everything has a bound, and what is odd is refused rather than guessed. Our own and the
official runtime clients send small, regular HTTP/1.1 requests; a C parser made no visible difference here
(execution-environment.md, section 3).
"""

from __future__ import annotations

import re

from msgspec import Struct, field

# awslambdaric sends the cause of an error as a header of up to 1 MiB.
HEAD_BYTES_MAX = 1_179_648
_DIGITS = re.compile(rb"[0-9]{1,19}")
_HEX = re.compile(rb"[0-9A-Fa-f]{1,15}")
_METHODS = frozenset({b"GET", b"POST", b"PUT", b"DELETE", b"HEAD"})
_LINE_BYTES_MAX = 8_192
_TRAILERS_MAX = 64
RESPONSE_MODE = b"lambda-runtime-function-response-mode"


class BadRequestError(Exception):
    """The bytes are no request we accept; the connection is closed after a 400."""


class InsideRequest(Struct):
    """One request. Header names are lower case. `is_oversize`: the body was longer than the bound and was dropped."""

    method: bytes
    target: str
    headers: dict[bytes, bytes]
    body: bytes = b""
    is_oversize: bool = False
    is_last: bool = False


class StreamedRequest(InsideRequest):
    """A response that its runtime writes while it works: handed out as soon as its head is there.

    `parts` is what has arrived of its body and was not taken away; when it `is_whole`, `trailers` are there too.
    """

    is_whole: bool = False
    parts: list[bytes] = field(default_factory=list)
    trailers: dict[bytes, bytes] = field(default_factory=dict)


class RequestParser:
    """Feed bytes, get whole requests. Scope: one connection. Bodies over `body_bytes_max` are counted, not kept.

    A response is streamed when its runtime says so; with `wants_stream`, when it says nothing too.
    """

    __slots__ = (
        "_body_bytes_max",
        "_buffer",
        "_chunked",
        "_head",
        "_kept",
        "_last_get",
        "_remaining",
        "_seen_bytes",
        "_streamed",
        "_trailer_lines",
        "_trailers",
        "wants_stream",
    )

    def __init__(self, body_bytes_max: int) -> None:
        self._body_bytes_max = body_bytes_max
        self.wants_stream = False
        self._buffer = bytearray()
        self._head: InsideRequest | None = None
        self._remaining = 0
        self._chunked = False
        self._trailers = False
        self._trailer_lines: list[bytes] = []
        self._streamed: StreamedRequest | None = None
        self._kept: list[bytes] = []
        self._seen_bytes = 0
        self._last_get: tuple[bytes, InsideRequest] | None = None

    def feed(self, data: bytes) -> list[InsideRequest]:
        """Return the requests completed by `data`, and those that are streamed as soon as their head is there.

        Raises:
            BadRequestError: malformed, or a head over HEAD_BYTES_MAX.
        """
        if self._streamed is not None and self._chunked and not self._trailers:
            data = self._read_in_place(self._streamed.parts, bytes(self._buffer) + data if self._buffer else data)
            self._buffer.clear()
        self._buffer += data
        requests: list[InsideRequest] = []
        while True:
            if self._head is None:
                if not self._read_head():
                    return requests
                if self._streamed is not None:
                    requests.append(self._streamed)
            is_whole = self._read_chunks() if self._chunked else self._read_sized()
            if not is_whole:
                return requests
            head = self._head
            assert head is not None
            if self._streamed is not None:
                self._streamed.trailers = _parse_headers(self._trailer_lines)
                self._streamed.is_whole = True
                self._streamed = None
            else:
                head.is_oversize = self._seen_bytes > self._body_bytes_max
                head.body = b"" if head.is_oversize else b"".join(self._kept)
                requests.append(head)
            self._head = None
            self._kept.clear()
            self._seen_bytes = 0

    @property
    def is_expecting_continue(self) -> bool:
        """Whether a head was read that waits for 100 Continue before its body."""
        head = self._head
        return head is not None and head.headers.get(b"expect", b"").lower() == b"100-continue"

    def _read_head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > HEAD_BYTES_MAX:
                raise BadRequestError("request head too large")
            return False
        head = bytes(self._buffer[:end])
        del self._buffer[: end + 4]
        # A runtime asks for its next invocation with the same bytes every time.
        if self._last_get is not None and self._last_get[0] == head:
            known = self._last_get[1]
            self._head = InsideRequest(known.method, known.target, known.headers, is_last=known.is_last)
            self._chunked = False
            self._remaining = 0
            return True
        lines = head.split(b"\r\n")
        parts = lines[0].split(b" ")
        if len(parts) != 3 or parts[0] not in _METHODS or parts[2] not in (b"HTTP/1.1", b"HTTP/1.0"):
            raise BadRequestError("malformed request line")
        headers = _parse_headers(lines[1:])
        try:
            target = parts[1].decode("ascii")
        except UnicodeDecodeError:
            raise BadRequestError("request target is not ASCII") from None
        self._head = InsideRequest(parts[0], target, headers)
        self._head.is_last = parts[2] == b"HTTP/1.0" or headers.get(b"connection", b"").lower() == b"close"
        self._start_body(headers)
        mode = headers.get(RESPONSE_MODE)
        is_streamed = self.wants_stream if mode is None else mode.lower() == b"streaming"
        if is_streamed and parts[0] == b"POST" and target.endswith("/response"):
            self._head = self._streamed = StreamedRequest(parts[0], target, headers, is_last=self._head.is_last)
            self._trailer_lines = []
        if parts[0] == b"GET" and not self._chunked and not self._remaining:
            self._last_get = (head, self._head)
        return True

    def _start_body(self, headers: dict[bytes, bytes]) -> None:
        encoding = headers.get(b"transfer-encoding")
        length = headers.get(b"content-length")
        self._chunked = False
        self._remaining = 0
        if encoding is not None:
            if encoding.strip().lower() != b"chunked" or length is not None:
                raise BadRequestError("unsupported transfer encoding")
            self._chunked = True
            self._remaining = -1
            self._trailers = False
        elif length is not None:
            if _DIGITS.fullmatch(length) is None:
                raise BadRequestError("malformed Content-Length")
            self._remaining = int(length)

    def _read_sized(self) -> bool:
        if self._remaining:
            self._take()
        return self._remaining == 0

    def _take(self) -> None:
        part = bytes(self._buffer[: self._remaining])
        del self._buffer[: len(part)]
        self._remaining -= len(part)
        if self._streamed is not None:
            if part:
                self._streamed.parts.append(part)
            return
        self._seen_bytes += len(part)
        if self._seen_bytes <= self._body_bytes_max:
            self._kept.append(part)
        else:
            self._kept.clear()

    def _read_in_place(self, parts: list[bytes], data: bytes) -> bytes:
        """Take the chunks of a stream out of `data`, each byte once; return what is left: an unfinished line, the end.

        A third of what a stream costs the daemon went into moving its bytes through the buffer.
        """
        position, size = 0, len(data)
        while position < size:
            if self._remaining > 0:
                part = data[position : position + self._remaining]
                parts.append(part)
                position += len(part)
                self._remaining -= len(part)
                continue
            end = data.find(b"\r\n", position)
            if end < 0:
                break
            if self._remaining == 0:
                if end != position:
                    raise BadRequestError("malformed chunk end")
                self._remaining = -1
            else:
                length = _chunk_size(data[position:end])
                if length == 0:
                    break
                self._remaining = length
            position = end + 2
        return data[position:]

    def _read_chunks(self) -> bool:
        # _remaining: -1 a size line is next; 0 the CRLF after a chunk's data is next; > 0 data is next.
        while True:
            if self._remaining > 0:
                self._take()
                if self._remaining:
                    return False
                continue
            line = self._line()
            if line is None:
                return False
            if self._trailers:
                if not line:
                    return True
                self._keep_trailer(line)
            elif self._remaining == 0:
                if line:
                    raise BadRequestError("malformed chunk end")
                self._remaining = -1
            else:
                self._remaining = _chunk_size(line)
                if self._remaining == 0:
                    self._trailers = True

    def _keep_trailer(self, line: bytes) -> None:
        # Only a streamed response has trailers that mean something: the error it ended with.
        if self._streamed is not None:
            self._trailer_lines.append(line)
            if len(self._trailer_lines) > _TRAILERS_MAX or sum(map(len, self._trailer_lines)) > HEAD_BYTES_MAX:
                raise BadRequestError("too many or too large trailers")

    def _line(self) -> bytes | None:
        end = self._buffer.find(b"\r\n")
        if end < 0:
            # The error of a streamed response is one line, base64 of all its text.
            if len(self._buffer) > (HEAD_BYTES_MAX if self._trailers else _LINE_BYTES_MAX):
                raise BadRequestError("line too long")
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line


def _chunk_size(line: bytes) -> int:
    size = line.split(b";", 1)[0].strip()
    if _HEX.fullmatch(size) is None:
        raise BadRequestError("malformed chunk size")
    return int(size, 16)


def _parse_headers(lines: list[bytes]) -> dict[bytes, bytes]:
    if len(lines) > 200:
        raise BadRequestError("too many headers")
    headers: dict[bytes, bytes] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not name or name != name.strip() or line[:1] in (b" ", b"\t"):
            raise BadRequestError("malformed header")
        key = name.lower()
        if key in headers and key in (b"content-length", b"transfer-encoding"):
            raise BadRequestError("repeated framing header")
        headers[key] = value.strip()
    return headers
