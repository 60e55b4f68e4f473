"""Kinesis and DynamoDB streams as event sources, through the public APIs of both, with the embedded services."""

from __future__ import annotations

import base64
import json
import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from tests.running import create_function
from tests.scenario.sources.conftest import events_of, wait_state, wait_until

if TYPE_CHECKING:
    from tests.conftest import ServerFactory
    from tests.running import LambentServer

pytestmark = pytest.mark.long

# Keeps what it gets. A record whose data is {"fail": n} fails the first n times; "always" fails for ever.
RECORDER = """
import base64, json, os

KEPT = "/tmp/events"


def data_of(record):
    if "kinesis" in record:
        return base64.b64decode(record["kinesis"]["data"]).decode()
    return record["dynamodb"].get("NewImage", {}).get("data", {}).get("S", "")


def handler(event, context):
    if "Records" not in event:
        return [json.loads(line) for line in open(KEPT)] if os.path.exists(KEPT) else []
    with open(KEPT, "a") as kept:
        kept.write(json.dumps(event) + "\\n")
    failed = [r for r in event["Records"] if data_of(r).startswith("fail")]
    if os.environ.get("PARTIAL"):
        def number(r):
            return r["kinesis"]["sequenceNumber"] if "kinesis" in r else r["dynamodb"]["SequenceNumber"]
        return {"batchItemFailures": [{"itemIdentifier": number(r)} for r in failed]}
    if failed:
        raise ValueError("as asked")
    if "window" in event:
        state = event["state"]
        state["count"] = state.get("count", 0) + len(event["Records"])
        return {"state": state}
"""


class Scene:
    """A recorder function, a Kinesis stream, and a mapping between them."""

    def __init__(self, server: LambentServer, name: str, *, shards: int = 1, **members: Any) -> None:
        self.client, self.kinesis, self.sqs = (server.client(one) for one in ("lambda", "kinesis", "sqs"))
        self.name = name
        create_function(self.client, name, {"index.py": RECORDER}, Timeout=5, **members)
        self.client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
        self.kinesis.create_stream(StreamName=name, ShardCount=shards)
        self.kinesis.get_waiter("stream_exists").wait(StreamName=name, WaiterConfig={"Delay": 1})
        self.arn = self.kinesis.describe_stream(StreamName=name)["StreamDescription"]["StreamARN"]

    def map(self, **members: Any) -> dict[str, Any]:
        """Create the mapping and return it once it is Enabled."""
        asked = {"StartingPosition": "TRIM_HORIZON", **members}
        made = self.client.create_event_source_mapping(EventSourceArn=self.arn, FunctionName=self.name, **asked)
        assert made["State"] == "Creating"
        return wait_state(self.client, made["UUID"], "Enabled")

    def put(self, *data: str, key: str = "k") -> None:
        """Put records with one partition key."""
        records = [{"Data": one.encode(), "PartitionKey": key} for one in data]
        assert self.kinesis.put_records(StreamName=self.name, Records=records)["FailedRecordCount"] == 0

    def batches(self) -> list[list[str]]:
        """Return the data of the records of each event."""
        found = events_of(self.client, self.name)
        return [[base64.b64decode(r["kinesis"]["data"]).decode() for r in event["Records"]] for event in found]

    def data(self) -> list[str]:
        """Return the data of all records, in order."""
        return [one for batch in self.batches() for one in batch]

    def queue(self) -> tuple[str, str]:
        """Create a queue for what is given up; return URL and ARN."""
        url = self.sqs.create_queue(QueueName=f"{self.name}-lost")["QueueUrl"]
        names = ["QueueArn"]
        return url, self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]["QueueArn"]

    def lost(self, url: str) -> dict[str, Any]:
        """Return the next on-failure record."""
        (message,) = wait_until(lambda: self.sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1).get("Messages"), 40)
        record: dict[str, Any] = json.loads(message["Body"])
        return record


def test_a_kinesis_record_becomes_the_recorded_event(server: LambentServer) -> None:
    scene = Scene(server, "kin-event")
    scene.put("one", "two")
    scene.map(BatchSize=10)
    (event,) = wait_until(lambda: events_of(scene.client, scene.name))
    first, second = event["Records"]
    number = first["kinesis"]["sequenceNumber"]
    assert first["kinesis"].pop("approximateArrivalTimestamp") == pytest.approx(time.time(), abs=60)
    assert first == {
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": "k",
            "sequenceNumber": number,
            "data": base64.b64encode(b"one").decode(),
        },
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": f"shardId-000000000000:{number}",
        "eventName": "aws:kinesis:record",
        "invokeIdentityArn": "arn:aws:iam::000000000000:role/test",
        "awsRegion": "us-east-1",
        "eventSourceARN": scene.arn,
    }
    assert int(second["kinesis"]["sequenceNumber"]) > int(number)


