"""STOMP 1.2, as much as a consumer of ActiveMQ needs: frames, heartbeats, and acknowledgements.

Source: stomp.github.io, "STOMP Protocol Specification, Version 1.2"; ActiveMQ, "Stomp" (extensions, heart-beating).
Why not a package: docs/dependencies.md.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

_HEARTBEAT_MS = 10_000
# A server may be late by this factor before it is taken for dead.
_GRACE = 2.5
# From a frame's first line to its last byte.
_FRAME_SECONDS = 60.0
_LINE_BYTES = 1_048_576
_BODY_BYTES_MAX = 134_217_728
_HEADERS_MAX = 1_000
_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", ":": "\\c"}
_MEANINGS = {escape: plain for plain, escape in _ESCAPES.items()}
# Frames whose headers are written as they are.
_BARE = frozenset(("CONNECT", "CONNECTED"))


class StompError(Exception):
    """The other side speaks no STOMP, is gone, or refused (then `is_refusal`)."""

    def __init__(self, text: str, *, is_refusal: bool = False) -> None:
        super().__init__(text)
        self.is_refusal = is_refusal


class Frame(NamedTuple):
    """A command, its headers, its body."""

    command: str
    headers: Mapping[str, str]
    body: bytes = b""


def encode(frame: Frame) -> bytes:
    """Return a frame as it goes over the wire."""
    lines = [frame.command]
    for name, value in frame.headers.items():
        is_bare = frame.command in _BARE
        lines.append(f"{name}:{value}" if is_bare else f"{_escaped(name)}:{_escaped(value)}")
    return "\n".join((*lines, "", "")).encode() + frame.body + b"\0"


class StompConnection:
    """One connection. Scope: mapping. `read` has one caller at a time; the others may be called beside it."""

    def __init__(self) -> None:
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._silence_seconds: float | None = None
        self.send_seconds: float | None = None

    async def open(self, host: str, port: int, tls: ssl.SSLContext | None, login: tuple[str, str]) -> None:
        """Connect and log in, with user name and password. Raises StompError, OSError."""
        self._reader, self._writer = await asyncio.open_connection(host, port, ssl=tls, limit=_LINE_BYTES)
        await self.send(
            Frame(
                "CONNECT",
                {
                    "accept-version": "1.2",
                    "host": host,
                    "heart-beat": f"{_HEARTBEAT_MS},{_HEARTBEAT_MS}",
                    "login": login[0],
                    "passcode": login[1],
                },
            )
        )
        frame = await self.read()
        if frame is None or frame.command != "CONNECTED":
            raise _refusal(frame)
        sends_ms, wants_ms = (int(part) for part in frame.headers.get("heart-beat", "0,0").split(","))
        if sends_ms:
            self._silence_seconds = max(sends_ms, _HEARTBEAT_MS) / 1_000 * _GRACE
        if wants_ms:
            self.send_seconds = max(wants_ms, _HEARTBEAT_MS) / 1_000 / 2

    async def read(self) -> Frame | None:
        """Return the next frame, None at the end. Raises StompError: an ERROR frame, silence, or no STOMP."""
        assert self._reader is not None
        try:
            while True:
                async with asyncio.timeout(self._silence_seconds):
                    line = await self._reader.readline()
                if not line:
                    return None
                # Empty lines are heartbeats, and may follow every frame.
                command = line.rstrip(b"\r\n")
                if command:
                    break
            async with asyncio.timeout(_FRAME_SECONDS):
                frame = await self._rest(command.decode())
        except TimeoutError as error:
            raise StompError("no heartbeat") from error
        except (asyncio.IncompleteReadError, OSError) as error:
            raise StompError("the connection was lost") from error
        except (ValueError, asyncio.LimitOverrunError) as error:
            raise StompError("what came is no STOMP") from error
        if frame.command == "ERROR":
            raise _refusal(frame)
        return frame

    async def send(self, *frames: Frame) -> None:
        """Write frames. Raises StompError."""
        await self._write(b"".join(encode(frame) for frame in frames))

    async def beat(self) -> None:
        """Write a heartbeat. Raises StompError."""
        await self._write(b"\n")

    async def close(self) -> None:
        """Disconnect. Raises OSError."""
        if self._writer is not None:
            self._writer.close()
            await self._writer.wait_closed()

    async def _write(self, data: bytes) -> None:
        if self._writer is None or self._writer.is_closing():
            raise StompError("the connection was lost")
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError as error:
            raise StompError("the connection was lost") from error

    async def _rest(self, command: str) -> Frame:
        assert self._reader is not None
        headers: dict[str, str] = {}
        while len(headers) < _HEADERS_MAX:
            line = (await self._reader.readline()).decode().rstrip("\r\n")
            if not line:
                break
            name, _, value = line.partition(":")
            if command not in _BARE:
                name, value = _plain(name), _plain(value)
            # Of a repeated header the first counts.
            headers.setdefault(name, value)
        length = headers.get("content-length")
        if length is None:
            return Frame(command, headers, await self._until_null())
        if not 0 <= int(length) <= _BODY_BYTES_MAX:
            raise ValueError(length)
        body = await self._reader.readexactly(int(length))
        if await self._reader.readexactly(1) != b"\0":
            raise ValueError(command)
        return Frame(command, headers, body)

    async def _until_null(self) -> bytes:
        assert self._reader is not None
        parts = bytearray()
        while len(parts) <= _BODY_BYTES_MAX:
            try:
                parts += await self._reader.readuntil(b"\0")
            except asyncio.LimitOverrunError as error:
                # More than the reader holds: in pieces.
                parts += await self._reader.readexactly(error.consumed)
                continue
            return bytes(parts[:-1])
        raise ValueError(len(parts))


def _refusal(frame: Frame | None) -> StompError:
    if frame is None:
        return StompError("the connection was closed")
    text = frame.headers.get("message") or frame.body.decode("utf-8", "replace").partition("\n")[0] or frame.command
    return StompError(text, is_refusal=frame.command == "ERROR")


def _escaped(text: str) -> str:
    return re.sub(r"[\\\n\r:]", lambda found: _ESCAPES[found.group()], text)


def _plain(text: str) -> str:
    return re.sub(r"\\[\\nrc]", lambda found: _MEANINGS[found.group()], text)
