"""Which poller reads which kind of source."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambent.events.sources.dynamodb import DynamoDbStream
from lambent.events.sources.kinesis import KinesisStream
from lambent.events.sources.queue_poller import QueuePoller
from lambent.events.sources.sqs import SqsQueue
from lambent.events.sources.stream_poller import StreamPoller
from lambent.model.configs.event_source import SourceKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambent.events.sources.pollers import Poller, Tell
    from lambent.events.sources.stream_poller import StreamParts
    from lambent.model.configs.event_source import EventSourceMapping
    from lambent.wire.client import OutwardClient


class PollerMaker:
    """Makes pollers. Keeps nothing but its parts."""

    def __init__(self, parts: StreamParts, client: OutwardClient, role_of: Callable[[str], str]) -> None:
        """`role_of(function_arn)` returns the execution role that events of Kinesis name."""
        self._parts = parts
        self._client = client
        self._role_of = role_of

    def make(self, mapping: EventSourceMapping, tell: Tell) -> Poller | None:
        """Return a poller of the mapping's source; None for a kind that is not polled yet."""
        if mapping.kind is SourceKind.SQS:
            queue = SqsQueue(mapping, self._client)
            return QueuePoller(mapping, queue, self._parts.deliverer, self._parts.clock, tell)
        if mapping.kind is SourceKind.KINESIS:
            stream = KinesisStream(mapping, self._client, self._role_of(mapping.function_arn))
            return StreamPoller(mapping, stream, self._parts, tell)
        if mapping.kind is SourceKind.DYNAMODB:
            return StreamPoller(mapping, DynamoDbStream(mapping, self._client), self._parts, tell)
        return None
