"""What becomes of a firing whose target refuses: retries, then the dead-letter queue with AWS's attributes."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from lambent.model.configs.schedule import Firing
from lambent.triggers.schedules.targets import TargetError
from tests.unit.triggers.schedules.conftest import NEW_YEAR_MS, QUEUE

if TYPE_CHECKING:
    from tests.unit.triggers.schedules.conftest import World

DEAD = "arn:aws:sqs:us-east-1:000000000000:dead"


def _target(**policy: int) -> dict[str, Any]:
    return {
        "Arn": QUEUE,
        "RoleArn": "arn:aws:iam::000000000000:role/r",
        "Input": "at <aws.scheduler.scheduled-time>, try <aws.scheduler.attempt-number>",
        "RetryPolicy": policy,
        "DeadLetterConfig": {"Arn": DEAD},
    }


def _busy() -> TargetError:
    return TargetError("ThrottlingException", "Slow down.", is_final=False)


async def _left(world: World) -> list[Firing]:
    return await world.resources.page(Firing, "000000000000", "us-east-1", limit=10)


async def test_a_refusal_that_passes_is_tried_again_with_growing_pauses(world: World) -> None:
    world.targets.errors = [_busy(), _busy()]
    await world.create(ScheduleExpression="at(2026-01-01T00:00:00)", Target=_target(MaximumRetryAttempts=5))
    await world.do_due()
    assert [firing.due_ms - NEW_YEAR_MS for firing in await _left(world)] == [1_000]
    await world.restart()
    await world.pass_to(NEW_YEAR_MS + 10_000, step_ms=1_000)
    assert world.targets.invoked == [(NEW_YEAR_MS, "at 2026-01-01T00:00:00Z, try 3")]
    assert world.targets.messages == []
    assert await _left(world) == []


async def test_used_up_attempts_end_in_the_dead_letter_queue(world: World) -> None:
    world.targets.errors = [_busy() for _ in range(3)]
    arn = await world.create(ScheduleExpression="at(2026-01-01T00:00:00)", Target=_target(MaximumRetryAttempts=2))
    await world.pass_to(NEW_YEAR_MS + 60_000, step_ms=1_000)
    assert world.targets.invoked == []
    [(queue, body, attributes)] = world.targets.messages
    assert queue == DEAD
    assert body == "at 2026-01-01T00:00:00Z, try 3"
    execution_id = attributes.pop("EXECUTION_ID")
    assert len(execution_id) == 16
    assert attributes == {
        "ERROR_CODE": "ThrottlingException",
        "ERROR_MESSAGE": "Slow down.",
        "EXHAUSTED_RETRY_CONDITION": "MaximumRetryAttempts",
        "IS_PAYLOAD_TRUNCATED": "false",
        "RETRY_ATTEMPTS": "2",
        "SCHEDULED_TIME": "2026-01-01T00:00:00Z",
        "SCHEDULE_ARN": arn,
        "TARGET_ARN": QUEUE,
    }
    assert await _left(world) == []


async def test_an_age_that_is_over_ends_there_too(world: World) -> None:
    world.targets.errors = [_busy() for _ in range(20)]
    target = _target(MaximumRetryAttempts=185, MaximumEventAgeInSeconds=60)
    await world.create(ScheduleExpression="at(2026-01-01T00:00:00)", Target=target)
    await world.pass_to(NEW_YEAR_MS + 300_000, step_ms=1_000)
    [(_, _, attributes)] = world.targets.messages
    assert attributes["EXHAUSTED_RETRY_CONDITION"] == "MaximumEventAgeInSeconds"
    assert attributes["RETRY_ATTEMPTS"] == "5"


async def test_a_refusal_for_good_is_not_tried_again(world: World) -> None:
    world.targets.errors = [TargetError("ResourceNotFoundException", "No such function.", is_final=True)]
    await world.create(ScheduleExpression="at(2026-01-01T00:00:00)", Target=_target(MaximumRetryAttempts=9))
    await world.do_due()
    [(_, _, attributes)] = world.targets.messages
    assert attributes["ERROR_CODE"] == "ResourceNotFoundException"
    assert attributes["RETRY_ATTEMPTS"] == "0"


async def test_without_a_dead_letter_queue_it_is_dropped(world: World) -> None:
    world.targets.errors = [TargetError("ResourceNotFoundException", "No such function.", is_final=True)]
    await world.create(ScheduleExpression="at(2026-01-01T00:00:00)")
    await world.do_due()
    assert world.targets.messages == []
    assert await _left(world) == []


async def test_a_rule_has_its_own_attributes(world: World) -> None:
    world.targets.errors = [TargetError("NO_PERMISSIONS", "Not allowed.", is_final=True)]
    target = {"Id": "1", "Arn": QUEUE, "Input": "{}", "DeadLetterConfig": {"Arn": DEAD}}
    rule = await world.add_rule("cron(0 1 * * ? *)", target)
    await world.pass_to(NEW_YEAR_MS + 3_600_000, step_ms=600_000)
    assert world.targets.messages == [
        (
            DEAD,
            "{}",
            {
                "ERROR_CODE": "NO_PERMISSIONS",
                "ERROR_MESSAGE": "Not allowed.",
                "RETRY_ATTEMPTS": "0",
                "RULE_ARN": rule.arn,
                "TARGET_ARN": QUEUE,
            },
        )
    ]


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("ResourceNotFoundException", "RESOURCE_NOT_FOUND"),
        ("AWS.SimpleQueueService.NonExistentQueue", "RESOURCE_NOT_FOUND"),
        ("ThrottlingException", "THROTTLING"),
        ("InvalidParameterValueException", "SDK_CLIENT_ERROR"),
    ],
)
async def test_a_rule_has_words_of_its_own_for_errors(world: World, code: str, told: str) -> None:
    world.targets.errors = [TargetError(code, "No.", is_final=True)]
    await world.add_rule("cron(0 1 * * ? *)", {"Id": "1", "Arn": QUEUE, "DeadLetterConfig": {"Arn": DEAD}})
    await world.pass_to(NEW_YEAR_MS + 3_600_000, step_ms=600_000)
    [(_, _, attributes)] = world.targets.messages
    assert attributes["ERROR_CODE"] == told


async def test_a_schedule_that_failed_for_good_is_complete(world: World) -> None:
    world.targets.errors = [TargetError("ResourceNotFoundException", "No such function.", is_final=True)]
    await world.create(ScheduleExpression="at(2026-01-01T00:00:00)", ActionAfterCompletion="DELETE")
    await world.do_due()
    assert await world.schedule() is None


async def test_a_target_without_input_gets_the_event(world: World) -> None:
    import json

    target = {"Arn": QUEUE, "RoleArn": "arn:aws:iam::000000000000:role/r"}
    arn = await world.create(ScheduleExpression="at(2026-01-01T00:00:00)", Target=target)
    await world.do_due()
    [(_, payload)] = world.targets.invoked
    event = json.loads(payload)
    assert event["source"] == "aws.scheduler"
    assert event["detail-type"] == "Scheduled Event"
    assert event["resources"] == [arn]
    assert event["detail"] == "{}"


async def test_a_service_that_hangs_keeps_no_other_waiting(world: World) -> None:
    function = "arn:aws:lambda:us-east-1:000000000000:function:f"
    hanging = asyncio.Event()

    class Targets:
        def __init__(self) -> None:
            self.invoked: list[str] = []

        async def invoke(self, firing: Firing, target: dict[str, Any], payload: str) -> None:
            if target["Arn"] == QUEUE:
                await hanging.wait()
            self.invoked.append(target["Arn"])

    targets = Targets()
    world.firings._targets = targets  # type: ignore[assignment]
    for number in range(70):
        await world.create(f"q{number}", ScheduleExpression="at(2026-01-01T00:00:00)")
    role = "arn:aws:iam::000000000000:role/r"
    await world.create("f", ScheduleExpression="at(2026-01-01T00:00:00)", Target={"Arn": function, "RoleArn": role})
    await world.timer.fire_due()
    running = asyncio.get_running_loop().create_task(world.firings.run())
    async with asyncio.timeout(20):
        while not targets.invoked:
            await asyncio.sleep(0.001)
        assert targets.invoked == [function]
        hanging.set()
        while await _left(world):
            await asyncio.sleep(0.001)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    assert len(targets.invoked) == 71
