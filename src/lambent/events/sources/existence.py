"""What AWS asks of a source before it takes a mapping: that it is there, and hides messages long enough."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from lambent.model.configs.event_source import SourceKind
from lambent.model.errors import InvalidParameterValueError
from lambent.wire.client import CallError, Principal
from lambent.wire.error_forms import NeighbourError

if TYPE_CHECKING:
    from lambent.events.queue_urls import QueueUrls
    from lambent.model.configs.event_source import EventSourceMapping
    from lambent.wire.client import OutwardClient

_QUEUE_GONE = frozenset(("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"))


class SourceChecks:
    """Asks the services. Keeps nothing. One that does not answer is no reason to refuse: the poller waits for it."""

    def __init__(self, client: OutwardClient, queue_urls: QueueUrls) -> None:
        self._client = client
        self._queue_urls = queue_urls
        self._log = logging.getLogger(__name__)

    async def check(self, mapping: EventSourceMapping, timeout_seconds: int) -> None:
        """Return if the mapping's source can be polled for a function with that time-out.

        Raises:
            InvalidParameterValueError: (400). Source: recorded (test_esm_with_not_existing_dynamodb_stream); observed
                for queues and for Kinesis.
        """
        try:
            match mapping.kind:
                case SourceKind.SQS:
                    await self._check_queue(mapping, timeout_seconds)
                case SourceKind.KINESIS | SourceKind.DYNAMODB:
                    await self._check_stream(mapping)
                case _:
                    return
        except NeighbourError as error:
            self._log.warning("the source of a new mapping could not be asked for: %s", error.message)

    async def _check_queue(self, mapping: EventSourceMapping, timeout_seconds: int) -> None:
        arn = mapping.event_source_arn or ""
        # A queue of this name may have been made anew since it was last asked for.
        self._queue_urls.forget(arn)
        try:
            visibility_seconds = await self._queue_urls.visibility_seconds(arn)
        except CallError as error:
            code = "AWS.SimpleQueueService.NonExistentQueue" if error.code in _QUEUE_GONE else error.code
            raise InvalidParameterValueError(
                f"Error occurred while ReceiveMessage. SQS Error Code: {code}. SQS Error Message: {error.message}"
            ) from error
        if visibility_seconds < timeout_seconds:
            raise InvalidParameterValueError(
                f"Queue visibility timeout: {visibility_seconds} seconds is less than "
                f"Function timeout: {timeout_seconds} seconds"
            )

    async def _check_stream(self, mapping: EventSourceMapping) -> None:
        arn = mapping.event_source_arn or ""
        parts = arn.split(":", 5)
        principal = Principal(parts[4], parts[3])
        try:
            if mapping.kind is SourceKind.DYNAMODB:
                await self._client.call("dynamodbstreams", "DescribeStream", {"StreamArn": arn, "Limit": 1}, principal)
            else:
                asked = {"StreamName": parts[5].split("/")[1]}
                await self._client.call("kinesis", "DescribeStreamSummary", asked, principal)
        except CallError as error:
            if error.code == "ResourceNotFoundException":
                raise InvalidParameterValueError(f"Stream not found: {arn}") from error
            self._log.warning("the source of a new mapping could not be asked for: %s", error)
