"""Calls of other services: who may, what comes of them, and what is remembered of refusals."""

from __future__ import annotations

import contextlib
import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from lambent.invocation import ResourcePolicies
from lambent.model.arn import FunctionArn
from lambent.model.configs.policy import FunctionPolicy
from lambent.model.errors import ResourceNotFoundError, TooManyRequestsError
from lambent.model.invocation import (
    FunctionErrorKind,
    InvocationResult,
    InvokeRequest,
    TriggeredAnswer,
    TriggeredCall,
    TriggerSource,
)
from lambent.triggers import CallParts, TriggeredCalls
from tests.loops import run_apart

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_ARN = FunctionArn("111111111111", "eu-west-1", "f")
_BUCKET = TriggerSource("s3.amazonaws.com", "arn:aws:s3:::b", "111111111111")


class World:
    """The neighbours of the calls, in one object."""

    def __init__(self) -> None:
        self.policies = ResourcePolicies()
        self.accepted: list[InvokeRequest] = []
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.result = InvocationResult(b'"done"', "1")
        self.is_full = False
        self.now_ms = 0
        self.calls = TriggeredCalls(
            CallParts(self.invoke, self, self.knows, self.policies.allows, self, self, lambda size: bytes(size))  # type: ignore[arg-type]
        )

    @contextlib.asynccontextmanager
    async def invoke(self, _request: InvokeRequest) -> AsyncIterator[InvocationResult]:
        yield self.result

    async def accept(self, request: InvokeRequest) -> None:
        if self.is_full:
            raise TooManyRequestsError("full")
        self.accepted.append(request)

    async def call(self, _asked: str, action: str, body: dict[str, Any], _principal: object) -> dict[str, Any]:
        self.sent.append((action, body))
        return {"QueueUrl": "http://q"}

    def knows(self, function: FunctionArn) -> object:
        if function.name != "f":
            raise ResourceNotFoundError(f"Function not found: {function}")
        return function

    def time_ms(self) -> int:
        self.now_ms += 1
        return self.now_ms

    def refusals(self) -> list[Any]:
        return [SimpleNamespace(**one) for one in self.calls.refusals("111111111111")]

    def permit(self, qualifier: str = "", **condition: Any) -> None:
        statement = {
            "Sid": "s", "Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"},
            "Action": "lambda:InvokeFunction", "Resource": str(_ARN.qualified(qualifier or None)), **condition,
        }  # fmt: skip
        document = json.dumps({"Version": "2012-10-17", "Id": "default", "Statement": [statement]})
        self.policies.put(FunctionPolicy(_ARN.account_id, _ARN.region, _ARN.name, qualifier, document, "r"))

    def answer(self, source: TriggerSource = _BUCKET, **changed: Any) -> TriggeredAnswer:
        call = TriggeredCall(_ARN, source, b"{}", is_event=True)
        return run_apart(self.calls.answer(call._replace(**changed)))


def test_nobody_calls_without_a_statement() -> None:
    world = World()
    answer = world.answer()
    assert answer.code == "AccessDeniedException"
    assert world.accepted == []
    [refusal] = world.refusals()
    assert (refusal.calls, refusal.principal) == (1, "s3.amazonaws.com")
    assert refusal.permission == (
        f"aws lambda add-permission --function-name {_ARN} --statement-id s3-invoke --action lambda:InvokeFunction "
        "--principal s3.amazonaws.com --source-arn 'arn:aws:s3:::b' --source-account 111111111111"
    )
    world.answer()
    assert [one.calls for one in world.refusals()] == [2]
    world.permit()
    assert world.answer() == TriggeredAnswer()
    assert [one.function for one in world.accepted] == [_ARN]


def test_conditions_on_the_source_are_held() -> None:
    world = World()
    world.permit(
        Condition={
            "StringEquals": {"AWS:SourceAccount": "111111111111"}, "ArnLike": {"AWS:SourceArn": "arn:aws:s3:::b*"}
        }
    )  # fmt: skip
    assert world.answer().code == ""
    assert world.answer(_BUCKET._replace(arn="arn:aws:s3:::other")).code == "AccessDeniedException"
    assert world.answer(_BUCKET._replace(account_id="222222222222")).code == "AccessDeniedException"
    assert world.answer(_BUCKET._replace(arn="")).code == "AccessDeniedException"
    assert world.answer(_BUCKET._replace(principal="sns.amazonaws.com")).code == "AccessDeniedException"


