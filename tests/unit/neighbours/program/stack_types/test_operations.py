"""Operations as handlers use them."""

from __future__ import annotations

import re
from typing import Any

import pytest

from lambent.neighbours.program.stack_types import operations as module
from lambent.neighbours.program.stack_types.operations import Answered, OperationError, Operations


def _operations(monkeypatch: pytest.MonkeyPatch, *answers: Answered) -> tuple[Operations, list[tuple[str, Any]]]:
    left, sent = list(answers), []

    def send(operation: str, members: dict[str, Any]) -> Answered:
        sent.append((operation, members))
        return left.pop(0)

    monkeypatch.setattr(module, "_PAUSES_SECONDS", (0.0, 0.0))
    return Operations(send), sent


def test_members_that_are_none_are_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    operations, sent = _operations(monkeypatch, Answered({"a": 1}))
    assert operations.call("GetFunction", FunctionName="f", Qualifier=None) == {"a": 1}
    assert sent == [("GetFunction", {"FunctionName": "f"})]


def test_what_passes_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    busy = Answered({}, "ResourceConflictException", "The operation cannot be performed at this time.", 409, "r")
    throttled = Answered({}, "TooManyRequestsException", "Rate exceeded", 429, "r")
    operations, sent = _operations(monkeypatch, busy, throttled, Answered({}))
    assert operations.call("UpdateFunctionCode") == {}
    assert len(sent) == 3


def test_errors_are_said_as_cloudformation_does(monkeypatch: pytest.MonkeyPatch) -> None:
    operations, _ = _operations(monkeypatch, Answered({}, "InvalidParameterValueException", "no", 400, "id"))
    with pytest.raises(OperationError) as raised:
        operations.call("CreateFunction")
    pattern = (
        r'Resource handler returned message: "no \(Service: Lambda, Status Code: 400, Request ID: id\)" '
        r"\(RequestToken: [0-9a-f-]{36}, HandlerErrorCode: InvalidRequest\)"
    )
    assert re.fullmatch(pattern, str(raised.value))


def test_what_is_not_there_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    operations, _ = _operations(monkeypatch, Answered({}, "ResourceNotFoundException", "gone", 404, "id"))
    assert operations.find("DeleteAlias") is None
