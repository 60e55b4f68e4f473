"""The head of a streamed HTTP answer: JSON with status, headers and cookies, then eight NUL bytes, then the body."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from lambent.gateways.event_formats.payload_v2 import BadAnswerError, ReadAnswer, read_head

if TYPE_CHECKING:
    from lambent.model.invocation import ResponseBody

# Source: developer guide, "Response streaming with function URLs"; the type is what AWS's Node.js runtime says of it.
PRELUDE_TYPE = "application/vnd.awslambda.http-integration-response"
_END = bytes(8)
_BYTES_MAX = 65_536


async def read_prelude(stream: ResponseBody) -> ReadAnswer:
    """Take the prelude from a stream; `body` is what came with it of the body.

    Raises:
        BadAnswerError: there is none, or it is not of the right form.
    """
    held = b""
    while (end := held.find(_END)) < 0:
        if len(held) > _BYTES_MAX:
            raise BadAnswerError("its prelude does not end")
        try:
            held += await stream.__anext__()
        except StopAsyncIteration:
            raise BadAnswerError("it ended before its prelude did") from None
    try:
        value = json.loads(held[:end])
    except (ValueError, RecursionError):
        raise BadAnswerError("its prelude is not JSON") from None
    if not isinstance(value, dict):
        raise BadAnswerError("its prelude is no object")
    return ReadAnswer(*read_head(value), held[end + len(_END) :])
