"""What is worth another try, and what is an answer."""

from __future__ import annotations

from typing import Any

import pytest

from lambent.neighbours import LogsEndpoint
from lambent.wire.client import CallError, Principal
from lambent.wire.error_forms import NeighbourError


class FakeClient:
    """Raises, or returns nothing."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error
        self.calls: list[Any] = []

    async def call(self, asked: str, action: str, body: dict[str, object], principal: Principal) -> dict[str, Any]:
        self.calls.append((asked, action, body, principal))
        if self.error is not None:
            raise self.error
        return {}


async def test_done_and_refused_are_answers() -> None:
    client = FakeClient(None)
    assert await LogsEndpoint(client).send("PutLogEvents", {"a": 1}, "1" * 12, "r") is None  # type: ignore[arg-type]
    assert client.calls == [("logs", "PutLogEvents", {"a": 1}, Principal("1" * 12, "r"))]
    refusing = FakeClient(CallError("ResourceNotFoundException", "none", 400))
    assert await LogsEndpoint(refusing).send("PutLogEvents", {}, "", "") == "ResourceNotFoundException"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "error",
    [
        CallError("ThrottlingException", "slow", 400),
        CallError("InternalFailure", "broken", 500),
        NeighbourError("ServiceUnavailable", "away", 503),
    ],
)
async def test_what_passes_is_worth_another_try(error: Exception) -> None:
    with pytest.raises(ConnectionError):
        await LogsEndpoint(FakeClient(error)).send("PutLogEvents", {}, "", "")  # type: ignore[arg-type]
