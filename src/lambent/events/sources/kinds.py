"""Which poller reads which kind of source."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambent.events.sources.queue_poller import QueuePoller
from lambent.events.sources.sqs import SqsQueue
from lambent.model.configs.event_source import SourceKind

if TYPE_CHECKING:
    from lambent.clock import Clock
    from lambent.events.sources.deliverer import Deliverer
    from lambent.events.sources.pollers import Poller, Tell
    from lambent.model.configs.event_source import EventSourceMapping
    from lambent.wire.client import OutwardClient


class PollerMaker:
    """Makes pollers. Keeps nothing but its parts."""

    def __init__(self, deliverer: Deliverer, client: OutwardClient, clock: Clock) -> None:
        self._deliverer = deliverer
        self._client = client
        self._clock = clock

    def make(self, mapping: EventSourceMapping, tell: Tell) -> Poller | None:
        """Return a poller of the mapping's source; None for a kind that is not polled yet."""
        if mapping.kind is SourceKind.SQS:
            return QueuePoller(mapping, SqsQueue(mapping, self._client), self._deliverer, self._clock, tell)
        return None
