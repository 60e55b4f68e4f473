"""One JSON object and its file descriptors as one packet of a SOCK_SEQPACKET socket. Runs on Python 3.8 and newer."""

from __future__ import annotations

import array
import json
import os
import socket
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

PACKET_BYTES_MAX = 131072
DESCRIPTORS_MAX = 16


def send(channel: socket.socket, message: dict[str, Any], fds: Sequence[int] = ()) -> None:
    """Send one packet. Raises OSError when the other end is gone or does not read."""
    data = json.dumps(message).encode()
    if fds:
        channel.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))])
    else:
        channel.send(data)


def receive_raw(channel: socket.socket, flags: int = 0) -> tuple[bytes, list[int]]:
    """Receive one packet; empty bytes mean the end. The descriptors are the caller's to close. Raises OSError."""
    space = socket.CMSG_SPACE(DESCRIPTORS_MAX * 4)
    data, ancillary, status, _ = channel.recvmsg(PACKET_BYTES_MAX, space, socket.MSG_CMSG_CLOEXEC | flags)
    fds = array.array("i")
    for level, kind, payload in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(payload[: len(payload) - len(payload) % fds.itemsize])
    if status & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
        close_all(fds)
        return b"{}", []
    return data, list(fds)


def receive(channel: socket.socket) -> tuple[dict[str, Any] | None, list[int]]:
    """Receive one packet of a trusted other end; None at its end."""
    data, fds = receive_raw(channel)
    if not data:
        return None, fds
    message: dict[str, Any] = json.loads(data)
    return message, fds


def close_all(fds: Sequence[int]) -> None:
    """Close descriptors, those already closed included."""
    for fd in fds:
        try:  # noqa: SIM105 - contextlib is not worth importing in every sandbox
            os.close(fd)
        except OSError:
            pass
