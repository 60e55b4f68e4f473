"""The quota operations: what a body may be and what an answer looks like."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from lambent.api.local_routes import LocalRequest, LocalRoutes
from lambent.api.quotas import QuotaDoor
from lambent.model.caller import Caller
from lambent.model.errors import LambdaError
from lambent.model.quotas import CONCURRENT_EXECUTIONS, PAYLOAD_BYTES, QuotaState

if TYPE_CHECKING:
    from collections.abc import Sequence

CALLER = Caller("000000000000", "us-east-1", "arn:aws:iam::000000000000:root", "r", "http://localhost:4566")


class Fake:
    """Two quotas; remembers what was set."""

    def __init__(self) -> None:
        self.was_set: list[tuple[str, int | None]] = []

    async def list_quotas(self, caller: Caller) -> Sequence[QuotaState]:
        return [QuotaState(CONCURRENT_EXECUTIONS, 5, 1_000), QuotaState(PAYLOAD_BYTES, 7, 7)]

    async def set_quota(self, caller: Caller, name: str, value: int | None) -> QuotaState:
        self.was_set.append((name, value))
        return QuotaState(CONCURRENT_EXECUTIONS, value or 1_000, 1_000)


async def call(door: QuotaDoor, method: str, path: str, body: bytes = b"") -> Any:
    matched = LocalRoutes(door.routes()).match(method, path)
    assert matched is not None
    route, parameters = matched
    assert not route.is_public
    answer = await route.respond(LocalRequest(method, path, parameters, {}, {}, body, CALLER))
    assert isinstance(answer.body, bytes)
    return json.loads(answer.body)


async def test_list() -> None:
    soft, hard = (await call(QuotaDoor(Fake()), "GET", "/_lambent/v1/quotas"))["Quotas"]
    assert soft == {
        "Name": "concurrent_executions",
        "Value": 5,
        "Default": 1_000,
        "Kind": "soft",
        "ValueMin": 1,
        "ValueMax": 1_000_000,
        "Source": CONCURRENT_EXECUTIONS.source,
    }
    assert (hard["Kind"], "ValueMin" in hard) == ("hard", False)


async def test_set() -> None:
    fake = Fake()
    for body in (b'{"Value": 12}', b'{"Value": null}'):
        await call(QuotaDoor(fake), "PUT", "/_lambent/v1/quotas/concurrent_executions", body)
    assert fake.was_set == [("concurrent_executions", 12), ("concurrent_executions", None)]


@pytest.mark.parametrize(
    "body", [b"", b"12", b"{}", b'{"Value": "12"}', b'{"Value": true}', b'{"Value": 1.5}', b'{"Value": 1, "More": 2}']
)
async def test_bodies_that_are_none(body: bytes) -> None:
    fake = Fake()
    with pytest.raises(LambdaError):
        await call(QuotaDoor(fake), "PUT", "/_lambent/v1/quotas/concurrent_executions", body)
    assert fake.was_set == []
