"""The API door's server: listeners, connections, the sweep of slow clients, and an orderly end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from lambent.api.connection import HttpConnection
from lambent.api.messages import HttpLimits

if TYPE_CHECKING:
    import logging
    import socket
    import ssl
    from collections.abc import Callable

    from lambent.api.messages import Answers

_SWEEP_SECONDS_MAX = 1.0
_HEADER_NAMES_MAX = 1_024
_BACKLOG = 4_096
_TLS_GOODBYE_SECONDS = 2.0


class ApiServer:
    """Serves one door on any number of listeners. Scope: node. After a crash: nothing to mend.

    `run` owns the connections' tasks and ends after `stop`; listeners may come and go while it runs.
    """

    def __init__(self, door: Answers, log: logging.Logger, limits: HttpLimits | None = None) -> None:
        self.door = door
        self.log = log
        self.limits = limits or HttpLimits()
        self.is_stopping = False
        self.loop: asyncio.AbstractEventLoop
        self._held_bytes = 0
        self._connections: set[HttpConnection] = set()
        self._listeners: dict[object, asyncio.Server] = {}
        self._silent: set[socket.socket] = set()
        self.header_names: dict[bytes, str] = {}
        self._started = asyncio.Event()
        self._stopped = asyncio.Event()
        self._emptied = asyncio.Event()
        self._group: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Serve until `stop`; returns when every request under way has been seen through, clients gone or not."""
        self.loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            self._group = group
            self._started.set()
            sweep = group.create_task(self._sweep())
            await self._stopped.wait()
            sweep.cancel()

    async def listen(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> tuple[str, int]:
        """Listen on a TCP address (port 0: any free one) and return the address. Waits for `run`.

        Raises OSError when the address cannot be had.
        """
        await self._started.wait()
        scheme = "http" if tls is None else "https"
        server = await self.loop.create_server(
            lambda: HttpConnection(self, scheme),
            host,
            port,
            ssl=tls,
            ssl_handshake_timeout=None if tls is None else self.limits.slow_client_seconds,
            # A client that does not answer our goodbye shall not hold up the stop.
            ssl_shutdown_timeout=None if tls is None else _TLS_GOODBYE_SECONDS,
            backlog=_BACKLOG,
        )
        listener = server.sockets[0]
        self._listeners[listener] = server
        name = listener.getsockname()
        return str(name[0]), int(name[1])

    async def serve_listener(self, listener: socket.socket) -> None:
        """Serve connections of a listening socket made elsewhere, for example inside a sandbox. Waits for `run`."""
        await self._started.wait()
        listener.setblocking(False)
        self._listeners[listener] = await self.loop.create_server(
            lambda: HttpConnection(self, "http"), sock=listener, backlog=_BACKLOG
        )

    def await_first(self, listener: socket.socket, tls: Callable[[], ssl.SSLContext] | None) -> None:
        """Serve such a socket from its first connection on; until then it costs next to nothing.

        `tls`, which may block, makes what it speaks TLS by; None: it speaks plain HTTP.
        """
        self._silent.add(listener)
        self.loop.add_reader(listener, self._begin, listener, tls)

    def _begin(self, listener: socket.socket, tls: Callable[[], ssl.SSLContext] | None) -> None:
        self.loop.remove_reader(listener)
        if self._group is not None and not self.is_stopping:
            self._group.create_task(self._serve_first(listener, tls))

    async def _serve_first(self, listener: socket.socket, tls: Callable[[], ssl.SSLContext] | None) -> None:
        try:
            context = None if tls is None else await asyncio.to_thread(tls)
            if listener not in self._silent:
                return
            self._silent.discard(listener)
            self._listeners[listener] = await self.loop.create_server(
                lambda: HttpConnection(self, "http" if context is None else "https"),
                sock=listener,
                ssl=context,
                ssl_handshake_timeout=None if context is None else self.limits.slow_client_seconds,
                ssl_shutdown_timeout=None if context is None else _TLS_GOODBYE_SECONDS,
                backlog=_BACKLOG,
            )
        except (OSError, ValueError) as error:
            self.log.error("AWS's names cannot be served inside a sandbox: %s", error)

    def stop_listener(self, listener: object) -> None:
        """Close a socket given to `serve_listener` or `await_first`; its connections live on. Idempotent."""
        if listener in self._silent:
            self._silent.discard(listener)
            if listener.fileno() >= 0:
                self.loop.remove_reader(listener)
            return
        server = self._listeners.pop(listener, None)
        if server is not None:
            server.close()

    async def stop(self, grace_seconds: float) -> None:
        """Stop listening, let requests under way end for up to `grace_seconds`, then drop their connections.

        What such a request set going runs on; `run` returns when that has ended too. Idempotent.
        """
        self.is_stopping = True
        for listener in (*self._listeners, *self._silent):
            self.stop_listener(listener)
        for connection in list(self._connections):
            connection.stop_when_idle()
        try:
            async with asyncio.timeout(grace_seconds):
                while self._connections:
                    self._emptied.clear()
                    await self._emptied.wait()
        except TimeoutError:
            for connection in list(self._connections):
                connection.abort()
        self._stopped.set()

    @property
    def connection_count(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    @property
    def held_bytes(self) -> int:
        """Memory that bodies take, of requests under way."""
        return self._held_bytes

    # --- what a connection needs: ConnectionHost

    def opened(self, connection: HttpConnection) -> bool:
        """Take a new connection and start its task; False when there are too many."""
        if self._group is None or self.is_stopping or len(self._connections) >= self.limits.connections_max:
            return False
        self._connections.add(connection)
        self._group.create_task(connection.serve())
        return True

    def closed(self, connection: HttpConnection) -> None:
        """Forget a connection."""
        self._connections.discard(connection)
        if not self._connections:
            self._emptied.set()

    def hold(self, size_bytes: int) -> bool:
        """Count memory taken by a body; False when that is too much for all connections together."""
        self._held_bytes += size_bytes
        return self._held_bytes <= self.limits.body_memory_bytes_max

    def release(self, size_bytes: int) -> None:
        """Count memory given back."""
        self._held_bytes -= size_bytes
        assert self._held_bytes >= 0

    def header_name(self, name: bytes) -> str:
        """Return a header name in lower case; the few that clients send are kept."""
        known = name.decode("latin-1").lower()
        if len(self.header_names) < _HEADER_NAMES_MAX:
            self.header_names[name] = known
        return known

    async def _sweep(self) -> None:
        interval = min(_SWEEP_SECONDS_MAX, self.limits.slow_client_seconds / 4)
        while True:
            await asyncio.sleep(interval)
            now = self.loop.time()
            for connection in list(self._connections):
                connection.check_time(now)
