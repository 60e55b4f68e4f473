"""librdkafka's consumer in a thread of its own: what it gets goes to the event loop, what is done is committed."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

from lambent.events.sources.source import SourceError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping, Sequence

    from confluent_kafka import Message, TopicPartition

T = TypeVar("T")

_AT_ONCE = 500
_POLL_SECONDS = 0.1
# Waiting for the threads of a broken connection must not hold up a stop.
_JOIN_SECONDS = 10.0
_MEMORY_KIB = 16_384
_REFRESH_MS = 10_000
_SESSION_MS = 10_000


@dataclass(frozen=True, slots=True)
class ConsumerPlan:
    """What is read: `settings` are librdkafka's, `timestamp_ms` where reading begins without a committed offset."""

    servers: str
    group_id: str
    topics: tuple[str, ...]
    is_latest: bool
    timestamp_ms: int | None = None
    settings: Mapping[str, str] = field(default_factory=dict, repr=False)


class Listener(Protocol):
    """Whom the consumer tells; called on the event loop."""

    def assigned(self, partitions: Sequence[tuple[str, int]]) -> None:
        """These partitions are read here now."""

    def revoked(self, partitions: Sequence[tuple[str, int]]) -> None:
        """These are read by somebody else now."""

    def received(self, messages: Sequence[Message]) -> None:
        """Messages, in order within each partition."""

    def failed(self, text: str) -> None:
        """Something is wrong; it goes on by itself."""


class KafkaConsumer:
    """Scope: mapping. Offsets are kept by the brokers, for the consumer group."""

    def __init__(self, plan: ConsumerPlan, listener: Listener, loop: asyncio.AbstractEventLoop) -> None:
        """Raises SourceError when the library is not installed or does not take the settings."""
        try:
            import confluent_kafka
        except ImportError as error:
            raise SourceError("Kafka needs the package confluent-kafka: pip install 'lambent[kafka]'") from error
        self._library = confluent_kafka
        self._plan = plan
        self._listener = listener
        self._loop = loop
        self._stopping = threading.Event()
        self._asked: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        self._log = logging.getLogger(__name__)
        try:
            self._consumer = confluent_kafka.Consumer(
                {
                    "bootstrap.servers": plan.servers,
                    "group.id": plan.group_id,
                    "enable.auto.commit": False,
                    "enable.auto.offset.store": False,
                    "auto.offset.reset": "latest" if plan.is_latest else "earliest",
                    "queued.max.messages.kbytes": _MEMORY_KIB,
                    # How long the brokers wait for one that was killed.
                    "session.timeout.ms": _SESSION_MS,
                    # A topic may be made after its mapping.
                    "topic.metadata.refresh.interval.ms": _REFRESH_MS,
                    "error_cb": self._error,
                    **plan.settings,
                },
                logger=self._log,
            )
        except (confluent_kafka.KafkaException, ValueError, TypeError) as error:
            raise SourceError(f"Kafka: {error}") from error
        self._thread = threading.Thread(target=self._run, name="kafka-consumer", daemon=True)

    def start(self) -> None:
        """Start reading."""
        self._thread.start()

    def stop(self) -> None:
        """Leave the group and end. Blocks until that is done; called in a thread."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(_JOIN_SECONDS)

    def hold(self, topic: str, partition: int, *, is_held: bool) -> None:
        """Read no more, or again, from a partition."""
        one = [self._library.TopicPartition(topic, partition)]
        self._asked.put(partial(self._consumer.pause if is_held else self._consumer.resume, one))

    def commit(self, topic: str, partition: int, offset: int) -> None:
        """Everything before `offset` is done. Does not wait."""
        place = self._library.TopicPartition(topic, partition, offset)
        self._asked.put(partial(self._consumer.commit, offsets=[place], asynchronous=True))

    def _run(self) -> None:
        try:
            self._consumer.subscribe(
                list(self._plan.topics), on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked
            )
            while not self._stopping.is_set():
                self._do_what_was_asked()
                good = []
                for message in self._consumer.consume(_AT_ONCE, _POLL_SECONDS):
                    error = message.error()
                    if error is None:
                        good.append(message)
                    elif error.code() != self._library.KafkaError._PARTITION_EOF:
                        self._tell(self._listener.failed, str(error))
                if good:
                    self._tell(self._listener.received, good)
        except Exception as error:
            # The outermost frame of a thread.
            self._log.exception("a Kafka consumer has ended")
            self._tell(self._listener.failed, str(error))
        finally:
            self._do_what_was_asked()
            self._consumer.close()

    def _do_what_was_asked(self) -> None:
        # Here and not where it was asked: the consumer takes one call at a time, and reading is one that waits.
        with contextlib.suppress(queue.Empty):
            while True:
                try:
                    self._asked.get_nowait()()
                except self._library.KafkaException as error:
                    # The partition was taken away in this moment, or a commit comes again with the next one.
                    self._log.warning("Kafka: %s", error)

    def _assigned(self, _consumer: object, partitions: Sequence[TopicPartition]) -> None:
        if self._plan.timestamp_ms is not None:
            self._begin_at_time(partitions, self._plan.timestamp_ms)
        self._tell(self._listener.assigned, [(one.topic, one.partition) for one in partitions])

    def _begin_at_time(self, partitions: Sequence[TopicPartition], timestamp_ms: int) -> None:
        kind, consumer = self._library.TopicPartition, self._consumer
        committed = consumer.committed(list(partitions), timeout=10)
        fresh = [kind(one.topic, one.partition, timestamp_ms) for one in committed if one.offset < 0]
        known = [one for one in committed if one.offset >= 0]
        found = consumer.offsets_for_times(fresh, timeout=10) if fresh else []
        consumer.assign([*known, *found])

    def _revoked(self, _consumer: object, partitions: Sequence[TopicPartition]) -> None:
        self._tell(self._listener.revoked, [(one.topic, one.partition) for one in partitions])

    def _error(self, error: object) -> None:
        self._tell(self._listener.failed, str(error))

    def _tell(self, call: Callable[[T], None], argument: T) -> None:
        try:
            self._loop.call_soon_threadsafe(call, argument)
        except RuntimeError:
            # The loop has ended.
            self._stopping.set()
