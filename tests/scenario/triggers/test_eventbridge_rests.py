"""What EventBridge refuses, and what its targets are given in the less frequent cases."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.scenario.triggers.conftest import (
    ACCOUNT,
    REGION,
    events_of,
    function_arn,
    permit,
    printing,
    queue_of,
    wait_message,
)

if TYPE_CHECKING:
    from tests.running import LambentServer

pytestmark = pytest.mark.slow


def _rule(server: LambentServer, name: str, **target: Any) -> tuple[Any, str]:
    events, function = server.client("events"), printing(server, name)
    rule = events.put_rule(Name=name, EventPattern=json.dumps({"source": [f"of.{name}"]}))["RuleArn"]
    permit(server, name, "events.amazonaws.com", rule)
    events.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": function, **target}])
    return events, rule


def _put(events: Any, name: str, detail: object, **members: Any) -> None:
    entry = {"Source": f"of.{name}", "DetailType": "a type", "Detail": json.dumps(detail), **members}
    assert events.put_events(Entries=[entry])["FailedEntryCount"] == 0


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("{", "Invalid JSON"),
        ("[]", "Filter is not an object"),
        ('{"source": "x"}', "must be an object or an array"),
        ('{"source": []}', "Empty arrays are not allowed"),
        ('{"source": [{"prefix": 1}]}', "prefix"),
        ('{"detail": {"n": [{"numeric": ["=>", 1]}]}}', "Unrecognized numeric range operator"),
        ('{"detail": {"n": [{"numeric": [">", "1"]}]}}', "numeric"),
        ('{"detail": {"n": [{"exists": "yes"}]}}', "exists"),
        ('{"detail": {"n": [{"unknown": 1}]}}', "Unrecognized match type unknown"),
        ('{"detail": {"ip": [{"cidr": "10.0.0.0/33"}]}}', ""),
        ('{"detail": {"w": [{"wildcard": "a**b"}]}}', "wildcard"),
    ],
)
def test_patterns_that_mean_nothing(triggered: LambentServer, pattern: str, reason: str) -> None:
    with pytest.raises(ClientError) as refused:
        triggered.client("events").put_rule(Name="wrong", EventPattern=pattern)
    error = refused.value.response["Error"]
    assert error["Code"] == "InvalidEventPatternException"
    assert error["Message"].startswith("Event pattern is not valid. Reason: ")
    assert reason.lower() in error["Message"].lower(), error["Message"]


@pytest.mark.parametrize(
    ("target", "text"),
    [
        (
            {"RetryPolicy": {"MaximumRetryAttempts": 186}},
            "1 validation error detected: Value '186' at 'targets.1.member.retryPolicy.maximumRetryAttempts' failed to "
            "satisfy constraint: Member must have value less than or equal to 185",
        ),
        (
            {"RetryPolicy": {"MaximumEventAgeInSeconds": 86_401}},
            "1 validation error detected: Value '86401' at 'targets.1.member.retryPolicy.maximumEventAgeInSeconds' "
            "failed to satisfy constraint: Member must have value less than or equal to 86400",
        ),
        (
            {"Input": "{}", "InputPath": "$.detail"},
            "Only one of Input, InputPath, or InputTransformer must be provided for target 1.",
        ),
        ({"Input": "{no"}, "JSON syntax error in input for target 1."),
        ({"InputPath": "detail"}, "Invalid InputPath for target 1."),
    ],
)
def test_targets_that_mean_nothing(triggered: LambentServer, target: dict[str, Any], text: str) -> None:
    events = triggered.client("events")
    events.put_rule(Name="targets", EventPattern='{"source":["of.targets"]}')
    with pytest.raises(ClientError) as refused:
        events.put_targets(Rule="targets", Targets=[{"Id": "1", "Arn": function_arn("x"), **target}])
    error = refused.value.response["Error"]
    assert (error["Code"], error["Message"]) == ("ValidationException", text)
    assert events.list_targets_by_rule(Rule="targets")["Targets"] == []


def test_entries_that_are_no_events(triggered: LambentServer) -> None:
    events = triggered.client("events")
    good = {"Source": "s", "DetailType": "d", "Detail": "{}"}
    entries = [
        good, {**good, "Source": ""}, {"Source": "s", "Detail": "{}"}, {**good, "Detail": "{"}, {**good, "Detail": "1"},
    ]  # fmt: skip
    answer = events.put_events(Entries=entries)
    assert answer["FailedEntryCount"] == 4
    told = [(one.get("ErrorCode"), one.get("ErrorMessage")) for one in answer["Entries"]]
    assert told == [
        (None, None),
        ("InvalidArgument", "Parameter Source is not valid. Reason: Source is a required argument."),
        ("InvalidArgument", "Parameter DetailType is not valid. Reason: DetailType is a required argument."),
        ("MalformedDetail", "Detail is malformed."),
        ("MalformedDetail", "Detail is malformed."),
    ]
    with pytest.raises(ClientError, match="EventPattern or ScheduleExpression must be specified"):
        events.put_rule(Name="nothing")


def test_an_event_has_the_time_that_its_sender_says(triggered: LambentServer) -> None:
    events, _ = _rule(triggered, "timed")
    _put(events, "timed", {}, Time=datetime(2024, 2, 3, 4, 5, 6, tzinfo=UTC))
    assert events_of(triggered, "timed")[0]["time"] == "2024-02-03T04:05:06Z"


def test_parts_of_lists_and_all_that_is_reserved(triggered: LambentServer) -> None:
    detail = {"items": [{"id": 1, "name": "a b"}, {"id": 2, "name": "c"}], "with-dash": {"x_1": True}}
    events, _ = _rule(triggered, "path-in-list", InputPath="$.detail.items[1]")
    _put(events, "path-in-list", detail)
    assert events_of(triggered, "path-in-list") == [{"id": 2, "name": "c"}]
    transformer = {
        "InputPathsMap": {"first": "$.detail.items[0].name", "dash": "$.detail.with-dash.x_1", "no": "$.detail.no"},
        "InputTemplate": (
            '{"first": <first>, "dash": <dash>, "no": <no>, "text": "is <first>", "arn": <aws.events.rule-arn>, '
            '"name": <aws.events.rule-name>, "at": <aws.events.event.ingestion-time>, '
            '"event": <aws.events.event>, "whole": <aws.events.event.json>}'
        ),
    }
    events, rule = _rule(triggered, "reserved", InputTransformer=transformer)
    _put(events, "reserved", detail)
    [event] = events_of(triggered, "reserved")
    assert (event["first"], event["dash"], event["no"], event["text"]) == ("a b", True, "", "is a b")
    assert (event["arn"], event["name"]) == (rule, "reserved")
    assert event["at"].endswith("Z")
    assert event["whole"]["detail"] == detail
    assert "detail" not in event["event"]
    assert event["event"]["source"] == "of.reserved"


def test_a_target_that_is_not_there(triggered: LambentServer) -> None:
    url, queue = queue_of(triggered, "dead-nowhere")
    events = triggered.client("events")
    rule = events.put_rule(Name="nowhere", EventPattern='{"source":["of.nowhere"]}')["RuleArn"]
    target = {"Id": "1", "Arn": function_arn("nowhere"), "DeadLetterConfig": {"Arn": queue}}
    events.put_targets(Rule="nowhere", Targets=[target])
    _put(events, "nowhere", {"n": 1})
    message = wait_message(triggered, url)
    said = {name: one["StringValue"] for name, one in message["MessageAttributes"].items()}
    assert said.pop("ERROR_MESSAGE")
    assert said == {
        "RULE_ARN": rule, "TARGET_ARN": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:nowhere",
        "ERROR_CODE": "RESOURCE_NOT_FOUND", "RETRY_ATTEMPTS": "0",
    }  # fmt: skip
