"""Figures of event source mappings: those that a mapping asks for (`MetricsConfig`), and those that all have.

Source: developer guide, "Event source mapping metrics"; API reference, EventSourceMappingMetricsConfig.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from lambent.model.platform_event import SourceMeasured

if TYPE_CHECKING:
    from lambent.clock import Clock
    from lambent.model.configs.event_source import EventSourceMapping
    from lambent.model.platform_event import TelemetrySink


class Metric(StrEnum):
    """AWS's names."""

    # EventCount
    POLLED = "PolledEventCount"
    FILTERED_OUT = "FilteredOutEventCount"
    INVOKED = "InvokedEventCount"
    FAILED_INVOKE = "FailedInvokeEventCount"
    DROPPED = "DroppedEventCount"
    ON_FAILURE_DELIVERED = "OnFailureDestinationDeliveredEventCount"
    DELETED = "DeletedEventCount"
    # ErrorCount
    POLLING_ERROR = "PollingErrorCount"
    INVOKE_ERROR = "InvokeErrorCount"
    SCHEMA_REGISTRY_ERROR = "SchemaRegistryErrorCount"
    # KafkaMetrics
    MAX_OFFSET_LAG = "MaxOffsetLag"
    SUM_OFFSET_LAG = "SumOffsetLag"
    # Of every mapping whose source has it.
    ITERATOR_AGE = "IteratorAge"
    OFFSET_LAG = "OffsetLag"
    PROVISIONED_POLLERS = "ProvisionedPollers"


_ERRORS = frozenset((Metric.POLLING_ERROR, Metric.INVOKE_ERROR, Metric.SCHEMA_REGISTRY_ERROR))
_KAFKA = frozenset((Metric.MAX_OFFSET_LAG, Metric.SUM_OFFSET_LAG))
_ALWAYS = frozenset((Metric.ITERATOR_AGE, Metric.OFFSET_LAG, Metric.PROVISIONED_POLLERS))


class Meter:
    """Tells the sink what happens to records. Scope: process; keeps nothing."""

    def __init__(self, sink: TelemetrySink | None, clock: Clock) -> None:
        self._sink = sink
        self._clock = clock

    def count(self, mapping: EventSourceMapping, metric: Metric, number: int = 1) -> None:
        """Count so many records or errors, if the mapping wants this metric."""
        if number and mapping.metrics_config is not None:
            self._emit(mapping, metric, number, is_level=False)

    def level(self, mapping: EventSourceMapping, metric: Metric, value: float) -> None:
        """Say how high something is at this moment: an age in milliseconds, a lag in records, a number of pollers."""
        self._emit(mapping, metric, value, is_level=True)

    def _emit(self, mapping: EventSourceMapping, metric: Metric, value: float, *, is_level: bool) -> None:
        if self._sink is None or not _is_wanted(mapping, metric):
            return
        name = mapping.function_arn.split(":")[6]
        event = SourceMeasured(
            mapping.account_id, mapping.region, name, self._clock.time_ms(), mapping.uuid, metric.value, value, is_level
        )
        self._sink.emit(event)


def _is_wanted(mapping: EventSourceMapping, metric: Metric) -> bool:
    if metric in _ALWAYS:
        return True
    asked = (mapping.metrics_config.metrics or ()) if mapping.metrics_config is not None else ()
    group = "ErrorCount" if metric in _ERRORS else "KafkaMetrics" if metric in _KAFKA else "EventCount"
    return group in asked
