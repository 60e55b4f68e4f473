"""Aliases, against what AWS answered (recordings named at each test)."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from lambent.model.errors import LambdaError, ResourceNotFoundError
from tests.unit.functions.conftest import PREFIX

if TYPE_CHECKING:
    from tests.unit.functions.conftest import Scene


@pytest.fixture
async def two_versions(scene: Scene) -> Scene:
    await scene.create_settled(Publish=True)
    await scene.call("update_function_configuration", FunctionName="f", Description="prod")
    await scene.settled()
    await scene.call("publish_version", FunctionName="f")
    return scene


async def create(scene: Scene, name: str = "live", version: str = "1", **members: Any) -> Any:
    return await scene.call("create_alias", FunctionName="f", Name=name, FunctionVersion=version, **members)


def weights(**given: float) -> dict[str, Any]:
    return {"AdditionalVersionWeights": {key.removeprefix("v"): weight for key, weight in given.items()}}


async def test_a_life(two_versions: Scene) -> None:
    # Source: lambda/test_lambda_api.json, TestLambdaAlias::test_notfound_and_invalid_routingconfigs.
    scene = two_versions
    created = await create(scene, RoutingConfig=weights(v2=0.5), Description="d")
    assert created == {
        "AliasArn": f"{PREFIX}f:live",
        "Description": "d",
        "FunctionVersion": "1",
        "Name": "live",
        "RevisionId": created["RevisionId"],
        "RoutingConfig": {"AdditionalVersionWeights": {"2": 0.5}},
    }
    assert await scene.call("get_alias", FunctionName="f", Name="live") == created
    function = await scene.call("get_function", FunctionName="f", Qualifier="live")
    assert function["Configuration"]["FunctionArn"] == f"{PREFIX}f:live"
    assert function["Configuration"]["Version"] == "1"
    by_arn = await scene.call("get_function_configuration", FunctionName=f"{PREFIX}f:live")
    assert by_arn == function["Configuration"]
    moved = await scene.call(
        "update_alias", FunctionName="f", Name="live", FunctionVersion="2", RoutingConfig=weights()
    )
    assert moved == {key: created[key] for key in ("AliasArn", "Name", "Description")} | {
        "FunctionVersion": "2",
        "RevisionId": moved["RevisionId"],
    }
    assert moved["RevisionId"] != created["RevisionId"]
    assert await scene.call("delete_alias", FunctionName="f", Name="live") is None
    # Source: TestLambdaAlias::test_non_existent_alias_deletion: no error.
    assert await scene.call("delete_alias", FunctionName="f", Name="live") is None
    assert await scene.refused("get_alias", FunctionName="f", Name="live") == (
        "ResourceNotFoundException",
        f"Cannot find alias arn: {PREFIX}f:live",
    )
    assert await scene.refused("get_function", FunctionName="f", Qualifier="live") == (
        "ResourceNotFoundException",
        f"Function not found: {PREFIX}f:live",
    )
    assert await scene.refused("update_alias", FunctionName="f", Name="live") == (
        "ResourceNotFoundException",
        f"Alias not found: {PREFIX}f:live",
    )


async def test_what_is_refused(two_versions: Scene) -> None:
    # Source: TestLambdaAlias::test_notfound_and_invalid_routingconfigs.
    async def refused(version: str, routing: dict[str, Any], name: str = "f") -> tuple[str, str]:
        members = {"FunctionName": name, "Name": "custom", "FunctionVersion": version, "RoutingConfig": routing}
        return await two_versions.refused("create_alias", **members)

    invalid, missing = "InvalidParameterValueException", "ResourceNotFoundException"
    assert await refused("1", weights(v1=0.8, v2=0.2)) == (
        invalid,
        "Number of items in AdditionalVersionWeights cannot be greater than 1",
    )
    assert await refused("1", weights(v1=0.5)) == (
        invalid,
        "Invalid function version 1. Function version 1 is already included in routing configuration.",
    )
    assert await refused("$LATEST", weights(v1=0.5)) == (
        invalid,
        "$LATEST is not supported for an alias pointing to more than 1 version",
    )
    assert await refused("10", weights(v2=0.5)) == (missing, f"Function not found: {PREFIX}f:10")
    assert await refused("1", weights(v10=0.5)) == (missing, f"Function not found: {PREFIX}f:10")
    assert await refused("1", weights(v2=0.5), "g") == (missing, f"Function not found: {PREFIX}g:1")
    await create(two_versions, "latest", "$LATEST")
    assert "RoutingConfig" not in await create(two_versions, "custom", RoutingConfig=weights())
    assert await refused("1", {}) == ("ResourceConflictException", f"Alias already exists: {PREFIX}f:custom")
    update = {"FunctionName": "f", "Name": "latest", "RoutingConfig": weights(v1=0.5)}
    assert (await two_versions.refused("update_alias", **update))[0] == invalid
    nowhere = {"FunctionName": "g", "Name": "a"}
    gone = (missing, f"Function not found: {PREFIX}g")
    for operation in ("get_alias", "update_alias", "delete_alias"):
        assert await two_versions.refused(operation, **nowhere) == gone
    assert await two_versions.refused("list_aliases", FunctionName="g") == gone


async def test_revision_ids(two_versions: Scene) -> None:
    # Source: TestLambdaRevisions::test_function_revisions_version_and_alias.
    created = await create(two_versions)
    latest = await two_versions.settled()
    wrong = {"FunctionName": "f", "Name": "live", "RevisionId": "b6f0", "Description": "x"}
    assert (await two_versions.refused("update_alias", **wrong))[0] == "PreconditionFailedException"
    changed = await two_versions.call("update_alias", **wrong | {"RevisionId": created["RevisionId"]})
    assert (changed["Description"], changed["FunctionVersion"]) == ("x", "1")
    assert changed["RevisionId"] != created["RevisionId"]
    # An alias changes no revision of the function.
    assert await two_versions.settled() == latest


async def test_lists(two_versions: Scene) -> None:
    # Source: TestLambdaAlias::test_alias_lifecycle (a page of one; the filter by version).
    scene = two_versions
    await create(scene, "c", "2")
    await create(scene, "a", "1", RoutingConfig=weights(v2=0.1))
    await create(scene, "b", "1")
    seen: list[str] = []
    marker: dict[str, str] = {}
    while True:
        page = await scene.call("list_aliases", FunctionName="f", MaxItems=1, **marker)
        seen += [alias["Name"] for alias in page["Aliases"]]
        if "NextMarker" not in page:
            break
        marker = {"Marker": page["NextMarker"]}
    assert seen == ["a", "b", "c"]

    async def of(version: str) -> list[str]:
        page = await scene.call("list_aliases", FunctionName="f", FunctionVersion=version)
        return [alias["Name"] for alias in page["Aliases"]]

    assert (await of("1"), await of("2"), await of("3")) == (["a", "b"], ["a", "c"], [])
    assert await scene.refused("list_aliases", FunctionName="f", Marker="?") == (
        "InvalidParameterValueException",
        "Invalid marker.",
    )


async def test_a_version_that_an_alias_uses_stays(two_versions: Scene) -> None:
    # Source: API reference, DeleteFunction; observed text.
    scene = two_versions
    await create(scene, "a", "1", RoutingConfig=weights(v2=0.1))
    await create(scene, "b", "2")
    for number, using in (("1", "a"), ("2", "a, b")):
        assert await scene.refused("delete_function", FunctionName="f", Qualifier=number) == (
            "ResourceConflictException",
            f"Unable to delete version because the following aliases reference it: [{using}]",
        )
    await scene.call("delete_alias", FunctionName="f", Name="a")
    assert await scene.call("delete_function", FunctionName="f", Qualifier="1") == {"StatusCode": 204}
    assert await scene.refused("delete_function", FunctionName="f", Qualifier="b") == (
        "InvalidParameterValueException",
        "Deletion of aliases is not currently supported.",
    )
    await scene.call("delete_function", FunctionName="f")
    await scene.create_settled()
    assert (await scene.call("list_aliases", FunctionName="f"))["Aliases"] == []


async def test_no_alias_is_left_without_its_version(two_versions: Scene) -> None:
    # Creation of an alias and deletion of its version at the same moment: one of both is refused.
    outcomes: list[str] = []
    refusals: list[str] = []

    async def attempt(operation: str, **members: Any) -> None:
        try:
            await two_versions.call(operation, FunctionName="f", **members)
            outcomes.append(operation)
        except LambdaError as error:
            refusals.append(error.code)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(attempt("create_alias", Name="a", FunctionVersion="1"))
        tasks.create_task(attempt("delete_function", Qualifier="1"))
    assert len(outcomes) == 1
    assert set(refusals) <= {"ResourceNotFoundException", "ResourceConflictException"}


async def test_nothing_leaks_between_accounts(two_versions: Scene) -> None:
    await create(two_versions)
    other = _caller(two_versions, "111122223333")
    for operation, members in (
        ("get_alias", {"Name": "live"}),
        ("list_aliases", {}),
        ("list_versions_by_function", {}),
        ("get_function", {"Qualifier": "live"}),
        ("publish_version", {}),
    ):
        code, _ = await two_versions.refused(operation, other, FunctionName="f", **members)
        assert code == "ResourceNotFoundException"
        code, _ = await two_versions.refused(operation, other, FunctionName=f"{PREFIX}f", **members)
        assert code == "AccessDeniedException"


def _caller(scene: Scene, account_id: str) -> Any:
    return replace(scene.caller, account_id=account_id, principal_arn=f"arn:aws:iam::{account_id}:root")


async def test_what_hangs_on_an_alias_or_a_version_goes_with_it(two_versions: Scene) -> None:
    scene = two_versions

    async def hang_on(qualifier: str) -> None:
        target = {"FunctionName": "f", "Qualifier": qualifier}
        await scene.call("put_function_event_invoke_config", **target, MaximumRetryAttempts=1)
        permission = {"StatementId": "s", "Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com"}
        await scene.call("add_permission", **target, **permission)

    async def what_hangs_on(qualifier: str) -> list[str]:
        found = []
        for operation in ("get_function_event_invoke_config", "get_policy"):
            with contextlib.suppress(ResourceNotFoundError):
                await scene.call(operation, FunctionName="f", Qualifier=qualifier)
                found.append(operation)
        return found

    await create(scene)
    for qualifier in ("live", "2"):
        await hang_on(qualifier)
        assert len(await what_hangs_on(qualifier)) == 2
    await scene.call("create_function_url_config", FunctionName="f", Qualifier="live", AuthType="NONE")
    await scene.call("delete_alias", FunctionName="f", Name="live")
    await scene.call("delete_function", FunctionName="f", Qualifier="2")
    assert len(await what_hangs_on("2")) == 0
    await create(scene)
    assert await what_hangs_on("live") == []
    urls = await scene.call("list_function_url_configs", FunctionName="f")
    assert urls["FunctionUrlConfigs"] == []