def test_the_token_of_a_skill_is_held() -> None:
    world = World()
    world.permit(Condition={"StringEquals": {"lambda:EventSourceToken": "amzn1.ask.skill.1"}})
    skill = TriggerSource("s3.amazonaws.com", token="amzn1.ask.skill.1")
    assert world.answer(skill).code == ""
    assert world.answer(skill._replace(token="amzn1.ask.skill.2")).code == "AccessDeniedException"
    assert world.answer(skill._replace(token="")).code == "AccessDeniedException"
    assert world.refusals()[0].permission.endswith("--event-source-token 'amzn1.ask.skill.2'")


def test_an_alias_has_a_policy_of_its_own() -> None:
    world = World()
    world.permit("live")
    assert world.answer().code == "AccessDeniedException"
    assert world.answer(function=_ARN.qualified("live")).code == ""
    assert world.answer(function=_ARN.qualified("other")).code == "AccessDeniedException"
    assert "--qualifier 'other'" in world.refusals()[-1].permission


def test_a_role_needs_no_statement_and_a_check_leaves_no_trace() -> None:
    world = World()
    assert world.answer(TriggerSource("states.amazonaws.com", has_role=True)).code == ""
    assert world.answer(is_check=True).code == "AccessDeniedException"
    assert world.refusals() == []
    world.permit()
    assert world.answer(is_check=True).code == ""
    assert len(world.accepted) == 1


def test_who_waits_gets_the_result() -> None:
    world = World()
    world.permit()
    assert world.answer(is_event=False) == TriggeredAnswer(b'"done"')
    world.result = InvocationResult(b'{"errorType":"E"}', "1", FunctionErrorKind.UNHANDLED)
    assert world.answer(is_event=False) == TriggeredAnswer(b'{"errorType":"E"}', is_function_error=True)


def test_what_cannot_be_delivered_goes_to_its_queue() -> None:
    world = World()
    queue = "arn:aws:sqs:eu-west-1:111111111111:dead"
    world.answer(dead_letter_arn=queue, attributes=(("RULE_ARN", "r"),), payload=b'{"a":1}')
    action, body = world.sent[-1]
    assert (action, body["QueueUrl"], body["MessageBody"]) == ("SendMessage", "http://q", '{"a":1}')
    attributes = {name: one["StringValue"] for name, one in body["MessageAttributes"].items()}
    assert (attributes["RULE_ARN"], attributes["ERROR_CODE"]) == ("r", "NO_PERMISSIONS")
    world.answer(dead_letter_arn=queue, function=FunctionArn("111111111111", "eu-west-1", "gone"))
    assert world.sent[-1][1]["MessageAttributes"]["ERROR_CODE"]["StringValue"] == "RESOURCE_NOT_FOUND"
    # What passes is tried again by whoever called.
    world.permit()
    world.is_full, sent = True, len(world.sent)
    assert world.answer(dead_letter_arn=queue).code == "TooManyRequestsException"
    assert len(world.sent) == sent


def test_refusals_are_bounded() -> None:
    world = World()
    for number in range(150):
        world.answer(_BUCKET._replace(arn=f"arn:aws:s3:::b{number}"))
    found = world.refusals()
    assert len(found) == 100
    assert found[-1].source_arn == "arn:aws:s3:::b149"


def test_what_is_given_up_goes_to_its_queue_alone() -> None:
    world = World()
    world.permit()
    queue = "arn:aws:sqs:eu-west-1:111111111111:q"
    failure = ("TooManyRequestsException", "full")
    assert world.answer(dead_letter_arn=queue, failure=failure, attributes=(("RETRY_ATTEMPTS", "3"),)).code == ""
    assert world.accepted == []
    [_, (action, message)] = world.sent
    assert action == "SendMessage"
    said = {name: one["StringValue"] for name, one in message["MessageAttributes"].items()}
    assert said == {"RETRY_ATTEMPTS": "3", "ERROR_CODE": "THROTTLING", "ERROR_MESSAGE": "full"}


def test_what_the_caller_says_besides_goes_on() -> None:
    world = World()
    world.permit()
    world.answer(client_context='{"custom":1}', trace_header="Root=1-5e1b4151-5ac6c58dc39a6b2d3e4c1a2b")
    [request] = world.accepted
    assert (request.client_context, request.trace_header) == (
        '{"custom":1}', "Root=1-5e1b4151-5ac6c58dc39a6b2d3e4c1a2b"
    )  # fmt: skip
