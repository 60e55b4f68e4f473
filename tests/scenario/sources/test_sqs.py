"""SQS queues as event sources, standard and FIFO, through the public APIs of both."""

from __future__ import annotations

import hashlib
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from tests.running import create_function
from tests.scenario.sources.conftest import RECORDER, events_of, wait_state, wait_until

if TYPE_CHECKING:
    from tests.running import LambentServer

pytestmark = pytest.mark.long


class Scene:
    """A recorder function, a queue, and a mapping between them."""

    def __init__(
        self, server: LambentServer, name: str, *, code: str = RECORDER, is_fifo: bool = False, visibility: int = 2
    ) -> None:
        self.client = server.client()
        self.sqs = server.client("sqs")
        self.name = name
        create_function(self.client, name, {"index.py": code}, Timeout=2)
        self.client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
        attributes = {"VisibilityTimeout": str(visibility)}
        if is_fifo:
            attributes |= {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
        queue = f"{name}.fifo" if is_fifo else name
        self.url = self.sqs.create_queue(QueueName=queue, Attributes=attributes)["QueueUrl"]
        asked = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])
        self.arn = asked["Attributes"]["QueueArn"]

    def map(self, **members: Any) -> dict[str, Any]:
        """Create the mapping and return it once it is Enabled."""
        made = self.client.create_event_source_mapping(EventSourceArn=self.arn, FunctionName=self.name, **members)
        assert made["State"] == "Creating"
        return wait_state(self.client, made["UUID"], "Enabled")

    def send(self, body: str, **members: Any) -> str:
        """Send a message; return its id."""
        message_id: str = self.sqs.send_message(QueueUrl=self.url, MessageBody=body, **members)["MessageId"]
        return message_id

    def bodies(self) -> list[str]:
        """Return the bodies that the function has got, in order."""
        return [record["body"] for event in events_of(self.client, self.name) for record in event["Records"]]

    def left(self) -> int:
        """Return how many messages the queue holds, visible or not."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)["Attributes"]
        return sum(int(found[name]) for name in names)


def test_a_message_becomes_the_recorded_event(server: LambentServer) -> None:
    scene = Scene(server, "sqs-event")
    scene.map()
    message_id = scene.send(
        "hallo",
        MessageAttributes={"colour": {"DataType": "String", "StringValue": "red"}},
        MessageSystemAttributes={
            "AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-5759e988-bd862e3fe1be46a994272793"}
        },
    )
    (event,) = wait_until(lambda: events_of(scene.client, scene.name))
    (record,) = event["Records"]
    assert set(record) == {
        "messageId", "receiptHandle", "body", "attributes", "messageAttributes", "md5OfMessageAttributes", "md5OfBody",
        "eventSource", "eventSourceARN", "awsRegion",
    }  # fmt: skip
    assert (record["messageId"], record["body"]) == (message_id, "hallo")
    assert (record["eventSource"], record["eventSourceARN"]) == ("aws:sqs", scene.arn)
    assert record["md5OfBody"] == hashlib.md5(b"hallo").hexdigest()
    assert record["messageAttributes"] == {
        "colour": {"stringValue": "red", "stringListValues": [], "binaryListValues": [], "dataType": "String"}
    }
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    assert {"SentTimestamp", "SenderId", "ApproximateFirstReceiveTimestamp"} <= set(record["attributes"])
    wait_until(lambda: scene.left() == 0)


def test_a_failed_message_comes_again_and_ends_in_the_queues_own_dead_letter_queue(server: LambentServer) -> None:
    scene = Scene(server, "sqs-redrive")
    dead = scene.sqs.create_queue(QueueName="sqs-redrive-dead")["QueueUrl"]
    arn = scene.sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 2})
    scene.sqs.set_queue_attributes(QueueUrl=scene.url, Attributes={"RedrivePolicy": policy})
    scene.map()
    scene.send("fail")

    def buried() -> Any:
        return scene.sqs.receive_message(QueueUrl=dead, WaitTimeSeconds=1).get("Messages")

    (message,) = wait_until(buried, 40)
    assert message["Body"] == "fail"
    wait_until(lambda: scene.bodies() == ["fail", "fail"])


def test_filters(server: LambentServer) -> None:
    scene = Scene(server, "sqs-filters")
    pattern = json.dumps({"body": {"kind": ["wanted"], "price": [{"numeric": [">", 3]}]}})
    scene.map(FilterCriteria={"Filters": [{"Pattern": pattern}]}, BatchSize=10)
    for body in ('{"kind": "other", "price": 9}', "no json", '{"kind": "wanted", "price": 1}'):
        scene.send(body)
    scene.send('{"kind": "wanted", "price": 5}')
    wait_until(lambda: scene.left() == 0)
    wait_until(lambda: scene.bodies() == ['{"kind": "wanted", "price": 5}'])


PARTIAL = """
import json

