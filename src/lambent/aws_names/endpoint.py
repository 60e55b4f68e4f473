"""The server as sandboxes reach it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable

    from lambent.aws_names.names import AwsNames


class Listening(Protocol):
    """The server, as far as it listens inside sandboxes."""

    async def serve_listener(self, listener: socket.socket) -> None:
        """Serve connections of a listening socket made elsewhere."""

    def await_first(self, listener: socket.socket, tls: Callable[[], ssl.SSLContext] | None) -> None:
        """Serve such a socket from its first connection on."""

    def stop_listener(self, listener: object) -> None:
        """Stop."""


class InsideEndpoint:
    """What sandboxes reach the server by: AWS_ENDPOINT_URL and AWS's names. `server` is built after them."""

    server: Listening

    def __init__(self, names: AwsNames) -> None:
        self.names = names

    async def serve_listener(self, listener: socket.socket) -> None:
        """Serve AWS_ENDPOINT_URL."""
        await self.server.serve_listener(listener)

    def await_first(self, listener: socket.socket, *, is_tls: bool) -> None:
        """Serve AWS's names, when somebody asks by them."""
        self.server.await_first(listener, self.names.tls if is_tls else None)

    def stop_listener(self, listener: socket.socket) -> None:
        """Take no more connections."""
        self.server.stop_listener(listener)
