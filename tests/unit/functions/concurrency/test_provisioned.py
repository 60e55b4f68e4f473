"""Provisioned concurrency in AWS's words: who may have it, how much, and what is not there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lambent.functions import ControlPlaneRules
from tests.unit.functions.conftest import PREFIX, zipped

if TYPE_CHECKING:
    from tests.unit.functions.conftest import Scene

LATEST = "Provisioned Concurrency Configs cannot be applied to unpublished function versions."
NOT_QUALIFIED = "The function resource provided must be an alias or a published version."
INVALID = "InvalidParameterValueException"


async def published(scene: Scene, name: str = "f", versions: int = 1) -> None:
    await scene.create_settled(name)
    for number in range(versions):
        if number:
            await scene.call("update_function_code", FunctionName=name, ZipFile=zipped(f"x = {number}\n"))
            await scene.settled(name)
        await scene.call("publish_version", FunctionName=name)


async def put(scene: Scene, qualifier: str, count: int = 1, name: str = "f") -> Any:
    return await scene.call(
        "put_provisioned_concurrency_config",
        FunctionName=name,
        Qualifier=qualifier,
        ProvisionedConcurrentExecutions=count,
    )


async def refused(scene: Scene, qualifier: str, count: int = 1, name: str = "f") -> tuple[str, str]:
    return await scene.refused(
        "put_provisioned_concurrency_config",
        FunctionName=name,
        Qualifier=qualifier,
        ProvisionedConcurrentExecutions=count,
    )


async def test_put_get_list_delete(scene: Scene) -> None:
    await published(scene, versions=2)
    answer = await put(scene, "1", 5)
    assert answer == {
        "RequestedProvisionedConcurrentExecutions": 5,
        "AllocatedProvisionedConcurrentExecutions": 0,
        "AvailableProvisionedConcurrentExecutions": 0,
        "Status": "IN_PROGRESS",
        "LastModified": "2026-01-01T00:00:00+0000",
    }
    which = {"FunctionName": "f", "Qualifier": "1"}
    assert await scene.call("get_provisioned_concurrency_config", **which) == answer
    assert await put(scene, "1", 2) == {**answer, "RequestedProvisionedConcurrentExecutions": 2}
    await put(scene, "2", 3)
    first = await scene.call("list_provisioned_concurrency_configs", FunctionName="f", MaxItems=1)
    assert [one["FunctionArn"] for one in first["ProvisionedConcurrencyConfigs"]] == [f"{PREFIX}f:1"]
    second = await scene.call("list_provisioned_concurrency_configs", FunctionName="f", Marker=first["NextMarker"])
    assert [one["FunctionArn"] for one in second["ProvisionedConcurrencyConfigs"]] == [f"{PREFIX}f:2"]
    assert "NextMarker" not in second
    for _ in range(2):
        await scene.call("delete_provisioned_concurrency_config", **which)
    assert await scene.refused("get_provisioned_concurrency_config", **which) == (
        "ProvisionedConcurrencyConfigNotFoundException",
        "No Provisioned Concurrency Config found for this function",
    )


async def test_latest_has_none(scene: Scene) -> None:
    await published(scene)
    assert await refused(scene, "$LATEST") == (INVALID, LATEST)
    await scene.call("create_alias", FunctionName="f", Name="head", FunctionVersion="$LATEST")
    assert await refused(scene, "head") == (INVALID, LATEST)
    for operation in ("get_provisioned_concurrency_config", "delete_provisioned_concurrency_config"):
        assert await scene.refused(operation, FunctionName="f", Qualifier="$LATEST") == (INVALID, NOT_QUALIFIED)


async def test_what_is_not_there(scene: Scene) -> None:
    await published(scene)
    for name, qualifier in (("f", "10"), ("g", "1"), ("f", "noalias"), ("g", "noalias")):
        words = "Function not found" if qualifier.isdigit() else "Cannot find alias arn"
        missing = ("ResourceNotFoundException", f"{words}: {PREFIX}{name}:{qualifier}")
        assert await refused(scene, qualifier, name=name) == missing
        for operation in ("get_provisioned_concurrency_config", "delete_provisioned_concurrency_config"):
            assert await scene.refused(operation, FunctionName=name, Qualifier=qualifier) == missing
    missing = ("ResourceNotFoundException", f"Function not found: {PREFIX}g")
    assert await scene.refused("list_provisioned_concurrency_configs", FunctionName="g") == missing
    assert await scene.call("list_provisioned_concurrency_configs", FunctionName="f") == {
        "ProvisionedConcurrencyConfigs": []
    }


async def test_a_version_and_an_alias_of_it_do_not_both_have_it(scene: Scene) -> None:
    await published(scene)
    await scene.call("create_alias", FunctionName="f", Name="live", FunctionVersion="1")
    await put(scene, "1")
    assert await refused(scene, "live") == (
        "ResourceConflictException",
        "Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version",
    )
    await scene.call("delete_provisioned_concurrency_config", FunctionName="f", Qualifier="1")
    await put(scene, "live")
    assert await refused(scene, "1") == (
        "ResourceConflictException",
        "Version is pointed by a Provisioned Concurrency alias",
    )
    await scene.call("delete_alias", FunctionName="f", Name="live")
    assert await scene.refused("get_provisioned_concurrency_config", FunctionName="f", Qualifier="live") == (
        "ResourceNotFoundException",
        f"Cannot find alias arn: {PREFIX}f:live",
    )
    assert await scene.call("list_provisioned_concurrency_configs", FunctionName="f") == {
        "ProvisionedConcurrencyConfigs": []
    }


@pytest.mark.parametrize("rules", [ControlPlaneRules(concurrent_executions=110)])
async def test_within_what_is_left_of_the_account(scene: Scene) -> None:
    await published(scene, versions=2)
    greater = "Specified ConcurrentExecutions for function is greater than account's unreserved concurrency [{}]."
    below = (
        "Specified ConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its "
        "minimum value of [100]."
    )
    assert await refused(scene, "1", 111) == (INVALID, greater.format(110))
    assert await refused(scene, "1", 11) == (INVALID, below)
    await put(scene, "1", 6)
    assert await refused(scene, "2", 105) == (INVALID, greater.format(104))
    assert await refused(scene, "2", 5) == (INVALID, below)
    await put(scene, "1", 10)
    settings = await scene.call("get_account_settings")
    assert settings["AccountLimit"]["UnreservedConcurrentExecutions"] == 100


async def test_within_the_reservation(scene: Scene) -> None:
    await published(scene, versions=2)
    await scene.call("put_function_concurrency", FunctionName="f", ReservedConcurrentExecutions=5)
    await put(scene, "1", 3)
    assert await refused(scene, "2", 3) == (
        INVALID,
        "Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for function",
    )
    await put(scene, "2", 2)
    assert await scene.refused("put_function_concurrency", FunctionName="f", ReservedConcurrentExecutions=4) == (
        INVALID,
        " ReservedConcurrentExecutions  4 should not be lower than function's total provisioned concurrency [5].",
    )
    settings = await scene.call("get_account_settings")
    assert settings["AccountLimit"]["UnreservedConcurrentExecutions"] == 995


async def test_it_goes_with_its_version_and_its_function(scene: Scene) -> None:
    await published(scene, versions=2)
    await put(scene, "1", 2)
    await put(scene, "2", 3)
    await scene.call("delete_function", FunctionName="f", Qualifier="1")
    listed = await scene.call("list_provisioned_concurrency_configs", FunctionName="f")
    assert [one["FunctionArn"] for one in listed["ProvisionedConcurrencyConfigs"]] == [f"{PREFIX}f:2"]
    settings = await scene.call("get_account_settings")
    assert settings["AccountLimit"]["UnreservedConcurrentExecutions"] == 997
    await scene.call("delete_function", FunctionName="f")
    settings = await scene.call("get_account_settings")
    assert settings["AccountLimit"]["UnreservedConcurrentExecutions"] == 1_000
