"""Events that rules choose call functions."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.scenario.triggers.conftest import (
    ACCOUNT,
    REGION,
    calls,
    events_of,
    function_arn,
    permit,
    printing,
    queue_of,
    refusals,
    wait_message,
)

if TYPE_CHECKING:
    from tests.running import LambentServer

pytestmark = pytest.mark.slow

# Pattern of `detail`: what it takes, what it does not.
_PATTERNS: dict[str, tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]] = {
    "numeric": ({"n": [{"numeric": [">", 0, "<=", 5]}]}, [{"n": 1}, {"n": 5.0}], [{"n": 0}, {"n": 6}, {"n": "3"}, {}]),
    "prefix": ({"p": [{"prefix": "eu-"}]}, [{"p": "eu-west-1"}], [{"p": "us-east-1"}, {}]),
    "suffix": ({"p": [{"suffix": ".png"}]}, [{"p": "a.png"}], [{"p": "a.jpg"}]),
    "anything-but": ({"s": [{"anything-but": ["a", "b"]}]}, [{"s": "c"}], [{"s": "a"}, {}]),
    "anything-but-prefix": ({"s": [{"anything-but": {"prefix": "a"}}]}, [{"s": "b"}], [{"s": "ab"}]),
    "exists": ({"e": [{"exists": True}]}, [{"e": None}, {"e": 0}], [{"other": 1}]),
    "exists-not": ({"e": [{"exists": False}]}, [{"other": 1}], [{"e": 1}]),
    "cidr": ({"ip": [{"cidr": "10.0.0.0/24"}]}, [{"ip": "10.0.0.255"}], [{"ip": "10.0.1.0"}, {"ip": "x"}]),
    "wildcard": ({"w": [{"wildcard": "a*c/*.txt"}]}, [{"w": "abc/d.txt"}], [{"w": "abd/d.txt"}]),
    "ignore-case": ({"s": [{"equals-ignore-case": "Yes"}]}, [{"s": "yES"}], [{"s": "no"}]),
    "or": ({"$or": [{"a": [1]}, {"b": [2]}]}, [{"a": 1, "b": 0}, {"b": 2}], [{"a": 2, "b": 1}]),
    "nested": ({"a": {"b": ["x"]}}, [{"a": {"b": "x"}}, {"a": {"b": ["y", "x"]}}], [{"a": {"b": "y"}}]),
}


def _rule(server: LambentServer, name: str, pattern: object, **target: Any) -> tuple[Any, str]:
    """Create a rule with a function of the same name as its target; return a client and the rule's ARN."""
    events = server.client("events")
    function = printing(server, name)
    rule = events.put_rule(Name=name, EventPattern=json.dumps(pattern))["RuleArn"]
    permit(server, name, "events.amazonaws.com", rule)
    answer = events.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": function, **target}])
    assert answer["FailedEntryCount"] == 0
    return events, rule


def _put(events: Any, source: str, detail: object, **members: Any) -> str:
    entry = {"Source": source, "DetailType": "a type", "Detail": json.dumps(detail), **members}
    answer = events.put_events(Entries=[entry])
    assert answer["FailedEntryCount"] == 0, answer
    identifier: str = answer["Entries"][0]["EventId"]
    return identifier


def test_an_event_calls_a_function(triggered: LambentServer) -> None:
    events, _ = _rule(triggered, "plain", {"source": ["of.plain"]})
    detail = {"payload": {"list": [{"a": 1}], "text": "ä"}}
    identifier = _put(events, "of.plain", detail, Resources=["arn:aws:x:::y"])
    [event] = events_of(triggered, "plain")
    time = event.pop("time")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", time)
    # Recorded: test_put_events_with_target_lambda_list_entry.
    assert event == {
        "version": "0", "id": identifier, "detail-type": "a type", "source": "of.plain", "account": ACCOUNT,
        "region": REGION, "resources": ["arn:aws:x:::y"], "detail": detail,
    }  # fmt: skip


def test_patterns_choose(triggered: LambentServer) -> None:
    events = triggered.client("events")
    function = printing(triggered, "patterns")
    permit(triggered, "patterns", "events.amazonaws.com", f"arn:aws:events:{REGION}:{ACCOUNT}:rule/of-*")
    for name, (pattern, _, _) in _PATTERNS.items():
        wanted = {"source": [f"of.{name}"], "detail": pattern}
        events.put_rule(Name=f"of-{name}", EventPattern=json.dumps(wanted))
        target = {"Id": "1", "Arn": function, "InputPath": "$.detail"}
        assert events.put_targets(Rule=f"of-{name}", Targets=[target])["FailedEntryCount"] == 0
    expected = []
    for name, (_, taken, left) in _PATTERNS.items():
        for number, detail in enumerate(left):
            _put(events, f"of.{name}", {**detail, "said": f"{name} not {number}"})
        for number, detail in enumerate(taken):
            _put(events, f"of.{name}", {**detail, "said": f"{name} {number}"})
            expected.append(f"{name} {number}")
    found = events_of(triggered, "patterns", len(expected))
    assert sorted(one["said"] for one in found) == sorted(expected)


