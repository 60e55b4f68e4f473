"""The stores of what moves: events, leases, slices. Contracts in contracts.py, drivers in sqlite/ and postgresql/."""

from lambent.store.queues.events import EventStore
from lambent.store.queues.opening import EventDatabase, open_events

__all__ = ["EventDatabase", "EventStore", "open_events"]
