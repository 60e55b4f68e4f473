"""The Runtime API (2018-06-01): the second door, from inside the sandbox.

Every environment has a listener of its own, made inside its network namespace, so a connection itself says who calls.
Source: AWS Lambda developer guide, "Using the Lambda runtime API"; error texts observed from AWS's runtime interface.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING, Protocol, cast

from lambent.environments.answers.upload import ResponseUpload
from lambent.environments.http_requests import (
    RESPONSE_MODE,
    BadRequestError,
    InsideRequest,
    RequestParser,
    StreamedRequest,
)
from lambent.environments.lifecycle import EnvironmentState, IllegalTransitionError
from lambent.environments.session import Answered, InitFailed, RuntimeSession, UnknownRequestError
from lambent.model import quotas

if TYPE_CHECKING:
    from lambent.model.invocation import Invocation

_PREFIX = "/2018-06-01/runtime/"
_INVOCATION = _PREFIX + "invocation/"
_NEXT = _INVOCATION + "next"
_INIT_ERROR = _PREFIX + "init/error"
_ERROR_BYTES_MAX = 262_144
_PIPELINED_MAX = 16
_NOT_FOUND = (404, "NotFound", "404 page not found")
# A runtime that dies takes its connection with it: its end, which says more, is known a moment later.
_EXIT_SECONDS = 0.25

_ACCEPTED = b'HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n{"status":"OK"}\n'
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def next_message(invocation: Invocation, deadline_ms: int) -> bytes:
    """Return the whole HTTP answer of GET next. `deadline_ms` is Unix epoch."""
    head = (
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        f"Lambda-Runtime-Aws-Request-Id: {invocation.request_id}\r\n"
        f"Lambda-Runtime-Deadline-Ms: {deadline_ms}\r\n"
        f"Lambda-Runtime-Invoked-Function-Arn: {invocation.invoked_arn}\r\n"
        f"Lambda-Runtime-Trace-Id: {invocation.trace_header}\r\n"
    )
    if invocation.client_context is not None:
        head += f"Lambda-Runtime-Client-Context: {_one_line(invocation.client_context)}\r\n"
    return f"{head}Content-Length: {len(invocation.payload)}\r\n\r\n".encode() + invocation.payload


class OtherDoor(Protocol):
    """Who answers what is not the Runtime API's: extensions ask on the same listener."""

    def __call__(self, connection: RuntimeConnection, request: InsideRequest, /) -> bool:
        """Answer a request, or return False."""


