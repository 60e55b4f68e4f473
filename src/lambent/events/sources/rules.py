"""What each kind of source takes and what applies when nothing is said."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from lambent.events.sources.filtering.filters import check_filters
from lambent.events.sources.rules_of_pollers import check_pollers, with_poller_defaults
from lambent.model.configs.event import is_destination
from lambent.model.configs.event_source import EventSourceMapping, KafkaConfig, SourceKind
from lambent.model.errors import InvalidParameterValueError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_STREAM_MEMBERS = frozenset(
    (
        "ParallelizationFactor", "StartingPosition", "DestinationConfig", "MaximumRecordAgeInSeconds",
        "BisectBatchOnFunctionError", "MaximumRetryAttempts", "TumblingWindowInSeconds", "FunctionResponseTypes",
    )
)  # fmt: skip
_KAFKA_MEMBERS = frozenset(
    (
        "Topics", "SourceAccessConfigurations", "StartingPosition", "StartingPositionTimestamp", "DestinationConfig",
        "ProvisionedPollerConfig", "LoggingConfig", "FunctionResponseTypes", "BisectBatchOnFunctionError",
        "MaximumRecordAgeInSeconds", "MaximumRetryAttempts",
    )
)  # fmt: skip
# Members that every kind takes.
_GENERAL = frozenset(
    (
        "EventSourceArn", "FunctionName", "Enabled", "BatchSize", "FilterCriteria", "KMSKeyArn", "MetricsConfig",
        "MaximumBatchingWindowInSeconds", "Tags", "UUID",
    )
)  # fmt: skip


class SourceRules(Struct, frozen=True):
    """Of one kind: members beyond the general ones, defaults, destinations, and how AWS words a user's change."""

    members: frozenset[str]
    defaults: Mapping[str, Any]
    destinations: frozenset[str] = frozenset(("sqs", "sns", "s3"))
    required: tuple[str, ...] = ()
    reason: str = "USER_INITIATED"
    last_result: str | None = "No records processed"
    shows_destination: bool = False


# Source: recorded (lambda/event_source_mapping/*.json; TestLambdaEventSourceMappings); API reference for the rest.
_STREAM_DEFAULTS: dict[str, Any] = {
    "batch_size": 100,
    "maximum_batching_window_in_seconds": 0,
    "parallelization_factor": 1,
    "maximum_record_age_in_seconds": -1,
    "bisect_batch_on_function_error": False,
    "maximum_retry_attempts": -1,
    "tumbling_window_in_seconds": 0,
    "function_response_types": (),
}

RULES: Mapping[SourceKind, SourceRules] = MappingProxyType(
    {
        SourceKind.SQS: SourceRules(
            frozenset(("ScalingConfig", "FunctionResponseTypes", "ProvisionedPollerConfig")),
            {"batch_size": 10, "maximum_batching_window_in_seconds": 0, "function_response_types": ()},
            last_result=None,
        ),
        SourceKind.KINESIS: SourceRules(
            _STREAM_MEMBERS | {"StartingPositionTimestamp"},
            _STREAM_DEFAULTS,
            required=("StartingPosition",),
            reason="User action",
            shows_destination=True,
        ),
        SourceKind.DYNAMODB: SourceRules(
            _STREAM_MEMBERS,
            _STREAM_DEFAULTS,
            required=("StartingPosition",),
            reason="User action",
            shows_destination=True,
        ),
        SourceKind.MSK: SourceRules(
            _KAFKA_MEMBERS | {"AmazonManagedKafkaEventSourceConfig"},
            {"batch_size": 100, "starting_position": "TRIM_HORIZON"},
            frozenset(("sqs", "sns", "s3", "kafka")),
            ("Topics",),
        ),
        SourceKind.SELF_MANAGED_KAFKA: SourceRules(
            _KAFKA_MEMBERS | {"SelfManagedEventSource", "SelfManagedKafkaEventSourceConfig"},
            {"batch_size": 100, "starting_position": "TRIM_HORIZON"},
            frozenset(("sqs", "sns", "s3", "kafka")),
            ("SourceAccessConfigurations", "Topics"),
        ),
        SourceKind.MQ: SourceRules(
            frozenset(("Queues", "SourceAccessConfigurations")),
            {"batch_size": 100},
            required=("Queues", "SourceAccessConfigurations"),
        ),
        SourceKind.DOCUMENTDB: SourceRules(
            frozenset(("DocumentDBEventSourceConfig", "SourceAccessConfigurations", "StartingPosition"))
            | {"StartingPositionTimestamp"},
            {"batch_size": 100, "maximum_batching_window_in_seconds": 0},
            required=("StartingPosition", "SourceAccessConfigurations", "DocumentDBEventSourceConfig"),
            reason="User action",
        ),
    }
)


