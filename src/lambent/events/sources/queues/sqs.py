"""Amazon SQS as an event source, standard and FIFO queues, by its public API."""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import TYPE_CHECKING, Any

from lambent.events.queue_urls import QueueRef
from lambent.events.sources.source import SourceError, SourceRecord
from lambent.wire.client import CallError
from lambent.wire.error_forms import NeighbourError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lambent.events.queue_urls import QueueUrls
    from lambent.model.configs.event_source import EventSourceMapping
    from lambent.wire.client import OutwardClient

# At most ten entries in one call. Source: SQS API reference.
_AT_ONCE = 10
_GONE = frozenset(("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"))
# Where a system attribute of a message has no place in an event.
_TRACE = "AWSTraceHeader"


class SqsQueue:
    """One queue. Scope: mapping; remembers the queue's URL and visibility time-out."""

    def __init__(self, mapping: EventSourceMapping, client: OutwardClient, queue_urls: QueueUrls) -> None:
        self._arn = mapping.event_source_arn or ""
        self._name, self._principal = QueueRef.of(self._arn)
        self._client = client
        self._queue_urls = queue_urls
        self._url: str | None = None
        self._visibility_seconds = 30
        self.is_ordered = self._name.endswith(".fifo")

    @property
    def keep_seconds(self) -> float:
        """See QueueSource."""
        return max(self._visibility_seconds / 3, 0.5)

    async def receive(self, count_max: int, wait_seconds: int) -> Sequence[SourceRecord]:
        """See QueueSource."""
        answer = await self._call(
            "ReceiveMessage",
            {
                "MaxNumberOfMessages": min(count_max, _AT_ONCE),
                "WaitTimeSeconds": wait_seconds,
                "MessageAttributeNames": ["All"],
                "AttributeNames": ["All"],
                "MessageSystemAttributeNames": ["All"],
            },
        )
        return [self._record(message) for message in answer.get("Messages") or ()]

    async def remove(self, records: Sequence[SourceRecord]) -> None:
        """See QueueSource."""
        await self._each_ten("DeleteMessageBatch", records, {})

    async def keep(self, records: Sequence[SourceRecord]) -> None:
        """See QueueSource."""
        await self._each_ten(
            "ChangeMessageVisibilityBatch", records, {"VisibilityTimeout": max(self._visibility_seconds, 1)}
        )

    async def give_back(self, records: Sequence[SourceRecord]) -> None:
        """See QueueSource."""
        await self._each_ten("ChangeMessageVisibilityBatch", records, {"VisibilityTimeout": 0})

    def event(self, records: Sequence[SourceRecord]) -> dict[str, Any]:
        """See QueueSource."""
        return {"Records": [record.document for record in records]}

    def _record(self, message: Mapping[str, Any]) -> SourceRecord:
        # Source: recorded (test_sqs_event_source_mapping_update); developer guide, "Example standard queue message".
        attributes = {key: str(value) for key, value in (message.get("Attributes") or {}).items()}
        own, md5 = message.get("MessageAttributes") or {}, message.get("MD5OfMessageAttributes")
        document = {
            "messageId": message["MessageId"],
            "receiptHandle": message["ReceiptHandle"],
            "body": message["Body"],
            "attributes": attributes,
            "messageAttributes": {name: _attribute(value) for name, value in own.items()},
            **({"md5OfMessageAttributes": md5} if md5 else {}),
            "md5OfBody": message.get("MD5OfBody") or hashlib.md5(message["Body"].encode()).hexdigest(),
            "eventSource": "aws:sqs",
            "eventSourceARN": self._arn,
            "awsRegion": self._principal.region,
        }
        return SourceRecord(
            document,
            document,
            message["MessageId"],
            len(json.dumps(document, ensure_ascii=False).encode()),
            message["ReceiptHandle"],
            attributes.get(_TRACE),
            group=attributes.get("MessageGroupId", "") if self.is_ordered else "",
        )

    async def _each_ten(self, action: str, records: Sequence[SourceRecord], members: Mapping[str, object]) -> None:
        groups = [records[first : first + _AT_ONCE] for first in range(0, len(records), _AT_ONCE)]
        failed: list[str] = []

        async def call(group: Sequence[SourceRecord]) -> None:
            entries = [
                {"Id": str(number), "ReceiptHandle": record.receipt, **members} for number, record in enumerate(group)
            ]
            answer = await self._call(action, {"Entries": entries})
            failed.extend(str(one.get("Message") or one.get("Code")) for one in answer.get("Failed") or ())

        try:
            async with asyncio.TaskGroup() as tasks:
                for group in groups:
                    tasks.create_task(call(group))
        except* SourceError as errors:
            first = errors.exceptions[0]
            raise SourceError(str(first)) from first
        if failed:
            raise SourceError(f"{action} failed for {len(failed)} messages of {self._name}: {failed[0]}")

    async def _call(self, action: str, body: Mapping[str, object]) -> dict[str, Any]:
        try:
            url = self._url or await self._find()
            return await self._client.call("sqs", action, {"QueueUrl": url, **body}, self._principal)
        except CallError as error:
            self._url = None
            self._queue_urls.forget(self._arn)
            raise SourceError(f"{self._arn}: {error}", is_lasting=error.code in _GONE) from error
        except NeighbourError as error:
            raise SourceError(f"{self._arn}: {error.message}") from error

    async def _find(self) -> str:
        url = await self._queue_urls.find(self._arn)
        self._visibility_seconds = await self._queue_urls.visibility_seconds(self._arn)
        self._url = url
        return url


def _attribute(value: Mapping[str, Any]) -> dict[str, Any]:
    # Source: developer guide, "Example standard queue message event"; recorded (lambda/…sqs: message attributes).
    shown: dict[str, Any] = {}
    for member in ("StringValue", "BinaryValue"):
        if value.get(member) is not None:
            shown[member[0].lower() + member[1:]] = value[member]
    shown["stringListValues"] = list(value.get("StringListValues") or ())
    shown["binaryListValues"] = list(value.get("BinaryListValues") or ())
    shown["dataType"] = value.get("DataType")
    return shown
