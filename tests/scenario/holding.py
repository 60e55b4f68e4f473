"""Invocations that a test holds open, and throttles that it expects."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future, ThreadPoolExecutor

WAIT_SECONDS = 30.0
RESERVED_REASON = "ReservedFunctionConcurrentInvocationLimitExceeded"
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
