"""Code storage: far from the quota one sum serves a second of creations; near it each is weighed for itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lambent.functions import ControlPlaneRules
from lambent.functions.account import CodeStorage
from lambent.model.arn import FunctionArn
from lambent.model.errors import CodeStorageExceededError
from lambent.model.function import CodeReference

if TYPE_CHECKING:
    from tests.unit.functions.conftest import Scene

ARN = FunctionArn("000000000000", "us-east-1", "f")
RULES = ControlPlaneRules(code_storage_bytes=1_000)


def code(size_bytes: int) -> CodeReference:
    return CodeReference("0" * 64, size_bytes, size_bytes)


async def test_what_was_let_through_counts_before_it_is_committed(scene: Scene) -> None:
    storage = CodeStorage(scene.store, RULES, scene.clock)
    for _ in range(4):
        await storage.check(ARN, code(100))
    # Half of the quota is near: from here on the sum is what the store says, and nothing was committed.
    await storage.check(ARN, code(900))
    with pytest.raises(CodeStorageExceededError):
        await storage.check(ARN, code(1_001))


async def test_every_account_and_region_has_a_sum_of_its_own(scene: Scene) -> None:
    storage = CodeStorage(scene.store, RULES, scene.clock)
    await storage.check(ARN, code(400))
    await storage.check(FunctionArn("111122223333", "us-east-1", "f"), code(1_000))
    with pytest.raises(CodeStorageExceededError):
        await storage.check(FunctionArn("000000000000", "eu-west-1", "f"), code(1_001))


async def test_a_second_later_the_store_is_asked_again(scene: Scene) -> None:
    await scene.create_settled("first")
    _, size_bytes = await scene.store.usage("000000000000", "us-east-1")
    storage = CodeStorage(scene.store, ControlPlaneRules(code_storage_bytes=3 * size_bytes), scene.clock)
    await storage.check(ARN, code(1))
    for name in ("second", "third"):
        await scene.create_settled(name)
    await storage.check(ARN, code(10))
    scene.clock.now_ms += 1_001
    with pytest.raises(CodeStorageExceededError):
        await storage.check(ARN, code(10))
