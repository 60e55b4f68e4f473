"""Scheduled rules as EventBridge tells them: learned, changed, forgotten, and judged before it sees them."""

from __future__ import annotations

import asyncio
import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from lambent.model.configs.schedule import RuleScope, ScheduledRule
from lambent.triggers.schedules.rulebook import RuleBook
from lambent.triggers.schedules.watching import WatchedNeighbours
from lambent.wire.error_forms import NeighbourError
from lambent.wire.http_client import ForwardedRequest, OutwardRequest
from tests.unit.triggers.schedules.conftest import NEW_YEAR_MS, QUEUE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from tests.unit.triggers.schedules.conftest import World

RULE_ARN = "arn:aws:events:us-east-1:000000000000:rule/r"
MINUTE = 60_000


class FakeEvents:
    """EventBridge: rules and targets by name; away while `is_away`."""

    def __init__(self) -> None:
        self.rules: dict[str, dict[str, Any]] = {}
        self.targets: dict[str, list[dict[str, Any]]] = {}
        self.is_away = False
        self.calls = 0

    def put(self, expression: str, name: str = "r", state: str = "ENABLED") -> None:
        arn = RULE_ARN.replace("rule/r", f"rule/{name}")
        self.rules[name] = {"Name": name, "Arn": arn, "ScheduleExpression": expression, "State": state}

    async def call(self, asked: str, action: str, body: Mapping[str, Any], principal: object) -> dict[str, Any]:
        assert asked == "events"
        self.calls += 1
        if self.is_away:
            raise NeighbourError("ServiceUnavailable", "It is away.", 503)
        if action == "ListTargetsByRule":
            return {"Targets": self.targets.get(body["Rule"], [])}
        names = sorted(self.rules)
        start = int(body.get("NextToken", 0))
        answer: dict[str, Any] = {"Rules": [self.rules[name] for name in names[start : start + 2]]}
        if start + 2 < len(names):
            answer["NextToken"] = str(start + 2)
        return answer


class Answer:
    """What a neighbour answers."""

    is_closed = False

    async def aclose(self) -> None:
        self.is_closed = True


class Neighbour:
    """Remembers what was handed on."""

    def __init__(self) -> None:
        self.seen: list[ForwardedRequest] = []
        self.answer = Answer()

    async def forward(self, request: ForwardedRequest) -> Any:
        self.seen.append(request)
        return self.answer


@pytest.fixture
def events() -> FakeEvents:
    return FakeEvents()


@pytest.fixture
def book(world: World, events: FakeEvents) -> RuleBook:
    return RuleBook(world.resources, events, world.clock, os.urandom)  # type: ignore[arg-type]


async def _rule(world: World, name: str = "r") -> ScheduledRule | None:
    return await world.resources.get(ScheduledRule, "000000000000", "us-east-1", name)


async def _learn(book: RuleBook) -> None:
    await book.learn("000000000000", "us-east-1")


async def test_a_rule_is_learned_with_its_targets(world: World, events: FakeEvents, book: RuleBook) -> None:
    events.put("rate(5 minutes)")
    await _learn(book)
    found = await _rule(world)
    assert found is not None
    assert (found.expression, found.targets, found.next_ms) == ("rate(5 minutes)", (), NEW_YEAR_MS + 5 * MINUTE)
    world.clock.now_ms += MINUTE
    events.targets["r"] = [{"Id": "1", "Arn": QUEUE}]
    await _learn(book)
    found = await _rule(world)
    assert found is not None
    assert [json.loads(target) for target in found.targets] == [{"Id": "1", "Arn": QUEUE}]
    # A target is no reason to count anew.
    assert found.next_ms == NEW_YEAR_MS + 5 * MINUTE


async def test_what_is_as_it_was_is_not_written(world: World, events: FakeEvents, book: RuleBook) -> None:
    events.put("rate(5 minutes)")
    await _learn(book)
    before = await _rule(world)
    world.clock.now_ms += MINUTE
    await _learn(book)
    after = await _rule(world)
    assert before is not None
    assert after is not None
    assert after.revision_id == before.revision_id


async def test_another_expression_counts_anew(world: World, events: FakeEvents, book: RuleBook) -> None:
    events.put("rate(5 minutes)")
    await _learn(book)
    world.clock.now_ms += MINUTE
    events.put("rate(2 minutes)")
    await _learn(book)
    found = await _rule(world)
    assert found is not None
    assert found.next_ms == NEW_YEAR_MS + 3 * MINUTE


async def test_a_disabled_rule_is_silent(world: World, events: FakeEvents, book: RuleBook) -> None:
    events.put("rate(5 minutes)")
    await _learn(book)
    events.put("rate(5 minutes)", state="DISABLED")
    await _learn(book)
    found = await _rule(world)
    assert found is not None
    assert found.next_ms is None
    world.clock.now_ms += 7 * MINUTE
    events.put("rate(5 minutes)")
    await _learn(book)
    found = await _rule(world)
    assert found is not None
    assert found.next_ms == NEW_YEAR_MS + 12 * MINUTE


