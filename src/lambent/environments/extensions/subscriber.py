"""One subscriber: records are gathered into batches, which are delivered in order, retried, and dropped at last.

Memory is bounded: what does not fit beside a subscriber that is behind is counted and said in platform.logsDropped.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct, field

from lambent.environments.extensions.subscriptions import Api, Category
from lambent.environments.sandbox.sandbox import SandboxError

if TYPE_CHECKING:
    import socket

    from lambent.environments.extensions.subscriptions import Subscription

# How much may wait, as a multiple of the subscription's maxBytes.
BATCHES_WAITING_MAX = 4
TRIES_MAX = 3
_RETRY_SECONDS = (0.1, 0.4)
_ANSWER_SECONDS_MAX = 2.0
_ANSWER_BYTES_MAX = 65_536
_BEHIND = "Consumer seems to have fallen behind as it has not acknowledged receipt of logs."


class Network(Protocol):
    """The way into one sandbox."""

    async def wait_running(self) -> None:
        """Return when the processes inside run (at once, unless they are frozen)."""

    async def make_socket(self) -> socket.socket:
        """Return an unconnected, non-blocking TCP socket of the sandbox's own network. Raises SandboxError."""

    def now_text(self) -> str:
        """Return the time as records say it."""


class _Batch(Struct):
    items: list[bytes] = field(default_factory=list)
    size_bytes: int = 0


class Subscriber:
    """A subscription and what waits for it. Scope: environment, to its next reset."""

    def __init__(self, subscription: Subscription, network: Network) -> None:
        self.subscription = subscription
        self._categories = frozenset(subscription.categories)
        self.wants_objects = subscription.schema_version >= "2022-12-13" and subscription.api is Api.TELEMETRY
        self._network = network
        self._open = _Batch()
        self._closed: deque[_Batch] = deque()
        self._waiting_bytes = 0
        self._dropped_records = 0
        self._dropped_bytes = 0
        self._wake = asyncio.Event()
        self._emptied = asyncio.Event()
        self._emptied.set()
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_ended = False
        self._stream: socket.socket | None = None

    def wants(self, category: Category) -> bool:
        """Whether it subscribed to this kind of record."""
        return category in self._categories

    def add(self, item: bytes) -> None:
        """Take one record (a JSON object); it is counted as dropped when too much waits already."""
        size_bytes = len(item)
        if self._waiting_bytes + size_bytes > BATCHES_WAITING_MAX * self.subscription.bytes_max:
            self._dropped_records += 1
            self._dropped_bytes += size_bytes
            return
        self._waiting_bytes += size_bytes
        batch = self._open
        if not batch.items:
            self._emptied.clear()
            delay_seconds = self.subscription.timeout_ms / 1000
            self._timer = asyncio.get_running_loop().call_later(delay_seconds, self.cut)
        batch.items.append(item)
        batch.size_bytes += size_bytes
        if len(batch.items) >= self.subscription.items_max or batch.size_bytes >= self.subscription.bytes_max:
            self.cut()

    def cut(self) -> None:
        """Let what was gathered be delivered now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._open.items:
            self._closed.append(self._open)
            self._open = _Batch()
            self._wake.set()

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits to be delivered or acknowledged."""
        return self._emptied.is_set()

    async def wait_empty(self) -> None:
        """Return when everything was delivered or given up."""
        self.cut()
        await self._emptied.wait()

    async def run(self) -> None:
        """Deliver until `end`. Never raises."""
        self._task = asyncio.current_task()
        try:
            while not self._is_ended:
                await self._wake.wait()
                self._wake.clear()
                while self._closed:
                    await self._deliver_first()
                if not self._open.items:
                    self._emptied.set()
        finally:
            self._emptied.set()
            self._close_stream()

    def end(self) -> None:
        """Stop; what waits is forgotten."""
        self._is_ended = True
        if self._timer is not None:
            self._timer.cancel()
        self._closed.clear()
        self._open = _Batch()
        self._emptied.set()
        if self._task is not None:
            self._task.cancel()

    async def _deliver_first(self) -> None:
        batch = self._closed[0]
        items, size_bytes = len(batch.items), batch.size_bytes
        before = self._say_dropped(batch)
        is_delivered = False
        for attempt in range(TRIES_MAX):
            await self._network.wait_running()
            is_delivered = await self._try(batch)
            if is_delivered or attempt == TRIES_MAX - 1:
                break
            await asyncio.sleep(_RETRY_SECONDS[attempt])
        self._closed.popleft()
        self._waiting_bytes = self._open.size_bytes + sum(each.size_bytes for each in self._closed)
        if not is_delivered:
            self._dropped_records += items + before[0]
            self._dropped_bytes += size_bytes + before[1]

    def _say_dropped(self, batch: _Batch) -> tuple[int, int]:
        """Add what was dropped so far to a batch, and return it: it must be said again if the batch is dropped too."""
        if not self._dropped_records or not self.wants(Category.PLATFORM):
            return 0, 0
        record = {
            "droppedBytes": self._dropped_bytes,
            "droppedRecords": self._dropped_records,
            "reason": _BEHIND,
        }
        event = {"time": self._network.now_text(), "type": "platform.logsDropped", "record": record}
        batch.items.append(json.dumps(event, separators=(",", ":")).encode())
        said = self._dropped_records, self._dropped_bytes
        self._dropped_records = self._dropped_bytes = 0
        return said

    async def _try(self, batch: _Batch) -> bool:
        try:
            async with asyncio.timeout(_ANSWER_SECONDS_MAX):
                if self.subscription.destination.path is None:
                    await self._send_lines(batch)
                    return True
                return await self._post(b"[" + b",".join(batch.items) + b"]")
        except (OSError, SandboxError):  # TimeoutError is an OSError.
            self._close_stream()
            return False

    async def _connect(self) -> socket.socket:
        made = await self._network.make_socket()
        try:
            await asyncio.get_running_loop().sock_connect(made, ("127.0.0.1", self.subscription.destination.port))
        except BaseException:
            made.close()
            raise
        return made

    async def _send_lines(self, batch: _Batch) -> None:
        if self._stream is None:
            self._stream = await self._connect()
        await asyncio.get_running_loop().sock_sendall(self._stream, b"\n".join(batch.items) + b"\n")

    async def _post(self, body: bytes) -> bool:
        destination = self.subscription.destination
        head = (
            f"{destination.method} {destination.path} HTTP/1.1\r\nHost: sandbox.localdomain:{destination.port}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        loop = asyncio.get_running_loop()
        connection = await self._connect()
        try:
            await loop.sock_sendall(connection, head.encode() + body)
            return await _is_accepted(loop, connection)
        finally:
            connection.close()

    def _close_stream(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            with suppress(OSError):
                stream.close()


async def _is_accepted(loop: asyncio.AbstractEventLoop, connection: socket.socket) -> bool:
    """Read the answer's head; whether its status is one of success."""
    answer = b""
    while b"\r\n\r\n" not in answer and len(answer) < _ANSWER_BYTES_MAX:
        piece = await loop.sock_recv(connection, 4_096)
        if not piece:
            break
        answer += piece
    status = answer[:64].split(b" ", 2)[1:2]
    return bool(status) and status[0][:1] == b"2"
