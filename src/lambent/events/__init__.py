"""PLANE. Events: what feeds functions without a caller who waits.

Owns: the queue of asynchronous invocations and who delivers it, event source mappings and what polls their sources.
Never: answers HTTP, knows the control plane or another plane.
"""

from lambent.events.assembly import AsyncParts, AsyncPlane, AsyncRules
from lambent.events.figures import EventCall
from lambent.events.sources.assembly import EventSourceParts, EventSources
from lambent.events.sources.kinds import SourcePlaces

__all__ = ["AsyncParts", "AsyncPlane", "AsyncRules", "EventCall", "EventSourceParts", "EventSources", "SourcePlaces"]
