"""Published versions, against what AWS answered (recordings named at each test)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from lambent.functions import ControlPlaneRules
from lambent.model.function import FunctionState, FunctionVersion
from tests.unit.functions.conftest import PREFIX, zipped

if TYPE_CHECKING:
    from tests.unit.functions.conftest import Scene


async def publish(scene: Scene, **members: Any) -> Any:
    return await scene.call("publish_version", FunctionName="f", **members)


async def update(scene: Scene, **members: Any) -> Any:
    await scene.call("update_function_configuration", FunctionName="f", **members)
    return await scene.settled()


async def versions(scene: Scene) -> list[str]:
    listed = await scene.call("list_versions_by_function", FunctionName="f")
    return [one["Version"] for one in listed["Versions"]]


async def test_a_life_as_recorded(scene: Scene) -> None:
    # Source: lambda/test_lambda_api.json, TestLambdaVersions::test_version_lifecycle.
    await scene.create_settled(Description="none yet")
    latest = await update(scene, Description="first")
    first = await publish(scene, Description="of version one")
    assert (first["Version"], first["FunctionArn"], first["Description"]) == ("1", f"{PREFIX}f:1", "of version one")
    assert (first["State"], first["LastUpdateStatus"]) == ("Active", "Successful")
    assert first["RevisionId"] != latest["RevisionId"]
    assert await scene.call("get_function_configuration", FunctionName="f", Qualifier="1") == first
    await update(scene, Description="second")
    assert await scene.call("get_function_configuration", FunctionName="f:1") == first
    second = await publish(scene)
    assert (second["Version"], second["Description"]) == ("2", "second")
    # Nothing changed since: the same version again, and the description of this call is forgotten.
    assert await publish(scene, Description="third") == second
    listed = await scene.call("list_versions_by_function", FunctionName="f")
    assert [one["FunctionArn"] for one in listed["Versions"]] == [f"{PREFIX}f:{one}" for one in ("$LATEST", "1", "2")]
    assert not {"State", "LastUpdateStatus", "RuntimeVersionConfig"} & listed["Versions"][1].keys()
    assert await scene.call("delete_function", FunctionName="f:1") == {"StatusCode": 204}
    assert await versions(scene) == ["$LATEST", "2"]
    gone = ("ResourceNotFoundException", f"Function not found: {PREFIX}f:1")
    assert await scene.refused("get_function", FunctionName="f", Qualifier="1") == gone
    assert await scene.call("delete_function", FunctionName="f", Qualifier="1") == {"StatusCode": 204}


async def test_publish_on_creation(scene: Scene) -> None:
    # Source: TestLambdaVersions::test_publish_version_on_create.
    scene.gate.clear()
    created = await scene.create(Publish=True)
    assert (created["Version"], created["FunctionArn"], created["State"]) == ("1", f"{PREFIX}f", "Pending")
    assert "LastUpdateStatus" not in created
    scene.gate.set()
    latest = await scene.settled("f")
    # Who waited for the function need not wait for its version.
    first = await scene.call("get_function_configuration", FunctionName="f:1")
    assert (latest["Version"], first["Version"], first["FunctionArn"]) == ("$LATEST", "1", f"{PREFIX}f:1")
    assert (first["State"], first["LastUpdateStatus"]) == ("Active", "Successful")
    assert len({created["RevisionId"], latest["RevisionId"], first["RevisionId"]}) == 3
    assert await publish(scene) == first
    assert await scene.settled("f") == latest
    assert await versions(scene) == ["$LATEST", "1"]


async def test_publish_with_an_update(scene: Scene) -> None:
    # Source: lambda/test_lambda.json, TestLambdaVersions::test_lambda_versions_with_code_changes.
    await scene.create_settled(Publish=True)
    scene.gate.clear()
    updated = await scene.call("update_function_code", FunctionName="f", ZipFile=zipped("new"), Publish=True)
    assert (updated["Version"], updated["FunctionArn"], updated["State"]) == ("2", f"{PREFIX}f:2", "Pending")
    assert (updated["StateReasonCode"], "LastUpdateStatus" in updated) == ("Creating", False)
    latest = await scene.call("get_function_configuration", FunctionName="f")
    assert (latest["State"], latest["LastUpdateStatus"]) == ("Active", "InProgress")
    scene.gate.set()
    assert (await scene.settled("f:2"))["CodeSha256"] == (await scene.settled("f"))["CodeSha256"]


async def test_an_update_with_what_was_there_is_a_change(scene: Scene) -> None:
    # Source: observed: only whether an update came counts, packages and settings are not compared.
    created = await scene.create_settled(Publish=True)
    assert (await publish(scene))["Version"] == "1"
    code = created["CodeSha256"]
    again = await scene.call("update_function_code", FunctionName="f", ZipFile=zipped(), Publish=True)
    assert (again["FunctionArn"], again["CodeSha256"]) == (f"{PREFIX}f:2", code)
    await scene.settled("f")
    assert (await publish(scene))["Version"] == "2"
    await scene.call("update_function_code", FunctionName="f", ZipFile=zipped())
    await scene.settled("f")
    assert [(await publish(scene))["Version"] for _ in range(2)] == ["3", "3"]
    await update(scene, Timeout=created["Timeout"])
    assert [(await publish(scene))["Version"] for _ in range(2)] == ["4", "4"]


async def test_preconditions(scene: Scene) -> None:
    # Source: TestLambdaRevisions::test_function_revisions_version_and_alias; test_publish_with_wrong_sha256.
    active = await scene.create_settled()
    assert (await scene.refused("publish_version", FunctionName="f", RevisionId="b6f0"))[0] == (
        "PreconditionFailedException"
    )
    assert await scene.refused("publish_version", FunctionName="f", CodeSha256="wrong") == (
        "InvalidParameterValueException",
        f"CodeSHA256 (wrong) is different from current CodeSHA256 in $LATEST ({active['CodeSha256']}). "
        "Please try again with the CodeSHA256 in $LATEST.",
    )
    given = {"CodeSha256": active["CodeSha256"], "RevisionId": active["RevisionId"]}
    assert (await publish(scene, **given))["Version"] == "1"
    # As recorded, a publication gives $LATEST another revision.
    assert (await scene.settled())["RevisionId"] != active["RevisionId"]
    gone = ("ResourceNotFoundException", f"Function not found: {PREFIX}g")
    assert await scene.refused("publish_version", FunctionName="g") == gone
    assert await scene.refused("list_versions_by_function", FunctionName="g") == gone


async def test_what_is_under_way_is_not_published(scene: Scene) -> None:
    scene.gate.clear()
    await scene.create()
    refused = await scene.refused("publish_version", FunctionName="f")
    assert refused[0] == "ResourceConflictException"
    assert "currently in the following state: Pending" in refused[1]
    scene.gate.set()
    await scene.settled()
    scene.gate.clear()
    await scene.call("update_function_configuration", FunctionName="f", Timeout=9)
    refused = await scene.refused("publish_version", FunctionName="f")
    assert refused[1].endswith(f"An update is in progress for resource: {PREFIX}f")
    scene.gate.set()


async def test_a_number_is_never_given_twice(scene: Scene) -> None:
    # Source: developer guide: not even after the function was deleted and created anew.
    await scene.create_settled()
    assert (await publish(scene))["Version"] == "1"
    await scene.call("delete_function", FunctionName="f", Qualifier="1")
    assert (await publish(scene))["Version"] == "2"
    await scene.call("delete_function", FunctionName="f")
    assert (await scene.create(Publish=True))["Version"] == "3"
    assert await versions(scene) == ["$LATEST", "3"]


async def test_publications_at_once(scene: Scene) -> None:
    await scene.create_settled()
    published: list[str] = []

    async def one() -> None:
        published.append((await publish(scene))["Version"])

    async with asyncio.TaskGroup() as tasks:
        for _ in range(8):
            tasks.create_task(one())
    assert set(published) == {"1"}
    assert await versions(scene) == ["$LATEST", "1"]


async def test_pages_are_in_order_of_the_number(scene: Scene) -> None:
    await scene.create_settled()
    for number in range(1, 13):
        await update(scene, Timeout=number)
        await publish(scene)
    seen: list[str] = []
    marker: dict[str, str] = {}
    while True:
        page = await scene.call("list_versions_by_function", FunctionName="f", MaxItems=5, **marker)
        seen += [one["Version"] for one in page["Versions"]]
        if "NextMarker" not in page:
            break
        marker = {"Marker": page["NextMarker"]}
    assert seen == ["$LATEST", *(str(number) for number in range(1, 13))]
    await scene.create_settled("a", Publish=True)
    everything: list[str] = []
    marker = {}
    while True:
        page = await scene.call("list_functions", FunctionVersion="ALL", MaxItems=4, **marker)
        everything += [one["FunctionArn"].removeprefix(PREFIX) for one in page["Functions"]]
        if "NextMarker" not in page:
            break
        marker = {"Marker": page["NextMarker"]}
    assert everything == ["a:$LATEST", "a:1", *(f"f:{one}" for one in seen)]
    only = await scene.call("list_functions", MaxItems=1)
    assert [one["FunctionName"] for one in only["Functions"]] == ["a"]
    rest = await scene.call("list_functions", MaxItems=1, Marker=only["NextMarker"])
    assert ([one["FunctionName"] for one in rest["Functions"]], "NextMarker" in rest) == (["f"], False)


async def test_a_version_has_environments_of_its_own_and_never_changes(scene: Scene) -> None:
    await scene.create_settled(Environment={"Variables": {"SECRET": "one"}})
    await publish(scene)
    arn = (await scene.store.get(await _arn(scene))).arn  # type: ignore[union-attr]
    first = await scene.store.get(arn.qualified("1"))
    await update(scene, Environment={"Variables": {"SECRET": "two"}})
    latest = await scene.store.get(arn)
    assert first is not None
    assert latest is not None
    assert first.configuration_id != latest.configuration_id
    assert dict(first.environment) == {"SECRET": "one"}
    assert await scene.store.get(arn.qualified("1")) == first
    assert await scene.store.get(arn.qualified("01")) is None


@pytest.mark.parametrize("rules", [ControlPlaneRules(code_storage_bytes=400)])
async def test_versions_count_against_the_code_quota(scene: Scene) -> None:
    # Source: TestLambdaAccountSettings::test_account_settings_total_code_size_config_update.
    await scene.create_settled()
    before = (await scene.call("get_account_settings"))["AccountUsage"]["TotalCodeSize"]
    await publish(scene)
    after = (await scene.call("get_account_settings"))["AccountUsage"]
    assert (after["TotalCodeSize"], after["FunctionCount"]) == (2 * before, 1)
    await update(scene, Timeout=9)
    assert (await scene.refused("publish_version", FunctionName="f")) == (
        "CodeStorageExceededException",
        "Code storage limit exceeded.",
    )


async def test_a_crash_in_a_publication_is_ended_at_the_next_start(scene: Scene) -> None:
    await scene.create_settled(Publish=True)
    arn = (await scene.store.get(await _arn(scene))).arn  # type: ignore[union-attr]
    version = await scene.store.get(arn.qualified("1"))
    assert version is not None
    unsettled = await scene.store.list_unsettled()
    assert unsettled == []

    pending = replace(version, state=FunctionState.PENDING, revision_id="again")
    await scene.store.update(pending, expected_revision_id=version.revision_id)
    assert [one.version for one in await scene.store.list_unsettled()] == ["1"]


async def _arn(scene: Scene) -> Any:
    page = await scene.store.resources.page(FunctionVersion, "000000000000", "us-east-1", limit=1)
    return page[0].arn