class RuntimeConnection(asyncio.Protocol):
    """One connection of a runtime. Scope: connection; a malformed request closes it and nothing else."""

    def __init__(self, session: RuntimeSession, others: OtherDoor | None = None) -> None:
        self._session = session
        self._others = others
        self._parser = RequestParser(quotas.RESPONSE_BYTES.value)
        self._transport: asyncio.Transport | None = None
        self._waits_next = False
        self._is_last_waiting = False
        self._queued: list[InsideRequest] = []
        self._held: list[bytes] = []
        self._is_holding = False
        self._upload: ResponseUpload | None = None
        self._streamed: StreamedRequest | None = None
        self._refusal = _NOT_FOUND
        self._is_paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the transport."""
        # Other loops' transports do not inherit from asyncio's.
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a waiting GET next."""
        self._transport = None
        self._session.connection_lost(self)
        upload, self._upload = self._upload, None
        if upload is not None:
            upload.lose()
            asyncio.get_running_loop().call_later(_EXIT_SECONDS, upload.break_off)

    def data_received(self, data: bytes) -> None:
        """Answer each whole request in order; what follows a waiting GET next waits too."""
        self._parser.wants_stream = self._session.wants_stream
        try:
            requests = self._parser.feed(data)
        except BadRequestError as error:
            if self._upload is not None:
                self._upload.break_off()
            self._upload = self._streamed = None
            self._respond(400, "BadRequest", str(error))
            self._close()
            return
        if self._streamed is not None:
            self._go_on(self._streamed)
        if not requests:
            self._acknowledge()
            if self._parser.is_expecting_continue:
                self._write(_CONTINUE)
        # A client that sent its answer and the following GET next together reads both replies together: holding the
        # first until the next invocation saves a write and a wake-up of the runtime on every call.
        self._is_holding = len(requests) > 1
        for request in requests:
            if self._waits_next:
                self._queued.append(request)
                if len(self._queued) > _PIPELINED_MAX or isinstance(request, StreamedRequest):
                    self._close()
            else:
                self._handle(request)
        self._is_holding = False
        if self._held and not self._waits_next:
            self._write(b"")

    def _acknowledge(self) -> None:
        """Have what came acknowledged at once: the rest of a request may be waiting for it.

        Clients that write head and body apart without TCP_NODELAY (Rust's crate, simple programs) otherwise lose 40 to
        200 ms a call to delayed acknowledgements.
        """
        connection = self._transport.get_extra_info("socket") if self._transport is not None else None
        if connection is not None and hasattr(socket, "TCP_QUICKACK"):
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def send_invocation(self, message: bytes) -> None:
        """Write the answer of GET next and go on with what was pipelined behind it."""
        self._waits_next = False
        self._is_holding = False
        self._write(message)
        if self._is_last_waiting:
            self._close()
            return
        while self._queued and not self._waits_next:
            self._handle(self._queued.pop(0))

    @property
    def is_open(self) -> bool:
        """Whether its other end is there."""
        return self._transport is not None

    def answer(self, message: bytes) -> None:
        """Write one whole HTTP answer to a request that is not the Runtime API's."""
        self._write(message)

    def hold(self, *, is_held: bool) -> None:
        """Keep what is pipelined behind the present request until `send_invocation`, or no longer."""
        self._waits_next = is_held

    def _handle(self, request: InsideRequest) -> None:
        target = request.target
        if isinstance(request, StreamedRequest):
            self._begin(request)
            return
        self._is_last_waiting = request.is_last
        try:
            if target == _NEXT and request.method == b"GET":
                self._waits_next = True
                self._session.next(self)
            elif target.startswith(_INVOCATION) and request.method == b"POST":
                self._answer(request, *target[len(_INVOCATION) :].partition("/")[::2])
            elif target == _INIT_ERROR and request.method == b"POST":
                self._init_error(request)
            elif self._others is None or not self._others(self, request):
                self._respond(*_NOT_FOUND)
        except IllegalTransitionError as error:
            self._waits_next = False
            self._respond(403, "InvalidStateTransition", f"State transition is not allowed: {error}")
        except UnknownRequestError:
            self._respond(400, "InvalidRequestID", "Invalid request ID")
        if request.is_last and not self._waits_next:
            self._close()

    def _answer(self, request: InsideRequest, request_id: str, action: str) -> None:
        if RESPONSE_MODE in request.headers and action == "response":
            kind = "Runtime.InvalidResponseModeHeader"
            self._session.answer(request_id, Answered(b"", is_error=True, error_type=kind))
            self._respond(400, "InvalidFunctionResponseMode", "Invalid function response mode")
            return
        if action == "response":
            self._session.answer(request_id, Answered(request.body, is_oversize=request.is_oversize))
            if request.is_oversize:
                self._respond(*_too_large(quotas.RESPONSE_BYTES.value))
                return
        elif action == "error":
            body = b"" if len(request.body) > _ERROR_BYTES_MAX else request.body
            self._session.answer(request_id, Answered(body, is_error=True, error_type=_error_type(request)))
        else:
            self._respond(404, "NotFound", "404 page not found")
            return
        self._write(_ACCEPTED)

    def _begin(self, request: StreamedRequest) -> None:
        """Take a response whose body is still to come; one that may not be is read to its end and then refused."""
        request_id, _, action = request.target[len(_INVOCATION) :].partition("/")
        self._refusal = _NOT_FOUND
        try:
            if action == "response" and request.method == b"POST" and request.target.startswith(_INVOCATION):
                self._upload = ResponseUpload(self._session, request, request_id, self._resume)
        except IllegalTransitionError as error:
            self._refusal = (403, "InvalidStateTransition", f"State transition is not allowed: {error}")
        except UnknownRequestError:
            self._refusal = (400, "InvalidRequestID", "Invalid request ID")
        self._streamed = request
        if not request.is_whole and self._parser.is_expecting_continue:
            self._write(_CONTINUE)
        self._go_on(request)

    def _go_on(self, request: StreamedRequest) -> None:
        upload = self._upload
        if upload is None:
            request.parts.clear()
        else:
            upload.move()
        if not request.is_whole:
            if upload is not None and upload.is_full:
                self._pause()
            return
        self._streamed = self._upload = None
        if upload is None:
            self._respond(*self._refusal)
        elif upload.is_oversize:
            self._respond(*_too_large(upload.bytes_max))
        else:
            upload.finish()
            self._write(_ACCEPTED)
        if request.is_last:
            self._close()

    def _pause(self) -> None:
        if self._transport is not None and not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._is_paused:
            self._is_paused = False
            if self._transport is not None and not self._transport.is_closing():
                self._transport.resume_reading()

    def _init_error(self, request: InsideRequest) -> None:
        if self._session.state not in (EnvironmentState.COLD, EnvironmentState.RESTARTING):
            self._respond(403, "InvalidStateTransition", "State transition is not allowed")
            return
        self._write(_ACCEPTED)
        self._session.fail(InitFailed(request.body[:_ERROR_BYTES_MAX], _error_type(request)))

    def _respond(self, status: int, error_type: str, text: str) -> None:
        body = f'{{"errorMessage":"{text}","errorType":"{error_type}"}}\n'.encode()
        phrase = {400: "Bad Request", 403: "Forbidden", 404: "Not Found", 413: "Payload Too Large"}[status]
        head = f"HTTP/1.1 {status} {phrase}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self._write(head.encode() + body)

    def _write(self, data: bytes) -> None:
        if self._is_holding:
            self._held.append(data)
            return
        if self._held:
            data = b"".join((*self._held, data))
            self._held.clear()
        if self._transport is not None:
            self._transport.write(data)

    def abort(self) -> None:
        """Close at once: the sandbox is gone. Idempotent."""
        if self._transport is not None:
            self._transport.abort()

    def _close(self) -> None:
        self._is_holding = False
        self._write(b"")
        if self._transport is not None:
            self._transport.close()


def _too_large(limit_bytes: int) -> tuple[int, str, str]:
    return 413, "RequestEntityTooLarge", f"Exceeded maximum allowed payload size ({limit_bytes} bytes)."


def _error_type(request: InsideRequest) -> str | None:
    value = request.headers.get(b"lambda-runtime-function-error-type")
    return value[:256].decode("latin-1") if value else None


def _one_line(text: str) -> str:
    return text.replace("\r", " ").replace("\n", " ")
