"""`lambent invoke`, and that samples have the form of what pollers and gateways really make."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import confluent_kafka
import pytest

from lambent.cli.samples import Given, sample_event
from tests.running import create_function
from tests.scenario.events.conftest import logged, wait_until

if TYPE_CHECKING:
    from tests.running import LambentServer

_LAMBENT = Path(sys.executable).parent / "lambent"
_ACCOUNT = "000000000000"
SHOWS = """
import json
def handler(event, context):
    print("ran", json.dumps(event))
    if isinstance(event, dict) and "fail" in event:
        raise ValueError(event["fail"])
    return {"got": event}
"""


def invoked(server: LambentServer, *words: str, status: int = 0, given: str = "") -> subprocess.CompletedProcess[str]:
    """Run `lambent invoke`."""
    environment = {**os.environ, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    command = [str(_LAMBENT), "invoke", *words, "--endpoint-url", server.url]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, input=given)
    assert run.returncode == status, run.stderr
    return run


def events(server: LambentServer, function: str) -> list[Any]:
    """Return what the function has got."""
    return [json.loads(line.removeprefix("ran ")) for line in logged(server, function)]


@pytest.mark.slow
def test_a_sample_reaches_the_function(eventful: LambentServer, client: Any) -> None:
    create_function(client, "sampled", {"index.py": SHOWS})
    answer = json.loads(invoked(eventful, "sampled", "--event", "sample:s3", "--with", "bucket=photos").stdout)
    [record] = answer["got"]["Records"]
    assert record["s3"]["bucket"]["name"] == "photos"
    custom = json.loads(invoked(eventful, "sampled", "--event", "sample:cloudformation").stdout)["got"]
    assert custom["ServiceToken"] == client.get_function(FunctionName="sampled")["Configuration"]["FunctionArn"]
    assert json.loads(invoked(eventful, "sampled", "--event", "-", given='{"n": 1}').stdout) == {"got": {"n": 1}}
    run = invoked(eventful, "sampled", "--event", '{"n": 2}', "--tail")
    assert json.loads(run.stdout) == {"got": {"n": 2}}
    assert 'ran {"n": 2}' in run.stderr
    assert "Unhandled" in invoked(eventful, "sampled", "--event", '{"fail": "it"}', status=1).stderr
    request_id = invoked(eventful, "sampled", "--event", '{"n": 3}', "--async").stdout.strip()
    assert len(request_id) == 36
    wait_until(lambda: {"n": 3} in events(eventful, "sampled"), "the queued event ran")
    assert "404" in invoked(eventful, "absent", "--event", "sample:s3", status=1).stderr


@pytest.mark.slow
def test_samples_are_listed_and_printed_without_a_server(eventful: LambentServer, tmp_path: Path) -> None:
    assert "cloudwatch-logs" in invoked(eventful, "--list-samples").stdout
    printed = json.loads(invoked(eventful, "--event", "sample:sqs", "--print-event", "--region", "eu-west-1").stdout)
    assert printed["Records"][0]["awsRegion"] == "eu-west-1"
    assert "did you mean sqs" in invoked(eventful, "--event", "sample:sqss", "--print-event", status=1).stderr
    assert "name a function" in invoked(eventful, status=1).stderr
    file = tmp_path / "event.json"
    file.write_text('{"n": 4}')
    assert json.loads(invoked(eventful, "--event", f"@{file}", "--print-event").stdout) == {"n": 4}
    assert "cannot be read" in invoked(eventful, "--event", f"@{file}.not", "--print-event", status=1).stderr
    assert "samples only" in invoked(eventful, "--print-event", "--with", "a=b", status=1).stderr


def differences(wanted: object, found: object, place: str = "event") -> list[str]:
    """Return where names or types differ, whatever the values; of a list the first counts."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        lone = [f"{place}.{name} is only in one" for name in sorted(wanted.keys() ^ found.keys())]
        both = sorted(wanted.keys() & found.keys())
        return lone + [text for name in both for text in differences(wanted[name], found[name], f"{place}.{name}")]
    if isinstance(wanted, list) and isinstance(found, list):
        return differences(wanted[0], found[0], f"{place}.0") if wanted and found else []
    kinds = ["number" if isinstance(one, int | float) else type(one).__name__ for one in (wanted, found)]
    return [] if kinds[0] == kinds[1] else [f"{place} is {kinds[0]}, found {kinds[1]}"]


def sample(name: str, **told: str) -> Any:
    """Return a sample as a function would get it."""
    given = Given(_ACCOUNT, "us-east-1", "f", int(time.time() * 1_000), {})
    return json.loads(json.dumps(sample_event(name, given, told)))


def mapped(server: LambentServer, name: str, **members: Any) -> Any:
    """Make a function that shows its events and the mapping of a source; return when it polls."""
    client = server.client()
    create_function(client, name, {"index.py": SHOWS})
    made = client.create_event_source_mapping(FunctionName=name, **members)
    wait_until(lambda: client.get_event_source_mapping(UUID=made["UUID"])["State"] == "Enabled", "it is enabled")
    return client


def first(server: LambentServer, name: str) -> Any:
    """Return the first event that a function gets."""
    wait_until(lambda: bool(events(server, name)), "an event came")
    return events(server, name)[0]


