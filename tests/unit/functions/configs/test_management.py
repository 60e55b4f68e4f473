"""Recursion, runtime management, capacity providers, what cannot be invoked yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.functions.conftest import PREFIX, ROLE

if TYPE_CHECKING:
    from tests.unit.functions.conftest import Scene

ARN = f"{PREFIX}f"
PROVIDER_ARN = "arn:aws:lambda:us-east-1:000000000000:capacity-provider:p"
PROVIDER: dict[str, Any] = {
    "CapacityProviderName": "p",
    "VpcConfig": {"SubnetIds": ["subnet-1"], "SecurityGroupIds": []},
    "PermissionsConfig": {"CapacityProviderOperatorRoleArn": ROLE},
}


async def test_recursion(scene: Scene) -> None:
    missing = ("ResourceNotFoundException", f"Function not found: {ARN}")
    assert await scene.refused("get_function_recursion_config", FunctionName="f") == missing
    refused = await scene.refused("put_function_recursion_config", FunctionName="f", RecursiveLoop="Allow")
    assert refused == missing
    await scene.create_settled()
    get = "get_function_recursion_config"
    assert await scene.call(get, FunctionName="f") == {"RecursiveLoop": "Terminate"}
    await scene.call("put_function_recursion_config", FunctionName="f", RecursiveLoop="Allow")
    assert await scene.call(get, FunctionName="f") == {"RecursiveLoop": "Allow"}
    await scene.call("delete_function", FunctionName="f")
    await scene.create_settled()
    assert await scene.call(get, FunctionName="f") == {"RecursiveLoop": "Terminate"}


async def test_runtime_management(scene: Scene) -> None:
    put, get = "put_runtime_management_config", "get_runtime_management_config"
    missing = ("ResourceNotFoundException", f"Function not found: {ARN}")
    assert await scene.refused(get, FunctionName="f") == missing
    assert await scene.refused(put, FunctionName="f", UpdateRuntimeOn="Auto") == missing
    created = await scene.create_settled()
    assert await scene.call(get, FunctionName="f") == {"UpdateRuntimeOn": "Auto", "FunctionArn": ARN}
    runtime = created["RuntimeVersionConfig"]["RuntimeVersionArn"]
    for members in (
        {"UpdateRuntimeOn": "Manual"},
        {"UpdateRuntimeOn": "Auto", "RuntimeVersionArn": runtime},
        {"UpdateRuntimeOn": "Manual", "RuntimeVersionArn": f"{runtime[:-1]}x"},
    ):
        assert (await scene.refused(put, FunctionName="f", **members))[0] == "InvalidParameterValueException"
    pinned = {"UpdateRuntimeOn": "Manual", "RuntimeVersionArn": runtime}
    assert await scene.call(put, FunctionName="f", **pinned) == {**pinned, "FunctionArn": ARN}
    assert await scene.call(get, FunctionName="f", Qualifier="$LATEST") == {**pinned, "FunctionArn": f"{ARN}:$LATEST"}
    assert (await scene.refused(get, FunctionName="f", Qualifier="7"))[1] == f"Function not found: {ARN}:7"


async def test_a_capacity_provider(scene: Scene) -> None:
    scaling = {"MaxVCpuCount": 8, "ScalingMode": "Auto"}
    created = await scene.call("create_capacity_provider", **PROVIDER, CapacityProviderScalingConfig=scaling)
    shown = created["CapacityProvider"]
    assert shown == {
        "CapacityProviderArn": PROVIDER_ARN,
        "State": "Pending",
        "VpcConfig": PROVIDER["VpcConfig"],
        "PermissionsConfig": PROVIDER["PermissionsConfig"],
        "CapacityProviderScalingConfig": scaling,
        "LastModified": "2026-01-01T00:00:00.000+0000",
    }
    refused = await scene.refused("create_capacity_provider", **PROVIDER)
    assert refused == ("ResourceConflictException", f"Capacity provider already exists: {PROVIDER_ARN}")
    logging = {"LoggingConfig": {"SystemLogLevel": "DEBUG"}}
    updated = await scene.call("update_capacity_provider", CapacityProviderName="p", TelemetryConfig=logging)
    assert updated["CapacityProvider"] == {**shown, "State": "Active", "TelemetryConfig": logging}
    for reference in ("p", PROVIDER_ARN):
        assert await scene.call("get_capacity_provider", CapacityProviderName=reference) == updated
    listed = await scene.call("list_capacity_providers", State="Active")
    assert listed["CapacityProviders"] == [updated["CapacityProvider"]]
    assert await scene.call("list_capacity_providers", State="Failed") == {"CapacityProviders": []}
    versions = await scene.call("list_function_versions_by_capacity_provider", CapacityProviderName="p")
    assert versions == {"CapacityProviderArn": PROVIDER_ARN, "FunctionVersions": []}
    deleted = await scene.call("delete_capacity_provider", CapacityProviderName=PROVIDER_ARN)
    assert deleted["CapacityProvider"]["State"] == "Deleting"
    for operation in ("get", "delete"):
        refused = await scene.refused(f"{operation}_capacity_provider", CapacityProviderName="p")
        assert refused == ("ResourceNotFoundException", "Capacity provider not found: p")


async def test_pages_of_capacity_providers(scene: Scene) -> None:
    for name in "abc":
        await scene.call("create_capacity_provider", **{**PROVIDER, "CapacityProviderName": name})
    found: list[str] = []
    marker: dict[str, Any] = {}
    for _ in range(3):
        page = await scene.call("list_capacity_providers", MaxItems=1, **marker)
        found += [one["CapacityProviderArn"][-1] for one in page["CapacityProviders"]]
        marker = {"Marker": page.get("NextMarker")}
    assert (found, marker) == (["a", "b", "c"], {"Marker": None})


@pytest.mark.parametrize(
    "members",
    [
        {"CapacityProviderName": PROVIDER_ARN.replace("east", "west")},
        {"InstanceRequirements": {"AllowedInstanceTypes": ["m7i"], "ExcludedInstanceTypes": ["m6i"]}},
        {"PropagateTags": {"Mode": "None", "ExplicitTags": {"a": "b"}}},
        {"Tags": {"aws:a": "b"}},
    ],
)
async def test_what_a_capacity_provider_may_not_be(scene: Scene, members: dict[str, Any]) -> None:
    refused = await scene.refused("create_capacity_provider", **{**PROVIDER, **members})
    assert refused[0] == "InvalidParameterValueException"


async def test_an_update_says_something(scene: Scene) -> None:
    await scene.call("create_capacity_provider", **PROVIDER)
    refused = await scene.refused("update_capacity_provider", CapacityProviderName="p")
    assert refused[0] == "InvalidParameterValueException"


async def test_what_cannot_be_invoked_yet(scene: Scene) -> None:
    asked = {"invoke_async": {"InvokeArgs": "e30="}, "invoke_with_response_stream": {"Payload": "e30="}}
    for operation, members in asked.items():
        refused = await scene.refused(operation, FunctionName="f", **members)
        assert refused == ("ResourceNotFoundException", f"Function not found: {ARN}")
    await scene.create_settled()
    for operation, members in asked.items():
        assert (await scene.refused(operation, FunctionName="f", **members))[0] == "NotImplementedException"
        spoilt = dict.fromkeys(members, "bm8=")
        assert (await scene.refused(operation, FunctionName="f", **spoilt))[0] == "InvalidRequestContentException"
