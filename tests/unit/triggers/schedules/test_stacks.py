"""Schedules of stacks: taken over, changed when the stack says so, removed with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lambent.triggers.schedules.stacks import StackedSchedules
from lambent.wire.client import Principal
from tests.unit.triggers.schedules.conftest import CALLER, NEW_YEAR_MS, QUEUE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.unit.triggers.schedules.conftest import World

PRINCIPAL = Principal("000000000000", "us-east-1")


class FakeScheduler:
    """The embedded Scheduler, which only CloudFormation speaks to."""

    def __init__(self) -> None:
        self.schedules: dict[str, dict[str, Any]] = {}
        self.groups: list[str] = ["default"]
        self.deleted: list[str] = []

    def put(self, name: str = "s", **members: Any) -> None:
        self.schedules[name] = {
            "Name": name,
            "GroupName": "default",
            "ScheduleExpression": "rate(1 day)",
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "Target": {"Arn": QUEUE, "RoleArn": "arn:aws:iam::000000000000:role/r"},
            "CreationDate": 1.5,
            **members,
        }

    async def rest(
        self, service: str, method: str, path: str, query: Mapping[str, str], principal: Principal
    ) -> dict[str, Any]:
        assert (service, principal) == ("scheduler", PRINCIPAL)
        if path == "/schedule-groups":
            return {"ScheduleGroups": [{"Name": name} for name in self.groups]}
        if path == "/schedules":
            return {"Schedules": [{"Name": name} for name in self.schedules]}
        assert query == {"groupName": "default"}
        name = path.removeprefix("/schedules/")
        if method == "DELETE":
            self.deleted.append(name)
            return {}
        return dict(self.schedules[name])


@pytest.fixture
def scheduler() -> FakeScheduler:
    return FakeScheduler()


@pytest.fixture
def stacks(world: World, scheduler: FakeScheduler) -> StackedSchedules:
    made = StackedSchedules(world.resources, scheduler, world.operations)  # type: ignore[arg-type]
    world.operations.forget = made.forget
    return made


async def test_a_stacks_schedule_is_taken_over(
    world: World, scheduler: FakeScheduler, stacks: StackedSchedules
) -> None:
    scheduler.put(ScheduleExpressionTimezone="Europe/Paris", StartDate="2026-02-01T00:00:00Z")
    await stacks.learn(PRINCIPAL)
    found = await world.schedule()
    assert found is not None
    assert (found.timezone, found.start_ms) == ("Europe/Paris", NEW_YEAR_MS + 31 * 86_400_000)
    assert found.next_ms == found.start_ms


async def test_what_its_owner_changed_stays_until_the_stack_says_otherwise(
    world: World, scheduler: FakeScheduler, stacks: StackedSchedules
) -> None:
    scheduler.put()
    await stacks.learn(PRINCIPAL)
    request = {**scheduler.schedules["s"], "ScheduleExpression": "rate(2 days)"}
    await world.operations.update_schedule(CALLER, request)
    await stacks.learn(PRINCIPAL)
    found = await world.schedule()
    assert found is not None
    assert found.expression == "rate(2 days)"
    scheduler.put(ScheduleExpression="rate(3 days)")
    await stacks.learn(PRINCIPAL)
    found = await world.schedule()
    assert found is not None
    assert found.expression == "rate(3 days)"


async def test_it_goes_with_its_stack_and_others_stay(
    world: World, scheduler: FakeScheduler, stacks: StackedSchedules
) -> None:
    await world.create("mine")
    scheduler.put()
    scheduler.groups.append("g")
    await stacks.learn(PRINCIPAL)
    assert (await world.operations.get_schedule_group(CALLER, {"Name": "g"}))["State"] == "ACTIVE"
    scheduler.schedules.clear()
    scheduler.groups.remove("g")
    await stacks.learn(PRINCIPAL)
    assert await world.schedule() is None
    assert await world.schedule("mine") is not None
    listed = await world.operations.list_schedule_groups(CALLER, {})
    assert [group["Name"] for group in listed["ScheduleGroups"]] == ["default"]


async def test_whoever_deletes_it_deletes_it_there_too(
    world: World, scheduler: FakeScheduler, stacks: StackedSchedules
) -> None:
    scheduler.put()
    await world.create("mine")
    await stacks.learn(PRINCIPAL)
    for name in ("s", "mine"):
        await world.operations.delete_schedule(CALLER, {"Name": name})
    assert scheduler.deleted == ["s"]


async def test_what_means_nothing_disturbs_no_other(
    world: World, scheduler: FakeScheduler, stacks: StackedSchedules
) -> None:
    scheduler.put("odd", ScheduleExpression="rate(1 week)")
    scheduler.put("even")
    await stacks.learn(PRINCIPAL)
    assert await world.schedule("odd") is None
    assert await world.schedule("even") is not None