async def test_what_is_gone_is_forgotten(world: World, events: FakeEvents, book: RuleBook) -> None:
    for name in "abcde":
        events.put("rate(5 minutes)", name)
    events.rules["p"] = {"Name": "p", "Arn": RULE_ARN, "EventPattern": "{}", "State": "ENABLED"}
    await _learn(book)
    assert await _rule(world, "e") is not None
    assert await _rule(world, "p") is None
    del events.rules["b"]
    await _learn(book)
    assert await _rule(world, "b") is None
    assert await _rule(world, "c") is not None


async def test_an_expression_that_means_nothing_disturbs_no_other(
    world: World, events: FakeEvents, book: RuleBook
) -> None:
    events.put("rate(1 minutes)", "odd")
    events.put("rate(1 minute)", "even")
    await _learn(book)
    assert await _rule(world, "odd") is None
    assert await _rule(world, "even") is not None


async def test_eventbridge_away_forgets_nothing(world: World, events: FakeEvents, book: RuleBook) -> None:
    events.put("rate(5 minutes)")
    await _learn(book)
    events.is_away = True
    del events.rules["r"]
    await _learn(book)
    assert await _rule(world) is not None


async def test_a_builder_that_answers_nothing_else_is_not_waited_for(
    events: FakeEvents, book: RuleBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lambent.triggers.schedules.rulebook._BUILT_SECONDS", 0.01)

    async def silence(*_: object) -> dict[str, Any]:
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    monkeypatch.setattr(events, "call", silence)
    async with asyncio.timeout(10):
        await book.learn("000000000000", "us-east-1", is_built=True)


async def test_a_place_is_kept_before_the_first_call(world: World, book: RuleBook) -> None:
    await book.begin("000000000000", "eu-west-1")
    assert await world.resources.get(RuleScope, "000000000000", "eu-west-1", "rules") is not None


def _put_rule(**members: str) -> ForwardedRequest:
    async def parts() -> AsyncIterator[bytes]:
        body = json.dumps({"Name": "r", **members}).encode()
        yield body[:10]
        yield body[10:]

    headers = (("x-amz-target", "AWSEvents.PutRule"),)
    return ForwardedRequest("events", "000000000000", "us-east-1", OutwardRequest("POST", "/", headers, parts()))


async def test_a_call_is_answered_when_the_timer_knows(world: World, events: FakeEvents, book: RuleBook) -> None:
    neighbour = Neighbour()
    watched = WatchedNeighbours(neighbour, lambda: book)
    events.put("rate(5 minutes)")
    answer: object = await watched.forward(_put_rule(ScheduleExpression="rate(5 minutes)"))
    assert answer is neighbour.answer
    assert json.loads(neighbour.seen[0].request.body)["Name"] == "r"  # type: ignore[arg-type]
    assert await _rule(world) is not None


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ({"ScheduleExpression": "rate(1 minutes)"}, "Parameter ScheduleExpression is not valid."),
        ({"ScheduleExpression": "at(2027-01-01T00:00:00)"}, "Parameter ScheduleExpression is not valid."),
        (
            {"ScheduleExpression": "rate(1 minute)", "EventBusName": "mine"},
            "ScheduleExpression is supported only on the default event bus.",
        ),
    ],
)
async def test_what_is_no_schedule_is_not_handed_on(book: RuleBook, members: dict[str, str], text: str) -> None:
    neighbour = Neighbour()
    with pytest.raises(NeighbourError) as refusal:
        await WatchedNeighbours(neighbour, lambda: book).forward(_put_rule(**members))
    assert (refusal.value.code, refusal.value.message, refusal.value.status) == ("ValidationException", text, 400)
    assert neighbour.seen == []


@pytest.mark.parametrize(
    ("asked", "action", "is_noticed"),
    [
        ("events", "DeleteRule", True),
        ("events", "PutTargets", True),
        ("events", "PutEvents", False),
        ("events", "ListRules", False),
        ("cloudformation", "", True),
        ("s3", "", False),
    ],
)
async def test_what_is_a_reason_to_look(
    events: FakeEvents, book: RuleBook, asked: str, action: str, is_noticed: bool
) -> None:
    headers = (("x-amz-target", f"AWSEvents.{action}"),) if action else ()
    request = ForwardedRequest(asked, "000000000000", "us-east-1", OutwardRequest("POST", "/", headers, b"{}"))
    await WatchedNeighbours(Neighbour(), lambda: book).forward(request)
    assert (events.calls > 0) is is_noticed
