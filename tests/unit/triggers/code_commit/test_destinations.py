"""What triggers name: functions that permit it, topics, and what is told of those that cannot be reached."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from lambent.model.configs.repository import Repository, RepositoryTrigger
from lambent.model.errors import LambdaError, ResourceNotFoundError, ServiceError, TooManyRequestsError
from lambent.triggers.code_commit.destinations import TriggerDestinations, UndeliveredError
from lambent.triggers.schedules import TargetParts
from lambent.wire.client import CallError, Principal
from lambent.wire.error_forms import NeighbourError
from tests.loops import run_apart

if TYPE_CHECKING:
    from lambent.model.arn import FunctionArn
    from lambent.model.invocation import TriggerSource

FUNCTION = "arn:aws:lambda:eu-west-1:111122223333:function:f:live"
TOPIC = "arn:aws:sns:eu-west-1:111122223333:t"
REPOSITORY = Repository("111122223333", "eu-west-1", "app", "r", "id", 0, 0)


class World:
    """The neighbours, in one object; every door may have an error."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.reason: str | None = None
        self.sources: list[TriggerSource] = []
        self.taken: list[tuple[str, bytes, str]] = []
        self.published: list[tuple[str, str, Any, Principal]] = []
        parts = TargetParts(self, self.enqueue, self.enqueue, self, self.knows)  # type: ignore[arg-type]
        self.destinations = TriggerDestinations(parts)

    def knows(self, function: FunctionArn) -> None:
        if function.name != "f":
            raise ResourceNotFoundError("Function not found")

    def refusal(self, _function: FunctionArn, source: TriggerSource) -> str | None:
        self.sources.append(source)
        return self.reason

    async def enqueue(self, function: FunctionArn, payload: bytes, name: str) -> None:
        if self.error is not None:
            raise self.error
        self.taken.append((str(function), payload, name))

    async def query(self, asked: str, action: str, parameters: dict[str, str], principal: Principal) -> str:
        if self.error is not None:
            raise self.error
        self.published.append((asked, action, parameters, principal))
        return ""

    def tell(self, arn: str = FUNCTION) -> None:
        trigger = RepositoryTrigger("t", arn, ("all",))
        run_apart(self.destinations.tell(REPOSITORY, trigger, {"Records": []}, "name"))


def test_a_function_gets_its_event_by_the_repositorys_name() -> None:
    world = World()
    world.tell()
    assert world.taken == [(FUNCTION, b'{"Records":[]}', "name")]
    [source] = world.sources
    assert (source.principal, source.arn, source.account_id) == (
        "codecommit.amazonaws.com",
        "arn:aws:codecommit:eu-west-1:111122223333:app",
        "111122223333",
    )


def test_who_does_not_permit_it_is_not_called() -> None:
    world = World()
    world.reason = "no statement allows it"
    with pytest.raises(UndeliveredError, match="no statement") as caught:
        world.tell()
    assert caught.value.is_final
    assert world.taken == []


def test_a_function_that_is_not_there() -> None:
    with pytest.raises(UndeliveredError, match="Function not found") as caught:
        World().tell(FUNCTION.replace(":f:", ":g:"))
    assert caught.value.is_final


def test_a_topic_gets_the_event_as_its_message() -> None:
    world = World()
    world.tell(TOPIC)
    [(asked, action, parameters, principal)] = world.published
    assert (asked, action, parameters["TopicArn"]) == ("sns", "Publish", TOPIC)
    assert json.loads(parameters["Message"]) == {"Records": []}
    assert principal == Principal("111122223333", "eu-west-1")


@pytest.mark.parametrize(
    ("arn", "error", "is_final"),
    [
        (FUNCTION, TooManyRequestsError("full"), False),
        (FUNCTION, ServiceError("no disk"), False),
        (FUNCTION, LambdaError("large", code="RequestTooLargeException"), True),
        (TOPIC, CallError("NotFound", "no topic", 404), True),
        (TOPIC, CallError("Throttling", "slow", 429), False),
        (TOPIC, CallError("InternalFailure", "broken", 500), False),
        (TOPIC, NeighbourError("ServiceUnavailable", "away", 503), False),
        (TOPIC, NeighbourError("NotImplementedException", "nobody", 501), True),
    ],
)
def test_what_may_pass_is_tried_again(arn: str, error: Exception, is_final: bool) -> None:
    with pytest.raises(UndeliveredError) as caught:
        World(error).tell(arn)
    assert caught.value.is_final is is_final
