"""A server with the embedded services, functions that print what they are given, and what was printed."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.running import create_function

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import ServerFactory
    from tests.running import LambentServer

ACCOUNT = "000000000000"
REGION = "us-east-1"
WAIT_SECONDS = 40.0
# Prints its event, and how it was called; does what a member of the event says.
PRINTING = """
import json
def handler(event, context):
    print("got", json.dumps([event, context.invoked_function_arn]))
    return event
"""


@pytest.fixture(scope="module")
def triggered(lambent_server_factory: ServerFactory) -> LambentServer:
    """A server of the module's own whose functions are plain processes."""
    return lambent_server_factory(
        {"neighbours.enabled": "true", "isolation.level": "L0", "async.retry_base_seconds": "0.5"}
    )


def function_arn(name: str) -> str:
    """Return the ARN of a function of the default account."""
    return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"


def printing(server: LambentServer, name: str, code: str = PRINTING, **members: Any) -> str:
    """Create a function that prints its events; return its ARN."""
    arn: str = create_function(server.client(), name, {"index.py": code}, **members)["FunctionArn"]
    return arn


def permit(server: LambentServer, function: str, service: str, source_arn: str = "", **members: Any) -> None:
    """Add the statement that lets a service call a function."""
    condition = {"SourceArn": source_arn} if source_arn else {}
    server.client().add_permission(
        FunctionName=function, StatementId=service.partition(".")[0], Action="lambda:InvokeFunction", Principal=service,
        **condition, **members,
    )  # fmt: skip


def calls(server: LambentServer, function: str) -> list[tuple[Any, str]]:
    """Return the events that a function has printed, each with the ARN it was called by."""
    status, body = server.get(f"/_lambent/v1/logs?function={function}")
    if status != 200:
        return []
    lines = [json.loads(line)["message"] for line in body.decode().splitlines()]
    found = [json.loads(line.removeprefix("got ")) for line in lines if line.startswith("got ")]
    return [(event, arn) for event, arn in found]


def events_of(server: LambentServer, function: str, count: int = 1) -> list[Any]:
    """Return the events of a function when there are so many."""
    wait_until(lambda: len(calls(server, function)) >= count, f"{count} calls of {function}")
    return [event for event, _ in calls(server, function)]


def wait_until(is_so: Callable[[], object], what: str, seconds: float = WAIT_SECONDS) -> None:
    """Return when it has come true."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"did not come true: {what}"
        time.sleep(0.05)


def refusals(server: LambentServer) -> list[dict[str, Any]]:
    """Return the calls that were refused for want of a permission."""
    status, body = server.get("/_lambent/v1/triggers/refusals")
    assert status == 200, body
    found: list[dict[str, Any]] = json.loads(body)["refusals"]
    return found


def queue_of(server: LambentServer, name: str) -> tuple[str, str]:
    """Create a queue; return its URL and ARN."""
    sqs = server.client("sqs")
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    return url, sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


def wait_message(server: LambentServer, url: str) -> dict[str, Any]:
    """Return the next message of a queue."""
    sqs = server.client("sqs")
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        answer = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1, MessageAttributeNames=["All"])
        for message in answer.get("Messages", []):
            return dict(message)
        assert time.monotonic() < deadline, "no message came"
