"""ASSEMBLY. Other services of AWS that are served here: EventBridge Scheduler and CodeDeploy.

Owns: nothing. Does: builds both from what they need, and says which of them answer here. Never: serves a service that
has an endpoint of its own.
"""

from lambent.served.assembly import Served, ServedParts, build_served

__all__ = ["Served", "ServedParts", "build_served"]
