"""What destinations and dead-letter queues are told of an event, in AWS's exact form."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lambent.events.destinations import Attribute, Message
from lambent.model.arn import LATEST
from lambent.model.event import Condition

if TYPE_CHECKING:
    from lambent.model.event import AsyncEvent, EventOutcome, Response

_ERROR_BYTES_MAX = 1_024
# Source: observed.
_NO_CONCURRENCY = "Function not invoked. Function is configured with zero reserved concurrent executions"


def invocation_record(event: AsyncEvent, outcome: EventOutcome) -> bytes:
    """Return the record of an event that ended, JSON.

    Payloads go in as they are: whoever compares what was sent with what arrives finds the same numbers and texts.
    Source: recorded (test_lambda_destinations.json); developer guide, "Capturing records of asynchronous invocations".
    """
    context = {
        "requestId": event.request_id,
        "functionArn": str(event.function.qualified(event.function.qualifier or LATEST)),
        "condition": outcome.condition.value,
        "approximateInvokeCount": event.attempts,
    }
    members = [
        '"version":"1.0"',
        f'"timestamp":"{_time_text(outcome.at_ms)}"',
        f'"requestContext":{_json(context)}',
        f'"requestPayload":{_text(event.payload)}',
    ]
    response = event.response
    if response is not None and outcome.condition is not Condition.ZERO_RESERVED_CONCURRENCY:
        members.append(f'"responseContext":{_json(_response_context(response))}')
        if response.payload is not None:
            members.append(f'"responsePayload":{_text(response.payload)}')
    return ("{" + ",".join(members) + "}").encode()


def destination_message(event: AsyncEvent, outcome: EventOutcome, destination_arn: str, key_id: bytes) -> Message:
    """Return the message with the invocation record. `key_id`: 16 random bytes for the name of an object."""
    is_success = outcome.condition is Condition.SUCCESS
    moment = datetime.fromtimestamp(outcome.at_ms / 1_000, UTC)
    unique = uuid.UUID(bytes=key_id, version=4)
    return Message(
        body=invocation_record(event, outcome),
        at_ms=outcome.at_ms,
        # Source: developer guide, "Capturing records of asynchronous invocations".
        object_key=f"aws/lambda/async/{event.function.name}/{moment:%Y/%m/%d/%Y-%m-%dT%H.%M.%S}-{unique}",
        detail_type=f"Lambda Function Invocation Result - {'Success' if is_success else 'Failure'}",
        resources=(destination_arn, str(event.function.qualified(event.function.qualifier or LATEST))),
        trace_header=event.trace_header,
    )


def dead_letter_message(event: AsyncEvent, outcome: EventOutcome) -> Message:
    """Return the message for a dead-letter queue: the event as it came, its error as attributes.

    Source: recorded (test_dead_letter_queue, test_sns_topic_as_lambda_dead_letter_queue).
    """
    attributes = [Attribute("RequestID", "String", event.request_id)]
    is_off = outcome.condition is Condition.ZERO_RESERVED_CONCURRENCY
    if event.response is not None and not is_off:
        attributes.append(Attribute("ErrorCode", "Number", str(event.response.status_code)))
    text = _NO_CONCURRENCY if is_off else _error_text(event.response)
    if text:
        attributes.append(Attribute("ErrorMessage", "String", text))
    return Message(
        body=event.payload, at_ms=outcome.at_ms, attributes=tuple(attributes), trace_header=event.trace_header
    )


def _response_context(response: Response) -> dict[str, object]:
    context: dict[str, object] = {"statusCode": response.status_code}
    if response.executed_version is not None:
        context["executedVersion"] = response.executed_version
    if response.function_error is not None:
        context["functionError"] = response.function_error
    return context


def _error_text(response: Response | None) -> str:
    """Return the first KB of the error's message."""
    if response is None:
        return ""
    text = response.message
    if response.payload is not None:
        try:
            document = json.loads(response.payload)
        except (ValueError, RecursionError):
            document = None
        if isinstance(document, dict) and isinstance(document.get("errorMessage"), str):
            text = document["errorMessage"]
        elif not text:
            text = response.payload.decode("utf-8", "replace")
    return text.encode("utf-8", "replace")[:_ERROR_BYTES_MAX].decode("utf-8", "ignore")


def _text(payload: bytes) -> str:
    """Return a payload as JSON; what is none becomes a text."""
    text = payload.decode("utf-8", "replace")
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return _json(text)
    return text


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _time_text(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1_000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