def test_what_a_target_is_given(triggered: LambentServer) -> None:
    transformer = {
        "InputPathsMap": {"id": "$.detail.id", "all": "$.detail"},
        "InputTemplate": '{"id": <id>, "text": "number <id>", "all": <all>, "rule": "<aws.events.rule-name>"}',
    }
    for name, target, expected in (
        ("constant", {"Input": '{"constant": [1, 2]}'}, {"constant": [1, 2]}),
        ("path", {"InputPath": "$.detail.inner"}, {"x": 1}),
        (
            "transformed", {"InputTransformer": transformer},
            {"id": 5, "text": "number 5", "all": {"id": 5, "inner": {"x": 1}}, "rule": "transformed"},
        ),
    ):  # fmt: skip
        events, _ = _rule(triggered, name, {"source": [f"of.{name}"]}, **target)
        _put(events, f"of.{name}", {"id": 5, "inner": {"x": 1}})
        assert events_of(triggered, name) == [expected]


def test_a_bus_of_ones_own(triggered: LambentServer) -> None:
    events = triggered.client("events")
    function = printing(triggered, "on-a-bus")
    events.create_event_bus(Name="own")
    rule = events.put_rule(Name="r", EventBusName="own", EventPattern='{"source":["of.bus"]}')["RuleArn"]
    permit(triggered, "on-a-bus", "events.amazonaws.com", rule)
    events.put_targets(Rule="r", EventBusName="own", Targets=[{"Id": "1", "Arn": function}])
    _put(events, "of.bus", {"on": "default"})
    _put(events, "of.bus", {"on": "own"}, EventBusName="own")
    [event] = events_of(triggered, "on-a-bus")
    assert event["detail"] == {"on": "own"}


def test_what_may_not_be_delivered_goes_to_the_dead_letter_queue(triggered: LambentServer) -> None:
    url, queue = queue_of(triggered, "dead-events")
    retry = {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60}
    events, rule = _rule(
        triggered, "unpermitted", {"source": ["of.unpermitted"]}, DeadLetterConfig={"Arn": queue}, RetryPolicy=retry
    )
    triggered.client().remove_permission(FunctionName="unpermitted", StatementId="events")
    _put(events, "of.unpermitted", {"lost": True})
    message = wait_message(triggered, url)
    assert json.loads(message["Body"])["detail"] == {"lost": True}
    attributes = {name: one["StringValue"] for name, one in message["MessageAttributes"].items()}
    assert attributes["RULE_ARN"] == rule
    assert attributes["TARGET_ARN"] == function_arn("unpermitted")
    assert attributes["ERROR_CODE"] == "NO_PERMISSIONS"
    assert "may not call" in attributes["ERROR_MESSAGE"]
    assert calls(triggered, "unpermitted") == []
    [refusal] = [one for one in refusals(triggered) if "unpermitted" in one["function_arn"]]
    assert refusal["source_arn"] == rule


def test_a_bucket_that_tells_eventbridge(triggered: LambentServer) -> None:
    _rule(triggered, "of-objects", {"source": ["aws.s3"], "detail-type": ["Object Created"]})
    s3 = triggered.client("s3")
    s3.create_bucket(Bucket="telling")
    s3.put_bucket_notification_configuration(
        Bucket="telling", NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    s3.put_object(Bucket="telling", Key="a b", Body=b"123")
    [event] = events_of(triggered, "of-objects")
    assert event["detail"]["bucket"] == {"name": "telling"}
    assert (event["detail"]["object"]["key"], event["detail"]["object"]["size"]) == ("a b", 3)
    assert event["detail"]["reason"] == "PutObject"


def test_an_archive_is_replayed(triggered: LambentServer) -> None:
    events, _ = _rule(triggered, "replayed", {"source": ["of.replayed"]})
    bus = events.describe_event_bus()["Arn"]
    pattern = json.dumps({"source": ["of.replayed"]})
    archive = events.create_archive(ArchiveName="kept", EventSourceArn=bus, EventPattern=pattern)["ArchiveArn"]
    now = datetime.now(UTC)
    _put(events, "of.replayed", {"n": 1})
    [first] = events_of(triggered, "replayed")
    events.start_replay(
        ReplayName="again", EventSourceArn=archive, EventStartTime=now - timedelta(minutes=5),
        EventEndTime=now + timedelta(minutes=5), Destination={"Arn": bus},
    )  # fmt: skip
    assert events_of(triggered, "replayed", 2) == [first, {**first, "replay-name": "again"}]
