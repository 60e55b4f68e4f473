"""A streamed response between the runtime that writes it and the caller who reads it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambent.model.invocation import InvocationResult

# With what one read of a socket brings (256 KiB) and what the caller's connection holds, a stream stays below 1 MiB.
PENDING_BYTES_MAX = 131_072


class ResponseStream:
    """What a runtime has written and its caller has not read. Scope: one invocation; a crash loses it.

    Pending bytes are bounded by the writer, which stops reading the runtime's connection while the stream is full;
    `on_room` tells it to go on. What comes after `abandon` is dropped: a function runs to its end without a reader.
    """

    __slots__ = (
        "_loop",
        "_on_room",
        "_parts",
        "_waiter",
        "begun_ns",
        "content_type",
        "ending",
        "is_abandoned",
        "pending_bytes",
        "produced_bytes",
    )

    def __init__(self, content_type: str | None, on_room: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_room = on_room
        self._parts: list[bytes] = []
        self._waiter: asyncio.Future[None] | None = None
        self.content_type = content_type
        self.pending_bytes = 0
        self.produced_bytes = 0
        # When the runtime began to respond, by the monotonic clock; its environment says it.
        self.begun_ns = 0
        self.is_abandoned = False
        self.ending: InvocationResult | None = None

    # From inside.

    def put(self, part: bytes) -> None:
        """Take what the runtime has written; nothing after the end."""
        self.produced_bytes += len(part)
        if self.is_abandoned or self.ending is not None:
            return
        self._parts.append(part)
        self.pending_bytes += len(part)
        self._wake()

    @property
    def is_full(self) -> bool:
        """Whether the writer shall wait for `on_room`."""
        return self.pending_bytes >= PENDING_BYTES_MAX

    def end(self, result: InvocationResult) -> None:
        """The invocation is over, well or not. What was written before can still be read."""
        self.ending = result
        self._wake()

    # From above.

    def abandon(self) -> None:
        """Nobody reads any more. Idempotent."""
        self.is_abandoned = True
        self._taken()

    def __aiter__(self) -> ResponseStream:
        return self

    async def __anext__(self) -> bytes:
        """Return what was written since the last call, at least a byte; at the end, `ending` says how it went."""
        while not self._parts:
            if self.ending is not None:
                raise StopAsyncIteration
            self._waiter = self._loop.create_future()
            await self._waiter
        return self._taken()

    def _taken(self) -> bytes:
        parts, self._parts = self._parts, []
        was_full = self.is_full
        self.pending_bytes = 0
        if was_full:
            self._on_room()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
