"""EventBridge Scheduler through its public API: schedules fire, once, at functions and at other services."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.scenario.events.conftest import Mailbox, wait_until
from tests.scenario.schedules.conftest import ACCOUNT, ROLE, WAIT_SECONDS, function_arn, schedule, soon, wait_events

if TYPE_CHECKING:
    from tests.running import LambentServer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def scheduler(scheduling: LambentServer) -> Any:
    return scheduling.client("scheduler")


def _is_gone(scheduler: Any, name: str) -> bool:
    try:
        scheduler.get_schedule(Name=name)
    except scheduler.exceptions.ResourceNotFoundException:
        return True
    return False


def test_a_function_is_called_at_its_time_with_its_input(scheduling: LambentServer, scheduler: Any) -> None:
    text = '{"mark": "once", "arn": "<aws.scheduler.schedule-arn>", "at": "<aws.scheduler.scheduled-time>"}'
    expression = soon()
    arn = schedule(
        scheduler, "once", expression, {"Arn": function_arn("works"), "Input": text}, ActionAfterCompletion="DELETE"
    )
    [event] = wait_events(scheduling, "works", '"mark": "once"')
    assert event == {"mark": "once", "arn": arn, "at": f"{expression[3:-1]}Z"}
    wait_until(lambda: _is_gone(scheduler, "once"), "the schedule deletes itself", WAIT_SECONDS)


def test_without_input_it_gets_the_scheduled_event(scheduling: LambentServer, scheduler: Any) -> None:
    expression = soon()
    arn = schedule(scheduler, "plain", expression, {"Arn": function_arn("works")})
    [event] = wait_events(scheduling, "works", "schedule/default/plain")
    assert re.fullmatch(r"[0-9a-f-]{36}", event.pop("id"))
    assert event == {
        "version": "0",
        "detail-type": "Scheduled Event",
        "source": "aws.scheduler",
        "account": ACCOUNT,
        "time": f"{expression[3:-1]}Z",
        "region": "us-east-1",
        "resources": [arn],
        "detail": "{}",
    }


def test_a_rate_begins_at_once(scheduling: LambentServer, scheduler: Any) -> None:
    schedule(scheduler, "rate", "rate(1 hour)", {"Arn": function_arn("works"), "Input": '{"mark": "rate"}'})
    wait_events(scheduling, "works", '"mark": "rate"')
    scheduler.delete_schedule(Name="rate")


def test_queues_topics_and_universal_targets(scheduling: LambentServer, scheduler: Any) -> None:
    box, other = Mailbox(scheduling, "templated"), Mailbox(scheduling, "universal")
    sns = scheduling.client("sns")
    topic = sns.create_topic(Name="scheduled")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=other.arn, Attributes={"RawMessageDelivery": "true"})
    schedule(scheduler, "to-queue", soon(), {"Arn": box.arn, "Input": "first"})
    assert box.wait(WAIT_SECONDS)["Body"] == "first"
    message = json.dumps({"QueueUrl": box.url, "MessageBody": "try <aws.scheduler.attempt-number>"})
    schedule(scheduler, "universal", soon(), {"Arn": "arn:aws:scheduler:::aws-sdk:sqs:sendMessage", "Input": message})
    assert box.wait(WAIT_SECONDS)["Body"] == "try 1"
    schedule(scheduler, "to-topic", soon(), {"Arn": topic, "Input": "told"})
    assert other.wait(WAIT_SECONDS)["Body"] == "told"
    published = json.dumps({"TopicArn": topic, "Message": "told by the SDK"})
    schedule(scheduler, "publish", soon(), {"Arn": "arn:aws:scheduler:::aws-sdk:sns:publish", "Input": published})
    assert other.wait(WAIT_SECONDS)["Body"] == "told by the SDK"


def test_a_universal_target_invokes_a_function(scheduling: LambentServer, scheduler: Any) -> None:
    for kind in ("Event", "RequestResponse"):
        called = json.dumps(
            {"FunctionName": "works", "InvocationType": kind, "Payload": json.dumps({"mark": f"sdk-{kind}"})}
        )
        schedule(
            scheduler, f"sdk-{kind}", soon(), {"Arn": "arn:aws:scheduler:::aws-sdk:lambda:invoke", "Input": called}
        )
        assert wait_events(scheduling, "works", f"sdk-{kind}") == [{"mark": f"sdk-{kind}"}]


def test_a_bus_and_a_state_machine(scheduling: LambentServer, scheduler: Any) -> None:
    box = Mailbox(scheduling, "from-bus")
    events, states = scheduling.client("events"), scheduling.client("stepfunctions")
    events.put_rule(Name="mine", EventPattern=json.dumps({"source": ["my.schedules"]}))
    events.put_targets(Rule="mine", Targets=[{"Id": "1", "Arn": box.arn}])
    bus = f"arn:aws:events:us-east-1:{ACCOUNT}:event-bus/default"
    parameters = {"Source": "my.schedules", "DetailType": "Tick"}
    schedule(scheduler, "to-bus", soon(), {"Arn": bus, "Input": '{"a": 1}', "EventBridgeParameters": parameters})
    event = json.loads(box.wait(WAIT_SECONDS)["Body"])
    assert (event["source"], event["detail-type"], event["detail"]) == ("my.schedules", "Tick", {"a": 1})
    definition = json.dumps({"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}})
    machine = states.create_state_machine(name="m", definition=definition, roleArn=ROLE)["stateMachineArn"]
    schedule(scheduler, "to-machine", soon(), {"Arn": machine, "Input": '{"b": 2}'})
    wait_until(lambda: bool(states.list_executions(stateMachineArn=machine)["executions"]), "it began", WAIT_SECONDS)
    [execution] = states.list_executions(stateMachineArn=machine)["executions"]
    assert json.loads(states.describe_execution(executionArn=execution["executionArn"])["input"]) == {"b": 2}


def test_what_cannot_be_delivered_is_in_the_dead_letter_queue(scheduling: LambentServer, scheduler: Any) -> None:
    dead = Mailbox(scheduling, "dead")
    arn = schedule(
        scheduler,
        "fails",
        soon(),
        {"Arn": function_arn("nobody"), "Input": '{"a": 1}', "DeadLetterConfig": {"Arn": dead.arn}},
    )
    message = dead.wait(WAIT_SECONDS)
    assert message["Body"] == '{"a": 1}'
    attributes = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
    assert attributes["ERROR_CODE"] == "ResourceNotFoundException"
    assert attributes["SCHEDULE_ARN"] == arn
    assert attributes["TARGET_ARN"] == function_arn("nobody")


def test_refusals_are_aws_own(scheduler: Any) -> None:
    def refused(**members: Any) -> tuple[int, str, str]:
        request = {
            "Name": "wrong",
            "ScheduleExpression": "rate(1 minute)",
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "Target": {"Arn": function_arn("works"), "RoleArn": ROLE},
            **members,
        }
        with pytest.raises(ClientError) as refusal:
            scheduler.create_schedule(**request)
        response = refusal.value.response
        return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"], response["Error"]["Message"]

    assert refused(ScheduleExpression="rate(10 seconds)") == (
        400,
        "ValidationException",
        "Invalid Schedule Expression rate(10 seconds).",
    )
    assert refused(Name="a b") == (
        400,
        "ValidationException",
        "1 validation error detected: Value 'a b' at 'name' failed to satisfy constraint: Member must satisfy regular "
        "expression pattern: [0-9a-zA-Z-_.]+",
    )
    assert refused(GroupName="nowhere") == (404, "ResourceNotFoundException", "Schedule group nowhere does not exist.")
    status, _, text = refused(FlexibleTimeWindow={"Mode": "SOMETIMES"})
    assert (status, text) == (
        400,
        "1 validation error detected: Value 'SOMETIMES' at 'flexibleTimeWindow.mode' failed to satisfy constraint: "
        "Member must satisfy enum value set: [OFF, FLEXIBLE]",
    )
    with pytest.raises(ClientError, match="Schedule nothing does not exist.") as missing:
        scheduler.get_schedule(Name="nothing")
    assert missing.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404


def test_groups_tags_and_lists(scheduler: Any) -> None:
    arn = scheduler.create_schedule_group(Name="g", Tags=[{"Key": "a", "Value": "1"}])["ScheduleGroupArn"]
    scheduler.tag_resource(ResourceArn=arn, Tags=[{"Key": "b", "Value": "2"}])
    scheduler.untag_resource(ResourceArn=arn, TagKeys=["a"])
    assert scheduler.list_tags_for_resource(ResourceArn=arn)["Tags"] == [{"Key": "b", "Value": "2"}]
    for number in range(3):
        schedule(
            scheduler, f"g{number}", "rate(1 day)", {"Arn": function_arn("works")}, GroupName="g", State="DISABLED"
        )
    pages = scheduler.get_paginator("list_schedules").paginate(GroupName="g", PaginationConfig={"PageSize": 2})
    assert [one["Name"] for page in pages for one in page["Schedules"]] == ["g0", "g1", "g2"]
    assert "g" in [one["Name"] for one in scheduler.list_schedule_groups()["ScheduleGroups"]]
    found = scheduler.get_schedule(Name="g0", GroupName="g")
    assert found["Target"]["RetryPolicy"] == {"MaximumEventAgeInSeconds": 86_400, "MaximumRetryAttempts": 185}
    scheduler.delete_schedule_group(Name="g")
    with pytest.raises(scheduler.exceptions.ResourceNotFoundException):
        scheduler.get_schedule_group(Name="g")
    assert [one for one in scheduler.list_schedules()["Schedules"] if one["GroupName"] == "g"] == []
