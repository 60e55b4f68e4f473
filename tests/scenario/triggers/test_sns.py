"""Messages of topics call functions."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.running import clean_environment
from tests.scenario.triggers.conftest import (
    ACCOUNT,
    REGION,
    calls,
    events_of,
    permit,
    printing,
    queue_of,
    refusals,
    wait_message,
)

if TYPE_CHECKING:
    from tests.running import LambentServer

pytestmark = pytest.mark.slow


def _topic(server: LambentServer, name: str, **attributes: str) -> tuple[Any, str, str]:
    """Create a topic with a function of the same name; return a client, the topic's ARN, the subscription's."""
    sns = server.client("sns")
    function = printing(server, name)
    topic = sns.create_topic(Name=name)["TopicArn"]
    permit(server, name, "sns.amazonaws.com", topic)
    subscription = sns.subscribe(
        TopicArn=topic, Protocol="lambda", Endpoint=function, Attributes=attributes, ReturnSubscriptionArn=True
    )
    return sns, topic, subscription["SubscriptionArn"]


def test_a_message_calls_a_function(triggered: LambentServer) -> None:
    sns, topic, subscription = _topic(triggered, "told")
    answer = sns.publish(
        TopicArn=topic, Message="Hello world.", Subject="A subject",
        MessageAttributes={
            "kind": {"DataType": "String", "StringValue": "greeting"},
            "number": {"DataType": "Number", "StringValue": "7"},
        },
    )  # fmt: skip
    [event] = events_of(triggered, "told")
    [record] = event["Records"]
    assert set(record) == {"EventSource", "EventVersion", "EventSubscriptionArn", "Sns"}
    assert (record["EventSource"], record["EventVersion"]) == ("aws:sns", "1.0")
    assert record["EventSubscriptionArn"] == subscription
    told = record["Sns"]
    # Recorded: test_python_lambda_subscribe_sns_topic.
    assert set(told) == {
        "Message", "MessageAttributes", "MessageId", "Signature", "SignatureVersion", "SigningCertUrl", "Subject",
        "Timestamp", "TopicArn", "Type", "UnsubscribeUrl",
    }  # fmt: skip
    assert (told["Message"], told["Subject"], told["Type"]) == ("Hello world.", "A subject", "Notification")
    assert (told["MessageId"], told["TopicArn"]) == (answer["MessageId"], topic)
    assert told["MessageAttributes"] == {
        "kind": {"Type": "String", "Value": "greeting"}, "number": {"Type": "Number", "Value": "7"}
    }  # fmt: skip
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", told["Timestamp"])
    assert told["UnsubscribeUrl"].endswith(f"?Action=Unsubscribe&SubscriptionArn={subscription}")


def test_without_subject_and_attributes(triggered: LambentServer) -> None:
    sns, topic, _ = _topic(triggered, "bare")
    sns.publish(TopicArn=topic, Message="x")
    [event] = events_of(triggered, "bare")
    told = event["Records"][0]["Sns"]
    assert (told["Subject"], told["MessageAttributes"]) == (None, {})


def test_filter_policies_choose(triggered: LambentServer) -> None:
    policy = {
        "kind": ["order", {"prefix": "re"}], "amount": [{"numeric": [">", 10, "<=", 100]}],
        "state": [{"anything-but": ["draft"]}],
    }  # fmt: skip
    sns, topic, _ = _topic(triggered, "choosing", FilterPolicy=json.dumps(policy))

    def publish(text: str, kind: str, amount: str, state: str = "done") -> None:
        attributes = {
            "kind": {"DataType": "String", "StringValue": kind},
            "amount": {"DataType": "Number", "StringValue": amount},
            "state": {"DataType": "String", "StringValue": state},
        }
        sns.publish(TopicArn=topic, Message=text, MessageAttributes=attributes)

    publish("too little", "order", "10")
    publish("another kind", "offer", "50")
    publish("a draft", "order", "50", "draft")
    publish("first", "order", "100")
    publish("second", "return", "11")
    sns.publish(TopicArn=topic, Message="without attributes")
    events = events_of(triggered, "choosing", 2)
    assert sorted(one["Records"][0]["Sns"]["Message"] for one in events) == ["first", "second"]


def test_filter_policies_on_the_body(triggered: LambentServer) -> None:
    sns, topic, _ = _topic(
        triggered, "by-body", FilterPolicy=json.dumps({"a": {"b": [{"exists": True}]}}), FilterPolicyScope="MessageBody"
    )
    sns.publish(TopicArn=topic, Message=json.dumps({"a": {"c": 1}}))
    sns.publish(TopicArn=topic, Message=json.dumps({"a": {"b": 1}}))
    [event] = events_of(triggered, "by-body")
    assert json.loads(event["Records"][0]["Sns"]["Message"]) == {"a": {"b": 1}}


def test_what_may_not_be_delivered_goes_to_the_dead_letter_queue(triggered: LambentServer) -> None:
    url, arn = queue_of(triggered, "undelivered")
    sns, topic, _ = _topic(triggered, "forbidden", RedrivePolicy=json.dumps({"deadLetterTargetArn": arn}))
    triggered.client().remove_permission(FunctionName="forbidden", StatementId="sns")
    sns.publish(TopicArn=topic, Message="lost?")
    body = json.loads(wait_message(triggered, url)["Body"])
    assert body["Records"][0]["Sns"]["Message"] == "lost?"
    assert calls(triggered, "forbidden") == []
    [refusal] = [one for one in refusals(triggered) if "forbidden" in one["function_arn"]]
    assert refusal["source_arn"] == f"arn:aws:sns:{REGION}:{ACCOUNT}:forbidden"
    flags = {**triggered.settings, "server.port": str(triggered.port), "data_dir": str(triggered.data_dir)}
    command = [str(triggered.executable), "doctor"]
    for name, value in flags.items():
        command += ["--set", f"{name}={value}"]
    said = subprocess.run(
        command, env=clean_environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=100,
        check=True,
    )  # fmt: skip
    assert refusal["permission"] in said.stdout