def check_members(kind: SourceKind, given: Iterable[str]) -> None:
    """Refuse members that mean nothing to this kind of source.

    Raises:
        InvalidParameterValueError: (400).
    Source: recorded (test_event_source_mapping_exceptions, destination_config_failure); observed for StartingPosition.
    """
    allowed = _GENERAL | RULES[kind].members
    for member in given:
        if member in allowed:
            continue
        if member in ("StartingPosition", "StartingPositionTimestamp") and kind is SourceKind.SQS:
            raise InvalidParameterValueError(f"{member} is not valid for SQS event sources.")
        if member == "StartingPositionTimestamp":
            continue  # Left to the check of the position: AT_TIMESTAMP itself is what such a source has not.
        raise InvalidParameterValueError(f"Unsupported {member} parameter for given event source mapping type.")


def check_required(kind: SourceKind, given: frozenset[str]) -> None:
    """Refuse a new mapping without what its source needs. Raises InvalidParameterValueError (400). Source: recorded."""
    for member in RULES[kind].required:
        if member in given:
            continue
        name = member[:1].lower() + member[1:]
        if member == "StartingPosition":
            raise InvalidParameterValueError(
                f"1 validation error detected: Value null at '{name}' failed to satisfy constraint: "
                "Member must not be null."
            )
        raise InvalidParameterValueError(f"Required '{name}' parameter is missing.")


def with_defaults(mapping: EventSourceMapping) -> EventSourceMapping:
    """Return a new mapping with what applies when nothing is said."""
    kind = mapping.kind
    defaults = {name: value for name, value in RULES[kind].defaults.items() if getattr(mapping, name) is None}
    mapping = with_poller_defaults(replace(mapping, **defaults))
    if kind is SourceKind.MSK:
        config = mapping.amazon_managed_kafka_event_source_config or KafkaConfig()
        group = config.consumer_group_id or mapping.uuid
        return replace(mapping, amazon_managed_kafka_event_source_config=replace(config, consumer_group_id=group))
    if kind is SourceKind.SELF_MANAGED_KAFKA:
        config = mapping.self_managed_kafka_event_source_config or KafkaConfig()
        group = config.consumer_group_id or mapping.uuid
        return replace(mapping, self_managed_kafka_event_source_config=replace(config, consumer_group_id=group))
    documents = mapping.document_db_event_source_config
    if documents is not None and documents.full_document is None:
        # Source: developer guide, "Creating an Amazon DocumentDB event source mapping (SDK or CLI)".
        return replace(mapping, document_db_event_source_config=replace(documents, full_document="Default"))
    return mapping


def check_mapping(mapping: EventSourceMapping) -> None:
    """Refuse a mapping whose members do not go together.

    Raises:
        InvalidParameterValueError: in AWS's words where they are known (400).
    """
    check_filters(mapping.filter_criteria)
    _check_batches(mapping)
    _check_position(mapping)
    documents = mapping.document_db_event_source_config
    if documents is not None and not documents.database_name:
        raise InvalidParameterValueError("Required 'databaseName' parameter is missing.")
    age = mapping.maximum_record_age_in_seconds
    if age is not None and 0 <= age < 60:
        raise InvalidParameterValueError("MaximumRecordAgeInSeconds must be -1 or between 60 and 604800.")
    check_pollers(mapping)
    if mapping.on_failure is not None and not is_destination(mapping.on_failure, RULES[mapping.kind].destinations):
        raise InvalidParameterValueError(
            "The provided destination config DestinationConfig(onSuccess=null, "
            f"onFailure=OnFailure(destination={mapping.on_failure})) is invalid."
        )


def _check_batches(mapping: EventSourceMapping) -> None:
    if mapping.kind is not SourceKind.SQS:
        return
    size = mapping.batch_size or 0
    window = mapping.maximum_batching_window_in_seconds or 0
    if (mapping.event_source_arn or "").endswith(".fifo"):
        # Source: developer guide, "Using Lambda with Amazon SQS": FIFO queues, at most 10 and no window.
        if window:
            raise InvalidParameterValueError("Batching window is not supported for FIFO queues.")
        if size > 10:
            raise InvalidParameterValueError("Maximum batch size for FIFO queues is 10.")
    elif size > 10 and not window:
        # Source: recorded (test_event_source_mapping_default_batch_size).
        raise InvalidParameterValueError(
            "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10"
        )


def _check_position(mapping: EventSourceMapping) -> None:
    is_timed = mapping.starting_position == "AT_TIMESTAMP"
    if is_timed and mapping.kind is SourceKind.DYNAMODB:
        # Source: observed.
        raise InvalidParameterValueError(f"Unsupported starting position for arn type: {mapping.event_source_arn}")
    if is_timed is not (mapping.starting_position_timestamp is not None):
        # Source: API reference: "StartingPositionTimestamp: with StartingPosition set to AT_TIMESTAMP".
        raise InvalidParameterValueError(
            "StartingPositionTimestamp must be specified if and only if StartingPosition is AT_TIMESTAMP."
        )
