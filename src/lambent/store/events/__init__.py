"""The store of what moves, as other rooms enter it: typed events, and which driver keeps them."""

from lambent.store.events.events import EventStore
from lambent.store.events.opening import EventDatabase, open_events

__all__ = ["EventDatabase", "EventStore", "open_events"]
