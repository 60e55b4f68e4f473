"""Functions made from container images, against what AWS answered (recordings named at each test)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.functions.conftest import PREFIX, ROLE, zipped

if TYPE_CHECKING:
    from tests.unit.functions.conftest import Scene

REPOSITORY = "000000000000.dkr.ecr.us-east-1.amazonaws.com/team/app"
DIGEST = "ab" * 32
NOT_WITH_IMAGES = "Please don't provide Handler or Runtime or Layer when the intended function PackageType is Image."


async def create(scene: Scene, image: str = f"{REPOSITORY}:latest", **members: Any) -> Any:
    await scene.call(
        "create_function", FunctionName="f", Role=ROLE, PackageType="Image", Code={"ImageUri": image}, **members
    )
    return await scene.settled()


async def update(scene: Scene, operation: str = "configuration", **members: Any) -> Any:
    await scene.call(f"update_function_{operation}", FunctionName="f", **members)
    return await scene.settled()


async def test_a_life(scene: Scene) -> None:
    # Source: lambda/test_lambda_api.json, TestLambdaImages::test_lambda_image_crud.
    created = await create(scene, Environment={"Variables": {"A": "b"}})
    assert (created["PackageType"], created["State"], created["CodeSize"]) == ("Image", "Active", 0)
    assert not {"Runtime", "Handler", "ImageConfigResponse", "RuntimeVersionConfig", "CodeSha256"} & created.keys()
    code = (await scene.call("get_function", FunctionName="f"))["Code"]
    assert code == {"ImageUri": f"{REPOSITORY}:latest", "RepositoryType": "ECR"}
    assert await scene.refused("update_function_code", FunctionName="f", ZipFile=zipped()) == (
        "InvalidParameterValueException",
        "Please provide ImageUri when updating a function with packageType Image.",
    )
    dry = await scene.call(
        "update_function_code", FunctionName="f", ImageUri=f"{REPOSITORY}@sha256:{DIGEST}", DryRun=True
    )
    assert dry["CodeSha256"] == DIGEST
    assert (await scene.call("get_function", FunctionName="f"))["Code"] == code
    updated = await update(scene, "code", ImageUri=f"{REPOSITORY}@sha256:{DIGEST}")
    assert updated["CodeSha256"] == DIGEST
    assert (await scene.call("get_function", FunctionName="f"))["Code"] == {
        "ImageUri": f"{REPOSITORY}@sha256:{DIGEST}",
        "RepositoryType": "ECR",
        "ResolvedImageUri": f"{REPOSITORY}@sha256:{DIGEST}",
    }


async def test_image_config(scene: Scene) -> None:
    # Source: TestLambdaImages::test_lambda_image_and_image_config_crud.
    whole = {"EntryPoint": ["sh"], "Command": ["-c", "echo test"], "WorkingDirectory": "/app1"}
    created = await create(scene, ImageConfig=whole)
    assert created["ImageConfigResponse"] == {"ImageConfig": whole}
    part = {"Command": ["-c", "echo test1"], "WorkingDirectory": "/app1"}
    assert (await update(scene, ImageConfig=part))["ImageConfigResponse"] == {"ImageConfig": part}
    assert (await update(scene, Timeout=9))["ImageConfigResponse"] == {"ImageConfig": part}
    assert "ImageConfigResponse" not in await update(scene, ImageConfig={})


async def test_versions(scene: Scene) -> None:
    # Source: TestLambdaImages::test_lambda_image_versions.
    await create(scene, f"{REPOSITORY}@sha256:{DIGEST}", Publish=True)
    await update(scene, Description="second")
    wrong = "a" * 64
    assert await scene.refused("publish_version", FunctionName="f", CodeSha256=wrong) == (
        "InvalidParameterValueException",
        f"CodeSHA256 ({wrong}) is different from current CodeSHA256 in $LATEST ({DIGEST}). "
        "Please try again with the CodeSHA256 in $LATEST.",
    )
    published = await scene.call("publish_version", FunctionName="f", CodeSha256=DIGEST)
    assert (published["Version"], published["FunctionArn"]) == ("2", f"{PREFIX}f:2")
    again = await scene.call("update_function_code", FunctionName="f", ImageUri=f"{REPOSITORY}:other", Publish=True)
    assert again["Version"] == "3"


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ({"Handler": "a.b"}, NOT_WITH_IMAGES),
        ({"Runtime": "python3.12"}, NOT_WITH_IMAGES),
        ({"Layers": ["arn:aws:lambda:us-east-1:000000000000:layer:l:1"]}, NOT_WITH_IMAGES),
        ({"Code": {"ZipFile": zipped()}}, "Please provide a source for function code."),
        ({"Code": {"ImageUri": "No Image"}}, "Source image No Image is not valid. Provide a valid source image."),
        ({"SnapStart": {"ApplyOn": "PublishedVersions"}}, "PackageType Image is not supported for SnapStart"),
        ({"PackageType": "Zip"}, "Runtime and Handler are mandatory parameters"),
        (
            {"PackageType": "Zip", "Runtime": "python3.12", "Handler": "a.b"},
            "Please provide a source for function code.",
        ),
        (
            {"PackageType": "Zip", "Runtime": "python3.12", "Handler": "a.b", "Code": {"ZipFile": zipped()},
             "ImageConfig": {"Command": ["a"]}},
            "ImageConfig is only for functions with PackageType Image.",
        ),
    ],
)  # fmt: skip
async def test_what_creation_refuses(scene: Scene, members: dict[str, Any], text: str) -> None:
    given = {"FunctionName": "f", "Role": ROLE, "PackageType": "Image", "Code": {"ImageUri": "registry:5000/app:1"}}
    code, message = await scene.refused("create_function", **given | members)
    assert code == "InvalidParameterValueException"
    assert message.startswith(text)


async def test_what_updates_refuse(scene: Scene) -> None:
    await create(scene, "app")
    code, message = await scene.refused("update_function_configuration", FunctionName="f", Handler="a.b")
    assert (code, message) == ("InvalidParameterValueException", NOT_WITH_IMAGES)
    await scene.create_settled("zip")
    assert await scene.refused("update_function_code", FunctionName="zip", ImageUri="app") == (
        "InvalidParameterValueException",
        "Please don't provide ImageUri when updating a function with packageType Zip.",
    )
    assert await scene.refused("update_function_configuration", FunctionName="zip", ImageConfig={"Command": ["a"]}) == (
        "InvalidParameterValueException",
        "ImageConfig is only for functions with PackageType Image.",
    )
