"""Rotations of secrets as Secrets Manager tells them: learned, due once, also after a crash, left out when too late."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from lambent.model.configs.schedule import ScheduledRule
from lambent.triggers.schedules.rulebook import RuleBook
from lambent.triggers.schedules.watching import WatchedNeighbours
from lambent.wire.http_client import ForwardedRequest, OutwardRequest
from tests.unit.triggers.schedules.conftest import NEW_YEAR_MS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.unit.triggers.schedules.conftest import World

HOUR = 3_600_000
DAY = 24 * HOUR
SECRET = "arn:aws:secretsmanager:us-east-1:000000000000:secret:s-AbCdEf"


class FakeSecrets:
    """Secrets Manager: one secret, and others that rotate not."""

    def __init__(self) -> None:
        self.rules: dict[str, Any] = {"AutomaticallyAfterDays": 1}
        self.next_ms = NEW_YEAR_MS + DAY
        self.is_rotating = True
        self.calls = 0

    async def call(self, asked: str, action: str, body: Mapping[str, Any], principal: object) -> dict[str, Any]:
        assert asked == "secretsmanager"
        self.calls += 1
        if action == "ListSecrets":
            if "NextToken" not in body:
                return {"SecretList": [{"ARN": "arn:other", "RotationEnabled": False}], "NextToken": "1"}
            return {"SecretList": [{"ARN": SECRET, "RotationEnabled": self.is_rotating}]}
        assert (action, body) == ("DescribeSecret", {"SecretId": SECRET})
        return {"ARN": SECRET, "RotationRules": self.rules, "NextRotationDate": self.next_ms / 1_000}


@pytest.fixture
def secrets() -> FakeSecrets:
    return FakeSecrets()


def _book(world: World, secrets: FakeSecrets) -> RuleBook:
    services = frozenset({"secretsmanager"})
    return RuleBook(world.resources, secrets, world.clock, os.urandom, None, services)  # type: ignore[arg-type]


async def _learn(world: World, secrets: FakeSecrets) -> None:
    await _book(world, secrets).learn("000000000000", "us-east-1", "secretsmanager")


async def _rotation(world: World) -> ScheduledRule | None:
    return await world.resources.get(ScheduledRule, "000000000000", "us-east-1", SECRET)


async def _fired(world: World) -> list[int]:
    return [moment for moment, _ in world.targets.invoked]


async def test_a_rotation_is_due_once(world: World, secrets: FakeSecrets) -> None:
    await _learn(world, secrets)
    await world.pass_to(NEW_YEAR_MS + DAY - 60_000, step_ms=HOUR)
    assert await _fired(world) == []
    await world.pass_to(NEW_YEAR_MS + DAY + HOUR, step_ms=60_000)
    assert await _fired(world) == [NEW_YEAR_MS + DAY]
    # It is not done yet, so Secrets Manager tells the same time: that is no second one.
    await _learn(world, secrets)
    await world.pass_to(NEW_YEAR_MS + DAY + 2 * HOUR, step_ms=60_000)
    assert await _fired(world) == [NEW_YEAR_MS + DAY]
    secrets.next_ms = NEW_YEAR_MS + 2 * DAY + HOUR
    await _learn(world, secrets)
    await world.pass_to(NEW_YEAR_MS + 2 * DAY + 2 * HOUR, step_ms=60_000)
    assert await _fired(world) == [NEW_YEAR_MS + DAY, NEW_YEAR_MS + 2 * DAY + HOUR]


async def test_the_next_one_does_not_wait_for_the_last_to_succeed(world: World, secrets: FakeSecrets) -> None:
    await _learn(world, secrets)
    await world.pass_to(NEW_YEAR_MS + 3 * DAY + HOUR, step_ms=HOUR // 2)
    assert await _fired(world) == [NEW_YEAR_MS + days * DAY for days in (1, 2, 3)]


async def test_a_crash_neither_forgets_nor_repeats(world: World, secrets: FakeSecrets) -> None:
    await _learn(world, secrets)
    await world.restart()
    await world.pass_to(NEW_YEAR_MS + DAY + 60_000, step_ms=HOUR)
    await world.restart()
    await world.do_due()
    assert await _fired(world) == [NEW_YEAR_MS + DAY]


async def test_what_was_due_while_nothing_ran_is_done_once_afterwards(world: World, secrets: FakeSecrets) -> None:
    secrets.rules = {"AutomaticallyAfterDays": 3}
    secrets.next_ms = NEW_YEAR_MS + 3 * DAY
    await _learn(world, secrets)
    world.clock.now_ms = NEW_YEAR_MS + 5 * DAY
    await world.restart()
    await world.do_due()
    await world.do_due()
    assert await _fired(world) == [NEW_YEAR_MS + 3 * DAY]
    found = await _rotation(world)
    assert found is not None
    assert found.next_ms == NEW_YEAR_MS + 6 * DAY


@pytest.mark.parametrize(
    ("rules", "hours_late", "is_done"),
    [
        ({"ScheduleExpression": "rate(4 hours)"}, 0.9, True),
        ({"ScheduleExpression": "rate(4 hours)"}, 1.1, False),
        ({"ScheduleExpression": "rate(4 hours)", "Duration": "3h"}, 2.9, True),
        ({"ScheduleExpression": "rate(4 hours)", "Duration": "3h"}, 3.1, False),
        ({"ScheduleExpression": "cron(0 8 * * ? *)"}, 20, True),
        ({"ScheduleExpression": "cron(0 /8 * * ? *)"}, 1.5, False),
        ({"ScheduleExpression": "rate(10 days)"}, 20, True),
    ],
)
async def test_a_window_closes(
    world: World, secrets: FakeSecrets, rules: dict[str, Any], hours_late: float, is_done: bool
) -> None:
    secrets.rules, secrets.next_ms = rules, NEW_YEAR_MS + 8 * HOUR
    await _learn(world, secrets)
    world.clock.now_ms = secrets.next_ms + int(hours_late * HOUR)
    await world.do_due()
    assert bool(await _fired(world)) is is_done


async def test_what_rotates_no_more_is_forgotten(world: World, secrets: FakeSecrets) -> None:
    await world.add_rule("rate(5 minutes)")
    await _learn(world, secrets)
    found = await _rotation(world)
    assert found is not None
    assert json.loads(found.targets[0])["Arn"] == SECRET
    secrets.is_rotating = False
    await _learn(world, secrets)
    assert await _rotation(world) is None
    # EventBridge's own are not its business.
    assert await world.resources.get(ScheduledRule, "000000000000", "us-east-1", "r") is not None


async def test_a_schedule_that_means_nothing_is_left_out(world: World, secrets: FakeSecrets) -> None:
    secrets.rules = {"ScheduleExpression": "cron(every day)"}
    await _learn(world, secrets)
    assert await _rotation(world) is None


@pytest.mark.parametrize(
    ("services", "action", "is_noticed"),
    [
        ({"secretsmanager"}, "RotateSecret", True),
        ({"secretsmanager"}, "CancelRotateSecret", True),
        ({"secretsmanager"}, "GetSecretValue", False),
        ({"events"}, "RotateSecret", False),
    ],
)
async def test_what_is_a_reason_to_look(
    world: World, secrets: FakeSecrets, services: set[str], action: str, is_noticed: bool
) -> None:
    class Neighbour:
        async def forward(self, request: ForwardedRequest) -> Any:
            return request

    request = ForwardedRequest(
        "secretsmanager", "000000000000", "us-east-1",
        OutwardRequest("POST", "/", (("x-amz-target", f"secretsmanager.{action}"),), b"{}"),
    )  # fmt: skip
    book = _book(world, secrets)
    await WatchedNeighbours(Neighbour(), lambda: book, frozenset(services)).forward(request)
    assert (secrets.calls > 0) is is_noticed
