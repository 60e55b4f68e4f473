"""Which poller reads which kind of source. Each is imported with the first mapping that needs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lambent.model.configs.event_source import SourceKind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lambent.clock import Clock
    from lambent.events.destinations import Destinations
    from lambent.events.sources.deliverer import Deliverer
    from lambent.events.sources.pollers import Poller, Tell
    from lambent.events.sources.streams.contracts import StreamSource
    from lambent.events.sources.streams.stream_poller import StreamParts
    from lambent.model.configs.event_source import EventSourceMapping
    from lambent.store.queues.contracts import Leases
    from lambent.wire.client import OutwardClient


class SourcePlaces(NamedTuple):
    """Settings `event_sources`: `brokers` are addresses by ARN; `is_sasl_plaintext` lets passwords go without TLS."""

    brokers: Mapping[str, str]
    is_sasl_plaintext: bool = False


class PollerParts(NamedTuple):
    """What pollers work with. `role_of(function_arn)` returns the execution role that events of Kinesis name.

    `owner` names the process to others on the same store; `random_bytes` is the source of ids.
    """

    deliverer: Deliverer
    destinations: Destinations
    leases: Leases
    client: OutwardClient
    clock: Clock
    random_bytes: Callable[[int], bytes]
    owner: str
    role_of: Callable[[str], str]
    places: SourcePlaces


class PollerMaker:
    """Makes pollers. Keeps nothing but its parts."""

    def __init__(self, parts: PollerParts) -> None:
        self._parts = parts

    def make(self, mapping: EventSourceMapping, tell: Tell) -> Poller | None:
        """Return a poller of the mapping's source; None for a kind that is not polled yet."""
        match mapping.kind:
            case SourceKind.SQS:
                return self._queue(mapping, tell)
            case SourceKind.KINESIS:
                from lambent.events.sources.streams.kinesis import KinesisStream

                role = self._parts.role_of(mapping.function_arn)
                return self._stream(mapping, KinesisStream(mapping, self._parts.client, role), tell)
            case SourceKind.DYNAMODB:
                from lambent.events.sources.streams.dynamodb import DynamoDbStream

                return self._stream(mapping, DynamoDbStream(mapping, self._parts.client), tell)
            case SourceKind.MSK | SourceKind.SELF_MANAGED_KAFKA:
                return self._topics(mapping, tell)
            case SourceKind.MQ:
                return self._broker(mapping, tell)
            case SourceKind.DOCUMENTDB:
                from lambent.events.sources.documents.documents_poller import DocumentsPoller

                parts = self._parts
                return DocumentsPoller(mapping, parts.client, parts.places.brokers, self._stream_parts(), tell)
            case _:
                return None

    def _queue(self, mapping: EventSourceMapping, tell: Tell) -> Poller:
        from lambent.events.sources.queues.queue_poller import QueuePoller
        from lambent.events.sources.queues.sqs import SqsQueue

        parts = self._parts
        source = SqsQueue(mapping, parts.client, parts.destinations.queue_urls)
        return QueuePoller(mapping, source, parts.deliverer, parts.clock, tell)

    def _stream(self, mapping: EventSourceMapping, source: StreamSource, tell: Tell) -> Poller:
        from lambent.events.sources.streams.stream_poller import StreamPoller

        return StreamPoller(mapping, source, self._stream_parts(), tell)

    def _stream_parts(self) -> StreamParts:
        from lambent.events.sources.streams.failures import FailureRecords
        from lambent.events.sources.streams.stream_poller import StreamParts

        parts = self._parts
        failures = FailureRecords(parts.destinations, parts.clock, parts.random_bytes, parts.deliverer.meter)
        return StreamParts(parts.deliverer, failures, parts.leases, parts.owner, parts.clock)

    def _broker(self, mapping: EventSourceMapping, tell: Tell) -> Poller:
        from lambent.events.sources.brokers.broker_poller import BrokerParts, BrokerPoller
        from lambent.events.sources.brokers.connecting import Connector

        parts = self._parts
        connector = Connector(parts.client, parts.places.brokers, parts.clock)
        return BrokerPoller(mapping, BrokerParts(connector.connect, parts.deliverer, parts.clock), tell)

    def _topics(self, mapping: EventSourceMapping, tell: Tell) -> Poller:
        from lambent.events.sources.kafka.kafka_poller import KafkaParts, KafkaPoller

        parts, places = self._parts, self._parts.places
        kafka = KafkaParts(
            parts.client, parts.deliverer, parts.destinations, parts.deliverer.meter, parts.clock, parts.random_bytes,
            places.brokers, places.is_sasl_plaintext,
        )  # fmt: skip
        return KafkaPoller(mapping, kafka, tell)
