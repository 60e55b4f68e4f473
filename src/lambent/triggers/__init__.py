"""PLANE. Triggers: other services that call functions.

Owns: which calls were refused for want of a permission. Does: holds a call against the function's resource policy, runs
it or puts it into the queue of events. Never: knows the services' wire, the control plane, the sandboxes.
"""

from lambent.triggers.calls import CallParts, TriggeredCalls

__all__ = ["CallParts", "TriggeredCalls"]
