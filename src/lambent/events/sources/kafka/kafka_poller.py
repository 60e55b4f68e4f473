"""Kafka as an event source, managed (MSK) or not: members of a consumer group, as many as the mapping wants.

A member reads all partitions that the brokers give it, each in a lane of its own; so one is enough for most. A mapping
in provisioned mode has from MinimumPollers to MaximumPollers of them: more while records wait, fewer when none do.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from lambent.events.sources.filtering.selection import Selection
from lambent.events.sources.kafka.access import access_settings, kafka_config, servers_of
from lambent.events.sources.kafka.consumer import ConsumerPlan
from lambent.events.sources.kafka.member import GroupMember, MemberParts
from lambent.events.sources.kafka.records import KafkaRecords
from lambent.events.sources.kafka.scaling import Scaling
from lambent.events.sources.kafka.topic_destination import TopicFailures
from lambent.events.sources.meter import Metric
from lambent.events.sources.pausing import pause
from lambent.events.sources.secrets import read_secrets
from lambent.events.sources.source import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lambent.clock import Clock
    from lambent.events.destinations import Destinations
    from lambent.events.sources.deliverer import Deliverer
    from lambent.events.sources.kafka.schemas.decoding import SchemaDecoder
    from lambent.events.sources.meter import Meter
    from lambent.model.configs.event_source import EventSourceMapping
    from lambent.wire.client import OutwardClient

_TROUBLE_SECONDS = (1.0, 2.0, 5.0, 15.0, 30.0)
_LOOK_SECONDS = 2.0
# Source: developer guide, "Using a Kafka topic as an on-failure destination": instead of retries without end.
_RETRIES_WITH_DESTINATION = 10


class KafkaParts(Struct, frozen=True):
    """What all Kafka pollers of a process work with. `brokers`, `is_plaintext`: settings `event_sources`."""

    client: OutwardClient
    deliverer: Deliverer
    destinations: Destinations
    meter: Meter
    clock: Clock
    random_bytes: Callable[[int], bytes]
    brokers: Mapping[str, str]
    is_plaintext: bool


class _Running(NamedTuple):
    member: GroupMember
    stopped: asyncio.Event


class KafkaPoller:
    """Polls one cluster for one mapping. Scope: process; the brokers share partitions out among all processes.

    After a crash: from the offsets that were committed for the consumer group.
    """

    def __init__(self, mapping: EventSourceMapping, parts: KafkaParts, tell: Callable[[str], None]) -> None:
        self._parts = parts
        self._tell = tell
        self._stopped = asyncio.Event()
        self._changed = asyncio.Event()
        self._members: list[_Running] = []
        self._log = logging.getLogger(__name__)
        self._take(mapping)

    @property
    def is_ready(self) -> bool:
        """Whether the brokers have said what is read here."""
        return any(running.member.is_ready for running in self._members)

    def change(self, mapping: EventSourceMapping) -> None:
        """Go on with other members of the same mapping."""
        self._take(mapping)
        self._changed.set()

    def stop(self) -> None:
        """Read nothing more; batches under way are brought to an end."""
        self._stopped.set()
        self._changed.set()

    async def run(self) -> None:
        """Poll until stopped. Never raises."""
        failures = 0
        while not self._stopped.is_set():
            try:
                await self._poll()
            except SourceError as error:
                self._failed(error)
                await pause(_TROUBLE_SECONDS[min(failures, len(_TROUBLE_SECONDS) - 1)], self._stopped)
                failures += 1

    def _take(self, mapping: EventSourceMapping) -> None:
        retries = mapping.maximum_retry_attempts
        if mapping.on_failure is not None and (retries is None or retries < 0):
            mapping = replace(mapping, maximum_retry_attempts=_RETRIES_WITH_DESTINATION)
        self._mapping = mapping
        self._selection = Selection(mapping.filter_criteria, "value")

    async def _poll(self) -> None:
        mapping, parts = self._mapping, self._parts
        servers = servers_of(mapping, parts.brokers)
        secrets = await read_secrets(parts.client, mapping)
        access = access_settings(secrets, is_plaintext=parts.is_plaintext)
        timestamp = mapping.starting_position_timestamp
        plan = ConsumerPlan(
            servers,
            kafka_config(mapping).consumer_group_id or mapping.uuid,
            mapping.topics or (),
            mapping.starting_position == "LATEST",
            None if timestamp is None else int(timestamp * 1_000),
            access,
        )
        records = KafkaRecords(mapping, servers)
        failures = TopicFailures(parts.destinations, parts.clock, parts.random_bytes, parts.meter)
        failures.reach({"bootstrap.servers": servers, **access}, records)
        member_parts = MemberParts(
            lambda: self._mapping, lambda: self._selection, records, parts.deliverer, failures, parts.meter,
            parts.clock, self._tell, await self._decoder(mapping),
        )  # fmt: skip
        scaling = Scaling()
        # The first one's errors are those of the whole: no such library, settings that it does not take.
        first = GroupMember(member_parts, plan)
        try:
            async with asyncio.TaskGroup() as tasks:
                self._start(tasks, first)
                while not self._stopped.is_set() and self._ended() is None:
                    self._scale(tasks, scaling, member_parts, plan)
                    self._measure()
                    await self._look()
                ended = self._ended()
                for running in self._members:
                    running.stopped.set()
        finally:
            self._members.clear()
            await asyncio.to_thread(failures.close)
        if ended is not None:
            raise SourceError(ended)

    def _ended(self) -> str | None:
        return next((one.member.ended_by for one in self._members if one.member.ended_by is not None), None)

    async def _decoder(self, mapping: EventSourceMapping) -> SchemaDecoder | None:
        config = kafka_config(mapping).schema_registry_config
        if config is None:
            return None
        from lambent.events.sources.kafka.schemas.decoding import make_decoder

        secrets = await read_secrets(self._parts.client, mapping, config.access_configs or ())
        return make_decoder(mapping, config, secrets, self._parts.client)

    def _start(self, tasks: asyncio.TaskGroup, member: GroupMember) -> None:
        running = _Running(member, asyncio.Event())
        self._members.append(running)
        tasks.create_task(member.run(running.stopped))

    def _scale(self, tasks: asyncio.TaskGroup, scaling: Scaling, parts: MemberParts, plan: ConsumerPlan) -> None:
        """Let as many members run as the mapping wants at this moment."""
        mapping = self._mapping
        lag = sum(sum(running.member.lags().values()) for running in self._members)
        partitions = sum(running.member.partition_count for running in self._members)
        wanted = scaling.wanted(mapping, len(self._members), lag, partitions)
        try:
            while len(self._members) < wanted:
                self._start(tasks, GroupMember(parts, plan))
        except SourceError as error:
            self._failed(error)
        while len(self._members) > wanted:
            self._members.pop().stopped.set()
        if mapping.provisioned_poller_config is not None:
            self._parts.meter.level(mapping, Metric.PROVISIONED_POLLERS, len(self._members))

    def _measure(self) -> None:
        lags = [lag for running in self._members for lag in running.member.lags().values()]
        if lags:
            meter, mapping = self._parts.meter, self._mapping
            meter.level(mapping, Metric.OFFSET_LAG, sum(lags))
            meter.level(mapping, Metric.SUM_OFFSET_LAG, sum(lags))
            meter.level(mapping, Metric.MAX_OFFSET_LAG, max(lags))

    async def _look(self) -> None:
        """Return when it is time to see how things are."""
        if await pause(_LOOK_SECONDS, self._changed):
            self._changed.clear()

    def _failed(self, error: SourceError) -> None:
        self._log.warning("event source mapping %s: %s", self._mapping.uuid, error)
        self._parts.meter.count(self._mapping, Metric.POLLING_ERROR)
        self._tell(f"PROBLEM: {error}")
