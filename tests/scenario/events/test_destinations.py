"""Every kind of destination, and destinations that do not answer or never will."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.running import create_function
from tests.scenario.events.conftest import OBEDIENT, Mailbox, logged, metrics, send, wait_drained, wait_until

if TYPE_CHECKING:
    from tests.conftest import ServerFactory
    from tests.running import LambentServer

pytestmark = pytest.mark.slow


def made(client: Any, name: str, success: str | None = None, failure: str | None = None) -> None:
    """Create a function without retries whose events are told."""
    create_function(client, name, {"index.py": OBEDIENT})
    config = {kind: {"Destination": arn} for kind, arn in (("OnSuccess", success), ("OnFailure", failure)) if arn}
    client.put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=0, DestinationConfig=config)


def test_a_topic(eventful: LambentServer, client: Any) -> None:
    sns, box = eventful.client("sns"), Mailbox(eventful, "subscribed")
    topic = sns.create_topic(Name="records")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=box.arn, Attributes={"RawMessageDelivery": "true"})
    made(client, "to-topic", success=topic)
    send(client, "to-topic", {"n": 1})
    record = json.loads(box.wait()["Body"])
    assert (record["requestContext"]["condition"], record["responsePayload"]) == ("Success", {"got": {"n": 1}})


def test_a_topic_for_dead_letters(eventful: LambentServer, client: Any) -> None:
    sns, box = eventful.client("sns"), Mailbox(eventful, "letters-by-topic")
    topic = sns.create_topic(Name="letters")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=box.arn)
    create_function(client, "topic-dies", {"index.py": OBEDIENT}, DeadLetterConfig={"TargetArn": topic})
    client.put_function_event_invoke_config(FunctionName="topic-dies", MaximumRetryAttempts=0)
    request_id = send(client, "topic-dies", {"fail": "no"})
    told = json.loads(box.wait()["Body"])
    assert json.loads(told["Message"]) == {"fail": "no"}
    assert told["MessageAttributes"] == {
        "RequestID": {"Type": "String", "Value": request_id},
        "ErrorCode": {"Type": "Number", "Value": "200"},
        "ErrorMessage": {"Type": "String", "Value": "no"},
    }


def test_a_bus(eventful: LambentServer, client: Any) -> None:
    events, box = eventful.client("events"), Mailbox(eventful, "from-bus")
    bus = events.create_event_bus(Name="results")["EventBusArn"]
    events.put_rule(Name="all", EventBusName="results", EventPattern='{"source": ["lambda"]}')
    events.put_targets(Rule="all", EventBusName="results", Targets=[{"Id": "1", "Arn": box.arn}])
    made(client, "to-bus", success=bus, failure=bus)
    arn = client.get_function(FunctionName="to-bus")["Configuration"]["FunctionArn"]
    for event, kind in (({"n": 1}, "Success"), ({"fail": "no"}, "Failure")):
        send(client, "to-bus", event)
        told = json.loads(box.wait()["Body"])
        assert (told["source"], told["detail-type"]) == ("lambda", f"Lambda Function Invocation Result - {kind}")
        assert told["resources"] == [bus, f"{arn}:$LATEST"]
        assert told["detail"]["requestPayload"] == event


def test_a_bucket(eventful: LambentServer, client: Any) -> None:
    s3 = eventful.client("s3")
    s3.create_bucket(Bucket="failures")
    made(client, "to-bucket", failure="arn:aws:s3:::failures")
    request_id = send(client, "to-bucket", {"fail": "y" * 900_000})
    wait_drained(eventful, "to-bucket")
    [found] = s3.list_objects_v2(Bucket="failures")["Contents"]
    name = r"aws/lambda/async/to-bucket/\d{4}/\d\d/\d\d/\d{4}-\d\d-\d\dT\d\d\.\d\d\.\d\d-[0-9a-f-]{36}"
    assert re.fullmatch(name, found["Key"])
    stored = s3.get_object(Bucket="failures", Key=found["Key"])
    record = json.loads(stored["Body"].read())
    assert record["requestContext"]["requestId"] == request_id
    assert len(record["requestPayload"]["fail"]) == 900_000


def test_a_function(eventful: LambentServer, client: Any) -> None:
    arn = create_function(client, "told", {"index.py": OBEDIENT})["FunctionArn"]
    made(client, "to-function", success=arn)
    request_id = send(client, "to-function", 5)
    wait_until(lambda: len(logged(eventful, "told")) == 1, "the destination ran")
    [line] = logged(eventful, "told")
    record = json.loads(line.removeprefix("ran ").rpartition(" ")[0])
    assert record["requestContext"]["requestId"] == request_id
    assert line.rpartition(" ")[2] != request_id
    assert wait_drained(eventful, "told")["succeeded"] == 1


def test_a_destination_that_never_takes_it_is_counted_and_given_up(eventful: LambentServer, client: Any) -> None:
    fifo = eventful.client("sqs").create_queue(QueueName="ordered.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    assert fifo
    gone = "arn:aws:sqs:us-east-1:000000000000:nobody-made-it"
    for name, arn in (("to-fifo", "arn:aws:sqs:us-east-1:000000000000:ordered.fifo"), ("to-nobody", gone)):
        made(client, name, success=arn, failure=arn)
        send(client, name, {"n": 1})
        send(client, name, {"fail": "no"})
        counts = wait_drained(eventful, name)
        assert (counts["succeeded"], counts["dropped"], counts["dead_lettered"]) == (1, 1, 0)
        assert metrics(eventful, name)["destination_delivery_failures"] == 2
    create_function(client, "no-letters", {"index.py": OBEDIENT}, DeadLetterConfig={"TargetArn": gone})
    client.put_function_event_invoke_config(FunctionName="no-letters", MaximumRetryAttempts=0)
    send(client, "no-letters", {"fail": "no"})
    assert wait_drained(eventful, "no-letters")["dropped"] == 1
    assert metrics(eventful, "no-letters")["dead_letter_errors"] == 1


def test_a_destination_that_is_away_is_tried_again_and_the_function_is_not(
    lambent_server_factory: ServerFactory, eventful: LambentServer
) -> None:
    """The queue's service is another server that starts later; the one with the function is killed meanwhile."""
    settings = {
        "async.retry_base_seconds": "0.2",
        "neighbours.sqs.endpoint": "http://127.0.0.1:1",
        "encryption.at_rest": "true",
    }
    server = lambent_server_factory(settings)
    client = server.client()
    box = Mailbox(eventful, "patient")
    made(client, "patient", success=box.arn)
    send(client, "patient", {"secret": "pl4nted-secret"})
    wait_until(lambda: metrics(server, "patient")["destination_delivery_failures"] >= 2, "it was tried twice")
    assert logged(server, "patient") == logged(server, "patient")[:1] != []
    stored = b"".join(path.read_bytes() for path in server.data_dir.glob("events.db*"))
    assert b"pl4nted-secret" not in stored
    assert b"patient" in stored
    server.kill()
    server.settings["neighbours.sqs.endpoint"] = eventful.url
    server.start()
    record = json.loads(box.wait()["Body"])
    assert record["requestPayload"] == {"secret": "pl4nted-secret"}
    assert record["responsePayload"] == {"got": {"secret": "pl4nted-secret"}}
    counts = wait_drained(server, "patient")
    assert (counts["received"], counts["succeeded"]) == (1, 1)
    assert len(logged(server, "patient")) == 1
