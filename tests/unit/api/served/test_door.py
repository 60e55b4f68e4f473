"""The door of a service that is served here: what it hands on, and how it answers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from lambent.api.authentication import Identity
from lambent.api.messages import BodyPlan, HttpRequest, Peer
from lambent.api.served.door import ServedDoor
from lambent.model.errors import LambdaError
from lambent.wire.generated import codecommit_service, scheduler_service
from lambent.wire.others.description import ServedDescription

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lambent.model.caller import Caller

IDENTITY = Identity("000000000000", "us-east-1", "arn:aws:iam::000000000000:root", "scheduler")


class Operations:
    """Remembers what it was asked; refuses with `error`."""

    def __init__(self, error: LambdaError | None = None) -> None:
        self.seen: list[Mapping[str, Any]] = []
        self._error = error

    async def get_schedule(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        assert (caller.account_id, caller.region) == ("000000000000", "us-east-1")
        self.seen.append(request)
        if self._error is not None:
            raise self._error
        return {"Name": request["Name"], "Description": None}

    async def untag_resource(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        self.seen.append(request)
        return {}

    create_schedule = get_schedule


async def _ask(operations: Operations, method: str, target: str, body: bytes = b"") -> tuple[int, str, Any]:
    request = HttpRequest(method, target, {"host": "localhost"}, Peer("http", "127.0.0.1", 4566))
    request.body = body
    answer = await ServedDoor(lambda: ServedDescription(scheduler_service), lambda: operations).answer(
        request, IDENTITY
    )
    assert isinstance(answer.body, bytes)
    return answer.status, dict(answer.headers).get("x-amzn-ErrorType", ""), json.loads(answer.body)


async def test_members_come_from_path_and_query() -> None:
    operations = Operations()
    assert await _ask(operations, "GET", "/schedules/a%2Eb?groupName=g") == (200, "", {"Name": "a.b"})
    assert operations.seen == [{"Name": "a.b", "GroupName": "g"}]


@pytest.mark.parametrize("slash", ["/", "%2F"])
async def test_arns_with_their_slash(slash: str) -> None:
    operations = Operations()
    arn = f"arn:aws:scheduler:us-east-1:000000000000:schedule-group{slash}g"
    assert (await _ask(operations, "DELETE", f"/tags/{arn}?TagKeys=a&TagKeys=b"))[0] == 200
    assert operations.seen == [
        {"ResourceArn": "arn:aws:scheduler:us-east-1:000000000000:schedule-group/g", "TagKeys": ["a", "b"]}
    ]


async def test_errors_have_the_status_of_the_description() -> None:
    for code, status in (
        ("ResourceNotFoundException", 404), ("ConflictException", 409), ("ValidationException", 400),
        ("ServiceQuotaExceededException", 402),
    ):  # fmt: skip
        asked = await _ask(Operations(LambdaError("No.", code=code)), "GET", "/schedules/a")
        assert asked == (status, code, {"Message": "No."})
    assert await _ask(Operations(LambdaError("Broken.")), "GET", "/schedules/a") == (
        500,
        "InternalServerException",
        {"Message": "Broken."},
    )


async def test_what_the_description_does_not_allow() -> None:
    status, code, body = await _ask(Operations(), "POST", "/schedules/a", b"{}")
    assert (status, code) == (400, "ValidationException")
    assert body["Message"].startswith("3 validation errors detected: Value null at 'scheduleExpression' failed")
    assert (await _ask(Operations(), "POST", "/schedules/a", b"{"))[:2] == (400, "SerializationException")
    assert (await _ask(Operations(), "GET", "/nothing"))[:2] == (404, "UnknownOperationException")
    assert (await _ask(Operations(), "PATCH", "/schedules/a"))[:2] == (404, "UnknownOperationException")


async def test_a_body_over_its_bound() -> None:
    request = HttpRequest("GET", "/schedules/a", {}, Peer("http", "127.0.0.1", 4566))
    request.plan = BodyPlan(10, 10)
    request.is_oversize = True
    answer = await ServedDoor(lambda: ServedDescription(scheduler_service), Operations).answer(request, IDENTITY)
    assert answer.status == 400


async def test_operations_of_the_json_protocol_are_named_by_a_header() -> None:
    class Repositories:
        async def get_repository(self, _caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
            if request["repositoryName"] == "none":
                raise LambdaError("none does not exist", code="RepositoryDoesNotExistException")
            return {"repositoryMetadata": dict(request)}

    async def ask(target: str, body: bytes) -> tuple[int, str, Any]:
        headers = {"host": "localhost", "x-amz-target": target}
        request = HttpRequest("POST", "/", headers, Peer("http", "127.0.0.1", 4566))
        request.body = body
        described = ServedDescription(codecommit_service)
        answer = await ServedDoor(lambda: described, Repositories).answer(request, IDENTITY)
        assert isinstance(answer.body, bytes)
        return answer.status, dict(answer.headers)["Content-Type"], json.loads(answer.body)

    form = "application/x-amz-json-1.1"
    named = "CodeCommit_20150413.GetRepository"
    assert await ask(named, b'{"repositoryName": "a"}') == (200, form, {"repositoryMetadata": {"repositoryName": "a"}})
    assert await ask(named, b'{"repositoryName": "none"}') == (
        400,
        form,
        {"__type": "RepositoryDoesNotExistException", "message": "none does not exist"},
    )
    for target in ("CodeCommit_20150413.MergePullRequestByFastForward", "Other.GetRepository", ""):
        status, _, document = await ask(target, b"{}")
        assert (status, document["__type"]) == (400, "UnknownOperationException")
    assert (await ask(named, b'{"repositoryName": 5}'))[2]["__type"] == "SerializationException"
