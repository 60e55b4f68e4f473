"""Buckets, topics and rules call functions of other accounts, if these let them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.running import create_function
from tests.scenario.triggers.conftest import PRINTING, REGION, queue_of, wait_message, wait_until

if TYPE_CHECKING:
    from tests.running import LambentServer

pytestmark = pytest.mark.slow

_OTHER = "222233334444"
_OURS = "000000000000"


def _function(server: LambentServer, name: str) -> str:
    """Create a function of the other account; return its ARN."""
    client = server.client(access_key=_OTHER)
    made = create_function(client, name, {"index.py": PRINTING}, Role=f"arn:aws:iam::{_OTHER}:role/r")
    arn: str = made["FunctionArn"]
    assert f":{_OTHER}:" in arn
    return arn


def _permit(server: LambentServer, name: str, service: str, source: str, **members: str) -> None:
    server.client(access_key=_OTHER).add_permission(
        FunctionName=name, StatementId="s", Action="lambda:InvokeFunction", Principal=service, SourceArn=source,
        **members,
    )  # fmt: skip


def _wait_line(server: LambentServer, name: str, text: str) -> None:
    logs = server.client("logs", access_key=_OTHER)

    def lines() -> str:
        try:
            return str(logs.filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"])
        except logs.exceptions.ResourceNotFoundException:
            return ""

    wait_until(lambda: text in lines(), f"{text} in the other account's log")


def test_a_bucket(triggered: LambentServer) -> None:
    function, s3 = _function(triggered, "of-bucket"), triggered.client("s3")
    s3.create_bucket(Bucket="theirs")
    configuration: Any = {
        "LambdaFunctionConfigurations": [{"LambdaFunctionArn": function, "Events": ["s3:ObjectCreated:*"]}]
    }
    with pytest.raises(ClientError, match="Unable to validate the following destination configurations"):
        s3.put_bucket_notification_configuration(Bucket="theirs", NotificationConfiguration=configuration)
    _permit(triggered, "of-bucket", "s3.amazonaws.com", "arn:aws:s3:::theirs", SourceAccount=_OURS)
    s3.put_bucket_notification_configuration(Bucket="theirs", NotificationConfiguration=configuration)
    s3.put_object(Bucket="theirs", Key="across", Body=b"1")
    _wait_line(triggered, "of-bucket", "across")


def test_a_topic(triggered: LambentServer) -> None:
    function, sns = _function(triggered, "of-topic"), triggered.client("sns")
    topic = sns.create_topic(Name="theirs")["TopicArn"]
    _permit(triggered, "of-topic", "sns.amazonaws.com", topic)
    sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=function)
    sns.publish(TopicArn=topic, Message="across accounts")
    _wait_line(triggered, "of-topic", "across accounts")


def test_a_rule(triggered: LambentServer) -> None:
    function, events = _function(triggered, "of-rule"), triggered.client("events")
    url, queue = queue_of(triggered, "of-rule-dead")
    rule = events.put_rule(Name="theirs", EventPattern='{"source":["across"]}')["RuleArn"]
    target = {"Id": "1", "Arn": function, "DeadLetterConfig": {"Arn": queue}}
    assert events.put_targets(Rule="theirs", Targets=[target])["FailedEntryCount"] == 0
    entry = {"Source": "across", "DetailType": "d", "Detail": '{"n": 1}'}
    events.put_events(Entries=[entry])
    message = wait_message(triggered, url)
    triggered.client("sqs").delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    assert message["MessageAttributes"]["ERROR_CODE"]["StringValue"] == "NO_PERMISSIONS"
    _permit(triggered, "of-rule", "events.amazonaws.com", rule)
    events.put_events(Entries=[{**entry, "Detail": json.dumps({"said": "permitted now"})}])
    _wait_line(triggered, "of-rule", "permitted now")
    missing = f"arn:aws:lambda:{REGION}:{_OTHER}:function:nowhere"
    events.put_targets(Rule="theirs", Targets=[{**target, "Arn": missing}])
    events.put_events(Entries=[entry])
    message = wait_message(triggered, url)
    said = {name: one["StringValue"] for name, one in message["MessageAttributes"].items()}
    assert (said["ERROR_CODE"], said["TARGET_ARN"]) == ("RESOURCE_NOT_FOUND", missing)
