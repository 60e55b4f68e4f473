"""From a mapping to a connection: which protocol, which endpoint, whose password."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambent.events.sources.brokers.addresses import addresses_of, read_login

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lambent.clock import Clock
    from lambent.events.sources.brokers.contracts import Broker
    from lambent.model.configs.event_source import EventSourceMapping
    from lambent.wire.client import OutwardClient


class Connector:
    """Makes connections for one mapping. Scope: mapping; keeps which endpoint is next: of a pair one stands by."""

    def __init__(self, client: OutwardClient, brokers: Mapping[str, str], clock: Clock) -> None:
        self._client = client
        self._brokers = brokers
        self._clock = clock
        self._turn = 0

    async def connect(self, mapping: EventSourceMapping) -> Broker:
        """Return a connection that is not open yet. Raises SourceError."""
        addresses = addresses_of(mapping, self._brokers)
        address = addresses[self._turn % len(addresses)]
        self._turn += 1
        login = await read_login(self._client, mapping)
        if address.is_rabbitmq:
            from lambent.events.sources.brokers.rabbitmq import RabbitMq

            return RabbitMq(mapping, address, login, self._clock)
        from lambent.events.sources.brokers.activemq import ActiveMq

        return ActiveMq(mapping, address, login, self._clock)
