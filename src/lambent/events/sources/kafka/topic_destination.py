"""`kafka://topic` as an on-failure destination: a record for each record that was given up, in the same cluster."""

from __future__ import annotations

import asyncio
import base64
import json
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from lambent.events.destinations import DestinationError
from lambent.events.sources.streams.failures import FailureRecords

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from confluent_kafka import KafkaError, Producer

    from lambent.events.sources.kafka.records import KafkaRecords
    from lambent.events.sources.streams.failures import LostBatch
    from lambent.model.configs.event_source import EventSourceMapping

TOPIC = "kafka://"
# How long brokers may take to acknowledge; then it is tried anew.
_SECONDS_MAX = 30.0
# What no time will mend. Source: Kafka protocol guide, "Error codes".
_FINAL = frozenset(
    (
        "UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_TOPIC", "_UNKNOWN_PARTITION", "TOPIC_EXCEPTION", "MSG_SIZE_TOO_LARGE",
        "TOPIC_AUTHORIZATION_FAILED", "CLUSTER_AUTHORIZATION_FAILED", "INVALID_RECORD", "POLICY_VIOLATION",
    )
)  # fmt: skip


class _Record(NamedTuple):
    key: bytes | None
    value: bytes


class TopicFailures(FailureRecords):
    """Sends to topics too. Scope: mapping; its producer begins with the first record that is given up."""

    _settings: Mapping[str, str]
    _records: KafkaRecords
    _producer: Producer | None = None

    def reach(self, settings: Mapping[str, str], records: KafkaRecords) -> None:
        """Say how the cluster is reached, in librdkafka's settings, and what makes the records."""
        self._settings = settings
        self._records = records

    def close(self) -> None:
        """Let the producer go. Blocks shortly; called in a thread."""
        if self._producer is not None:
            self._producer.flush(1.0)
            self._producer = None

    def _sender(self, mapping: EventSourceMapping, destination: str, lost: LostBatch) -> Callable[[], Awaitable[None]]:
        if not destination.startswith(TOPIC):
            return super()._sender(mapping, destination, lost)
        context = self._context(mapping, lost, self._clock.time_ms())
        # Source: developer guide, "Using a Kafka topic as an on-failure destination": a record goes where its key did.
        found = [
            _Record(
                base64.b64decode(record.receipt) if record.receipt else None,
                json.dumps({**context, **self._records.lost_record(record)}, separators=(",", ":")).encode(),
            )
            for record in lost.records
        ]
        return partial(asyncio.to_thread, self._produce, destination.removeprefix(TOPIC), found)

    def _produce(self, topic: str, records: Sequence[_Record]) -> None:
        """Write the records and wait until all brokers have them. Raises DestinationError."""
        import confluent_kafka

        errors: list[KafkaError] = []

        def told(error: KafkaError | None, _message: object) -> None:
            if error is not None:
                errors.append(error)

        try:
            if self._producer is None:
                limits = {"message.timeout.ms": int(_SECONDS_MAX * 1_000), "acks": "all", "enable.idempotence": True}
                self._producer = confluent_kafka.Producer({**self._settings, **limits}, logger=self._log)
            for record in records:
                self._producer.produce(topic, record.value, record.key, on_delivery=told)
            left = self._producer.flush(_SECONDS_MAX + 5.0)
        except (confluent_kafka.KafkaException, BufferError) as error:
            raise DestinationError(f"{TOPIC}{topic}: {error}", is_final=False) from error
        if errors:
            is_final = all(error.name() in _FINAL for error in errors)
            raise DestinationError(f"{TOPIC}{topic}: {errors[0]}", is_final=is_final)
        if left:
            raise DestinationError(f"{TOPIC}{topic}: the brokers do not answer", is_final=False)
