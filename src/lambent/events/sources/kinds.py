"""Which poller reads which kind of source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lambent.events.sources.kafka.access import has_schemas
from lambent.events.sources.kafka.kafka_poller import KafkaParts, KafkaPoller
from lambent.events.sources.queues.queue_poller import QueuePoller
from lambent.events.sources.queues.sqs import SqsQueue
from lambent.events.sources.streams.dynamodb import DynamoDbStream
from lambent.events.sources.streams.kinesis import KinesisStream
from lambent.events.sources.streams.stream_poller import StreamPoller
from lambent.model.configs.event_source import SourceKind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lambent.events.sources.pollers import Poller, Tell
    from lambent.events.sources.streams.stream_poller import StreamParts
    from lambent.model.configs.event_source import EventSourceMapping
    from lambent.wire.client import OutwardClient


@dataclass(frozen=True, slots=True)
class SourcePlaces:
    """Settings `event_sources`: `brokers` are addresses by ARN; `is_sasl_plaintext` lets passwords go without TLS."""

    brokers: Mapping[str, str]
    is_sasl_plaintext: bool = False


class PollerMaker:
    """Makes pollers. Keeps nothing but its parts."""

    def __init__(
        self, parts: StreamParts, client: OutwardClient, role_of: Callable[[str], str], places: SourcePlaces
    ) -> None:
        """`role_of(function_arn)` returns the execution role that events of Kinesis name."""
        self._parts = parts
        self._client = client
        self._role_of = role_of
        self._kafka = KafkaParts(
            client, parts.deliverer, parts.failures, parts.clock, places.brokers, places.is_sasl_plaintext
        )

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
        if mapping.kind in (SourceKind.MSK, SourceKind.SELF_MANAGED_KAFKA) and not has_schemas(mapping):
            return KafkaPoller(mapping, self._kafka, tell)
        return None
