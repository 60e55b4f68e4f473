"""Reserved concurrency in AWS's words: what may be reserved, and what GetFunction and GetAccountSettings say of it."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from lambent.functions import ControlPlaneRules
from lambent.model.errors import InvalidParameterValueError
from tests.unit.functions.conftest import PREFIX

if TYPE_CHECKING:
    from tests.unit.functions.conftest import Scene

BELOW = (
    "InvalidParameterValueException",
    "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its "
    "minimum value of [100].",
)
QUALIFIED = (
    "InvalidParameterValueException",
    "This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. "
    "Please specify either a function name or an unqualified function ARN.",
)


async def unreserved(scene: Scene) -> int:
    answer = await scene.call("get_account_settings")
    count: int = answer["AccountLimit"]["UnreservedConcurrentExecutions"]
    return count


async def test_put_get_delete(scene: Scene) -> None:
    await scene.create_settled()
    assert await scene.call("get_function_concurrency", FunctionName="f") == {}
    assert "Concurrency" not in await scene.call("get_function", FunctionName="f")
    for count in (3, 0):
        put = await scene.call("put_function_concurrency", FunctionName="f", ReservedConcurrentExecutions=count)
        assert put == {"ReservedConcurrentExecutions": count}
        assert await scene.call("get_function_concurrency", FunctionName="f") == put
        assert (await scene.call("get_function", FunctionName="f"))["Concurrency"] == put
        assert await unreserved(scene) == 1_000 - count
    for _ in range(2):
        await scene.call("delete_function_concurrency", FunctionName="f")
        assert await scene.call("get_function_concurrency", FunctionName="f") == {}


async def test_accounts_and_regions_are_apart(scene: Scene) -> None:
    await scene.create_settled()
    await scene.call("put_function_concurrency", FunctionName="f", ReservedConcurrentExecutions=7)
    for other in (replace(scene.caller, account_id="111122223333"), replace(scene.caller, region="eu-west-1")):
        code, _ = await scene.refused("get_function_concurrency", other, FunctionName="f")
        assert code == "ResourceNotFoundException"
        assert (await scene.call("get_account_settings", other))["AccountLimit"][
            "UnreservedConcurrentExecutions"
        ] == 1_000
    foreign = replace(scene.caller, account_id="111122223333")
    for operation, members in (
        ("get_function_concurrency", {}),
        ("delete_function_concurrency", {}),
        ("put_function_concurrency", {"ReservedConcurrentExecutions": 1}),
    ):
        code, _ = await scene.refused(operation, foreign, FunctionName=f"{PREFIX}f", **members)
        assert code == "AccessDeniedException"
    assert await unreserved(scene) == 993


async def test_it_goes_with_the_function(scene: Scene) -> None:
    await scene.create_settled()
    await scene.call("put_function_concurrency", FunctionName="f", ReservedConcurrentExecutions=5)
    await scene.call("delete_function", FunctionName="f")
    assert await unreserved(scene) == 1_000
    await scene.create_settled()
    assert await scene.call("get_function_concurrency", FunctionName="f") == {}


@pytest.mark.parametrize("rules", [ControlPlaneRules(concurrent_executions=110)])
async def test_a_hundred_stay_unreserved(scene: Scene) -> None:
    for name in ("f", "g"):
        await scene.create_settled(name)
    await scene.call("put_function_concurrency", FunctionName="f", ReservedConcurrentExecutions=6)
    for count in (5, 11, 111, 5_000_000):
        assert (
            await scene.refused("put_function_concurrency", FunctionName="g", ReservedConcurrentExecutions=count)
            == BELOW
        )
    await scene.call("put_function_concurrency", FunctionName="g", ReservedConcurrentExecutions=4)
    # What a function has already does not count against its own change.
    await scene.call("put_function_concurrency", FunctionName="f", ReservedConcurrentExecutions=5)
    assert await unreserved(scene) == 101


@pytest.mark.parametrize("rules", [ControlPlaneRules(concurrent_executions=110)])
async def test_of_many_at_one_time_those_that_fit_succeed(scene: Scene) -> None:
    names = [f"f{number}" for number in range(30)]
    for name in names:
        await scene.create_settled(name)

    async def reserve(name: str) -> bool:
        try:
            await scene.call("put_function_concurrency", FunctionName=name, ReservedConcurrentExecutions=4)
        except InvalidParameterValueError:
            return False
        return True

    async with asyncio.TaskGroup() as tasks:
        done = [tasks.create_task(reserve(name)) for name in names]
    assert sum(task.result() for task in done) == 2
    assert await unreserved(scene) == 102


@pytest.mark.parametrize("rules", [ControlPlaneRules(concurrent_executions=50)])
async def test_nothing_can_be_reserved_below_a_hundred_but_zero(scene: Scene) -> None:
    await scene.create_settled()
    assert await scene.refused("put_function_concurrency", FunctionName="f", ReservedConcurrentExecutions=1) == BELOW
    await scene.call("put_function_concurrency", FunctionName="f", ReservedConcurrentExecutions=0)


async def test_names(scene: Scene) -> None:
    await scene.create_settled()
    missing = ("ResourceNotFoundException", f"Function not found: {PREFIX}g:$LATEST")
    assert await scene.refused("put_function_concurrency", FunctionName="g", ReservedConcurrentExecutions=0) == missing
    for operation in ("get_function_concurrency", "delete_function_concurrency"):
        assert await scene.refused(operation, FunctionName="g") == (missing[0], f"Function not found: {PREFIX}g")
    for reference in (f"{PREFIX}f:$LATEST", "f:1", "f:live"):
        assert (
            await scene.refused("put_function_concurrency", FunctionName=reference, ReservedConcurrentExecutions=0)
            == QUALIFIED
        )
    put = await scene.call("put_function_concurrency", FunctionName=f"{PREFIX}f", ReservedConcurrentExecutions=2)
    assert put == {"ReservedConcurrentExecutions": 2}


@pytest.mark.parametrize("rules", [ControlPlaneRules(concurrent_executions=112)])
@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_whatever_is_asked_a_hundred_stay(scene: Scene, seed: int) -> None:
    rng = random.Random(seed)
    names = ("f", "g", "h")
    for name in names:
        await scene.create_settled(name)
        await scene.call("publish_version", FunctionName=name)
    reserved: dict[str, int] = {}
    provisioned: dict[str, int] = {}
    granted = 0
    for _ in range(150):
        name, count = rng.choice(names), rng.randrange(14)
        which = {"FunctionName": name, "Qualifier": "1"}
        kind = rng.randrange(4)
        with contextlib.suppress(InvalidParameterValueError):
            if kind == 0:
                await scene.call("put_function_concurrency", FunctionName=name, ReservedConcurrentExecutions=count)
                reserved[name] = count
            elif kind == 1:
                await scene.call("delete_function_concurrency", FunctionName=name)
                reserved.pop(name, None)
            elif kind == 2:
                members = {**which, "ProvisionedConcurrentExecutions": count + 1}
                await scene.call("put_provisioned_concurrency_config", **members)
                provisioned[name] = count + 1
            else:
                await scene.call("delete_provisioned_concurrency_config", **which)
                provisioned.pop(name, None)
            granted += 1
        kept = sum(reserved.get(one, provisioned.get(one, 0)) for one in names)
        assert await unreserved(scene) == 112 - kept >= 100
        assert all(provisioned.get(one, 0) <= reserved[one] for one in reserved)
    assert granted > 50
