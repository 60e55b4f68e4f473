"""The way of the embedded services to functions: a loopback port that answers nobody but the child.

A frame is two lengths of four bytes, then a head in JSON and a payload of that many bytes; a call is one frame, its
answer another, on connections that the child keeps.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import socket
import struct
from typing import TYPE_CHECKING, Any

from lambent.model.arn import parse_function_name
from lambent.model.caller import OperationCall
from lambent.model.errors import LambdaError
from lambent.model.invocation import TriggeredAnswer, TriggeredCall, TriggerSource

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from lambent.model.caller import OperationAnswer

    Operate = Callable[[OperationCall], Awaitable[OperationAnswer]]

_log = logging.getLogger(__name__)

_LENGTHS = struct.Struct(">II")
_HEAD_BYTES_MAX = 65_536
# Somewhat more than a synchronous payload, which is refused by its own rule and not here.
_PAYLOAD_BYTES_MAX = 16_777_216
_CONNECTIONS_MAX = 1_024
_BACKLOG = 1_024
_SAID_OF_OPERATIONS = ("code", "message", "status", "request_id")


class ChildCalls:
    """Takes calls of the child. Scope: process. `answer` never raises LambdaError; `secret` is the child's password.

    Nothing listens until somebody asks for the port. A call whose child died meanwhile runs to its end. `operate` runs
    an operation of Lambda's API for the child's stacks.
    """

    def __init__(
        self,
        answer: Callable[[TriggeredCall], Awaitable[TriggeredAnswer]],
        secret: str,
        operate: Operate | None = None,
    ) -> None:
        self._answer = answer
        self._operate = operate
        self._secret = secret.encode()
        self._listener: socket.socket | None = None
        self._wanted = asyncio.Event()
        self._slots = asyncio.Semaphore(_CONNECTIONS_MAX)

    def port(self) -> int:
        """Return the port on 127.0.0.1; the first call begins to listen."""
        if self._listener is None:
            self._listener = listener = socket.socket()
            listener.bind(("127.0.0.1", 0))
            listener.listen(_BACKLOG)
            listener.setblocking(False)
            self._wanted.set()
        return int(self._listener.getsockname()[1])

    async def run(self) -> None:
        """Serve until cancelled."""
        await self._wanted.wait()
        assert self._listener is not None
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.TaskGroup() as connections:
                while True:
                    await self._slots.acquire()
                    connection, _ = await loop.sock_accept(self._listener)
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    connections.create_task(self._serve(connection))
        finally:
            self._listener.close()

    async def _serve(self, connection: socket.socket) -> None:
        writer: asyncio.StreamWriter | None = None
        try:
            reader, writer = await asyncio.open_connection(sock=connection)
            while await self._exchange(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError):
            pass  # The child has gone, or keeps no connection any more.
        except Exception:
            _log.exception("a call of the embedded services failed")
        finally:
            self._slots.release()
            if writer is not None:
                writer.close()
            else:
                connection.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one call; return whether another may follow."""
        head_bytes, payload_bytes = _LENGTHS.unpack(await reader.readexactly(_LENGTHS.size))
        if head_bytes > _HEAD_BYTES_MAX or payload_bytes > _PAYLOAD_BYTES_MAX:
            return False
        head = json.loads(await reader.readexactly(head_bytes))
        if not hmac.compare_digest(str(head.get("secret", "")).encode(), self._secret):
            _log.warning("somebody who is not the embedded services called their port")
            return False
        payload = await reader.readexactly(payload_bytes)
        if self._operate is not None and "operation" in head:
            call = OperationCall(head["operation"], head["account"], head["region"], payload)
            operated = await self._operate(call)
            document = operated.document
            said = json.dumps({name: getattr(operated, name) for name in _SAID_OF_OPERATIONS}).encode()
            writer.write(_LENGTHS.pack(len(said), len(document)) + said + document)
            await writer.drain()
            return True
        try:
            answer = await self._answer(_call(head, payload))
        except LambdaError as error:
            answer = TriggeredAnswer(error.message.encode(), error.code)
        said = json.dumps({"code": answer.code, "is_function_error": answer.is_function_error}).encode()
        writer.write(_LENGTHS.pack(len(said), len(answer.payload)) + said + answer.payload)
        await writer.drain()
        return True


def _call(head: dict[str, Any], payload: bytes) -> TriggeredCall:
    """Return the call that a frame means. Raises LambdaError when its function is no ARN."""
    source = TriggerSource(head["principal"], head["arn"], head["account"], bool(head["has_role"]))
    return TriggeredCall(
        parse_function_name(head["function"], account_id="", region=""),
        source,
        payload,
        bool(head["is_event"]),
        head.get("dead_letter", ""),
        tuple((str(name), str(value)) for name, value in head.get("attributes", {}).items()),
        bool(head.get("is_check")),
        tuple(head["failure"]) if head.get("failure") else None,
        head.get("client_context") or None,
        head.get("trace") or None,
    )
