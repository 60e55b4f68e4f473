"""Event source mappings against the recorded answers (lambda/test_lambda_api.json: TestLambdaEventSourceMappings)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from lambent.events.sources.mappings import NOT_POLLED
from lambent.model.configs.event_source import MappingClaim
from lambent.model.configs.tags import ResourceTags
from lambent.model.errors import ResourceConflictError

if TYPE_CHECKING:
    from tests.unit.events.conftest import Sources

ARN = "arn:aws:lambda:us-east-1:000000000000:function:f"
QUEUE = "arn:aws:sqs:us-east-1:000000000000:q"
TABLE = "arn:aws:dynamodb:us-east-1:000000000000:table/t/stream/2026-01-01T00:00:00.000"
STREAM = "arn:aws:kinesis:us-east-1:000000000000:stream/s"
CLUSTER = "arn:aws:kafka:us-east-1:000000000000:cluster/c/0b8d1d7c-8d1e-4d4c-9d3b-7a3f0f0f0f0f-1"
BROKER = "arn:aws:mq:us-east-1:000000000000:broker:b:b-0b8d1d7c-8d1e-4d4c-9d3b-7a3f0f0f0f0f"
DATABASE = "arn:aws:rds:us-east-1:000000000000:cluster:d"
SECRET = [{"Type": "BASIC_AUTH", "URI": "arn:aws:secretsmanager:us-east-1:000000000000:secret:s"}]
SERVERS = {"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": ["kafka:1000"]}}
UNKNOWN = "00000000-0000-4000-8000-000000000000"
PARAMETER = "InvalidParameterValueException"


async def created(sources: Sources, **members: Any) -> Any:
    """Create a mapping; return what is the same for each kind apart, after checking it."""
    answer = await sources.call("create_event_source_mapping", FunctionName="f", **members)
    mapping_id = answer.pop("UUID")
    arn = f"arn:aws:lambda:us-east-1:000000000000:event-source-mapping:{mapping_id}"
    assert answer.pop("EventSourceMappingArn") == arn
    assert answer.pop("FunctionArn") == ARN
    assert answer.pop("LastModified") == 1_767_225_600.0
    assert answer.pop("State") == "Creating"
    kept = await sources.call("get_event_source_mapping", UUID=mapping_id)
    assert (kept["State"], kept["StateTransitionReason"]) == ("Disabled", NOT_POLLED)
    return answer


async def test_an_sqs_mapping(sources: Sources) -> None:
    assert await created(sources, EventSourceArn=QUEUE) == {
        "BatchSize": 10,
        "EventSourceArn": QUEUE,
        "FunctionResponseTypes": [],
        "MaximumBatchingWindowInSeconds": 0,
        "StateTransitionReason": "USER_INITIATED",
    }


@pytest.mark.parametrize("arn", [TABLE, STREAM])
async def test_a_stream_mapping(sources: Sources, arn: str) -> None:
    assert await created(sources, EventSourceArn=arn, StartingPosition="LATEST", FilterCriteria={"Filters": []}) == {
        "BatchSize": 100,
        "BisectBatchOnFunctionError": False,
        "DestinationConfig": {"OnFailure": {}},
        "EventSourceArn": arn,
        "FunctionResponseTypes": [],
        "LastProcessingResult": "No records processed",
        "MaximumBatchingWindowInSeconds": 0,
        "MaximumRecordAgeInSeconds": -1,
        "MaximumRetryAttempts": -1,
        "ParallelizationFactor": 1,
        "StartingPosition": "LATEST",
        "StateTransitionReason": "User action",
        "TumblingWindowInSeconds": 0,
    }


async def test_a_self_managed_kafka_mapping(sources: Sources) -> None:
    asked = {"Topics": ["topic"], "SourceAccessConfigurations": SECRET, "SelfManagedEventSource": SERVERS}
    missing = {"Topics": ["topic"], "SelfManagedEventSource": SERVERS}
    assert await sources.refused("create_event_source_mapping", FunctionName="f", **missing) == (
        PARAMETER,
        "Required 'sourceAccessConfigurations' parameter is missing.",
    )
    answer = await created(sources, **asked)
    group = answer.pop("SelfManagedKafkaEventSourceConfig")["ConsumerGroupId"]
    assert answer == {
        "BatchSize": 100,
        "LastProcessingResult": "No records processed",
        "SelfManagedEventSource": SERVERS,
        "SourceAccessConfigurations": SECRET,
        "StartingPosition": "TRIM_HORIZON",
        "StateTransitionReason": "USER_INITIATED",
        "Topics": ["topic"],
    }
    both = {"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": ["kafka:1000", "kafka:2000"]}}
    for servers, named in ((SERVERS, "kafka:1000"), (both, "kafka:1000,kafka:2000")):
        again = {**asked, "SelfManagedEventSource": servers}
        assert await sources.refused("create_event_source_mapping", FunctionName="f", **again) == (
            "ResourceConflictException",
            f'An event source mapping with event source ("{named}"), function ("{ARN}"), topics ("topic") '
            f"already exists. Please update or delete the existing mapping with UUID {group}",
        )
    await created(sources, **{**asked, "Topics": ["other"]}, SelfManagedKafkaEventSourceConfig={"ConsumerGroupId": "g"})


async def test_the_other_kinds(sources: Sources) -> None:
    answer = await created(
        sources, EventSourceArn=CLUSTER, Topics=["t1"], ProvisionedPollerConfig={"MinimumPollers": 2}
    )
    assert answer["AmazonManagedKafkaEventSourceConfig"]["ConsumerGroupId"]
    assert answer["ProvisionedPollerConfig"] == {"MinimumPollers": 2, "MaximumPollers": 200}
    answer = await created(sources, EventSourceArn=BROKER, Queues=["q"], SourceAccessConfigurations=SECRET)
    # The half second that applies without a window cannot be said in seconds, and is not.
    assert answer == {
        "BatchSize": 100,
        "EventSourceArn": BROKER,
        "LastProcessingResult": "No records processed",
        "Queues": ["q"],
        "SourceAccessConfigurations": SECRET,
        "StateTransitionReason": "USER_INITIATED",
    }
    config = {"DatabaseName": "d", "CollectionName": "c", "FullDocument": "UpdateLookup"}
    answer = await created(
        sources,
        EventSourceArn=DATABASE,
        StartingPosition="AT_TIMESTAMP",
        StartingPositionTimestamp=1_700_000_000.0,
        SourceAccessConfigurations=SECRET,
        DocumentDBEventSourceConfig=config,
    )
    assert (answer["DocumentDBEventSourceConfig"], answer["StartingPositionTimestamp"]) == (config, 1_700_000_000.0)
    assert (answer["MaximumBatchingWindowInSeconds"], answer["StateTransitionReason"]) == (0, "User action")


@pytest.mark.parametrize(
    ("members", "other"),
    [
        ({"EventSourceArn": BROKER, "Queues": ["q"]}, {"Queues": ["p"]}),
        (
            {
                "EventSourceArn": DATABASE,
                "StartingPosition": "LATEST",
                "DocumentDBEventSourceConfig": {"DatabaseName": "d", "CollectionName": "c"},
            },
            {"DocumentDBEventSourceConfig": {"DatabaseName": "d", "CollectionName": "e"}},
        ),
    ],
)
async def test_a_function_has_one_mapping_of_a_queue_or_a_collection(
    sources: Sources, members: dict[str, Any], other: dict[str, Any]
) -> None:
    asked = {**members, "SourceAccessConfigurations": SECRET}
    await created(sources, **asked)
    await created(sources, **{**asked, **other})
    code, text = await sources.refused("create_event_source_mapping", FunctionName="f", **asked)
    assert (code, "already exists" in text) == ("ResourceConflictException", True)


async def test_documents_are_of_a_database_and_shown_as_they_are_asked_for(sources: Sources) -> None:
    asked = {"EventSourceArn": DATABASE, "StartingPosition": "LATEST", "SourceAccessConfigurations": SECRET}
    config = {"DatabaseName": "d"}
    answer = await created(sources, **asked, DocumentDBEventSourceConfig=config)
    assert answer["DocumentDBEventSourceConfig"] == {"DatabaseName": "d", "FullDocument": "Default"}
    refusal = await sources.refused(
        "create_event_source_mapping", FunctionName="f", **asked, DocumentDBEventSourceConfig={"CollectionName": "c"}
    )
    assert refusal == (PARAMETER, "Required 'databaseName' parameter is missing.")


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ({}, "Unrecognized event source."),
        ({"EventSourceArn": "arn:aws:s3:::bucket"}, "Unrecognized event source."),
        ({"EventSourceArn": TABLE.partition("/stream")[0]}, "Unrecognized event source."),
        ({"EventSourceArn": QUEUE, "SelfManagedEventSource": SERVERS}, "Unrecognized event source."),
        ({"EventSourceArn": QUEUE, "FunctionName": "no"}, "Function does not exist"),
        ({"EventSourceArn": QUEUE, "FunctionName": "f:gone"}, "Function does not exist"),
        ({"EventSourceArn": QUEUE, "FunctionName": ARN.replace("east", "west")}, "Function does not exist"),
        (
            {"EventSourceArn": QUEUE, "FunctionName": "no", "DestinationConfig": {"OnSuccess": {"Destination": QUEUE}}},
            "Unsupported DestinationConfig parameter for given event source mapping type.",
        ),
        (
            {"EventSourceArn": QUEUE, "StartingPosition": "LATEST"},
            "StartingPosition is not valid for SQS event sources.",
        ),
        (
            {"EventSourceArn": QUEUE, "BatchSize": 11},
            "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10",
        ),
        ({"EventSourceArn": f"{QUEUE}.fifo", "BatchSize": 11}, "Maximum batch size for FIFO queues is 10."),
        (
            {"EventSourceArn": f"{QUEUE}.fifo", "MaximumBatchingWindowInSeconds": 1},
            "Batching window is not supported for FIFO queues.",
        ),
        (
            {"EventSourceArn": STREAM},
            "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: "
            "Member must not be null.",
        ),
        (
            {"EventSourceArn": TABLE, "StartingPosition": "AT_TIMESTAMP", "StartingPositionTimestamp": 1.0},
            f"Unsupported starting position for arn type: {TABLE}",
        ),
        (
            {"EventSourceArn": STREAM, "StartingPosition": "AT_TIMESTAMP"},
            "StartingPositionTimestamp must be specified if and only if StartingPosition is AT_TIMESTAMP.",
        ),
        (
            {"EventSourceArn": STREAM, "StartingPosition": "LATEST", "Topics": ["t1"]},
            "Unsupported Topics parameter for given event source mapping type.",
        ),
        (
            {
                "EventSourceArn": STREAM,
                "StartingPosition": "LATEST",
                "DestinationConfig": {"OnFailure": {"Destination": ARN}},
            },
            "The provided destination config DestinationConfig(onSuccess=null, "
            f"onFailure=OnFailure(destination={ARN})) is invalid.",
        ),
        ({"EventSourceArn": CLUSTER}, "Required 'topics' parameter is missing."),
    ],
)
async def test_what_creation_refuses(sources: Sources, members: dict[str, Any], text: str) -> None:
    refused = await sources.refused("create_event_source_mapping", **{"FunctionName": "f", **members})
    assert refused == (PARAMETER, text)


async def test_one_mapping_of_a_source_and_a_function(sources: Sources) -> None:
    first = await sources.call("create_event_source_mapping", FunctionName="f", EventSourceArn=QUEUE)
    duplicate = (
        "ResourceConflictException",
        f'The event source arn (" {QUEUE} ") and function (" f ") provided mapping already exists. '
        f"Please update or delete the existing mapping with UUID {first['UUID']}",
    )
    assert await sources.refused("create_event_source_mapping", FunctionName=ARN, EventSourceArn=QUEUE) == duplicate
    await sources.add_function("g")
    second = await sources.call("create_event_source_mapping", FunctionName="g", EventSourceArn=QUEUE)
    assert await sources.refused("update_event_source_mapping", UUID=second["UUID"], FunctionName="f") == duplicate
    await sources.call("delete_event_source_mapping", UUID=first["UUID"])
    moved = await sources.call("update_event_source_mapping", UUID=second["UUID"], FunctionName="f")
    assert moved["FunctionArn"] == ARN
    await sources.call("create_event_source_mapping", FunctionName="g", EventSourceArn=QUEUE)


async def test_updates(sources: Sources) -> None:
    made = await sources.call("create_event_source_mapping", FunctionName="f", EventSourceArn=QUEUE, Enabled=False)
    assert (made["State"], made["StateTransitionReason"]) == ("Disabled", "USER_INITIATED")
    mapping = {"UUID": made["UUID"]}
    assert (await sources.call("update_event_source_mapping", **mapping, Enabled=True))["State"] == "Enabling"
    assert (await sources.call("update_event_source_mapping", **mapping, Enabled=False))["State"] == "Disabling"
    criteria = {"Filters": [{"Pattern": '{"body": {"a": [1]}}'}]}
    changed = await sources.call(
        "update_event_source_mapping",
        **mapping,
        BatchSize=100,
        MaximumBatchingWindowInSeconds=1,
        FilterCriteria=criteria,
        ScalingConfig={"MaximumConcurrency": 2},
    )
    assert (changed["State"], changed["BatchSize"], changed["FilterCriteria"]) == ("Updating", 100, criteria)
    assert changed["ScalingConfig"] == {"MaximumConcurrency": 2}
    refused = await sources.refused("update_event_source_mapping", **mapping, MaximumBatchingWindowInSeconds=0)
    assert refused[0] == PARAMETER
    emptied = await sources.call(
        "update_event_source_mapping", **mapping, FilterCriteria={"Filters": []}, ScalingConfig={}
    )
    assert "FilterCriteria" not in emptied
    assert "ScalingConfig" not in emptied
    assert (await sources.call("get_event_source_mapping", **mapping))["StateTransitionReason"] == "USER_INITIATED"


async def test_what_is_not_there(sources: Sources) -> None:
    for operation in ("get", "delete", "update"):
        assert await sources.refused(f"{operation}_event_source_mapping", UUID=UNKNOWN) == (
            "ResourceNotFoundException",
            "The resource you requested does not exist.",
        )


async def test_deletion_leaves_nothing(sources: Sources) -> None:
    made = await sources.call("create_event_source_mapping", FunctionName="f", EventSourceArn=QUEUE, Tags={"a": "b"})
    assert await sources.resources.count(ResourceTags, "000000000000", "us-east-1") == 1
    deleted = await sources.call("delete_event_source_mapping", UUID=made["UUID"])
    assert (deleted["State"], deleted["UUID"]) == ("Deleting", made["UUID"])
    for kind in (ResourceTags, MappingClaim):
        assert await sources.resources.count(kind, "000000000000", "us-east-1") == 0


async def test_lists(sources: Sources) -> None:
    await sources.add_function("g")
    for name, arn in (("f", QUEUE), ("g", QUEUE), ("f", f"{QUEUE}2")):
        await sources.call("create_event_source_mapping", FunctionName=name, EventSourceArn=arn)
    whole = (await sources.call("list_event_source_mappings"))["EventSourceMappings"]
    assert [one["UUID"] for one in whole] == sorted(one["UUID"] for one in whole)
    assert len(whole) == 3
    assert len((await sources.call("list_event_source_mappings", FunctionName="f"))["EventSourceMappings"]) == 2
    assert len((await sources.call("list_event_source_mappings", EventSourceArn=QUEUE))["EventSourceMappings"]) == 2
    assert (await sources.call("list_event_source_mappings", FunctionName="no")) == {"EventSourceMappings": []}
    pages = []
    marker: dict[str, Any] = {}
    for _ in whole:
        page = await sources.call("list_event_source_mappings", MaxItems=1, **marker)
        pages += page["EventSourceMappings"]
        marker = {"Marker": page["NextMarker"]} if "NextMarker" in page else {}
    assert pages == whole
    assert marker == {}


async def test_of_many_at_the_same_time_one_is_created(sources: Sources) -> None:
    outcomes: list[str] = []

    async def create() -> None:
        try:
            await sources.call("create_event_source_mapping", FunctionName="f", EventSourceArn=QUEUE)
        except ResourceConflictError as error:
            outcomes.append(error.message.partition(" provided mapping")[0])
        else:
            outcomes.append("created")

    async with asyncio.TaskGroup() as tasks:
        for _ in range(5):
            tasks.create_task(create())
    duplicate = f'The event source arn (" {QUEUE} ") and function (" f ")'
    assert sorted(outcomes) == [duplicate] * 4 + ["created"]
    assert len((await sources.call("list_event_source_mappings"))["EventSourceMappings"]) == 1
