"""DOOR. The services around Lambda: where each answers, the way there, and the embedded ones as a supervised child.

Owns: the child process, its files below `neighbours/` in the data directory (written by the child alone). Does: find a
service's endpoint, stream requests to it and answers back, sign where the endpoint has credentials of its own. Never:
a rule of Lambda, a neighbour's internals, the planes or the data plane.
"""

from lambent.neighbours.child import ChildPlan, EmbeddedChild, build_bridge
from lambent.neighbours.endpoints import Endpoints, unknown_names
from lambent.neighbours.forward import Forwarder
from lambent.neighbours.logs import LogsEndpoint

__all__ = [
    "ChildPlan",
    "EmbeddedChild",
    "Endpoints",
    "Forwarder",
    "LogsEndpoint",
    "build_bridge",
    "unknown_names",
]
