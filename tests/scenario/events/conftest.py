"""A server with the embedded services, whose minute is short, and what every test of events looks at."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import ServerFactory
    from tests.running import LambentServer

WAIT_SECONDS = 40.0
# Does what the event says, and prints what it was given.
OBEDIENT = """
import json
def handler(event, context):
    print("ran", json.dumps(event), context.aws_request_id)
    if isinstance(event, dict) and "fail" in event:
        raise ValueError(event["fail"])
    return {"got": event}
"""


@pytest.fixture(scope="module")
def eventful(lambent_server_factory: ServerFactory) -> LambentServer:
    """A server whose minute lasts half a second."""
    return lambent_server_factory({"neighbours.enabled": "true", "async.retry_base_seconds": "0.5"})


@pytest.fixture(scope="module")
def client(eventful: LambentServer) -> Any:
    return eventful.client()


class Mailbox:
    """A queue of the embedded SQS that tests read."""

    def __init__(self, server: LambentServer, name: str) -> None:
        self._sqs = server.client("sqs")
        self.url = self._sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "1"})["QueueUrl"]
        attributes = self._sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])
        self.arn: str = attributes["Attributes"]["QueueArn"]

    def wait(self, seconds: float = WAIT_SECONDS) -> dict[str, Any]:
        """Return the next message, which is taken out."""
        deadline = time.monotonic() + seconds
        while True:
            answer = self._sqs.receive_message(
                QueueUrl=self.url, WaitTimeSeconds=1, AttributeNames=["All"], MessageAttributeNames=["All"]
            )
            for message in answer.get("Messages", []):
                self._sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
                return dict(message)
            assert time.monotonic() < deadline, "no message came"

    def show_again(self) -> None:
        """Return when what somebody received and kept is visible again."""
        wait_until(lambda: not self.is_empty(), "messages are visible again")
        time.sleep(1.1)

    def is_empty(self) -> bool:
        """Whether nothing is there now."""
        return not self._sqs.receive_message(QueueUrl=self.url, WaitTimeSeconds=0).get("Messages")


def send(client: Any, name: str, event: object, **members: Any) -> str:
    """Invoke asynchronously; return the request id."""
    answer = client.invoke(FunctionName=name, InvocationType="Event", Payload=json.dumps(event), **members)
    assert answer["StatusCode"] == 202
    assert answer["Payload"].read() == b""
    assert "ExecutedVersion" not in answer
    request_id: str = answer["ResponseMetadata"]["RequestId"]
    return request_id


def conservation(server: LambentServer, function: str = "") -> dict[str, int]:
    """Return the terms of the equation; the drift is 0 whenever one looks."""
    status, body = server.get("/_lambent/v1/events/conservation" + (f"?function={function}" if function else ""))
    assert status == 200, body
    found: dict[str, int] = json.loads(body)
    assert found["drift"] == 0, found
    return found


def wait_until(is_so: Callable[[], bool], what: str, seconds: float = WAIT_SECONDS) -> None:
    """Return when it has come true."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"did not come true: {what}"
        time.sleep(0.05)


def wait_drained(server: LambentServer, function: str = "") -> dict[str, int]:
    """Return the counts when nothing waits and nothing runs."""
    wait_until(lambda: not _left(conservation(server, function)), "the queue is empty")
    return conservation(server, function)


def _left(counts: dict[str, int]) -> int:
    return counts["queued"] + counts["in_flight"]


def logged(server: LambentServer, function: str) -> list[str]:
    """Return what a function has printed by OBEDIENT, a line for each run."""
    status, body = server.get(f"/_lambent/v1/logs?function={function}")
    assert status == 200, body
    lines = [json.loads(line)["message"] for line in body.decode().splitlines()]
    return [line for line in lines if line.startswith("ran ")]


def metrics(server: LambentServer, function: str) -> dict[str, float]:
    """Return the counts of a function."""
    found: dict[str, float] = json.loads(server.get("/_lambent/v1/metrics")[1])["functions"][function]
    return found
