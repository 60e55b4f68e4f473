"""What an environment serves into its sandbox: the Runtime API's listener, AWS_ENDPOINT_URL, and AWS's own names."""

from __future__ import annotations

import asyncio
import weakref
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from lambent.environments.runtime_api import RuntimeConnection
    from lambent.environments.sandbox.sandbox import Sandbox


class EndpointDoor(Protocol):
    """Who answers AWS_ENDPOINT_URL inside sandboxes: the API door, given by app.py."""

    async def serve_listener(self, listener: socket.socket) -> None:
        """Serve connections of a listening socket made inside a sandbox."""

    def await_first(self, listener: socket.socket, *, is_tls: bool) -> None:
        """Serve such a socket too, at no cost before somebody connects: most functions never do."""

    def stop_listener(self, listener: socket.socket) -> None:
        """Stop; connections that are open live on."""


class InsideDoor:
    """The listeners of one sandbox. Scope: environment. Its connections end with `abort`."""

    def __init__(self, sandbox: Sandbox, connect: Callable[[], RuntimeConnection]) -> None:
        self._sandbox = sandbox
        self._connect = connect
        self._server: asyncio.Server | None = None
        self._endpoint: EndpointDoor | None = None
        # Those that are open, for the transports keep them.
        self._connections: weakref.WeakSet[RuntimeConnection] = weakref.WeakSet()

    @property
    def is_open(self) -> bool:
        """Whether it serves."""
        return self._server is not None

    async def open(self, endpoint: EndpointDoor | None) -> None:
        """Serve. Before the runtime starts."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._connected, sock=self._sandbox.runtime_listener)
        if endpoint is not None and self._sandbox.endpoint_listener is not None:
            self._endpoint = endpoint
            await endpoint.serve_listener(self._sandbox.endpoint_listener)
            if self._sandbox.api_listeners is not None:
                for listener, is_tls in zip(self._sandbox.api_listeners, (True, False), strict=True):
                    endpoint.await_first(listener, is_tls=is_tls)

    async def close(self) -> None:
        """Take no more connections."""
        server, self._server = self._server, None
        if server is None:
            return
        # A connection that is being accepted at this moment must still find its server.
        asyncio.get_running_loop().remove_reader(self._sandbox.runtime_listener)
        await asyncio.sleep(0)
        server.close()
        if self._endpoint is not None and self._sandbox.endpoint_listener is not None:
            for listener in (self._sandbox.endpoint_listener, *(self._sandbox.api_listeners or ())):
                self._endpoint.stop_listener(listener)

    def abort(self) -> None:
        """Close every connection: the sandbox is gone."""
        for connection in list(self._connections):
            connection.abort()

    def _connected(self) -> RuntimeConnection:
        connection = self._connect()
        self._connections.add(connection)
        return connection
