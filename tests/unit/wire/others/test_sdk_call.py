"""Requests of any service's operations, made by their descriptions."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs

import pytest

from lambent.wire.others.sdk_call import UnknownOperationError, serialized


def test_json_protocols() -> None:
    made = serialized("sqs", "sendMessage", {"QueueUrl": "http://q", "MessageBody": "hi"})
    assert (made.asked, made.method, made.path) == ("sqs", "POST", "/")
    assert made.headers["x-amz-target"] == "AmazonSQS.SendMessage"
    assert json.loads(made.body) == {"QueueUrl": "http://q", "MessageBody": "hi"}
    made = serialized("sfn", "startExecution", {"stateMachineArn": "arn:aws:states:a", "input": "{}"})
    assert made.asked == "stepfunctions"
    assert made.headers["x-amz-target"] == "AWSStepFunctions.StartExecution"


def test_query_protocols() -> None:
    made = serialized("sns", "publish", {"TopicArn": "arn", "Message": "a b"})
    assert made.headers["content-type"].startswith("application/x-www-form-urlencoded")
    assert parse_qs(made.body.decode())["Message"] == ["a b"]
    made = serialized("ec2", "stopInstances", {"InstanceIds": ["i-1", "i-2"]})
    assert parse_qs(made.body.decode())["InstanceId.2"] == ["i-2"]


def test_rest_protocols() -> None:
    made = serialized("lambda", "updateFunctionConfiguration", {"FunctionName": "f", "Timeout": 9})
    assert (made.method, made.path) == ("PUT", "/2015-03-31/functions/f/configuration")
    assert json.loads(made.body) == {"Timeout": 9}
    made = serialized("s3", "deleteObject", {"Bucket": "b", "Key": "a/b c", "VersionId": "v"})
    assert (made.method, made.path, made.query) == ("DELETE", "/b/a/b%20c", "versionId=v")


@pytest.mark.parametrize(
    ("service", "action", "parameters"),
    [
        ("nothing", "doIt", {}),
        ("sqs", "doIt", {}),
        ("sqs", "sendMessage", {}),
        ("sqs", "sendMessage", {"QueueUrl": 5, "MessageBody": "hi"}),
        ("sqs", "sendMessage", {"QueueUrl": "http://q", "MessageBody": "hi", "Nothing": 1}),
    ],
)
def test_what_is_no_operation(service: str, action: str, parameters: dict[str, Any]) -> None:
    with pytest.raises(UnknownOperationError):
        serialized(service, action, parameters)
