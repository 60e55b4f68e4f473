"""The way to the daemon's operations: one connection for each, as a stack has few of them and waits for each."""

from __future__ import annotations

import base64
import json
import socket
import struct
from typing import TYPE_CHECKING, Any

from lambent.neighbours.program.stack_types.operations import Answered

if TYPE_CHECKING:
    from collections.abc import Callable

_LENGTHS = struct.Struct(">II")
# A layer of 250 MiB is fetched from S3 and unpacked within an operation.
_SILENCE_SECONDS = 600.0


class Daemon:
    """Sends operations. Scope: process; keeps nothing. `place` returns account and region of who asks."""

    def __init__(self, port: int, secret: str, place: Callable[[], tuple[str, str]]) -> None:
        self._port = port
        self._secret = secret
        self._place = place

    def send(self, operation: str, members: dict[str, Any]) -> Answered:
        """Run an operation; a daemon that does not answer is an error of Lambda's that passes."""
        account, region = self._place()
        asked = {"secret": self._secret, "operation": operation, "account": account, "region": region}
        head = json.dumps(asked).encode()
        payload = json.dumps(members, default=_in_base64).encode()
        try:
            with socket.create_connection(("127.0.0.1", self._port), _SILENCE_SECONDS) as connection:
                connection.sendall(_LENGTHS.pack(len(head), len(payload)) + head + payload)
                said_bytes, document_bytes = _LENGTHS.unpack(received(connection, _LENGTHS.size))
                said = json.loads(received(connection, said_bytes))
                document = received(connection, document_bytes)
        except OSError as error:
            return Answered({}, "ServiceException", f"The daemon does not answer: {error}", 500)
        found = json.loads(document) if document else {}
        return Answered(found, said["code"], said["message"], said["status"], said["request_id"])


def _in_base64(value: object) -> str:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError(f"{type(value).__name__} is no value of a template")


def received(connection: socket.socket, size: int) -> bytes:
    """Return so many bytes of a connection. Raises OSError, also when it ends before them."""
    parts = bytearray()
    while len(parts) < size:
        part = connection.recv(min(size - len(parts), 1_048_576))
        if not part:
            raise ConnectionResetError("the connection was closed")
        parts += part
    return bytes(parts)
