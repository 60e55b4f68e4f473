"""Mappings of queues that another SQS has: ElasticMQ."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.other_sources import client_of, elasticmq
from tests.running import create_function
from tests.scenario.sources.conftest import RECORDER, events_of, wait_state, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import ServerFactory
    from tests.running import LambentServer

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

COUNT = 1_000
GROUPS = 20


@pytest.fixture(scope="module")
def queues() -> Iterator[str]:
    with elasticmq() as address:
        yield address


@pytest.fixture(scope="module")
def beside(queues: str, lambent_server_factory: ServerFactory) -> LambentServer:
    """A server whose queues are elsewhere."""
    return lambent_server_factory({"neighbours.sqs.endpoint": queues})


def mapped(server: LambentServer, sqs: Any, queue: str, **attributes: str) -> tuple[Any, str]:
    """Create a recorder and a queue with a mapping; return the client and the queue's URL."""
    client, name = server.client(), queue.partition(".")[0]
    create_function(client, name, {"index.py": RECORDER}, Timeout=5)
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    url: str = sqs.create_queue(QueueName=queue, Attributes={"VisibilityTimeout": "30", **attributes})["QueueUrl"]
    arn = f"arn:aws:sqs:us-east-1:000000000000:{queue}"
    made = client.create_event_source_mapping(EventSourceArn=arn, FunctionName=name, BatchSize=10)
    wait_state(client, made["UUID"], "Enabled")
    return client, url


def bodies(client: Any, name: str) -> list[str]:
    """Return what the recorder has got, in order."""
    return [record["body"] for event in events_of(client, name) for record in event["Records"]]


def left(sqs: Any, url: str) -> int:
    """Return how many messages the queue holds, visible or not."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(found[name]) for name in names)


def test_each_message_is_seen_once(queues: str, beside: LambentServer) -> None:
    sqs = client_of("sqs", queues)
    client, url = mapped(beside, sqs, "plain")
    for first in range(0, COUNT, 10):
        entries = [{"Id": str(n), "MessageBody": str(n)} for n in range(first, first + 10)]
        sqs.send_message_batch(QueueUrl=url, Entries=entries)
    wait_until(lambda: left(sqs, url) == 0, 120)
    assert sorted(map(int, wait_until(lambda: bodies(client, "plain")))) == list(range(COUNT))


def test_the_order_of_groups_is_kept(queues: str, beside: LambentServer) -> None:
    sqs = client_of("sqs", queues)
    client, url = mapped(beside, sqs, "ordered.fifo", FifoQueue="true", ContentBasedDeduplication="true")
    for first in range(0, COUNT, 10):
        entries = [
            {"Id": str(n), "MessageBody": f"{n % GROUPS} {n}", "MessageGroupId": str(n % GROUPS)}
            for n in range(first, first + 10)
        ]
        sqs.send_message_batch(QueueUrl=url, Entries=entries)
    wait_until(lambda: left(sqs, url) == 0, 120)
    got = [tuple(map(int, body.split())) for body in wait_until(lambda: bodies(client, "ordered"))]
    assert len(got) == COUNT
    for group in range(GROUPS):
        assert [number for of, number in got if of == group] == list(range(group, COUNT, GROUPS))


def test_a_failed_message_ends_in_the_queues_own_dead_letter_queue(queues: str, beside: LambentServer) -> None:
    sqs = client_of("sqs", queues)
    dead = sqs.create_queue(QueueName="failing-dead")["QueueUrl"]
    policy = json.dumps(
        {"deadLetterTargetArn": "arn:aws:sqs:us-east-1:000000000000:failing-dead", "maxReceiveCount": 2}
    )
    client, url = mapped(beside, sqs, "failing", VisibilityTimeout="5", RedrivePolicy=policy)
    sqs.send_message(QueueUrl=url, MessageBody="fail")
    (message,) = wait_until(lambda: sqs.receive_message(QueueUrl=dead, WaitTimeSeconds=1).get("Messages"), 60)
    assert message["Body"] == "fail"
    assert wait_until(lambda: bodies(client, "failing")) == ["fail", "fail"]
