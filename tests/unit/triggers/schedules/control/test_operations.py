"""EventBridge Scheduler's operations: what they answer and what they refuse, in AWS's words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lambent.model.errors import LambdaError
from tests.unit.triggers.schedules.conftest import CALLER, NEW_YEAR_MS, QUEUE

if TYPE_CHECKING:
    from tests.unit.triggers.schedules.conftest import World

ROLE = "arn:aws:iam::000000000000:role/r"


async def _refused(world: World, operation: str, **members: Any) -> tuple[str, str]:
    with pytest.raises(LambdaError) as refusal:
        await getattr(world.operations, operation)(CALLER, members)
    return refusal.value.code, refusal.value.message


async def test_what_was_not_said_has_its_default(world: World) -> None:
    arn = await world.create()
    assert arn == "arn:aws:scheduler:us-east-1:000000000000:schedule/default/s"
    found = await world.operations.get_schedule(CALLER, {"Name": "s"})
    assert {name: value for name, value in found.items() if value is not None} == {
        "Arn": arn,
        "Name": "s",
        "GroupName": "default",
        "ScheduleExpression": "rate(1 minute)",
        "ScheduleExpressionTimezone": "UTC",
        "State": "ENABLED",
        "CreationDate": NEW_YEAR_MS / 1_000,
        "LastModificationDate": NEW_YEAR_MS / 1_000,
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "ActionAfterCompletion": "NONE",
        "Target": {
            "Arn": QUEUE,
            "RoleArn": ROLE,
            "Input": "hi",
            "RetryPolicy": {"MaximumEventAgeInSeconds": 86_400, "MaximumRetryAttempts": 185},
        },
    }


async def test_an_update_replaces_everything(world: World) -> None:
    await world.create(
        Description="d", ScheduleExpressionTimezone="Europe/Paris", ActionAfterCompletion="DELETE", State="DISABLED"
    )
    world.clock.now_ms += 5_000
    request = {
        "Name": "s",
        "ScheduleExpression": "rate(2 minute)",
        "FlexibleTimeWindow": {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 60},
        "Target": {"Arn": QUEUE, "RoleArn": ROLE},
    }
    await world.operations.update_schedule(CALLER, request)
    found = await world.operations.get_schedule(CALLER, {"Name": "s"})
    assert found["Description"] is None
    assert found["ScheduleExpressionTimezone"] == "UTC"
    assert found["ActionAfterCompletion"] == "NONE"
    assert found["State"] == "ENABLED"
    assert found["FlexibleTimeWindow"] == {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 60}
    assert found["CreationDate"] == NEW_YEAR_MS / 1_000
    assert found["LastModificationDate"] == NEW_YEAR_MS / 1_000 + 5


@pytest.mark.parametrize("expression", ["rate(10 seconds)", "cron()", " rate(10 minutes)", "at(2021-12-31)"])
async def test_what_is_no_expression(world: World, expression: str) -> None:
    request = {
        "Name": "s",
        "ScheduleExpression": expression,
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": {"Arn": QUEUE, "RoleArn": ROLE},
    }
    for operation in ("create_schedule", "update_schedule"):
        assert await _refused(world, operation, **request) == (
            "ValidationException",
            f"Invalid Schedule Expression {expression}.",
        )
    assert await world.schedule() is None


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ({"ScheduleExpressionTimezone": "Mars/Base"}, "Invalid Schedule Expression Timezone Mars/Base."),
        (
            {"StartDate": NEW_YEAR_MS / 1_000 - 301},
            "The StartDate you specify cannot be earlier than 5 minutes ago.",
        ),
        (
            {"StartDate": NEW_YEAR_MS / 1_000 + 60, "EndDate": NEW_YEAR_MS / 1_000 + 30},
            "The EndDate you specify cannot be earlier than the StartDate.",
        ),
        ({"EndDate": NEW_YEAR_MS / 1_000 - 30}, "The EndDate you specify cannot be earlier than the current time."),
        (
            {"FlexibleTimeWindow": {"Mode": "FLEXIBLE"}},
            "MaximumWindowInMinutes must be provided when FlexibleTimeWindow Mode is FLEXIBLE.",
        ),
        (
            {"FlexibleTimeWindow": {"Mode": "OFF", "MaximumWindowInMinutes": 5}},
            "MaximumWindowInMinutes cannot be provided when FlexibleTimeWindow Mode is OFF.",
        ),
        (
            {"Target": {"Arn": "arn:aws:events:us-east-1:000000000000:event-bus/default", "RoleArn": ROLE}},
            "Parameter EventBridgeParameters is required for this target.",
        ),
        (
            {"Target": {"Arn": QUEUE, "RoleArn": ROLE, "KinesisParameters": {"PartitionKey": "k"}}},
            f"Parameter KinesisParameters is not valid for target {QUEUE}.",
        ),
        ({"Target": {"Arn": "queue", "RoleArn": ROLE}}, "Provided Arn is not in correct format. Value: queue"),
    ],
)
async def test_what_no_schedule_can_be(world: World, members: dict[str, Any], text: str) -> None:
    request = {
        "Name": "s",
        "ScheduleExpression": "rate(1 minute)",
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": {"Arn": QUEUE, "RoleArn": ROLE},
        **members,
    }
    assert await _refused(world, "create_schedule", **request) == ("ValidationException", text)
    assert await world.schedule() is None


async def test_names_are_taken_once_unless_it_is_the_same_request(world: World) -> None:
    first = await world.create(ClientToken="a")
    assert await world.create(ClientToken="a") == first
    with pytest.raises(LambdaError, match="Schedule s already exists") as refusal:
        await world.create(ClientToken="b")
    assert refusal.value.code == "ConflictException"


async def test_what_is_not_there(world: World) -> None:
    gone = ("ResourceNotFoundException", "Schedule s does not exist.")
    assert await _refused(world, "get_schedule", Name="s") == gone
    assert await _refused(world, "delete_schedule", Name="s") == gone
    no_group = ("ResourceNotFoundException", "Schedule group g does not exist.")
    for operation in ("get_schedule", "delete_schedule"):
        assert await _refused(world, operation, Name="s", GroupName="g") == no_group
    assert await _refused(world, "list_schedules", GroupName="g") == no_group
    assert await _refused(world, "get_schedule_group", Name="g") == no_group
    assert await _refused(world, "delete_schedule_group", Name="g") == no_group
    with pytest.raises(LambdaError, match="Schedule group g does not exist"):
        await world.create(GroupName="g")


async def test_groups_hold_schedules_of_the_same_name(world: World) -> None:
    for group in ("a", "b"):
        await world.operations.create_schedule_group(CALLER, {"Name": group})
        await world.create(GroupName=group)
    await world.create()
    listed = await world.operations.list_schedules(CALLER, {})
    assert [(one["Name"], one["GroupName"]) for one in listed["Schedules"]] == [
        ("s", "a"),
        ("s", "b"),
        ("s", "default"),
    ]
    listed = await world.operations.list_schedules(CALLER, {"GroupName": "b"})
    assert [one["GroupName"] for one in listed["Schedules"]] == ["b"]
    await world.operations.delete_schedule_group(CALLER, {"Name": "a"})
    listed = await world.operations.list_schedules(CALLER, {})
    assert [one["GroupName"] for one in listed["Schedules"]] == ["b", "default"]


async def test_pages_follow_each_other(world: World) -> None:
    for number in range(7):
        await world.create(f"s{number}", State="DISABLED" if number == 3 else "ENABLED")
    seen: list[str] = []
    request: dict[str, Any] = {"MaxResults": 2, "NamePrefix": "s", "State": "ENABLED"}
    while True:
        page = await world.operations.list_schedules(CALLER, request)
        seen += [one["Name"] for one in page["Schedules"]]
        assert len(page["Schedules"]) <= 2
        if page["NextToken"] is None:
            break
        request["NextToken"] = page["NextToken"]
    assert seen == ["s0", "s1", "s2", "s4", "s5", "s6"]
    assert await _refused(world, "list_schedules", NextToken="?") == ("ValidationException", "Invalid NextToken.")


async def test_groups_are_listed_with_the_default_one(world: World) -> None:
    for name in ("z", "a", "m"):
        await world.operations.create_schedule_group(CALLER, {"Name": name})
    seen: list[str] = []
    request: dict[str, Any] = {"MaxResults": 1}
    while True:
        page = await world.operations.list_schedule_groups(CALLER, request)
        seen += [one["Name"] for one in page["ScheduleGroups"]]
        if page["NextToken"] is None:
            break
        request["NextToken"] = page["NextToken"]
    assert seen == ["a", "default", "m", "z"]
    page = await world.operations.list_schedule_groups(CALLER, {"NamePrefix": "d"})
    assert [one["State"] for one in page["ScheduleGroups"]] == ["ACTIVE"]
    assert await _refused(world, "create_schedule_group", Name="a") == (
        "ConflictException",
        "Schedule group a already exists.",
    )
    assert (await _refused(world, "create_schedule_group", Name="default"))[0] == "ConflictException"
    assert (await _refused(world, "delete_schedule_group", Name="default"))[0] == "ValidationException"


async def test_tags_of_a_group(world: World) -> None:
    made = await world.operations.create_schedule_group(
        CALLER, {"Name": "g", "Tags": [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]}
    )
    arn = made["ScheduleGroupArn"]
    assert arn == "arn:aws:scheduler:us-east-1:000000000000:schedule-group/g"
    await world.operations.tag_resource(CALLER, {"ResourceArn": arn, "Tags": [{"Key": "b", "Value": "3"}]})
    await world.operations.untag_resource(CALLER, {"ResourceArn": arn, "TagKeys": ["a", "c"]})
    found = await world.operations.list_tags_for_resource(CALLER, {"ResourceArn": arn})
    assert found == {"Tags": [{"Key": "b", "Value": "3"}]}
    await world.operations.delete_schedule_group(CALLER, {"Name": "g"})
    assert (await _refused(world, "list_tags_for_resource", ResourceArn=arn))[0] == "ResourceNotFoundException"
