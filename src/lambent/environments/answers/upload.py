"""One streamed POST …/response of a runtime: its parts to the caller's stream, or collected for who wants it whole."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from lambent.environments.session import Answered
from lambent.model import quotas

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambent.environments.http_requests import StreamedRequest
    from lambent.environments.session import RuntimeSession

_ERROR_TYPE = b"lambda-runtime-function-error-type"
_ERROR_BODY = b"lambda-runtime-function-error-body"
_ERROR_TYPE_BYTES_MAX = 256
_ERROR_BYTES_MAX = 262_144


class ResponseUpload:
    """Scope: one request. Whoever reads the connection calls `move` after each read, then `finish` or `break_off`.

    Making one raises UnknownRequestError or IllegalTransitionError, as RuntimeSession.begin_response.
    Source: developer guide, "Using the Lambda runtime API", and the runtime interface's own handling of trailers.
    """

    __slots__ = ("_kept", "_request", "_request_id", "_seen_bytes", "_session", "_stream", "bytes_max", "is_oversize")

    def __init__(
        self, session: RuntimeSession, request: StreamedRequest, request_id: str, on_room: Callable[[], None]
    ) -> None:
        content_type = request.headers.get(b"content-type")
        self._session = session
        self._request = request
        self._request_id = request_id
        text = None if content_type is None else content_type.decode("latin-1")
        self._stream = session.begin_response(request_id, text, on_room)
        self.bytes_max = quotas.RESPONSE_BYTES.value if self._stream is None else session.streamed_bytes_max
        self.is_oversize = False
        self._kept: list[bytes] = []
        self._seen_bytes = 0

    @property
    def is_whole(self) -> bool:
        """Whether nothing more will come."""
        return self._request.is_whole

    @property
    def is_full(self) -> bool:
        """Whether the caller has to read before more is read from the runtime."""
        return self._stream is not None and self._stream.is_full

    def move(self) -> None:
        """Take what has arrived. What is over the bound ends the answer; the rest of the request is dropped."""
        request = self._request
        parts, request.parts = request.parts, []
        for part in parts:
            self._seen_bytes += len(part)
            if self._seen_bytes > self.bytes_max:
                self._refuse_more(part)
                return
            if self._stream is not None:
                self._stream.put(part)
            else:
                self._kept.append(part)

    def finish(self) -> None:
        """The request is whole: so is the answer, or it ended with the error that the trailers tell."""
        if self.is_oversize:
            return
        trailers = self._request.trailers
        kind = trailers.get(_ERROR_TYPE, b"")[:_ERROR_TYPE_BYTES_MAX].decode("latin-1")
        error = _decoded(trailers.get(_ERROR_BODY, b""))
        if kind or error:
            answered = Answered(error, is_error=True, error_type=kind or None)
        else:
            answered = Answered(b"".join(self._kept))
        self._session.end_response(self._request_id, answered)

    def lose(self) -> None:
        """The connection ended before the request was whole: `break_off` follows, unless its process has ended."""
        self._session.response_lost(self._request_id)

    def break_off(self) -> None:
        """The request will never be whole."""
        self._session.truncated(self._request_id)

    def _refuse_more(self, part: bytes) -> None:
        if not self.is_oversize:
            self.is_oversize = True
            allowed = len(part) - (self._seen_bytes - self.bytes_max)
            if self._stream is not None and allowed > 0:
                self._stream.put(part[:allowed])
            self._kept.clear()
            self._session.end_response(self._request_id, Answered(b"", is_oversize=True, bytes_max=self.bytes_max))


def _decoded(text: bytes) -> bytes:
    """Return the text of an error, which travels as base64 because a trailer is one line."""
    try:
        decoded = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        decoded = text
    return decoded if len(decoded) <= _ERROR_BYTES_MAX else b""
