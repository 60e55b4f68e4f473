"""Events that could not be delivered, on their way to the queue that a rule's target or a subscription names."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from lambent.wire.client import CallError, Principal
from lambent.wire.error_forms import NeighbourError

if TYPE_CHECKING:
    from lambent.model.invocation import TriggeredCall
    from lambent.wire.client import OutwardClient

_log = logging.getLogger(__name__)

# Source: EventBridge user guide, "Using dead-letter queues": message attributes and their error codes.
_ERROR_CODES = {
    "AccessDeniedException": "NO_PERMISSIONS",
    "ResourceNotFoundException": "RESOURCE_NOT_FOUND",
    "RequestTooLargeException": "INVALID_PARAMETER",
    "TooManyRequestsException": "THROTTLING",
}


async def dead_letter(client: OutwardClient, call: TriggeredCall, code: str, text: str) -> bool:
    """Send an event to its dead-letter queue; return whether it was taken. What prevents it is logged."""
    parts = call.dead_letter_arn.split(":")
    if len(parts) != 6 or parts[2] != "sqs":
        _log.warning("%s is no queue's ARN: an event of %s is dropped", call.dead_letter_arn, call.source.principal)
        return False
    principal = Principal(parts[4], parts[3])
    said = {**dict(call.attributes), "ERROR_CODE": _ERROR_CODES.get(code, "SDK_CLIENT_ERROR"), "ERROR_MESSAGE": text}
    try:
        found = await client.call(
            "sqs", "GetQueueUrl", {"QueueName": parts[5], "QueueOwnerAWSAccountId": parts[4]}, principal
        )
        body = {
            "QueueUrl": found.get("QueueUrl"),
            "MessageBody": call.payload.decode("utf-8", "replace"),
            "MessageAttributes": {
                name: {"DataType": "String", "StringValue": value} for name, value in said.items() if value
            },
        }
        await client.call("sqs", "SendMessage", body, principal)
    except (CallError, NeighbourError) as error:
        _log.warning("%s did not take an event of %s: %s", call.dead_letter_arn, call.source.principal, error)
        return False
    return True
