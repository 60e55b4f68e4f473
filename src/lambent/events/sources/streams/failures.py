"""What an on-failure destination is told of a batch that a stream's mapping gave up."""

from __future__ import annotations

import itertools
import json
import logging
import uuid
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from lambent.events.destinations import DestinationError, Message
from lambent.events.sources.meter import Meter, Metric
from lambent.events.sources.pausing import pause
from lambent.events.sources.streams.contracts import time_text

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from lambent.clock import Clock
    from lambent.events.destinations import Destinations
    from lambent.events.sources.deliverer import Delivered
    from lambent.events.sources.source import SourceRecord
    from lambent.model.configs.event_source import EventSourceMapping

_RETRY_SECONDS = (0.5, 1.0, 2.0, 5.0, 15.0, 30.0)


class GivenUp(StrEnum):
    """Why. Source: recorded (test_kinesis_event_source_mapping_with_on_failure_destination_config, …age_exceeded)."""

    RETRIES_EXHAUSTED = "RetryAttemptsExhausted"
    AGE_EXCEEDED = "RecordAgeExceeded"
    # Source: developer guide, "How Lambda performs schema validation for Kafka messages".
    SCHEMA_NOT_FOUND = "SCHEMA_NOT_FOUND"
    DESERIALIZATION_ERROR = "DESERIALIZATION_ERROR"


class LostBatch(Struct, frozen=True):
    """Records of one shard that are given up, and how their last invocation went.

    `info` are the members that tell of the batch, `event` is what the function was given.
    """

    shard_id: str
    records: Sequence[SourceRecord]
    reason: GivenUp
    invoke_count: int
    delivered: Delivered | None
    info: Mapping[str, Any]
    event: Mapping[str, Any]


class FailureRecords:
    """Sends them. Scope: process; keeps nothing."""

    def __init__(
        self, destinations: Destinations, clock: Clock, random_bytes: Callable[[int], bytes], meter: Meter | None = None
    ) -> None:
        self._meter = meter or Meter(None, clock)
        self._destinations = destinations
        self._clock = clock
        self._random_bytes = random_bytes
        self._log = logging.getLogger(__name__)

    async def send(self, mapping: EventSourceMapping, lost: LostBatch, stopped: asyncio.Event) -> bool:
        """Send the record of a batch, trying again while that may help; True when the batch is over.

        False: stopped before it was taken. A batch whose record nobody will ever take is over, and the log says so.
        """
        if mapping.on_failure is None:
            self._log.warning(
                "event source mapping %s gave up %d records of %s (%s)",
                mapping.uuid, len(lost.records), lost.shard_id, lost.reason,
            )  # fmt: skip
            self._meter.count(mapping, Metric.DROPPED, len(lost.records))
            return True
        send = self._sender(mapping, mapping.on_failure, lost)
        for tries in itertools.count():
            try:
                await send()
            except DestinationError as error:
                self._log.warning("event source mapping %s: on-failure destination: %s", mapping.uuid, error)
                if error.is_final:
                    self._meter.count(mapping, Metric.DROPPED, len(lost.records))
                    return True
                if await pause(_RETRY_SECONDS[min(tries, len(_RETRY_SECONDS) - 1)], stopped):
                    return False
                continue
            self._meter.count(mapping, Metric.ON_FAILURE_DELIVERED, len(lost.records))
            return True
        return True

    def _sender(self, mapping: EventSourceMapping, destination: str, lost: LostBatch) -> Callable[[], Awaitable[None]]:
        """Return what sends the record of a batch once, and raises DestinationError."""
        message = self._message(mapping, lost)
        return partial(self._destinations.send, destination, message, mapping.account_id, mapping.region)

    def _context(self, mapping: EventSourceMapping, lost: LostBatch, now_ms: int) -> dict[str, Any]:
        """Return what every record says: which invocation, why, when."""
        delivered = lost.delivered
        record: dict[str, Any] = {
            "requestContext": {
                "requestId": delivered.request_id if delivered is not None else self._uuid(),
                "functionArn": mapping.function_arn,
                "condition": lost.reason.value,
                "approximateInvokeCount": max(lost.invoke_count, 1),
            }
        }
        # Source: recorded: of a batch that grew too old nothing is said of its last answer.
        if lost.reason is GivenUp.RETRIES_EXHAUSTED and delivered is not None and delivered.result is not None:
            error = delivered.result.function_error
            record["responseContext"] = {
                "statusCode": 200,
                "executedVersion": delivered.result.executed_version,
                "functionError": None if error is None else error.value,
            }
        return {**record, "version": "1.0", "timestamp": time_text(now_ms)}

    def _message(self, mapping: EventSourceMapping, lost: LostBatch) -> Message:
        now_ms = self._clock.time_ms()
        record = {**self._context(mapping, lost, now_ms), **lost.info}
        if (mapping.on_failure or "").startswith("arn:aws:s3:"):
            # Source: recorded (test_kinesis_event_source_mapping_with_s3_on_failure_destination).
            record["payload"] = lost.event
        moment = datetime.fromtimestamp(now_ms / 1_000, UTC)
        # Source: developer guide, "Capturing discarded batches": the name of the object.
        key = f"aws/lambda/{mapping.uuid}/{lost.shard_id}/{moment:%Y/%m/%d/%Y-%m-%dT%H.%M.%S}-{self._uuid()}"
        return Message(json.dumps(record, separators=(",", ":")).encode(), now_ms, object_key=key)

    def _uuid(self) -> str:
        return str(uuid.UUID(bytes=self._random_bytes(16), version=4))
