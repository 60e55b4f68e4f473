"""InvokeWithResponseStream: the response as an event stream, each part as the function writes it."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

from lambent.api.invoke import STREAM_FORM, InvokeDoor
from lambent.api.messages import HttpResponse
from lambent.model.invocation import InvocationType
from lambent.wire.event_stream import CONTENT_TYPE, EventForm

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from lambent.api.authentication import Identity
    from lambent.api.invoke import Allows, Invokes
    from lambent.api.messages import HttpRequest
    from lambent.model.invocation import InvocationResult
    from lambent.wire.api_description import ApiDescription

_CHUNK = EventForm("PayloadChunk", "application/octet-stream")
_COMPLETE = EventForm("InvokeComplete", "application/json")
# A response that is whole already leaves in pieces of this size.
_PIECE_BYTES = 262_144
# The error code of a failure that came before the first byte; later ones have their own name.
_UNHANDLED = "Unhandled"


class InvokeStreamDoor:
    """Answers InvokeWithResponseStream. Scope: process."""

    def __init__(self, invoker: Invokes, description: ApiDescription, allows: Allows) -> None:
        self._invoker = invoker
        self._reader = InvokeDoor(invoker, description, allows, STREAM_FORM)
        self.plan = self._reader.plan

    async def answer(self, request: HttpRequest, identity: Identity, request_id: str) -> HttpResponse:
        """Begin the invocation; the answer's body follows the function. Raises as InvokeDoor.answer."""
        kind, invocation = await self._reader.read(request, identity, request_id)
        if kind == InvocationType.DRY_RUN:
            self._invoker.check(invocation)
            return HttpResponse(204)
        block = self._invoker.invoke(invocation)
        result = await block.__aenter__()
        headers = (("Content-Type", CONTENT_TYPE), ("X-Amz-Executed-Version", result.executed_version))
        return HttpResponse(200, headers, EventStreamBody(block, result))


class EventStreamBody:
    """A result as events: PayloadChunk for each part, InvokeComplete at the end. Owns the invocation's block."""

    # When the server stops it is seen through, as answers of known length are.
    is_finite = True

    def __init__(self, block: AbstractAsyncContextManager[InvocationResult], result: InvocationResult) -> None:
        self._block = block
        self._stream = result.stream
        self._result = result
        self._left = b"" if result.function_error is not None else result.payload
        self._is_complete = False

    def __aiter__(self) -> EventStreamBody:
        return self

    async def __anext__(self) -> bytes:
        if self._is_complete:
            raise StopAsyncIteration
        if self._stream is not None:
            try:
                return _CHUNK.encode(await self._stream.__anext__())
            except StopAsyncIteration:
                assert self._stream.ending is not None
                self._result = self._stream.ending
        elif self._left:
            piece, self._left = self._left[:_PIECE_BYTES], self._left[_PIECE_BYTES:]
            return _CHUNK.encode(piece)
        self._is_complete = True
        return _COMPLETE.encode(self._completion())

    async def aclose(self) -> None:
        """The client has all, or has gone: the function runs on."""
        await self._block.__aexit__(None, None, None)

    def _completion(self) -> bytes:
        result = self._result
        said: dict[str, str] = {}
        if result.function_error is not None:
            code = result.error_type if self._stream is not None else _UNHANDLED
            said["ErrorCode"] = code or _UNHANDLED
            said["ErrorDetails"] = result.payload.decode("utf-8", "replace")
        if result.log_tail is not None:
            said["LogResult"] = base64.b64encode(result.log_tail).decode()
        return json.dumps(said, separators=(",", ":")).encode()
