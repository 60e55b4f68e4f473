"""When schedules and rules fire: on a clock that is set by hand, also over crashes and stops."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from lambent.triggers.schedules.times import plans
from tests.unit.triggers.schedules.conftest import CALLER, NEW_YEAR_MS, QUEUE

if TYPE_CHECKING:
    from tests.unit.triggers.schedules.conftest import World

MINUTE = 60_000
HOUR = 60 * MINUTE


def _times(world: World) -> list[int]:
    return [at_ms - NEW_YEAR_MS for at_ms, _ in world.targets.invoked]


async def test_a_rate_begins_at_once_and_goes_on(world: World) -> None:
    await world.create(ScheduleExpression="rate(2 minutes)")
    await world.do_due()
    await world.pass_to(NEW_YEAR_MS + 5 * MINUTE)
    assert _times(world) == [0, 2 * MINUTE, 4 * MINUTE]


async def test_a_rule_counts_from_its_beginning(world: World) -> None:
    await world.add_rule("rate(2 minutes)", {"Id": "1", "Arn": QUEUE})
    await world.do_due()
    await world.pass_to(NEW_YEAR_MS + 5 * MINUTE)
    assert _times(world) == [2 * MINUTE, 4 * MINUTE]


async def test_what_happens_once_happens_once(world: World) -> None:
    await world.create(ScheduleExpression="at(2026-01-01T00:10:00)")
    await world.pass_to(NEW_YEAR_MS + 2 * HOUR, step_ms=MINUTE)
    assert _times(world) == [10 * MINUTE]
    found = await world.schedule()
    assert found is not None
    assert found.next_ms is None


async def test_a_start_date_is_the_first_time_and_an_end_date_the_last(world: World) -> None:
    start = NEW_YEAR_MS + 10 * MINUTE
    await world.create(StartDate=start / 1_000, EndDate=(start + 2 * MINUTE) / 1_000)
    await world.pass_to(NEW_YEAR_MS + HOUR)
    assert _times(world) == [10 * MINUTE, 11 * MINUTE, 12 * MINUTE]


async def test_a_disabled_schedule_is_silent_until_it_is_enabled(world: World) -> None:
    await world.create(State="DISABLED")
    await world.pass_to(NEW_YEAR_MS + 3 * MINUTE)
    assert _times(world) == []
    request = {
        "Name": "s",
        "ScheduleExpression": "rate(1 minute)",
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": {"Arn": QUEUE, "RoleArn": "arn:aws:iam::000000000000:role/r"},
    }
    await world.operations.update_schedule(CALLER, request)
    await world.do_due()
    assert _times(world) == [3 * MINUTE]


async def test_an_update_of_the_target_leaves_the_times(world: World) -> None:
    await world.create(ScheduleExpression="rate(10 minutes)")
    await world.do_due()
    await world.pass_to(NEW_YEAR_MS + 3 * MINUTE)
    request = {
        "Name": "s",
        "ScheduleExpression": "rate(10 minutes)",
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": {"Arn": QUEUE, "RoleArn": "arn:aws:iam::000000000000:role/r", "Input": "other"},
    }
    await world.operations.update_schedule(CALLER, request)
    await world.pass_to(NEW_YEAR_MS + 11 * MINUTE)
    assert world.targets.invoked == [(NEW_YEAR_MS, "hi"), (NEW_YEAR_MS + 10 * MINUTE, "other")]


async def test_a_crash_between_two_times_changes_nothing(world: World) -> None:
    await world.create(ScheduleExpression="rate(2 minutes)")
    for minute in range(9):
        world.clock.now_ms = NEW_YEAR_MS + minute * MINUTE
        await world.restart()
        await world.do_due()
        await world.restart()
        await world.do_due()
    assert _times(world) == [0, 2 * MINUTE, 4 * MINUTE, 6 * MINUTE, 8 * MINUTE]


async def test_a_crash_after_the_timer_moved_on_loses_nothing(world: World) -> None:
    await world.create(ScheduleExpression="at(2026-01-01T00:10:00)")
    world.clock.now_ms = NEW_YEAR_MS + 10 * MINUTE
    await world.timer.fire_due()
    await world.restart()
    await world.do_due()
    await world.restart()
    await world.do_due()
    assert _times(world) == [10 * MINUTE]


async def test_what_a_stop_missed_is_not_made_up(world: World) -> None:
    await world.create(ScheduleExpression="rate(10 minutes)")
    await world.add_rule("cron(0 * * * ? *)", {"Id": "1", "Arn": QUEUE})
    await world.do_due()
    world.clock.now_ms = NEW_YEAR_MS + 3 * HOUR + 5 * MINUTE
    await world.restart()
    await world.do_due()
    await world.pass_to(NEW_YEAR_MS + 4 * HOUR)
    assert sorted(_times(world)) == [
        0, *(3 * HOUR + minutes * MINUTE for minutes in (10, 20, 30, 40, 50)), 4 * HOUR, 4 * HOUR,
    ]  # fmt: skip


async def test_what_is_less_than_a_minute_late_is_in_time(world: World) -> None:
    await world.add_rule("cron(0 1 * * ? *)", {"Id": "1", "Arn": QUEUE})
    world.clock.now_ms = NEW_YEAR_MS + HOUR + 59_000
    await world.restart()
    await world.do_due()
    assert _times(world) == [HOUR]


@pytest.mark.parametrize(("age_seconds", "is_fired"), [(3_600, False), (14_400, True)])
async def test_what_happens_once_is_made_up_while_its_event_may_live(
    world: World, age_seconds: int, is_fired: bool
) -> None:
    target = {
        "Arn": QUEUE,
        "RoleArn": "arn:aws:iam::000000000000:role/r",
        "RetryPolicy": {"MaximumEventAgeInSeconds": age_seconds},
    }
    await world.create(ScheduleExpression="at(2026-01-01T00:10:00)", Target=target)
    world.clock.now_ms = NEW_YEAR_MS + 2 * HOUR
    await world.restart()
    await world.do_due()
    await world.restart()
    await world.do_due()
    assert _times(world) == ([10 * MINUTE] if is_fired else [])


async def test_a_flexible_window_is_one_place_in_it(world: World) -> None:
    window = {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 30}
    world.clock.now_ms += 1
    await world.create(ScheduleExpression="cron(0 * * * ? *)", FlexibleTimeWindow=window)
    schedule = await world.schedule()
    assert schedule is not None
    due_ms = plans.due_ms(schedule)
    assert due_ms is not None
    assert NEW_YEAR_MS + HOUR <= due_ms < NEW_YEAR_MS + HOUR + 30 * MINUTE
    world.clock.now_ms = due_ms - 1
    await world.restart()
    await world.do_due()
    assert _times(world) == []
    world.clock.now_ms = due_ms
    await world.do_due()
    assert _times(world) == [HOUR]


async def test_windows_longer_than_a_rate_lose_nothing(world: World) -> None:
    window = {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 10}
    end = NEW_YEAR_MS + 5 * MINUTE
    await world.create(FlexibleTimeWindow=window, EndDate=end / 1_000)
    await world.pass_to(NEW_YEAR_MS + HOUR, step_ms=5_000)
    assert _times(world) == [minute * MINUTE for minute in range(6)]


async def test_a_schedule_is_deleted_after_its_completion(world: World) -> None:
    await world.create("once", ScheduleExpression="at(2026-01-01T00:10:00)", ActionAfterCompletion="DELETE")
    await world.create("thrice", EndDate=(NEW_YEAR_MS + 2 * MINUTE) / 1_000, ActionAfterCompletion="DELETE")
    await world.do_due()
    assert await world.schedule("thrice") is not None
    await world.pass_to(NEW_YEAR_MS + 11 * MINUTE)
    assert await world.schedule("once") is None
    assert await world.schedule("thrice") is None
    assert len(world.targets.invoked) == 4


async def test_a_deleted_schedule_fires_no_more(world: World) -> None:
    await world.create()
    await world.do_due()
    await world.operations.delete_schedule(CALLER, {"Name": "s"})
    await world.pass_to(NEW_YEAR_MS + 5 * MINUTE)
    assert _times(world) == [0]


async def test_a_schedule_made_again_fires_again(world: World) -> None:
    for _ in range(2):
        await world.create(ScheduleExpression="at(2026-01-01T00:10:00)")
        await world.pass_to(NEW_YEAR_MS + 10 * MINUTE)
        await world.do_due()
        await world.operations.delete_schedule(CALLER, {"Name": "s"})
        world.clock.now_ms = NEW_YEAR_MS + 5 * MINUTE
    assert _times(world) == [10 * MINUTE, 10 * MINUTE]


async def test_each_target_of_a_rule_gets_its_own(world: World) -> None:
    await world.add_rule(
        "cron(0 1 * * ? *)",
        {"Id": "plain", "Arn": QUEUE},
        {"Id": "constant", "Arn": QUEUE, "Input": '{"a": 1}'},
        {"Id": "part", "Arn": QUEUE, "InputPath": "$.time"},
    )
    await world.pass_to(NEW_YEAR_MS + HOUR)
    payloads = [json.loads(payload) for _, payload in world.targets.invoked]
    assert {"a": 1} in payloads
    assert "2026-01-01T01:00:00Z" in payloads
    [event] = [one for one in payloads if isinstance(one, dict) and "source" in one]
    assert {name: value for name, value in event.items() if name != "id"} == {
        "version": "0",
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "000000000000",
        "time": "2026-01-01T01:00:00Z",
        "region": "us-east-1",
        "resources": ["arn:aws:events:us-east-1:000000000000:rule/r"],
        "detail": {},
    }


async def test_hundreds_at_one_moment(world: World) -> None:
    for number in range(300):
        await world.create(f"s{number}", ScheduleExpression="at(2026-01-01T00:10:00)")
    world.clock.now_ms = NEW_YEAR_MS + 10 * MINUTE
    await world.do_due()
    assert len(world.targets.invoked) == 300
