"""Publishing, reading, listing and deleting layer versions. Texts: recorded (lambda/test_lambda_api.json)."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from lambent.functions import ControlPlaneRules
from tests.unit.functions.conftest import zip_bytes, zipped

if TYPE_CHECKING:
    from tests.unit.functions.conftest import Scene

PREFIX = "arn:aws:lambda:us-east-1:000000000000:layer:"
MISSING = ("ResourceNotFoundException", "The resource you requested does not exist.")
BELOW_ONE = ("InvalidParameterValueException", "Layer Version Cannot be less than 1")


async def publish(scene: Scene, name: str = "l", text: str = "x = 1\n", **members: Any) -> Any:
    content = {"ZipFile": zipped(text, "python/x.py")}
    return await scene.call("publish_layer_version", LayerName=name, **{"Content": content, **members})


async def test_what_a_publication_answers(scene: Scene) -> None:
    package = zip_bytes({"python/x.py": "x = 1\n"})
    answer = await publish(
        scene,
        Description="d",
        LicenseInfo="MIT",
        CompatibleRuntimes=["python3.12"],
        CompatibleArchitectures=["x86_64", "arm64"],
    )
    location = answer["Content"].pop("Location")
    assert answer == {
        "Content": {
            "CodeSha256": base64.b64encode(hashlib.sha256(package).digest()).decode(),
            "CodeSize": len(package),
        },
        "LayerArn": f"{PREFIX}l",
        "LayerVersionArn": f"{PREFIX}l:1",
        "Description": "d",
        "CreatedDate": "2026-01-01T00:00:00.000+0000",
        "Version": 1,
        "CompatibleArchitectures": ["x86_64", "arm64"],
        "CompatibleRuntimes": ["python3.12"],
        "LicenseInfo": "MIT",
    }
    assert location.startswith(f"http://localhost:4566/_lambent/v1/code/{hashlib.sha256(package).hexdigest()}?")
    got = await scene.call("get_layer_version", LayerName="l", VersionNumber=1)
    by_arn = await scene.call("get_layer_version_by_arn", Arn=f"{PREFIX}l:1")
    assert got == by_arn == {**answer, "Content": {**answer["Content"], "Location": location}}


async def test_compatibilities_are_left_out_or_empty_as_given(scene: Scene) -> None:
    bare = await publish(scene)
    assert not bare.keys() & {"CompatibleRuntimes", "CompatibleArchitectures", "LicenseInfo"}
    assert bare["Description"] == ""
    [listed] = (await scene.call("list_layer_versions", LayerName="l"))["LayerVersions"]
    assert listed.keys() == {"LayerVersionArn", "Version", "CreatedDate"}
    empty = await publish(scene, CompatibleRuntimes=[], CompatibleArchitectures=[])
    assert (empty["CompatibleRuntimes"], empty["CompatibleArchitectures"]) == ([], [])


async def test_numbers_are_never_given_twice(scene: Scene) -> None:
    assert [(await publish(scene))["Version"] for _ in range(2)] == [1, 2]
    for number in (1, 2):
        await scene.call("delete_layer_version", LayerName="l", VersionNumber=number)
    assert await scene.call("list_layer_versions", LayerName="l") == {"LayerVersions": []}
    assert await scene.call("list_layers") == {"Layers": []}
    assert (await publish(scene))["Version"] == 3


async def test_publications_at_one_time_get_numbers_of_their_own(scene: Scene) -> None:
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(publish(scene, text=f"x = {n}\n")) for n in range(8)]
    assert sorted(task.result()["Version"] for task in running) == list(range(1, 9))


async def test_what_is_not_there(scene: Scene) -> None:
    await publish(scene)
    for name, number in (("none", 1), ("l", 2)):
        assert await scene.refused("get_layer_version", LayerName=name, VersionNumber=number) == MISSING
        assert await scene.refused("get_layer_version_by_arn", Arn=f"{PREFIX}{name}:{number}") == MISSING
        assert await scene.call("delete_layer_version", LayerName=name, VersionNumber=number) is None
    for number in (0, -1):
        assert await scene.refused("get_layer_version", LayerName="l", VersionNumber=number) == BELOW_ONE
        assert await scene.refused("delete_layer_version", LayerName="l", VersionNumber=number) == BELOW_ONE
    assert await scene.call("list_layer_versions", LayerName="none") == {"LayerVersions": []}


async def test_pages_of_layers_and_versions(scene: Scene) -> None:
    for name in ("b", "a", "c"):
        for _ in range(3):
            await publish(scene, name, CompatibleRuntimes=["python3.12"] if name != "b" else ["nodejs20.x"])
    first = await scene.call("list_layers", MaxItems=2)
    assert [(item["LayerName"], item["LatestMatchingVersion"]["Version"]) for item in first["Layers"]] == [
        ("a", 3),
        ("b", 3),
    ]
    second = await scene.call("list_layers", MaxItems=2, Marker=first["NextMarker"])
    assert [item["LayerName"] for item in second["Layers"]] == ["c"]
    assert "NextMarker" not in second
    matching = await scene.call("list_layers", CompatibleRuntime="python3.12", MaxItems=1)
    rest = await scene.call("list_layers", CompatibleRuntime="python3.12", MaxItems=1, Marker=matching["NextMarker"])
    assert [item["LayerName"] for item in (*matching["Layers"], *rest["Layers"])] == ["a", "c"]
    assert "NextMarker" not in rest

    versions = await scene.call("list_layer_versions", LayerName="a", MaxItems=2)
    assert [item["Version"] for item in versions["LayerVersions"]] == [3, 2]
    versions = await scene.call("list_layer_versions", LayerName="a", MaxItems=2, Marker=versions["NextMarker"])
    assert [item["LayerVersionArn"] for item in versions["LayerVersions"]] == [f"{PREFIX}a:1"]
    assert "NextMarker" not in versions


async def test_the_latest_version_that_matches(scene: Scene) -> None:
    await publish(scene, CompatibleRuntimes=["python3.11"], CompatibleArchitectures=["arm64"])
    await publish(scene, CompatibleRuntimes=["python3.12"])
    await publish(scene)
    answer = await scene.call("list_layers", CompatibleArchitecture="arm64", CompatibleRuntime="python3.11")
    assert [item["LatestMatchingVersion"]["Version"] for item in answer["Layers"]] == [1]
    answer = await scene.call("list_layer_versions", LayerName="l", CompatibleRuntime="python3.12")
    assert [item["Version"] for item in answer["LayerVersions"]] == [2]


@pytest.mark.parametrize("rules", [ControlPlaneRules(code_storage_bytes=400)])
async def test_layers_count_against_the_account_s_storage(scene: Scene) -> None:
    created = await scene.create()
    size = (await publish(scene))["Content"]["CodeSize"]
    assert created["CodeSize"] + 2 * size > 400, "the second does not fit"
    code, _ = await scene.refused(
        "publish_layer_version", LayerName="m", Content={"ZipFile": zipped("x = 1\n", "python/x.py")}
    )
    assert code == "CodeStorageExceededException"
    settings = await scene.call("get_account_settings")
    assert settings["AccountUsage"]["TotalCodeSize"] == created["CodeSize"] + size
    await scene.call("delete_layer_version", LayerName="l", VersionNumber=1)
    assert (await publish(scene, "m"))["Version"] == 1


async def test_a_layer_of_nothing(scene: Scene) -> None:
    refused = await scene.refused("publish_layer_version", LayerName="l", Content={})
    assert refused == ("InvalidParameterValueException", "Missing Content")


async def test_from_s3_with_a_version(scene: Scene) -> None:
    scene.packages["bucket", "key", "v7"] = zip_bytes({"python/x.py": "x = 7\n"})
    answer = await publish(scene, Content={"S3Bucket": "bucket", "S3Key": "key", "S3ObjectVersion": "v7"})
    assert answer["Content"]["CodeSize"] == len(zip_bytes({"python/x.py": "x = 7\n"}))


async def test_what_nobody_uses_is_swept(scene: Scene) -> None:
    answer = await publish(scene)
    await scene.create_settled(Layers=[answer["LayerVersionArn"]])
    digest = base64.b64decode(answer["Content"]["CodeSha256"]).hex()
    await scene.call("delete_layer_version", LayerName="l", VersionNumber=1)
    await scene.code.sweep(scene.store.code_in_use)
    assert scene.code.zip_path(digest).exists(), "the function keeps it"
    await scene.call("update_function_configuration", FunctionName="f", Layers=[])
    await scene.code.sweep(scene.store.code_in_use)
    assert not scene.code.zip_path(digest).exists()
    assert not (scene.data_directory / scene.code.directory(digest)).exists()


async def test_another_account_and_region_see_nothing(scene: Scene) -> None:
    await publish(scene)
    other = replace(scene.caller, account_id="222222222222", principal_arn="arn:aws:iam::222222222222:root")
    elsewhere = replace(scene.caller, region="eu-west-1")
    for caller in (other, elsewhere):
        assert await scene.call("list_layers", caller) == {"Layers": []}
        assert await scene.call("list_layer_versions", caller, LayerName="l") == {"LayerVersions": []}
        assert await scene.refused("get_layer_version", caller, LayerName="l", VersionNumber=1) == MISSING
    assert await scene.refused("get_layer_version_by_arn", elsewhere, Arn=f"{PREFIX}l:1") == MISSING
    denied = (
        "AccessDeniedException",
        f"User: arn:aws:iam::222222222222:root is not authorized to perform: lambda:GetLayerVersion on resource: "
        f"{PREFIX}l:1 because no resource-based policy allows the lambda:GetLayerVersion action",
    )
    assert await scene.refused("get_layer_version_by_arn", other, Arn=f"{PREFIX}l:1") == denied
    for operation, members in (
        ("list_layer_versions", {}),
        ("delete_layer_version", {"VersionNumber": 1}),
        ("publish_layer_version", {"Content": {"ZipFile": zipped()}}),
    ):
        code, _ = await scene.refused(operation, other, LayerName=f"{PREFIX}l", **members)
        assert code == "AccessDeniedException"
    assert (await scene.call("get_layer_version", LayerName=f"{PREFIX}l", VersionNumber=1))["Version"] == 1


async def test_deletions_at_one_time(scene: Scene) -> None:
    for _ in range(6):
        await publish(scene)
    async with asyncio.TaskGroup() as tasks:
        for number in (1, 2, 3, 4, 5, 5):
            tasks.create_task(scene.call("delete_layer_version", LayerName="l", VersionNumber=number))
    listed = await scene.call("list_layers")
    assert [item["LatestMatchingVersion"]["Version"] for item in listed["Layers"]] == [6]
    await scene.call("delete_layer_version", LayerName="l", VersionNumber=6)
    assert (await scene.call("list_layers"))["Layers"] == []
