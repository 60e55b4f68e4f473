"""Quotas: soft ones change for one account in one region and hold at once; hard ones do not."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from lambent.functions import ControlPlaneRules
from lambent.model.errors import InvalidParameterValueError, LambdaError, ResourceNotFoundError
from lambent.model.quotas import QUOTAS
from tests.unit.functions.conftest import zipped

if TYPE_CHECKING:
    from lambent.model.caller import Caller
    from tests.unit.functions.conftest import Scene


async def in_force(scene: Scene, name: str, caller: Caller | None = None) -> int:
    (state,) = [one for one in await scene.plane.quotas.list_quotas(caller or scene.caller) if one.quota.name == name]
    return state.value


async def limits(scene: Scene) -> tuple[int, int, int]:
    answer = (await scene.call("get_account_settings"))["AccountLimit"]
    return answer["ConcurrentExecutions"], answer["UnreservedConcurrentExecutions"], answer["TotalCodeSize"]


async def refused(scene: Scene, kind: type[LambdaError], name: str, value: int | None) -> str:
    with pytest.raises(kind) as refusal:
        await scene.plane.quotas.set_quota(scene.caller, name, value)
    return refusal.value.message


@pytest.mark.parametrize("rules", [ControlPlaneRules(concurrent_executions=500, code_storage_bytes=5_000_000)])
async def test_a_soft_one_is_set_for_one_account_and_region(scene: Scene) -> None:
    assert [one.quota for one in await scene.plane.quotas.list_quotas(scene.caller)] == list(QUOTAS)
    set_to = await scene.plane.quotas.set_quota(scene.caller, "concurrent_executions", 2_000)
    assert (set_to.value, set_to.default) == (2_000, 500)
    await scene.plane.quotas.set_quota(scene.caller, "code_storage_bytes", 2_000_000)
    assert await limits(scene) == (2_000, 2_000, 2_000_000)
    for other in (replace(scene.caller, region="eu-west-1"), replace(scene.caller, account_id="111122223333")):
        assert await in_force(scene, "concurrent_executions", other) == 500
    for _ in range(2):
        assert (await scene.plane.quotas.set_quota(scene.caller, "concurrent_executions", None)).value == 500
    assert await limits(scene) == (500, 500, 2_000_000)


async def test_a_hard_one_an_unknown_one_and_one_out_of_bounds(scene: Scene) -> None:
    assert "hard quota" in await refused(scene, InvalidParameterValueError, "timeout_seconds_max", 901)
    assert "no quota named" in await refused(scene, ResourceNotFoundError, "nothing", 1)
    for value in (0, -1, 1_000_001):
        assert "must be from 1" in await refused(scene, InvalidParameterValueError, "concurrent_executions", value)


@pytest.mark.parametrize("rules", [ControlPlaneRules(concurrent_executions=150)])
async def test_not_below_what_is_reserved(scene: Scene) -> None:
    await scene.create_settled()
    await scene.plane.quotas.set_quota(scene.caller, "concurrent_executions", 1_000)
    await scene.call("put_function_concurrency", FunctionName="f", ReservedConcurrentExecutions=200)
    for value in (299, None):
        assert "cannot be" in await refused(scene, InvalidParameterValueError, "concurrent_executions", value)
    await scene.plane.quotas.set_quota(scene.caller, "concurrent_executions", 300)
    assert await limits(scene) == (300, 100, 80_530_636_800)


async def test_code_storage_is_checked_against_it(scene: Scene) -> None:
    await scene.plane.quotas.set_quota(scene.caller, "code_storage_bytes", 1024**2)
    filling = f"x = '{random.Random(0).randbytes(1_200_000).hex()}'\n"
    assert await scene.refused_creation(Code={"ZipFile": zipped(filling)}) == (
        "CodeStorageExceededException",
        "Code storage limit exceeded.",
    )
    await scene.plane.quotas.set_quota(scene.caller, "code_storage_bytes", None)
    await scene.create(Code={"ZipFile": zipped(filling)})
