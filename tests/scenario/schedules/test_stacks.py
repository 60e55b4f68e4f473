"""Schedules and scheduled rules that CloudFormation makes: the timer knows them when the stack is complete."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.scenario.events.conftest import wait_until
from tests.scenario.schedules.conftest import ROLE, WAIT_SECONDS, function_arn, soon, wait_events

if TYPE_CHECKING:
    from tests.running import LambentServer

pytestmark = pytest.mark.slow


def _schedule(expression: str, **properties: Any) -> dict[str, Any]:
    return {
        "Type": "AWS::Scheduler::Schedule",
        "Properties": {
            "Name": "stacked",
            "ScheduleExpression": expression,
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "Target": {"Arn": function_arn("works"), "RoleArn": ROLE, "Input": '{"mark": "stacked"}'},
            **properties,
        },
    }


def _template(schedule: dict[str, Any]) -> str:
    group = {"Type": "AWS::Scheduler::ScheduleGroup", "Properties": {"Name": "grouped"}}
    rule = {
        "Type": "AWS::Events::Rule",
        "Properties": {
            "Name": "stacked",
            "ScheduleExpression": "rate(1 day)",
            "Targets": [{"Id": "1", "Arn": function_arn("works")}],
        },
    }
    return json.dumps({"Resources": {"S": schedule, "G": group, "R": rule}})


def test_a_stacks_schedules_are_made_changed_and_removed(scheduling: LambentServer) -> None:
    stacks, scheduler = scheduling.client("cloudformation"), scheduling.client("scheduler")
    wait = {"Delay": 1, "MaxAttempts": 60}
    first = _schedule("rate(1 day)", ScheduleExpressionTimezone="Europe/Paris", State="DISABLED")
    stacks.create_stack(StackName="s", TemplateBody=_template(first))
    stacks.get_waiter("stack_create_complete").wait(StackName="s", WaiterConfig=wait)
    found = scheduler.get_schedule(Name="stacked")
    assert (found["ScheduleExpressionTimezone"], found["State"]) == ("Europe/Paris", "DISABLED")
    assert "grouped" in [one["Name"] for one in scheduler.list_schedule_groups()["ScheduleGroups"]]
    second = _schedule(soon(5), ActionAfterCompletion="NONE")
    stacks.update_stack(StackName="s", TemplateBody=_template(second))
    stacks.get_waiter("stack_update_complete").wait(StackName="s", WaiterConfig=wait)
    assert scheduler.get_schedule(Name="stacked")["ScheduleExpression"].startswith("at(")
    assert wait_events(scheduling, "works", '"mark": "stacked"') == [{"mark": "stacked"}]
    stacks.delete_stack(StackName="s")
    stacks.get_waiter("stack_delete_complete").wait(StackName="s", WaiterConfig=wait)
    wait_until(lambda: not scheduler.list_schedules(NamePrefix="stacked")["Schedules"], "it is gone", WAIT_SECONDS)
    assert "grouped" not in [one["Name"] for one in scheduler.list_schedule_groups()["ScheduleGroups"]]


def test_what_its_owner_deletes_stays_deleted(scheduling: LambentServer) -> None:
    stacks, scheduler = scheduling.client("cloudformation"), scheduling.client("scheduler")
    stacks.create_stack(StackName="t", TemplateBody=_template(_schedule("rate(1 day)", State="DISABLED")))
    stacks.get_waiter("stack_create_complete").wait(StackName="t", WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    scheduler.delete_schedule(Name="stacked")
    stacks.describe_stacks(StackName="t")
    assert scheduler.list_schedules(NamePrefix="stacked")["Schedules"] == []
    stacks.delete_stack(StackName="t")
