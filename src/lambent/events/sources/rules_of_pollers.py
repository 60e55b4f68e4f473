"""What a mapping may say of its pollers: how many, what they count, which schemas they read by, where they tell of
failures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from lambent.model.configs.event_source import KafkaConfig, ProvisionedPollers, SourceKind
from lambent.model.errors import InvalidParameterValueError

if TYPE_CHECKING:
    from lambent.model.configs.event_source import EventSourceMapping, SchemaRegistry

_KAFKA = frozenset((SourceKind.MSK, SourceKind.SELF_MANAGED_KAFKA))
# Kind of source → least and most pollers that may be asked for, and the default of the least.
# Source: service description, ProvisionedPollerConfig.
_LIMITS = {SourceKind.SQS: (2, 10_000, 2), SourceKind.MSK: (1, 2_000, 1), SourceKind.SELF_MANAGED_KAFKA: (1, 2_000, 1)}
_MAXIMUM_DEFAULT = 200
_KAFKA_METRICS = frozenset(("ErrorCount", "KafkaMetrics"))
_TOPIC = "kafka://"


def with_poller_defaults(mapping: EventSourceMapping) -> EventSourceMapping:
    """Return the mapping with both bounds of its provisioned pollers, or without any when it asks for none."""
    pollers = mapping.provisioned_poller_config
    if pollers is None or mapping.kind not in _LIMITS:
        return mapping
    if (pollers.minimum_pollers, pollers.maximum_pollers) == (None, None):
        return replace(mapping, provisioned_poller_config=None)
    least = _LIMITS[mapping.kind][2] if pollers.minimum_pollers is None else pollers.minimum_pollers
    most = max(least, _MAXIMUM_DEFAULT) if pollers.maximum_pollers is None else pollers.maximum_pollers
    config = ProvisionedPollers(least, most, pollers.poller_group_name)
    return replace(mapping, provisioned_poller_config=config)


def with_group_kept(changed: EventSourceMapping, current: EventSourceMapping) -> EventSourceMapping:
    """Return a changed mapping of Kafka with its consumer group.

    Raises:
        InvalidParameterValueError: another group was asked for (400). Source: service description.
    """
    for member in ("amazon_managed_kafka_event_source_config", "self_managed_kafka_event_source_config"):
        before, after = getattr(current, member), getattr(changed, member)
        if before is None or after is None or before == after:
            continue
        group = before.consumer_group_id
        if after.consumer_group_id not in (None, group):
            raise InvalidParameterValueError(
                "ConsumerGroupId cannot be updated after the event source mapping is created."
            )
        changed = replace(changed, **{member: replace(after, consumer_group_id=group)})
    return changed


def check_pollers(mapping: EventSourceMapping) -> None:
    """Refuse what does not go together, or with this kind of source.

    Raises:
        InvalidParameterValueError: (400).
    """
    _check_bounds(mapping)
    metrics = (mapping.metrics_config.metrics or ()) if mapping.metrics_config is not None else ()
    wrong = sorted(_KAFKA_METRICS.intersection(metrics)) if mapping.kind not in _KAFKA else []
    if wrong:
        # Source: service description, EventSourceMappingMetricsConfig.
        raise InvalidParameterValueError(f"Unsupported metric {wrong[0]} for given event source mapping type.")
    if mapping.kind not in _KAFKA:
        return
    config = mapping.amazon_managed_kafka_event_source_config or mapping.self_managed_kafka_event_source_config
    config = config or KafkaConfig()
    if config.consumption_mode == "Queue":
        raise InvalidParameterValueError("ConsumptionMode Queue (share groups) is not supported here.")
    destination = mapping.on_failure or ""
    if destination.startswith(_TOPIC) and destination.removeprefix(_TOPIC) in (mapping.topics or ()):
        # Source: developer guide, "Using a Kafka topic as an on-failure destination": recursion prevention.
        raise InvalidParameterValueError("The on-failure destination topic cannot be the same as the source topic.")
    if config.schema_registry_config is not None:
        _check_registry(mapping, config.schema_registry_config)


def _check_bounds(mapping: EventSourceMapping) -> None:
    pollers = mapping.provisioned_poller_config
    if pollers is None or mapping.kind not in _LIMITS:
        return
    if mapping.scaling_config is not None and mapping.scaling_config.maximum_concurrency:
        # Source: developer guide, "Using provisioned mode with an Amazon SQS event source".
        raise InvalidParameterValueError("ScalingConfig and ProvisionedPollerConfig cannot be used together.")
    lowest, highest, _ = _LIMITS[mapping.kind]
    least, most = pollers.minimum_pollers or lowest, pollers.maximum_pollers or highest
    if least < lowest:
        raise InvalidParameterValueError(f"MinimumPollers must be greater than or equal to {lowest}.")
    if not lowest <= most <= highest:
        raise InvalidParameterValueError(f"MaximumPollers must be between {lowest} and {highest}.")
    if least > most:
        raise InvalidParameterValueError("MinimumPollers must be less than or equal to MaximumPollers.")
    if pollers.poller_group_name and mapping.kind is SourceKind.SQS:
        raise InvalidParameterValueError("PollerGroupName is only supported for Kafka event source mappings.")


def _check_registry(mapping: EventSourceMapping, registry: SchemaRegistry) -> None:
    # Source: developer guide, "Using schema registries with Kafka event sources in Lambda".
    if mapping.provisioned_poller_config is None:
        raise InvalidParameterValueError(
            "SchemaRegistryConfig is only available for event source mappings in provisioned mode."
        )
    uri = registry.schema_registry_uri or ""
    is_glue = uri.startswith("arn:") and uri.split(":")[2:3] == ["glue"]
    if not is_glue and not uri.startswith(("https://", "http://")):
        raise InvalidParameterValueError("SchemaRegistryURI must be a URL or the ARN of a Glue schema registry.")
    if is_glue and registry.access_configs:
        raise InvalidParameterValueError("AccessConfigs are not supported for Glue schema registries.")
    if registry.event_record_format is None:
        raise InvalidParameterValueError("EventRecordFormat is required in SchemaRegistryConfig.")
    attributes = [one.attribute for one in registry.schema_validation_configs or ()]
    if not attributes or len(set(attributes)) != len(attributes):
        raise InvalidParameterValueError("SchemaValidationConfigs must name KEY, VALUE, or each of them once.")
