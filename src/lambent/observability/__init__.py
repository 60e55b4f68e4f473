"""PLANE. Logs and metrics: readings of the one stream of platform events.

Owns: the files below `logs/` in the data directory, and counts in memory (scope node). Does: keep log lines within a
bound, deliver them to CloudWatch Logs, count invocations, answer about both. Never: waited for by an invocation,
imported by a room that emits.
"""

from lambent.observability.delivery import LogDelivery
from lambent.observability.logs import LogStore
from lambent.observability.metrics import FunctionMetrics
from lambent.observability.recorder import Recorder
from lambent.observability.routes import Answer, ObservabilityRoutes

__all__ = ["Answer", "FunctionMetrics", "LogDelivery", "LogStore", "ObservabilityRoutes", "Recorder"]
