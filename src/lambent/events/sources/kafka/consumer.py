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
# How long one call waits for a record, and so what is asked of the thread for it: less while things happen.
_POLL_SECONDS = 0.02
_QUIET_SECONDS = 1.0
_QUIET_AFTER = 250
# Waiting for the threads of a broken connection must not hold up a stop.
_JOIN_SECONDS = 10.0
_MEMORY_KIB = 16_384
_REFRESH_MS = 10_000
_SESSION_MS = 10_000
_MEASURE_SECONDS = 1.0
_ANSWER_SECONDS = 10.0
# How long the others of a group wait for an invocation to end; then its records come a second time.
_RELEASE_SECONDS = 60.0


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

    def revoked(self, partitions: Sequence[tuple[str, int]], released: Callable[[], None]) -> None:
        """These will be read by somebody else as soon as `released` is called: what is done is committed before."""

    def lost(self, partitions: Sequence[tuple[str, int]]) -> None:
        """These are read by somebody else already, from what was committed before."""

    def received(self, messages: Sequence[Message]) -> None:
        """Messages, in order within each partition."""

    def measured(self, ends: Mapping[tuple[str, int], int]) -> None:
        """So far go the partitions that are read here: the offset that the next record of each will have."""

    def failed(self, text: str) -> None:
        """Something is wrong; it goes on by itself."""

    def ended(self, text: str) -> None:
        """Something was wrong, and nothing more will come."""


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
        self._is_leaving = False
        self._read_here: list[TopicPartition] = []
        self._ends: dict[tuple[str, int], int] = {}
        self._clock_seconds = loop.time
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
        self._asked.put(partial(self._commit, self._library.TopicPartition(topic, partition, offset)))

    def _commit(self, place: TopicPartition) -> None:
        # Whoever leaves waits for the brokers' answer: after it the next reader asks where to begin.
        if self._is_leaving:
            self._consumer.commit(offsets=[place], asynchronous=False)
        else:
            self._consumer.commit(offsets=[place], asynchronous=True)

    def _run(self) -> None:
        try:
            self._consumer.subscribe(
                list(self._plan.topics), on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost
            )
            measured = self._clock_seconds()
            quiet = 0
            while not self._stopping.is_set():
                if self._do_what_was_asked():
                    quiet = 0
                if self._clock_seconds() - measured > _MEASURE_SECONDS:
                    measured = self._clock_seconds()
                    self._measure()
                good = []
                for message in self._next(_POLL_SECONDS if quiet < _QUIET_AFTER else _QUIET_SECONDS):
                    error = message.error()
                    if error is None:
                        good.append(message)
                    elif error.code() != self._library.KafkaError._PARTITION_EOF:
                        self._tell(self._listener.failed, str(error))
                quiet = 0 if good else quiet + 1
                if good:
                    self._tell(self._listener.received, good)
        except Exception as error:
            # The outermost frame of a thread.
            self._log.warning("a Kafka consumer has ended", exc_info=True)
            self._tell(self._listener.ended, str(error))
        finally:
            self._is_leaving = True
            self._do_what_was_asked()
            self._consumer.close()

    def _next(self, seconds: float) -> Sequence[Message]:
        """Return the messages that are there, as soon as one is; none after `seconds`."""
        first = self._consumer.poll(seconds)
        return () if first is None else (first, *self._consumer.consume(_AT_ONCE - 1, 0.0))

    def _measure(self) -> None:
        ends: dict[tuple[str, int], int] = {}
        for one in self._read_here:
            # What the brokers said with the last records: asks nobody.
            found = self._consumer.get_watermark_offsets(one, cached=True)
            if found is not None and found[1] >= 0:
                ends[one.topic, one.partition] = found[1]
        if ends != self._ends:
            self._ends = ends
            self._tell(self._listener.measured, ends)

    def _do_what_was_asked(self) -> bool:
        """Do it; whether there was anything."""
        # Here and not where it was asked: the consumer takes one call at a time, and reading is one that waits. Commits
        # from another thread were tried: they stand still together with it.
        is_any = False
        with contextlib.suppress(queue.Empty):
            while True:
                try:
                    asked = self._asked.get_nowait()
                    is_any = True
                    asked()
                except self._library.KafkaException as error:
                    # The partition was taken away in this moment, or a commit comes again with the next one.
                    self._log.warning("Kafka: %s", error)
        return is_any

    def _assigned(self, _consumer: object, partitions: Sequence[TopicPartition]) -> None:
        if self._plan.timestamp_ms is not None or self._plan.is_latest:
            self._begin_at(partitions)
        self._read_here = list(partitions)
        self._tell(self._listener.assigned, [(one.topic, one.partition) for one in partitions])

    def _begin_at(self, partitions: Sequence[TopicPartition]) -> None:
        """Begin partitions that nobody has read at the plan's time, or at their end as it is now.

        Where that is, is committed: the library alone would look for an end when it first reads, and whoever comes
        after a crash would not know from when on records are wanted.
        """
        kind, consumer, time_ms = self._library.TopicPartition, self._consumer, self._plan.timestamp_ms
        committed = consumer.committed(list(partitions), timeout=_ANSWER_SECONDS)
        known = [one for one in committed if one.offset >= 0]
        fresh = [kind(one.topic, one.partition, time_ms or 0) for one in committed if one.offset < 0]
        if time_ms is not None and fresh:
            found = consumer.offsets_for_times(fresh, timeout=_ANSWER_SECONDS)
            offsets = {(one.topic, one.partition): one.offset for one in found}
        else:
            offsets = {}
        begun = []
        for one in fresh:
            offset = offsets.get((one.topic, one.partition), -1)
            if offset < 0:
                # Nothing is younger.
                _, offset = consumer.get_watermark_offsets(one, timeout=_ANSWER_SECONDS)
            begun.append(kind(one.topic, one.partition, offset))
        consumer.assign([*known, *begun])
        if begun:
            consumer.commit(offsets=begun, asynchronous=True)

    def _revoked(self, _consumer: object, partitions: Sequence[TopicPartition]) -> None:
        self._read_here = []
        released = threading.Event()
        taken = [(one.topic, one.partition) for one in partitions]
        self._tell(lambda keys: self._listener.revoked(keys, released.set), taken)
        # A member that stops has ended its work before, and its loop may be gone.
        until = self._clock_seconds() + _RELEASE_SECONDS
        while not released.wait(_POLL_SECONDS) and self._clock_seconds() < until and not self._stopping.is_set():
            continue
        if released.is_set():
            self._is_leaving = True
            self._do_what_was_asked()
            self._is_leaving = self._stopping.is_set()
        else:
            self._tell(self._listener.lost, taken)

    def _lost(self, _consumer: object, partitions: Sequence[TopicPartition]) -> None:
        self._read_here = []
        self._tell(self._listener.lost, [(one.topic, one.partition) for one in partitions])

    def _error(self, error: object) -> None:
        self._tell(self._listener.failed, str(error))

    def _tell(self, call: Callable[[T], None], argument: T) -> None:
        try:
            self._loop.call_soon_threadsafe(call, argument)
        except RuntimeError:
            # The loop has ended.
            self._stopping.set()
