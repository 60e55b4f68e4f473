"""What mappings may say of their pollers: bounds by source, schemas, metrics, topics as destinations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lambent.model.errors import InvalidParameterValueError

if TYPE_CHECKING:
    from tests.unit.events.conftest import Sources

QUEUE = "arn:aws:sqs:us-east-1:000000000000:q"
STREAM = "arn:aws:kinesis:us-east-1:000000000000:stream/s"
CLUSTER = "arn:aws:kafka:us-east-1:000000000000:cluster/c/0b8d1d7c-8d1e-4d4c-9d3b-7a3f0f0f0f0f-1"
GLUE = "arn:aws:glue:us-east-1:000000000000:registry/r"
KAFKA: dict[str, Any] = {"EventSourceArn": CLUSTER, "Topics": ["t"], "StartingPosition": "LATEST"}
REGISTRY: dict[str, Any] = {
    "SchemaRegistryURI": "https://registry.example",
    "EventRecordFormat": "JSON",
    "SchemaValidationConfigs": [{"Attribute": "VALUE"}],
}


def with_registry(**changes: Any) -> dict[str, Any]:
    """Return members of a mapping with a schema registry; None takes a member of it away."""
    registry = {key: value for key, value in {**REGISTRY, **changes}.items() if value is not None}
    return {"AmazonManagedKafkaEventSourceConfig": {"SchemaRegistryConfig": registry}}


@pytest.mark.parametrize(
    ("source", "given", "shown"),
    [
        ({"EventSourceArn": QUEUE}, {"MinimumPollers": 3}, {"MinimumPollers": 3, "MaximumPollers": 200}),
        ({"EventSourceArn": QUEUE}, {"MaximumPollers": 5}, {"MinimumPollers": 2, "MaximumPollers": 5}),
        (KAFKA, {"MaximumPollers": 5}, {"MinimumPollers": 1, "MaximumPollers": 5}),
        (
            KAFKA,
            {"MinimumPollers": 1, "MaximumPollers": 2, "PollerGroupName": "g"},
            {"MinimumPollers": 1, "MaximumPollers": 2, "PollerGroupName": "g"},
        ),
        ({"EventSourceArn": QUEUE}, {}, None),
    ],
)
async def test_bounds_that_are_not_given_are_the_defaults(
    sources: Sources, source: dict[str, Any], given: dict[str, Any], shown: dict[str, Any] | None
) -> None:
    made = await sources.call("create_event_source_mapping", FunctionName="f", **source, ProvisionedPollerConfig=given)
    assert made.get("ProvisionedPollerConfig") == shown


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ({"EventSourceArn": QUEUE, "ProvisionedPollerConfig": {"MinimumPollers": 1}}, "MinimumPollers"),
        ({"EventSourceArn": QUEUE, "ProvisionedPollerConfig": {"MaximumPollers": 1}}, "MaximumPollers"),
        (
            {"EventSourceArn": QUEUE, "ProvisionedPollerConfig": {"MinimumPollers": 9, "MaximumPollers": 8}},
            "MinimumPollers",
        ),
        (
            {
                "EventSourceArn": QUEUE,
                "ProvisionedPollerConfig": {"MinimumPollers": 2},
                "ScalingConfig": {"MaximumConcurrency": 2},
            },
            "ScalingConfig",
        ),
        ({**KAFKA, "ProvisionedPollerConfig": {"MaximumPollers": 2_001}}, "MaximumPollers"),
        (
            {
                "EventSourceArn": STREAM,
                "StartingPosition": "LATEST",
                "ProvisionedPollerConfig": {"MinimumPollers": 2},
            },
            "Unsupported ProvisionedPollerConfig",
        ),
        ({"EventSourceArn": QUEUE, "MetricsConfig": {"Metrics": ["EventCount", "KafkaMetrics"]}}, "KafkaMetrics"),
        ({**KAFKA, "DestinationConfig": {"OnFailure": {"Destination": "kafka://t"}}}, "same as the source"),
        ({**KAFKA, **with_registry()}, "provisioned mode"),
    ],
)
async def test_what_does_not_go_together_is_refused(sources: Sources, members: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidParameterValueError, match=text):
        await sources.call("create_event_source_mapping", FunctionName="f", **members)


@pytest.mark.parametrize(
    ("registry", "text"),
    [
        ({"SchemaRegistryURI": "ftp://registry"}, "SchemaRegistryURI"),
        ({"EventRecordFormat": None}, "EventRecordFormat"),
        ({"SchemaValidationConfigs": None}, "SchemaValidationConfigs"),
        ({"SchemaValidationConfigs": [{"Attribute": "KEY"}, {"Attribute": "KEY"}]}, "SchemaValidationConfigs"),
        (
            {"SchemaRegistryURI": GLUE, "AccessConfigs": [{"Type": "BASIC_AUTH", "URI": GLUE}]},
            "AccessConfigs",
        ),
    ],
)
async def test_registries_that_nobody_could_read_are_refused(
    sources: Sources, registry: dict[str, Any], text: str
) -> None:
    members = {**KAFKA, "ProvisionedPollerConfig": {"MinimumPollers": 1}, **with_registry(**registry)}
    with pytest.raises(InvalidParameterValueError, match=text):
        await sources.call("create_event_source_mapping", FunctionName="f", **members)


async def test_a_group_stays_and_a_registry_needs_its_pollers(sources: Sources) -> None:
    config = with_registry()["AmazonManagedKafkaEventSourceConfig"] | {"ConsumerGroupId": "mine"}
    provisioned = {"ProvisionedPollerConfig": {"MinimumPollers": 1}}
    member = "AmazonManagedKafkaEventSourceConfig"
    made = await sources.call(
        "create_event_source_mapping", FunctionName="f", **KAFKA, **provisioned, **{member: config}
    )
    assert made[member] == config
    changed = await sources.call(
        "update_event_source_mapping", UUID=made["UUID"], **with_registry(EventRecordFormat="SOURCE")
    )
    assert changed[member]["ConsumerGroupId"] == "mine"
    assert changed[member]["SchemaRegistryConfig"]["EventRecordFormat"] == "SOURCE"
    wrong: list[dict[str, Any]] = [{member: {"ConsumerGroupId": "other"}}, {"ProvisionedPollerConfig": {}}]
    for refused in wrong:
        with pytest.raises(InvalidParameterValueError):
            await sources.call("update_event_source_mapping", UUID=made["UUID"], **refused)
