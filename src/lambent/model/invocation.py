"""One call of a function: what the door asks, what runs, what comes back."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from lambent.model.arn import FunctionArn
    from lambent.model.function import FunctionVersion


class InvocationType(StrEnum):
    """Source: service description, shape InvocationType."""

    REQUEST_RESPONSE = "RequestResponse"
    EVENT = "Event"
    DRY_RUN = "DryRun"


class FunctionErrorKind(StrEnum):
    """Value of X-Amz-Function-Error. AWS answers Unhandled for every error its runtimes report today."""

    HANDLED = "Handled"
    UNHANDLED = "Unhandled"


class InvokeRequest(Struct, frozen=True):
    """The door's form of an invocation: name and qualifier not yet resolved.

    `payload` is JSON text already checked by the door. `client_context` is the decoded JSON text of
    X-Amz-Client-Context. `trace_header` is X-Amzn-Trace-Id as received, or None. `wants_stream`: a response that is
    streamed shall be read while the function writes it.
    """

    function: FunctionArn
    request_id: str
    payload: bytes
    wants_log_tail: bool = False
    client_context: str | None = None
    trace_header: str | None = None
    wants_stream: bool = False


class Invocation(Struct, frozen=True):
    """An admitted invocation of one version. `invoked_arn` is the ARN the caller used, qualifier included."""

    request_id: str
    version: FunctionVersion
    invoked_arn: str
    payload: bytes
    trace_header: str
    wants_log_tail: bool = False
    client_context: str | None = None


class ResponseBody(Protocol):
    """A response that the function is still writing. `content_type` is what its runtime says of it."""

    content_type: str | None
    ending: InvocationResult | None

    async def __anext__(self) -> bytes:
        """Return the next part. Raises StopAsyncIteration at the end; then `ending` says how the invocation went."""

    def end(self, result: InvocationResult) -> None:
        """The invocation is over, well or not; what was written before can still be read."""

    def abandon(self) -> None:
        """Nobody reads any more: the function runs on, what it writes is dropped. Idempotent."""


class InvocationResult(Struct, frozen=True):
    """What the caller gets. `log_tail`: the last 4,096 bytes of this invocation's log, or None if not asked.

    `error_type` is AWS's name of what went wrong. With `stream` the response is still to be read, and `payload` empty;
    the stream's `ending` then has in `payload` only what is to be said of an error.
    """

    payload: bytes
    executed_version: str
    function_error: FunctionErrorKind | None = None
    log_tail: bytes | None = None
    error_type: str | None = None
    stream: ResponseBody | None = None


class TriggerSource(NamedTuple):
    """Who calls: a service's principal ("s3.amazonaws.com"), the ARN of what made it call, the account that owns that.

    `has_role`: it calls with a role of the function's account, so no resource policy is asked. `token`: what the
    policy may name as EventSourceToken, the id of a skill.
    """

    principal: str
    arn: str = ""
    account_id: str = ""
    has_role: bool = False
    token: str = ""


class TriggeredCall(NamedTuple):
    """One call. `payload` is JSON text. `is_event`: nobody waits for what the function answers. `is_check`: it only
    asks whether it would be permitted.

    `dead_letter_arn` is the queue that takes an event which cannot be delivered; `attributes` are what its message
    says besides, by name. `failure`: code and text of why it is tried no more, though that might have passed: only
    that queue is left.
    """

    function: FunctionArn
    source: TriggerSource
    payload: bytes
    is_event: bool
    dead_letter_arn: str = ""
    attributes: tuple[tuple[str, str], ...] = ()
    is_check: bool = False
    failure: tuple[str, str] | None = None
    client_context: str | None = None
    trace_header: str | None = None


class TriggeredAnswer(NamedTuple):
    """What came of a call. `code` is empty, or AWS's code of why there was no invocation, and `payload` its text.

    `is_function_error`: the function ran and failed; `payload` is its error as JSON.
    """

    payload: bytes = b""
    code: str = ""
    is_function_error: bool = False
