"""Concurrency through the public API: reservations are caps and guarantees, throttles have AWS's form."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.running import create_function, invoke

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future

    from tests.conftest import ServerFactory
    from tests.running import LambentServer

pytestmark = pytest.mark.slow

WAIT_SECONDS = 30.0
# Says that it has begun by a tag of its function, and ends when another tag tells it to.
HELD = """
import boto3, os, time
client = boto3.client("lambda")
def handler(event, context):
    arn = context.invoked_function_arn.split(":")
    arn = ":".join(arn[:7])
    if event.get("held"):
        client.tag_resource(Resource=arn, Tags={event["held"]: "begun"})
        while client.list_tags(Resource=arn)["Tags"].get(event["held"]) != "end":
            time.sleep(0.02)
    return os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"]
"""
RESERVED_REASON = "ReservedFunctionConcurrentInvocationLimitExceeded"


@pytest.fixture(scope="module")
def server(lambent_server_factory: ServerFactory) -> LambentServer:
    return lambent_server_factory({"quotas.concurrent_executions": "103"})


@pytest.fixture(scope="module")
def client(server: LambentServer) -> Any:
    return server.client()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as executor:
        yield executor


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not is_so():
        assert time.monotonic() < deadline, "did not come true"
        time.sleep(0.05)


class Hold:
    """An invocation that runs until told."""

    def __init__(
        self, client: Any, threads: ThreadPoolExecutor, name: str, tag: str, qualifier: str = "$LATEST"
    ) -> None:
        self._client, self._tag = client, tag
        self._arn = client.get_function_configuration(FunctionName=name)["FunctionArn"]
        request = {"FunctionName": name, "Qualifier": qualifier, "Payload": json.dumps({"held": tag})}
        self.answer: Future[Any] = threads.submit(lambda: client.invoke(**request))
        wait_until(lambda: self._tags().get(tag) == "begun")

    def end(self) -> Any:
        self._client.tag_resource(Resource=self._arn, Tags={self._tag: "end"})
        answer = self.answer.result(WAIT_SECONDS)
        self._client.untag_resource(Resource=self._arn, TagKeys=[self._tag])
        assert "FunctionError" not in answer
        return json.loads(answer["Payload"].read())

    def _tags(self) -> dict[str, str]:
        return dict(self._client.list_tags(Resource=self._arn)["Tags"])


def throttle(client: Any, name: str, qualifier: str = "$LATEST") -> dict[str, Any]:
    """Return the answer of an invocation that must be throttled."""
    with pytest.raises(ClientError) as refused:
        client.invoke(FunctionName=name, Qualifier=qualifier)
    return dict(refused.value.response)


def test_reservations_are_caps_and_guarantees(client: Any, threads: ThreadPoolExecutor) -> None:
    for name in ("one", "two", "rest"):
        create_function(client, name, {"index.py": HELD}, Timeout=60, MemorySize=256)
    for name in ("one", "two"):
        client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    with pytest.raises(ClientError) as refused:
        client.put_function_concurrency(FunctionName="rest", ReservedConcurrentExecutions=2)
    assert refused.value.response["Error"] == {
        "Code": "InvalidParameterValueException",
        "Message": "Specified ReservedConcurrentExecutions for function decreases account's "
        "UnreservedConcurrentExecution below its minimum value of [100].",
    }
    limits = client.get_account_settings()["AccountLimit"]
    assert (limits["ConcurrentExecutions"], limits["UnreservedConcurrentExecutions"]) == (103, 101)

    held = [Hold(client, threads, name, "h") for name in ("one", "two")]
    for name in ("one", "two"):
        answer = throttle(client, name)
        assert answer["Error"] == {"Code": "TooManyRequestsException", "Message": "Rate Exceeded."}
        assert (answer["Reason"], answer["Type"], answer["message"]) == (RESERVED_REASON, "User", "Rate Exceeded.")
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 429
        assert "retryAfterSeconds" not in answer
    assert invoke(client, "rest", {}) == "on-demand"
    for hold in held:
        hold.end()
    # One after the other, each as soon as the answer is there, none is throttled.
    assert [invoke(client, "one", {}) for _ in range(20)] == ["on-demand"] * 20


def test_zero_stops_a_function(client: Any) -> None:
    create_function(client, "stopped", {"index.py": HELD})
    client.put_function_concurrency(FunctionName="stopped", ReservedConcurrentExecutions=0)
    assert throttle(client, "stopped")["Reason"] == RESERVED_REASON
    client.delete_function_concurrency(FunctionName="stopped")
    assert invoke(client, "stopped", {}) == "on-demand"
