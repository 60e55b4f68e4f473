"""Durable functions and tenants: kept and answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.unit.functions.conftest import Scene


async def test_a_durable_function(scene: Scene) -> None:
    created = await scene.create_settled(DurableConfig={"ExecutionTimeout": 3600}, Publish=True)
    assert created["DurableConfig"] == {"RetentionPeriodInDays": 14, "ExecutionTimeout": 3600}

    async def update(**members: Any) -> Any:
        await scene.call("update_function_configuration", FunctionName="f", **members)
        return (await scene.settled())["DurableConfig"]

    assert await update(DurableConfig={"RetentionPeriodInDays": 30}) == {
        "RetentionPeriodInDays": 30,
        "ExecutionTimeout": 3600,
    }
    assert await update(Timeout=9) == {"RetentionPeriodInDays": 30, "ExecutionTimeout": 3600}
    version = await scene.call("get_function_configuration", FunctionName="f:1")
    assert version["DurableConfig"]["RetentionPeriodInDays"] == 14


async def test_only_a_creation_makes_a_durable_function(scene: Scene) -> None:
    assert "DurableConfig" not in await scene.create_settled()
    refused = await scene.refused("update_function_configuration", FunctionName="f", DurableConfig={})
    assert refused[0] == "InvalidParameterValueException"


async def test_tenants(scene: Scene) -> None:
    created = await scene.create_settled(TenancyConfig={"TenantIsolationMode": "PER_TENANT"})
    assert created["TenancyConfig"] == {"TenantIsolationMode": "PER_TENANT"}
    assert "TenancyConfig" not in await scene.create_settled("other")
