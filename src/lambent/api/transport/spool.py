"""Bodies too large for memory: written to a file as they arrive, hashed on the way."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence


class SpooledBody:
    """One request's body in a file of the spool directory. Its methods block: call them in a thread.

    Owner: the connection until the body is complete, then whoever answers; `discard` removes the file.
    """

    __slots__ = ("_descriptor", "_hash", "path", "size_bytes")

    def __init__(self, directory: Path) -> None:
        self._descriptor, name = tempfile.mkstemp(prefix="body-", dir=directory)
        self.path = Path(name)
        self.size_bytes = 0
        self._hash = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """Hash of the body so far, lower-case hex."""
        return self._hash.hexdigest()

    def write(self, parts: Sequence[bytes]) -> None:
        """Append. Raises OSError when the disk is full."""
        for part in parts:
            view = memoryview(part)
            while view:
                view = view[os.write(self._descriptor, view) :]
            self._hash.update(part)
            self.size_bytes += len(part)

    def close(self) -> None:
        """Finish writing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def discard(self) -> None:
        """Close and remove the file. Idempotent."""
        self.close()
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()


class BodyFailure(StrEnum):
    """Why a body will never be complete."""

    LOST = "lost"
    OVERSIZE = "oversize"
    TIMED_OUT = "timed out"
    MALFORMED = "malformed"


class BodyLostError(Exception):
    """The body being read will never be whole."""

    def __init__(self, failure: BodyFailure) -> None:
        super().__init__(f"The request's body is not complete: {failure}")
        self.failure = failure


class IncomingBody:
    """A body between the connection that receives it and the task that reads it. Scope: one request.

    `on_taken` tells the connection that there is room again.
    """

    __slots__ = ("_loop", "_on_taken", "_parts", "_waiter", "failure", "is_complete", "pending_bytes")

    def __init__(self, loop: asyncio.AbstractEventLoop, parts: list[bytes], on_taken: Callable[[], None]) -> None:
        self._loop = loop
        self._parts = parts
        self._on_taken = on_taken
        self._waiter: asyncio.Future[None] | None = None
        self.pending_bytes = sum(map(len, parts))
        self.is_complete = False
        self.failure: BodyFailure | None = None

    def put(self, part: bytes) -> None:
        """Take what has arrived."""
        self._parts.append(part)
        self.pending_bytes += len(part)
        self._wake()

    def complete(self) -> None:
        """Say that all has arrived."""
        self.is_complete = True
        self._wake()

    def fail(self, failure: BodyFailure) -> None:
        """Say that nothing more will come. The first reason counts."""
        if self.failure is None and not self.is_complete:
            self.failure = failure
            self._wake()

    def take(self) -> list[bytes]:
        """Return what has arrived since the last call."""
        parts, self._parts = self._parts, []
        self.pending_bytes = 0
        if parts:
            self._on_taken()
        return parts

    async def wait(self) -> None:
        """Wait for more, the end or a failure. The connection's time-outs bound it."""
        self._waiter = self._loop.create_future()
        await self._waiter

    def __aiter__(self) -> IncomingBody:
        return self

    async def __anext__(self) -> bytes:
        """Return what has arrived, at least a byte. Raises BodyLostError."""
        while True:
            parts = self.take()
            if parts:
                return parts[0] if len(parts) == 1 else b"".join(parts)
            if self.failure is not None:
                raise BodyLostError(self.failure)
            if self.is_complete:
                raise StopAsyncIteration
            await self.wait()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
