"""AWS's own names inside sandboxes: which of them lead to us, who vouches for us there, and what we speak TLS by."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from lambent.store.certificates import Authority, LeafCertificates, lay_out_trust
from lambent.wire.addressing import is_api_host

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable

    from lambent.clock import Clock

_log = logging.getLogger(__name__)
INTERCEPT = "intercept"
_HOST = Path("/")
_NOT_LED = "names of amazonaws.com lead to AWS inside functions"


class AwsNames:
    """Scope: installation; what it makes is kept in the data directory. `setting` is network.amazonaws."""

    def __init__(self, data_directory: Path, clock: Clock, setting: str) -> None:
        self._directory = data_directory
        self._clock = clock
        self._is_wanted = setting == INTERCEPT
        self._leaves: LeafCertificates | None = None

    @property
    def is_led(self) -> Callable[[str], bool] | None:
        """Says of a name whether it leads to us; None when no name does."""
        return is_api_host if self._leaves is not None else None

    def prepare(self) -> None:
        """Make what sandboxes shall trust, before there is one. Blocks. Without it AWS's names lead to AWS."""
        if not self._is_wanted:
            return
        keys = self._directory / "keys"
        try:
            authority = Authority.open(keys, self._clock)
            if not lay_out_trust(self._directory / "trust", authority, _HOST):
                _log.warning("this machine has no certificates (package ca-certificates): %s", _NOT_LED)
                return
        except OSError as error:
            _log.warning("the certificates of functions cannot be written: %s: %s", error, _NOT_LED)
            return
        self._leaves = LeafCertificates(authority, keys, self._clock)

    def tls(self) -> ssl.SSLContext:
        """Return what we speak TLS by under these names. May block. Raises OSError, ValueError."""
        if self._leaves is None:
            raise ValueError("AWS's names do not lead here")
        return self._leaves.listening()


class Listening(Protocol):
    """The server, as far as it listens inside sandboxes."""

    async def serve_listener(self, listener: socket.socket) -> None:
        """Serve connections of a listening socket made elsewhere."""

    def await_first(self, listener: socket.socket, tls: Callable[[], ssl.SSLContext] | None) -> None:
        """Serve such a socket from its first connection on."""

    def stop_listener(self, listener: object) -> None:
        """Stop."""


class InsideEndpoint:
    """What sandboxes reach the server by: AWS_ENDPOINT_URL and AWS's names. The server is built after them."""

    def __init__(self, server: Callable[[], Listening], names: AwsNames) -> None:
        self._server = server
        self._names = names

    async def serve_listener(self, listener: socket.socket) -> None:
        """Serve AWS_ENDPOINT_URL."""
        await self._server().serve_listener(listener)

    def await_first(self, listener: socket.socket, *, is_tls: bool) -> None:
        """Serve AWS's names, when somebody asks by them."""
        self._server().await_first(listener, self._names.tls if is_tls else None)

    def stop_listener(self, listener: socket.socket) -> None:
        """Take no more connections."""
        self._server().stop_listener(listener)
