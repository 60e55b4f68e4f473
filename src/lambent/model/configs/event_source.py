"""Event source mappings: which source feeds which function, and how."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - the store reads the annotations of what it keeps
from enum import StrEnum

from msgspec import Struct


class SourceKind(StrEnum):
    """What a mapping reads from."""

    SQS = "sqs"
    KINESIS = "kinesis"
    DYNAMODB = "dynamodb"
    MSK = "kafka"
    SELF_MANAGED_KAFKA = "self-managed-kafka"
    MQ = "mq"
    DOCUMENTDB = "rds"


class Filter(Struct, frozen=True):
    """One pattern of EventBridge's pattern language, JSON text."""

    pattern: str | None = None


class FilterCriteria(Struct, frozen=True):
    """Patterns of which one must match."""

    filters: tuple[Filter, ...] | None = None


class MetricsConfig(Struct, frozen=True):
    """Names of metrics to record."""

    metrics: tuple[str, ...] | None = None


class MappingLoggingConfig(Struct, frozen=True):
    """Level of the poller's own log."""

    system_log_level: str | None = None


class ScalingConfig(Struct, frozen=True):
    """Most concurrent invocations of an SQS mapping, 2 to 1,000."""

    maximum_concurrency: int | None = None


class SourceAccess(Struct, frozen=True):
    """A secret, network or host by which a source is reached."""

    type: str | None = None
    uri: str | None = None


class SelfManagedEventSource(Struct, frozen=True):
    """Kind of endpoint → `host:port`, at most ten."""

    endpoints: Mapping[str, tuple[str, ...]] | None = None


class SchemaValidation(Struct, frozen=True):
    """Which part of a record is checked against its schema: KEY or VALUE."""

    attribute: str | None = None


class SchemaRegistry(Struct, frozen=True):
    """Where the schemas of Kafka's records are."""

    schema_registry_uri: str | None = None
    event_record_format: str | None = None
    access_configs: tuple[SourceAccess, ...] | None = None
    schema_validation_configs: tuple[SchemaValidation, ...] | None = None


class KafkaConfig(Struct, frozen=True):
    """Consumer group and schemas of a Kafka source, managed or not."""

    consumer_group_id: str | None = None
    schema_registry_config: SchemaRegistry | None = None
    consumption_mode: str | None = None


class DocumentDbConfig(Struct, frozen=True):
    """Which change stream of DocumentDB."""

    database_name: str | None = None
    collection_name: str | None = None
    full_document: str | None = None


class ProvisionedPollers(Struct, frozen=True):
    """How many pollers are kept running."""

    minimum_pollers: int | None = None
    maximum_pollers: int | None = None
    poller_group_name: str | None = None


class EventSourceMapping(Struct, frozen=True):
    """One mapping; members named as in AWS's shape, None where the kind of source has none.

    `is_enabled` is what the owner asked for. `on_failure` is a destination's ARN. Times in ms since the Unix epoch;
    `starting_position_timestamp` in seconds. With a KMS key, filters are kept as `filter_criteria_cipher` only.
    """

    account_id: str
    region: str
    uuid: str
    revision_id: str
    function_arn: str
    last_modified_ms: int
    is_enabled: bool = True
    event_source_arn: str | None = None
    self_managed_event_source: SelfManagedEventSource | None = None
    batch_size: int | None = None
    filter_criteria: FilterCriteria | None = None
    kms_key_arn: str | None = None
    metrics_config: MetricsConfig | None = None
    logging_config: MappingLoggingConfig | None = None
    scaling_config: ScalingConfig | None = None
    maximum_batching_window_in_seconds: int | None = None
    parallelization_factor: int | None = None
    starting_position: str | None = None
    starting_position_timestamp: float | None = None
    on_failure: str | None = None
    maximum_record_age_in_seconds: int | None = None
    bisect_batch_on_function_error: bool | None = None
    maximum_retry_attempts: int | None = None
    tumbling_window_in_seconds: int | None = None
    topics: tuple[str, ...] | None = None
    queues: tuple[str, ...] | None = None
    source_access_configurations: tuple[SourceAccess, ...] | None = None
    function_response_types: tuple[str, ...] | None = None
    amazon_managed_kafka_event_source_config: KafkaConfig | None = None
    self_managed_kafka_event_source_config: KafkaConfig | None = None
    document_db_event_source_config: DocumentDbConfig | None = None
    provisioned_poller_config: ProvisionedPollers | None = None
    filter_criteria_cipher: str | None = None

    @property
    def arn(self) -> str:
        """`EventSourceMappingArn`."""
        return f"arn:aws:lambda:{self.region}:{self.account_id}:event-source-mapping:{self.uuid}"

    @property
    def kind(self) -> SourceKind:
        """What it reads from."""
        kind = source_kind(self.event_source_arn, is_self_managed=self.self_managed_event_source is not None)
        assert kind is not None
        return kind


class MappingClaim(Struct, frozen=True):
    """Keeps a second mapping of one source and function away: `claim` says source, function and topic."""

    account_id: str
    region: str
    claim: str
    revision_id: str
    uuid: str


def source_kind(event_source_arn: str | None, *, is_self_managed: bool) -> SourceKind | None:
    """Return what a mapping would read from; None when it is no source of Lambda's, or not just one."""
    if event_source_arn is None or is_self_managed:
        return SourceKind.SELF_MANAGED_KAFKA if is_self_managed and event_source_arn is None else None
    parts = event_source_arn.split(":", 5)
    if len(parts) != 6 or parts[2] not in set(SourceKind) - {SourceKind.SELF_MANAGED_KAFKA}:
        return None
    kind, resource = SourceKind(parts[2]), parts[5]
    starts = {
        SourceKind.KINESIS: "stream/",
        SourceKind.DYNAMODB: "table/",
        SourceKind.MSK: "cluster/",
        SourceKind.MQ: "broker:",
        SourceKind.DOCUMENTDB: "cluster:",
    }
    is_whole = resource.startswith(starts.get(kind, "")) and resource != starts.get(kind, "")
    if kind is SourceKind.DYNAMODB and "/stream/" not in resource:
        return None
    return kind if is_whole else None


def claims_of(mapping: EventSourceMapping) -> tuple[str, ...]:
    """Return what two mappings must not have in common. Source: recorded (test_create_event_source_self_managed)."""
    if mapping.self_managed_event_source is None:
        topics = _parts_of(mapping)
        servers: tuple[str, ...] = (mapping.event_source_arn or "",)
    else:
        topics = mapping.topics or ("",)
        endpoints = mapping.self_managed_event_source.endpoints or {}
        servers = tuple(server for group in endpoints.values() for server in group)
    return tuple(f"{server} {mapping.function_arn} {topic}" for server in dict.fromkeys(servers) for topic in topics)


def _parts_of(mapping: EventSourceMapping) -> tuple[str, ...]:
    """Return which parts of its source a mapping reads: topics, queues, a database or collection."""
    documents = mapping.document_db_event_source_config
    if mapping.kind is SourceKind.DOCUMENTDB and documents is not None:
        return (f"{documents.database_name or ''}/{documents.collection_name or ''}",)
    parts = mapping.topics if mapping.kind is SourceKind.MSK else mapping.queues
    return (parts if mapping.kind in (SourceKind.MSK, SourceKind.MQ) else None) or ("",)
