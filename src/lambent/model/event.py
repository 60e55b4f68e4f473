"""An event on its way to a function that nobody waits for, and where its record goes afterwards."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from lambent.model.arn import FunctionArn


class Condition(StrEnum):
    """`requestContext.condition` of an invocation record: how an event ended.

    Source: recorded (test_lambda_destinations.json) for the first three; observed for the others.
    """

    SUCCESS = "Success"
    RETRIES_EXHAUSTED = "RetriesExhausted"
    EVENT_AGE_EXCEEDED = "EventAgeExceeded"
    ZERO_RESERVED_CONCURRENCY = "ZeroReservedConcurrency"
    RECURSIVE_INVOCATION = "RecursiveInvocation"


class EventFate(StrEnum):
    """Where an event that has left the queue is counted: the terms of the conservation equation."""

    SUCCEEDED = "succeeded"
    DROPPED = "dropped"
    DEAD_LETTERED = "dead_lettered"


class TargetKind(StrEnum):
    """What a target gets: an invocation record, or the event itself with its error."""

    DESTINATION = "destination"
    DEAD_LETTER = "dead-letter"


class Destination(Struct, frozen=True):
    """Where something about an event goes; `arn` of a queue, topic, bus, bucket or function."""

    kind: TargetKind
    arn: str


class Response(Struct, frozen=True):
    """What the last attempt of an event was answered.

    `status_code` is Invoke's (200 also for a function's own error), 0 when nothing was tried; `message` is the text of
    a refusal. `payload` is what the function returned, None when it did not run.
    """

    status_code: int
    payload: bytes | None = None
    executed_version: str | None = None
    function_error: str | None = None
    message: str = ""


class EventOutcome(Struct, frozen=True):
    """How an event ended, while records of that are still to be delivered.

    `targets` are those that have not taken theirs; `is_delivered`: one has. `tries` of the present round have failed.
    """

    condition: Condition
    at_ms: int
    targets: tuple[Destination, ...]
    is_delivered: bool = False
    tries: int = 0


class AsyncEvent(Struct, frozen=True):
    """A queued invocation. `function` is as the caller named it, with its qualifier or none.

    `attempts` counts runs of the function, `setbacks` the times in a row that it could not run. `skipped_ms` is by how
    much retries came earlier than AWS's would have: age is counted at AWS's pace. Times in ms of the Unix epoch.
    """

    function: FunctionArn
    request_id: str
    payload: bytes
    accepted_ms: int
    trace_header: str | None = None
    attempts: int = 0
    setbacks: int = 0
    skipped_ms: int = 0
    response: Response | None = None
    outcome: EventOutcome | None = None

    def age_ms(self, now_ms: int) -> int:
        """Return its age at AWS's pace."""
        return max(0, now_ms - self.accepted_ms) + self.skipped_ms