KEPT = []


def handler(event, context):
    if "Records" not in event:
        return KEPT
    KEPT.append([record["body"] for record in event["Records"]])
    failed = [r["messageId"] for r in event["Records"] if r["body"] == "bad" and len(KEPT) == 1]
    return {"batchItemFailures": [{"itemIdentifier": one} for one in failed]}
"""


SLEEPER = """
import time


def handler(event, context):
    print("it has begun")
    time.sleep(float(event["Records"][0]["body"]))
"""


def test_of_a_batch_only_the_failed_messages_come_again(server: LambentServer) -> None:
    scene = Scene(server, "sqs-partial", code=PARTIAL)
    for body in ("good", "bad", "fine"):
        scene.send(body)
    scene.map(BatchSize=20, MaximumBatchingWindowInSeconds=2, FunctionResponseTypes=["ReportBatchItemFailures"])
    wait_until(lambda: scene.left() == 0)
    batches: list[Any] = list(events_of(scene.client, scene.name))
    assert sorted(batches[0]) == ["bad", "fine", "good"]
    assert batches[1:] == [["bad"]]


def test_batches_close_by_size(server: LambentServer) -> None:
    scene = Scene(server, "sqs-sizes", visibility=30)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: scene.send(str(number)), range(45)))
    scene.map(BatchSize=20, MaximumBatchingWindowInSeconds=3, ScalingConfig={"MaximumConcurrency": 2})
    wait_until(lambda: scene.left() == 0)
    assert sorted(map(int, scene.bodies())) == list(range(45))
    assert max(len(event["Records"]) for event in events_of(scene.client, scene.name)) <= 20


def test_fifo_keeps_the_order_of_each_group(server: LambentServer) -> None:
    scene = Scene(server, "sqs-fifo", is_fifo=True, visibility=3)
    scene.map(BatchSize=3)
    sent = [(number, f"g{number % 3}") for number in range(18)]
    for number, group in sent:
        scene.send(f"{group} {number}", MessageGroupId=group)
    wait_until(lambda: scene.left() == 0)
    got = [body.split() for body in scene.bodies()]
    for group in ("g0", "g1", "g2"):
        assert [int(number) for name, number in got if name == group] == [n for n, name in sent if name == group]


def test_a_throttle_uses_up_no_receive(server: LambentServer) -> None:
    scene = Scene(server, "sqs-throttled")
    scene.client.put_function_concurrency(FunctionName=scene.name, ReservedConcurrentExecutions=0)
    scene.map()
    scene.send("waits")
    wait_until(lambda: scene.sqs.get_queue_attributes(
        QueueUrl=scene.url, AttributeNames=["ApproximateNumberOfMessagesNotVisible"]
    )["Attributes"]["ApproximateNumberOfMessagesNotVisible"] == "1")  # fmt: skip
    time.sleep(3)  # Longer than the queue's visibility time-out.
    scene.client.put_function_concurrency(FunctionName=scene.name, ReservedConcurrentExecutions=1)
    (event,) = wait_until(lambda: events_of(scene.client, scene.name))
    assert event["Records"][0]["attributes"]["ApproximateReceiveCount"] == "1"


def refusal(client: Any, **members: Any) -> str:
    """Return the text with which a mapping is refused."""
    with pytest.raises(client.exceptions.InvalidParameterValueException) as refused:
        client.create_event_source_mapping(**members)
    return str(refused.value.response["Error"]["Message"])


def test_a_queue_must_be_there_and_hide_messages_long_enough(server: LambentServer) -> None:
    scene = Scene(server, "sqs-refused", visibility=1)
    assert refusal(scene.client, EventSourceArn=scene.arn, FunctionName=scene.name) == (
        "Queue visibility timeout: 1 seconds is less than Function timeout: 2 seconds"
    )
    text = refusal(scene.client, EventSourceArn=scene.arn.replace("sqs-refused", "nobody"), FunctionName=scene.name)
    assert text.startswith(
        "Error occurred while ReceiveMessage. SQS Error Code: AWS.SimpleQueueService.NonExistentQueue. "
        "SQS Error Message: The specified queue does not exist"
    )
    for arn in (
        "arn:aws:kinesis:us-east-1:000000000000:stream/nobody",
        "arn:aws:dynamodb:us-east-1:000000000000:table/nobody/stream/2025-02-22T03:03:25.490",
    ):
        text = refusal(scene.client, EventSourceArn=arn, FunctionName=scene.name, StartingPosition="LATEST")
        assert text == f"Stream not found: {arn}"


def test_disabled_enabled_deleted(server: LambentServer) -> None:
    scene = Scene(server, "sqs-states")
    mapping_id = scene.map()["UUID"]
    assert scene.client.update_event_source_mapping(UUID=mapping_id, Enabled=False)["State"] == "Disabling"
    wait_state(scene.client, mapping_id, "Disabled")
    scene.send("later")
    time.sleep(1.5)
    assert events_of(scene.client, scene.name) == []
    assert scene.client.update_event_source_mapping(UUID=mapping_id, Enabled=True)["State"] == "Enabling"
    wait_state(scene.client, mapping_id, "Enabled")
    wait_until(lambda: scene.bodies() == ["later"])
    assert scene.client.delete_event_source_mapping(UUID=mapping_id)["State"] == "Deleting"
    with pytest.raises(scene.client.exceptions.ResourceNotFoundException):
        scene.client.get_event_source_mapping(UUID=mapping_id)


def test_after_a_crash_mappings_are_polled_again(lambent_server_factory: Any) -> None:
    server: LambentServer = lambent_server_factory({"neighbours.enabled": "true"})
    scene = Scene(server, "sqs-crash")
    mapping_id = scene.map()["UUID"]
    server.kill()
    server.start()
    scene.client, scene.sqs = server.client(), server.client("sqs")
    wait_state(scene.client, mapping_id, "Enabled")
    scene.send("after")
    wait_until(lambda: scene.bodies() == ["after"])


def test_a_batch_under_way_is_settled_before_the_server_ends(lambent_server_factory: Any) -> None:
    server: LambentServer = lambent_server_factory({"neighbours.enabled": "true"})
    scene = Scene(server, "sqs-stop", code=SLEEPER, visibility=20)
    scene.client.update_function_configuration(FunctionName=scene.name, Timeout=20)
    scene.client.get_waiter("function_updated_v2").wait(FunctionName=scene.name, WaiterConfig={"Delay": 1})
    mapping_id = scene.map(BatchSize=1)["UUID"]
    scene.send("3")
    wait_until(lambda: b"it has begun" in server.get("/_lambent/v1/logs?function=sqs-stop")[1])
    server.stop()
    server.start()
    scene.client, scene.sqs = server.client(), server.client("sqs")
    assert scene.left() == 0
    wait_state(scene.client, mapping_id, "Enabled")


def test_a_disabled_mapping_does_not_wait_for_its_last_request(server: LambentServer) -> None:
    scene = Scene(server, "sqs-quick", visibility=30)
    mapping_id = scene.map()["UUID"]
    # By now the mapping asks for longer and longer; the requests that nobody waits for any more take nothing.
    time.sleep(6)
    scene.client.update_event_source_mapping(UUID=mapping_id, Enabled=False)
    wait_state(scene.client, mapping_id, "Disabled")
    scene.send("stays")
    (message,) = scene.sqs.receive_message(QueueUrl=scene.url, WaitTimeSeconds=1, AttributeNames=["All"])["Messages"]
    assert (message["Body"], message["Attributes"]["ApproximateReceiveCount"]) == ("stays", "1")
