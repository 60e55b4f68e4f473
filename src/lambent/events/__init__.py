"""PLANE. Events: what feeds functions without a caller who waits.

Owns: event source mappings (their configuration; nothing is polled yet). Never: answers HTTP, knows the control plane
or another plane.
"""

from lambent.events.sources.mappings import EventSourceMappings

__all__ = ["EventSourceMappings"]
