"""Targets: which call each gets, and which refusals pass."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from lambent.model.configs.schedule import Firing
from lambent.model.errors import LambdaError, ResourceNotFoundError, ServiceError, TooManyRequestsError
from lambent.triggers.schedules.parts import TargetParts
from lambent.triggers.schedules.targets import ScheduleTargets, TargetError
from lambent.wire.client import CallError, Principal
from lambent.wire.error_forms import NeighbourError
from tests.unit.triggers.schedules.conftest import NEW_YEAR_MS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from lambent.model.arn import FunctionArn
    from lambent.model.invocation import InvokeRequest, TriggerSource

ACCOUNT, REGION = "000000000000", "eu-west-1"
RULE = f"arn:aws:events:{REGION}:{ACCOUNT}:rule/r"
SCHEDULE = f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/default/s"
FUNCTION = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f"


class Neighbours:
    """Everybody around targets: remembers, or refuses with `error`."""

    def __init__(self, error: Exception | None = None, *, is_permitted: bool = True) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.error = error
        self.is_permitted = is_permitted

    def _note(self, *call: Any) -> None:
        self.calls.append(call)
        if self.error is not None:
            raise self.error

    async def call(self, asked: str, action: str, body: Mapping[str, Any], principal: Principal) -> dict[str, Any]:
        assert principal == Principal(ACCOUNT, REGION)
        if action == "GetQueueUrl":
            return {"QueueUrl": f"http://q/{body['QueueName']}"}
        self._note(asked, action, dict(body))
        return {}

    async def query(self, asked: str, action: str, parameters: Mapping[str, str], principal: Principal) -> str:
        self._note(asked, action, dict(parameters))
        return ""

    async def operate(self, service: str, action: str, parameters: Mapping[str, Any], principal: Principal) -> bytes:
        self._note(service, action, dict(parameters))
        return b""

    async def enqueue(self, function: FunctionArn, payload: bytes, name: str) -> None:
        self._note("enqueue", str(function), payload, name)

    @contextlib.asynccontextmanager
    async def invoke(self, request: InvokeRequest) -> AsyncIterator[Any]:
        self._note("invoke", str(request.function), request.payload, request.request_id)
        yield None

    def refusal(self, function: FunctionArn, source: TriggerSource) -> str | None:
        assert source.principal == "events.amazonaws.com"
        assert source.arn == RULE
        return None if self.is_permitted else "Not allowed."

    def knows(self, function: FunctionArn) -> None:
        if function.name == "nobody":
            raise ResourceNotFoundError("No such function.")


async def _invoke(
    neighbours: Neighbours, target: dict[str, Any], payload: str = '{"a": 1}', source: str = SCHEDULE
) -> list[tuple[Any, ...]]:
    parts = TargetParts(neighbours, neighbours.enqueue, neighbours.invoke, neighbours, neighbours.knows)  # type: ignore[arg-type]
    firing = Firing(ACCOUNT, REGION, "the-name", "1", source, json.dumps(target), NEW_YEAR_MS, NEW_YEAR_MS, NEW_YEAR_MS)
    await ScheduleTargets(parts).invoke(firing, target, payload)
    return neighbours.calls


def _arn(service: str, resource: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}"


@pytest.mark.parametrize(
    ("target", "call"),
    [
        ({"Arn": FUNCTION}, ("enqueue", FUNCTION, b'{"a": 1}', "the-name")),
        ({"Arn": f"{FUNCTION}:live"}, ("enqueue", f"{FUNCTION}:live", b'{"a": 1}', "the-name")),
        (
            {"Arn": _arn("sqs", "q")},
            ("sqs", "SendMessage", {"QueueUrl": "http://q/q", "MessageBody": '{"a": 1}'}),
        ),
        (
            {"Arn": _arn("sqs", "q.fifo"), "SqsParameters": {"MessageGroupId": "g"}},
            (
                "sqs", "SendMessage",
                {"QueueUrl": "http://q/q.fifo", "MessageBody": '{"a": 1}', "MessageGroupId": "g",
                 "MessageDeduplicationId": "the-name"},
            ),
        ),
        (
            {"Arn": _arn("sns", "t")},
            ("sns", "Publish", {"Version": "2010-03-31", "TopicArn": _arn("sns", "t"), "Message": '{"a": 1}'}),
        ),
        (
            {"Arn": _arn("states", "stateMachine:m")},
            (
                "stepfunctions", "startExecution",
                {"stateMachineArn": _arn("states", "stateMachine:m"), "input": '{"a": 1}', "name": "the-name"},
            ),
        ),
        (
            {"Arn": _arn("kinesis", "stream/k"), "KinesisParameters": {"PartitionKey": "p"}},
            ("kinesis", "putRecord", {"StreamName": "k", "PartitionKey": "p", "Data": b'{"a": 1}'}),
        ),
        (
            {"Arn": _arn("firehose", "deliverystream/d")},
            ("firehose", "putRecord", {"DeliveryStreamName": "d", "Record": {"Data": b'{"a": 1}'}}),
        ),
        (
            {"Arn": "arn:aws:scheduler:::aws-sdk:ec2:stopInstances"},
            ("ec2", "stopInstances", {"a": 1}),
        ),
    ],
)  # fmt: skip
async def test_each_service_has_its_call(target: dict[str, Any], call: tuple[Any, ...]) -> None:
    assert await _invoke(Neighbours(), target) == [call]


async def test_a_bus_gets_an_event() -> None:
    parameters = {"Source": "mine", "DetailType": "Tick"}
    target = {"Arn": _arn("events", "event-bus/b"), "EventBridgeParameters": parameters}
    [(_, action, body)] = await _invoke(Neighbours(), target)
    assert action == "PutEvents"
    assert body["Entries"] == [
        {"EventBusName": target["Arn"], **parameters, "Detail": '{"a": 1}', "Time": NEW_YEAR_MS / 1_000}
    ]


async def test_a_log_group_gets_a_stream_for_each_firing() -> None:
    calls = await _invoke(Neighbours(), {"Arn": _arn("logs", "log-group:/g:*")}, source=RULE)
    assert [action for _, action, _ in calls] == ["CreateLogStream", "PutLogEvents"]
    assert calls[1][2]["logGroupName"] == "/g"


async def test_text_for_a_function_becomes_json() -> None:
    [(_, _, payload, _)] = await _invoke(Neighbours(), {"Arn": FUNCTION}, "plain text")
    assert payload == b'"plain text"'


@pytest.mark.parametrize(("kind", "way"), [("Event", "enqueue"), ("RequestResponse", "invoke"), (None, "invoke")])
async def test_lambda_by_its_sdk(kind: str | None, way: str) -> None:
    parameters = {"FunctionName": "f", "Qualifier": "live", "Payload": '{"b": 2}'} | (
        {"InvocationType": kind} if kind else {}
    )
    target = {"Arn": "arn:aws:scheduler:::aws-sdk:lambda:invoke"}
    calls = await _invoke(Neighbours(), target, json.dumps(parameters))
    assert calls == [(way, f"{FUNCTION}:live", b'{"b": 2}', "the-name")]


@pytest.mark.parametrize(
    ("error", "code", "is_final"),
    [
        (
            CallError("AWS.SimpleQueueService.NonExistentQueue", "", 400),
            "AWS.SimpleQueueService.NonExistentQueue",
            True,
        ),
        (CallError("ThrottlingException", "", 400), "ThrottlingException", False),
        (CallError("InternalFailure", "", 500), "InternalFailure", False),
        (NeighbourError("ServiceUnavailable", "", 503), "ServiceUnavailable", False),
        (NeighbourError("NotImplementedException", "", 501), "NotImplementedException", True),
        (TooManyRequestsError(""), "TooManyRequestsException", False),
        (ServiceError(""), "ServiceException", False),
        (LambdaError("", code="RequestTooLargeException"), "RequestTooLargeException", True),
    ],
)
async def test_which_refusals_pass(error: Exception, code: str, is_final: bool) -> None:
    arn = FUNCTION if isinstance(error, LambdaError) else _arn("sqs", "q")
    with pytest.raises(TargetError) as refusal:
        await _invoke(Neighbours(error), {"Arn": arn})
    assert (refusal.value.code, refusal.value.is_final) == (code, is_final)


@pytest.mark.parametrize(
    ("arn", "payload", "code"),
    [
        (_arn("lambda", "function:nobody"), "{}", "ResourceNotFoundException"),
        (_arn("ecs", "cluster/c"), "{}", "UnsupportedTarget"),
        (_arn("events", "api-destination/a"), "{}", "UnsupportedTarget"),
        ("nothing", "{}", "UnsupportedTarget"),
        ("arn:aws:scheduler:::aws-sdk:sqs:sendMessage", "[]", "ValidationException"),
        ("arn:aws:scheduler:::aws-sdk:sqs:sendMessage", "{", "ValidationException"),
    ],
)
async def test_what_is_no_target(arn: str, payload: str, code: str) -> None:
    with pytest.raises(TargetError) as refusal:
        await _invoke(Neighbours(), {"Arn": arn}, payload)
    assert (refusal.value.code, refusal.value.is_final) == (code, True)


async def test_a_rule_needs_a_permission_and_a_schedule_none() -> None:
    with pytest.raises(TargetError, match="Not allowed") as refusal:
        await _invoke(Neighbours(is_permitted=False), {"Arn": FUNCTION}, source=RULE)
    assert (refusal.value.code, refusal.value.is_final) == ("NO_PERMISSIONS", True)
    assert await _invoke(Neighbours(is_permitted=False), {"Arn": FUNCTION})
    assert await _invoke(Neighbours(), {"Arn": FUNCTION}, source=RULE)