def test_latest_sees_what_comes_after_it_was_enabled(server: LambentServer) -> None:
    scene = Scene(server, "kin-latest")
    scene.put("before")
    scene.map(StartingPosition="LATEST")
    scene.put("after")
    wait_until(lambda: scene.data() == ["after"])


def test_at_timestamp_begins_there(server: LambentServer) -> None:
    scene = Scene(server, "kin-timestamp")
    scene.put("before")
    time.sleep(1.5)
    moment = time.time()
    time.sleep(1.5)
    scene.put("after")
    scene.map(StartingPosition="AT_TIMESTAMP", StartingPositionTimestamp=moment)
    wait_until(lambda: scene.data() == ["after"])


def test_batches_and_windows(server: LambentServer) -> None:
    scene = Scene(server, "kin-batches")
    scene.put(*map(str, range(25)))
    scene.map(BatchSize=10, MaximumBatchingWindowInSeconds=1)
    wait_until(lambda: len(scene.data()) == 25)
    assert [len(batch) for batch in scene.batches()] == [10, 10, 5]
    assert scene.data() == [str(number) for number in range(25)]


def test_filters_on_data(server: LambentServer) -> None:
    scene = Scene(server, "kin-filters")
    pattern = json.dumps({"data": {"kind": ["wanted"]}, "partitionKey": ["k"]})
    scene.put('{"kind": "other"}', "no json", '{"kind": "wanted"}')
    scene.put('{"kind": "wanted", "key": "another"}', key="x")
    scene.map(FilterCriteria={"Filters": [{"Pattern": pattern}]})
    wait_until(lambda: scene.data() == ['{"kind": "wanted"}'])


def test_retries_are_exhausted(server: LambentServer) -> None:
    scene = Scene(server, "kin-retries")
    url, arn = scene.queue()
    scene.map(MaximumRetryAttempts=1, BatchSize=1, DestinationConfig={"OnFailure": {"Destination": arn}})
    scene.put("fail", "good")
    record = scene.lost(url)
    info = record.pop("KinesisBatchInfo")
    assert (info["shardId"], info["batchSize"], info["streamArn"]) == ("shardId-000000000000", 1, scene.arn)
    assert info["startSequenceNumber"] == info["endSequenceNumber"]
    assert record["requestContext"].pop("requestId")
    assert record.pop("timestamp")
    assert record == {
        "requestContext": {
            "functionArn": f"arn:aws:lambda:us-east-1:000000000000:function:{scene.name}",
            "condition": "RetryAttemptsExhausted",
            "approximateInvokeCount": 2,
        },
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "version": "1.0",
    }
    wait_until(lambda: scene.data() == ["fail", "fail", "good"])


def test_a_failing_batch_is_cut_in_two(server: LambentServer) -> None:
    scene = Scene(server, "kin-bisect")
    url, arn = scene.queue()
    scene.put("a", "b", "fail", "d")
    scene.map(
        MaximumRetryAttempts=1,
        BisectBatchOnFunctionError=True,
        BatchSize=4,
        DestinationConfig={"OnFailure": {"Destination": arn}},
    )
    assert scene.lost(url)["KinesisBatchInfo"]["batchSize"] == 1
    wait_until(lambda: scene.batches()[-1:] == [["d"]])
    assert scene.batches()[:2] == [["a", "b", "fail", "d"], ["a", "b"]]


def test_the_lowest_failed_record_is_the_checkpoint(server: LambentServer) -> None:
    scene = Scene(server, "kin-partial", Environment={"Variables": {"PARTIAL": "1"}})
    url, arn = scene.queue()
    scene.put("a", "fail", "c")
    scene.map(
        MaximumRetryAttempts=2,
        BatchSize=3,
        FunctionResponseTypes=["ReportBatchItemFailures"],
        DestinationConfig={"OnFailure": {"Destination": arn}},
    )
    record = scene.lost(url)
    assert record["requestContext"]["approximateInvokeCount"] == 3
    assert record["responseContext"]["functionError"] is None
    wait_until(lambda: len(scene.batches()) == 3)
    assert scene.batches() == [["a", "fail", "c"], ["fail", "c"], ["fail", "c"]]


def test_order_is_kept_for_each_key_with_parallel_lanes(server: LambentServer) -> None:
    scene = Scene(server, "kin-lanes", shards=2)
    scene.map(ParallelizationFactor=4, BatchSize=3)
    for number in range(8):
        for key in "abcdef":
            scene.put(f"{key} {number}", key=key)
    wait_until(lambda: len(scene.data()) == 48, 60)
    for key in "abcdef":
        assert [one for one in scene.data() if one[0] == key] == [f"{key} {number}" for number in range(8)]