@pytest.mark.long
def test_messages_have_the_form_of_the_sample(eventful: LambentServer) -> None:
    sqs = eventful.client("sqs")
    for name, queue, attributes, members in (
        ("sqs", "shape", {}, {}),
        ("sqs-fifo", "shape.fifo", {"FifoQueue": "true", "ContentBasedDeduplication": "true"}, {"MessageGroupId": "g"}),
    ):
        url = sqs.create_queue(QueueName=queue, Attributes=attributes)["QueueUrl"]
        arn = f"arn:aws:sqs:us-east-1:{_ACCOUNT}:{queue}"
        mapped(eventful, f"shape-{name}", EventSourceArn=arn)
        sqs.send_message(QueueUrl=url, MessageBody="hello", **members)
        found = first(eventful, f"shape-{name}")
        # Recorded as null where a message has no attributes, and documented as absent.
        found["Records"][0].setdefault("md5OfMessageAttributes")
        assert differences(sample(name, queue=queue, body="hello"), found) == []
        assert found["Records"][0]["eventSourceARN"] == sample(name, queue=queue)["Records"][0]["eventSourceARN"]


@pytest.mark.long
def test_records_of_streams_have_the_form_of_the_sample(eventful: LambentServer) -> None:
    kinesis = eventful.client("kinesis")
    kinesis.create_stream(StreamName="shape", ShardCount=1)
    kinesis.get_waiter("stream_exists").wait(StreamName="shape")
    arn = kinesis.describe_stream(StreamName="shape")["StreamDescription"]["StreamARN"]
    mapped(eventful, "shape-kinesis", EventSourceArn=arn, StartingPosition="TRIM_HORIZON")
    kinesis.put_record(StreamName="shape", Data=b"hello", PartitionKey="1")
    found = first(eventful, "shape-kinesis")
    assert differences(sample("kinesis", stream="shape", data="hello"), found) == []
    assert found["Records"][0]["eventSourceARN"] == sample("kinesis", stream="shape")["Records"][0]["eventSourceARN"]


@pytest.mark.long
def test_changes_of_a_table_have_the_form_of_the_sample(eventful: LambentServer) -> None:
    dynamodb = eventful.client("dynamodb")
    table = dynamodb.create_table(
        TableName="shape",
        KeySchema=[{"AttributeName": "Id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "Id", "AttributeType": "N"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )["TableDescription"]
    mapped(eventful, "shape-table", EventSourceArn=table["LatestStreamArn"], StartingPosition="TRIM_HORIZON")
    dynamodb.put_item(TableName="shape", Item={"Id": {"N": "101"}, "Message": {"S": "New item!"}})
    found, wanted = first(eventful, "shape-table")["Records"][0], sample("dynamodb", table="shape")["Records"][0]
    assert differences(wanted, found) == []
    assert found["eventSourceARN"].rpartition("/")[0] == wanted["eventSourceARN"].rpartition("/")[0]


@pytest.mark.long
def test_records_of_kafka_have_the_form_of_the_sample(eventful: LambentServer) -> None:
    producer = confluent_kafka.Producer({"test.mock.num.brokers": 1, "log_level": 0})
    (broker,) = producer.list_topics(timeout=10).brokers.values()
    servers = f"127.0.0.1:{str(broker).rpartition(':')[2].partition('/')[0]}"
    producer.produce("shape", b"hello", "key", 0, headers=[("headerKey", b"\x01")])
    assert producer.flush(10) == 0
    mapped(
        eventful,
        "shape-kafka",
        SelfManagedEventSource={"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": [servers]}},
        SourceAccessConfigurations=[{"Type": "VPC_SUBNET", "URI": "subnet:subnet-1"}],
        Topics=["shape"],
        StartingPosition="TRIM_HORIZON",
    )
    assert differences(sample("kafka", topic="shape", servers=servers), first(eventful, "shape-kafka")) == []


@pytest.mark.slow
def test_a_request_to_a_function_url_has_the_form_of_the_sample(eventful: LambentServer, client: Any) -> None:
    create_function(client, "shape-url", {"index.py": SHOWS})
    url = client.create_function_url_config(FunctionName="shape-url", AuthType="NONE")["FunctionUrl"]
    for action in ("lambda:InvokeFunctionUrl", "lambda:InvokeFunction"):
        client.add_permission(
            FunctionName="shape-url",
            StatementId=action.partition(":")[2],
            Action=action,
            Principal="*",
            **({"FunctionUrlAuthType": "NONE"} if action.endswith("Url") else {"InvokedViaFunctionUrl": True}),
        )
    url_id = url.partition("//")[2].partition(".")[0]
    asked = urllib.request.Request(
        f"{eventful.url}/_lambent/v1/function-urls/{url_id}/path?foo=bar",
        b'{"message": "hello"}',
        {"Content-Type": "application/json", "Accept": "*/*"},
        method="POST",
    )
    with urllib.request.urlopen(asked, timeout=30) as answer:
        assert answer.status == 200
    found, wanted = first(eventful, "shape-url"), sample("function-url")
    # What a client sends is the client's affair.
    theirs = found.pop("headers").keys() ^ wanted.pop("headers").keys()
    assert theirs <= {"connection", "accept-encoding", "content-length"}
    assert differences(wanted, found) == []
