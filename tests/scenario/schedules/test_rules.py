"""Scheduled rules of EventBridge: made by its API, fired by our timer."""

from __future__ import annotations

import json
import re
import signal
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.scenario.events.conftest import Mailbox, wait_until
from tests.scenario.neighbours.conftest import signal_child
from tests.scenario.schedules.conftest import ACCOUNT, WAIT_SECONDS, events_of, function_arn, wait_events

if TYPE_CHECKING:
    from tests.running import LambentServer

pytestmark = pytest.mark.slow

# A rule has no seconds: the next full minute, and the time that a busy machine takes.
RULE_SECONDS = 60 + WAIT_SECONDS


@pytest.fixture(scope="module")
def events(scheduling: LambentServer) -> Any:
    return scheduling.client("events")


def _refused(events: Any, **members: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as refusal:
        events.put_rule(**members)
    error = refusal.value.response["Error"]
    return error["Code"], error["Message"]


@pytest.mark.parametrize(
    "expression",
    [
        "rate(10 seconds)", "rate(1 minutes)", "rate(10 minute)", "rate(0 minutes)", "rate(10 MINUTES)",
        " rate(10 minutes)", "rate()", "cron(0 1 * * * *)", "cron(7 20 * * NOT *)", "cron(INVALID)",
        "cron(71 8 1 * ? *)",
        "at(2026-01-01T00:00:00)",
    ],
)  # fmt: skip
def test_what_is_no_schedule(events: Any, expression: str) -> None:
    assert _refused(events, Name="wrong", ScheduleExpression=expression) == (
        "ValidationException",
        "Parameter ScheduleExpression is not valid.",
    )
    assert events.list_rules(NamePrefix="wrong")["Rules"] == []


def test_only_the_default_bus_has_schedules(events: Any) -> None:
    events.create_event_bus(Name="mine")
    assert _refused(events, Name="wrong", EventBusName="mine", ScheduleExpression="rate(1 minute)") == (
        "ValidationException",
        "ScheduleExpression is supported only on the default event bus.",
    )


@pytest.mark.long
@pytest.mark.timeout(400)
def test_a_rule_calls_its_targets_at_the_minute(scheduling: LambentServer, events: Any) -> None:
    functions = scheduling.client()
    box = Mailbox(scheduling, "ticks")
    moment = datetime.now(UTC) + timedelta(minutes=1, seconds=20)
    rule = events.put_rule(Name="tick", ScheduleExpression=f"cron({moment.minute} {moment.hour} * * ? *)")["RuleArn"]
    events.put_targets(
        Rule="tick",
        Targets=[
            {"Id": "f", "Arn": function_arn("works")},
            {"Id": "constant", "Arn": box.arn, "Input": '{"mark": "constant"}'},
            {
                "Id": "made",
                "Arn": box.arn,
                "InputTransformer": {"InputPathsMap": {"t": "$.time"}, "InputTemplate": '{"at": <t>}'},
            },
        ],
    )
    functions.add_permission(
        FunctionName="works", StatementId="tick", Action="lambda:InvokeFunction", Principal="events.amazonaws.com",
        SourceArn=rule,
    )  # fmt: skip
    bodies = [json.loads(box.wait(90 + WAIT_SECONDS)["Body"]) for _ in range(2)]
    assert {"mark": "constant"} in bodies
    assert {"at": f"{moment:%Y-%m-%dT%H:%M}:00Z"} in bodies
    [event] = wait_events(scheduling, "works", "rule/tick")
    assert re.fullmatch(r"[0-9a-f-]{36}", event.pop("id"))
    assert event == {
        "version": "0",
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": ACCOUNT,
        "time": f"{moment:%Y-%m-%dT%H:%M}:00Z",
        "region": "us-east-1",
        "resources": [rule],
        "detail": {},
    }
    assert box.is_empty()
    events.remove_targets(Rule="tick", Ids=["f", "constant", "made"])
    events.delete_rule(Name="tick")


@pytest.mark.long
@pytest.mark.timeout(400)
def test_a_warming_rule_keeps_one_environment_warm(scheduling: LambentServer, events: Any) -> None:
    functions = scheduling.client()
    rule = events.put_rule(Name="warm", ScheduleExpression="rate(1 minute)")["RuleArn"]
    functions.add_permission(
        FunctionName="works", StatementId="warm", Action="lambda:InvokeFunction", Principal="events.amazonaws.com",
        SourceArn=rule,
    )  # fmt: skip
    events.put_targets(Rule="warm", Targets=[{"Id": "1", "Arn": function_arn("works"), "Input": '{"mark": "warm"}'}])
    # A child that is away changes nothing: the timer and the rule are the daemon's.
    signal_child(scheduling, signal.SIGKILL)
    wait_until(lambda: len(events_of(scheduling, "works", '"mark": "warm"')) >= 2, "two ticks", 2 * RULE_SECONDS)
    _, body = scheduling.get("/_lambent/v1/logs?function=works")
    streams = {json.loads(line)["stream"] for line in body.decode().splitlines() if '"mark\\": \\"warm' in line}
    assert len(streams) == 1
    events.disable_rule(Name="warm")
    assert events.describe_rule(Name="warm")["State"] == "DISABLED"


@pytest.mark.long
@pytest.mark.timeout(400)
def test_without_a_permission_it_does_not_fire(scheduling: LambentServer, events: Any) -> None:
    dead = Mailbox(scheduling, "rule-dead")
    moment = datetime.now(UTC) + timedelta(minutes=1, seconds=10)
    rule = events.put_rule(Name="barred", ScheduleExpression=f"cron({moment.minute} {moment.hour} * * ? *)")["RuleArn"]
    events.put_targets(
        Rule="barred",
        Targets=[
            {
                "Id": "1",
                "Arn": function_arn("works"),
                "Input": '{"mark": "barred"}',
                "DeadLetterConfig": {"Arn": dead.arn},
            }
        ],
    )
    message = dead.wait(90 + WAIT_SECONDS)
    assert message["Body"] == '{"mark": "barred"}'
    attributes = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
    assert attributes["ERROR_CODE"] == "NO_PERMISSIONS"
    assert attributes["RULE_ARN"] == rule
    assert events_of(scheduling, "works", '"mark": "barred"') == []
    assert f"--source-arn '{rule}'" in scheduling.output()