def test_tumbling_windows_hand_their_state_on(server: LambentServer) -> None:
    scene = Scene(server, "kin-tumbling")
    scene.map(TumblingWindowInSeconds=3, BatchSize=2)
    scene.put("a", "b", "c")
    events = wait_until(
        lambda: [e for e in [events_of(scene.client, scene.name)] if any(x["isFinalInvokeForWindow"] for x in e)], 30
    )[0]
    final = next(event for event in events if event["isFinalInvokeForWindow"])
    before = [event for event in events if event["window"] == final["window"] and event is not final]
    assert final["Records"] == []
    assert final["state"] == {"count": sum(len(event["Records"]) for event in before)}
    assert before[0]["state"] == {}
    assert final["shardId"] == "shardId-000000000000"
    assert (final["eventSourceARN"], final["isWindowTerminatedEarly"]) == (scene.arn, False)


def test_after_a_crash_reading_goes_on_at_the_checkpoint(lambent_server_factory: ServerFactory) -> None:
    server = lambent_server_factory({"neighbours.enabled": "true"})
    scene = Scene(server, "kin-crash")
    mapping_id = scene.map()["UUID"]
    scene.put("before")
    wait_until(lambda: scene.data() == ["before"])
    time.sleep(0.5)
    server.kill()
    server.start()
    scene.client, scene.kinesis = server.client(), server.client("kinesis")
    wait_state(scene.client, mapping_id, "Enabled")
    scene.put("after")
    wait_until(lambda: scene.data() == ["after"])


def test_a_deleted_mapping_leaves_no_checkpoint(lambent_server_factory: ServerFactory) -> None:
    server = lambent_server_factory({"neighbours.enabled": "true"})
    scene = Scene(server, "kin-gone", shards=2)
    kept = scene.map()["UUID"]
    scene.put("one")
    wait_until(lambda: scene.data() == ["one"])
    create_function(scene.client, "kin-gone-too", {"index.py": RECORDER}, Timeout=5)
    made = scene.client.create_event_source_mapping(
        EventSourceArn=scene.arn, FunctionName="kin-gone-too", StartingPosition="LATEST"
    )
    gone = made["UUID"]
    wait_state(scene.client, gone, "Enabled")

    def mappings() -> set[str]:
        with closing(sqlite3.connect(f"file:{server.data_dir / 'events.db'}?mode=ro", uri=True)) as events:
            return {name.split("/")[1] for (name,) in events.execute("SELECT name FROM leases")}

    wait_until(lambda: mappings() == {kept, gone})
    scene.client.delete_event_source_mapping(UUID=gone)
    wait_until(lambda: mappings() == {kept})


def test_a_table_change_becomes_the_recorded_event(server: LambentServer) -> None:
    client, dynamodb = server.client(), server.client("dynamodb")
    create_function(client, "ddb-event", {"index.py": RECORDER}, Timeout=5)
    client.put_function_concurrency(FunctionName="ddb-event", ReservedConcurrentExecutions=1)
    table = dynamodb.create_table(
        TableName="ddb-event",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )["TableDescription"]
    pattern = json.dumps(
        {"eventName": ["INSERT", "MODIFY"], "dynamodb": {"NewImage": {"id": {"S": [{"prefix": "a"}]}}}}
    )
    made = client.create_event_source_mapping(
        EventSourceArn=table["LatestStreamArn"],
        FunctionName="ddb-event",
        StartingPosition="TRIM_HORIZON",
        FilterCriteria={"Filters": [{"Pattern": pattern}]},
    )
    wait_state(client, made["UUID"], "Enabled")
    dynamodb.put_item(TableName="ddb-event", Item={"id": {"S": "b1"}})
    dynamodb.put_item(TableName="ddb-event", Item={"id": {"S": "a1"}, "raw": {"B": b"foobar"}})
    (event,) = wait_until(lambda: events_of(client, "ddb-event"))
    (record,) = event["Records"]
    assert (record["eventName"], record["eventSource"], record["awsRegion"]) == ("INSERT", "aws:dynamodb", "us-east-1")
    assert record["eventSourceARN"] == table["LatestStreamArn"]
    assert record["dynamodb"]["NewImage"] == {"id": {"S": "a1"}, "raw": {"B": base64.b64encode(b"foobar").decode()}}
    assert record["dynamodb"]["Keys"] == {"id": {"S": "a1"}}
    assert {"ApproximateCreationDateTime", "SequenceNumber", "SizeBytes", "StreamViewType"} <= set(record["dynamodb"])
