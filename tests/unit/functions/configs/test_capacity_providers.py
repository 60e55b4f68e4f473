"""Capacity providers: their life, pages, and what they may not be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.functions.conftest import ROLE

if TYPE_CHECKING:
    from tests.unit.functions.conftest import Scene

PROVIDER_ARN = "arn:aws:lambda:us-east-1:000000000000:capacity-provider:p"
PROVIDER: dict[str, Any] = {
    "CapacityProviderName": "p",
    "VpcConfig": {"SubnetIds": ["subnet-1"], "SecurityGroupIds": []},
    "PermissionsConfig": {"CapacityProviderOperatorRoleArn": ROLE},
}


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
