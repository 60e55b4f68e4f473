"""What is left of an account's concurrency, and changes of it at one time."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from lambent.functions.account.budget import ConcurrencyBudget, Fences
from lambent.functions.ids import Ids
from lambent.model.concurrency import ReservedConcurrency
from lambent.model.errors import ResourceConflictError

if TYPE_CHECKING:
    from lambent.store.contracts import Write
    from tests.unit.functions.conftest import Scene

SCOPE = ("000000000000", "us-east-1")
BUDGET = ConcurrencyBudget(1_000, {"a": 100, "b": 0}, {"a": {"1": 40, "live": 10}, "c": {"1": 7}})


def test_provisioned_counts_in_the_reservation_of_its_function_or_beside_all() -> None:
    assert BUDGET.unreserved() == 1_000 - 100 - 7
    assert BUDGET.unreserved(without="a") == 1_000 - 7
    assert BUDGET.unreserved(without="c") == 1_000 - 100


def test_what_a_function_has_provisioned() -> None:
    assert BUDGET.provisioned_of("a") == 50
    assert BUDGET.provisioned_of("a", without="live") == 40
    assert BUDGET.provisioned_of("b") == 0


def reserved(count: int) -> ReservedConcurrency:
    return ReservedConcurrency(*SCOPE, "f", count, f"r{count}")


async def test_what_another_node_did_in_between_is_decided_anew(scene: Scene) -> None:
    resources = scene.store.resources
    here, there = (Fences(resources, Ids(os.urandom)) for _ in range(2))
    seen: list[int | None] = []

    async def decide_there() -> list[Write]:
        return [resources.put_over(reserved(5))]

    async def decide_here() -> list[Write]:
        present = await resources.get(ReservedConcurrency, *SCOPE, "f")
        seen.append(None if present is None else present.executions)
        if len(seen) == 1:
            await there.change(*SCOPE, decide_there)
        return [resources.put_over(reserved(7))]

    await here.change(*SCOPE, decide_here)
    assert seen == [None, 5]
    kept = await resources.get(ReservedConcurrency, *SCOPE, "f")
    assert kept is not None
    assert kept.executions == 7


async def test_who_is_always_overtaken_is_told(scene: Scene) -> None:
    resources = scene.store.resources
    here, there = (Fences(resources, Ids(os.urandom)) for _ in range(2))

    async def decide_there() -> list[Write]:
        return [resources.put_over(reserved(5))]

    async def decide_here() -> list[Write]:
        await there.change(*SCOPE, decide_there)
        return [resources.put_over(reserved(7))]

    with pytest.raises(ResourceConflictError):
        await here.change(*SCOPE, decide_here)
