"""Code signing configurations and who has them. Texts: recorded (TestCodeSigningConfig)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

if TYPE_CHECKING:
    from tests.unit.functions.conftest import Scene

PROFILE = "arn:aws:signer:us-east-1:000000000000:/signing-profiles/test"
ENFORCE = {"UntrustedArtifactOnDeployment": "Enforce"}
NO_FUNCTION = ("ResourceNotFoundException", "Function not found: arn:aws:lambda:us-east-1:000000000000:function:none")


async def create_config(scene: Scene, **members: Any) -> Any:
    publishers = {"SigningProfileVersionArns": [PROFILE]}
    answer = await scene.call("create_code_signing_config", AllowedPublishers=publishers, **members)
    return answer["CodeSigningConfig"]


def changed(arn: str) -> str:
    """Return an ARN of nothing."""
    return f"{arn[:-1]}{'x' if arn[-1] != 'x' else 'y'}"


async def test_a_configuration_s_life(scene: Scene) -> None:
    config = await create_config(scene, Description="d", CodeSigningPolicies=ENFORCE)
    assert re.fullmatch(r"csc-[a-z0-9]{17}", config["CodeSigningConfigId"])
    arn = config["CodeSigningConfigArn"]
    assert config == {
        "CodeSigningConfigId": config["CodeSigningConfigId"],
        "CodeSigningConfigArn": (
            f"arn:aws:lambda:us-east-1:000000000000:code-signing-config:{config['CodeSigningConfigId']}"
        ),
        "Description": "d",
        "AllowedPublishers": {"SigningProfileVersionArns": [PROFILE]},
        "CodeSigningPolicies": ENFORCE,
        "LastModified": "2026-01-01T00:00:00.000+0000",
    }
    same = await scene.call("update_code_signing_config", CodeSigningConfigArn=arn)
    assert same["CodeSigningConfig"] == config
    scene.clock.now_ms += 1_000
    update = {"UntrustedArtifactOnDeployment": "Warn"}
    updated = await scene.call("update_code_signing_config", CodeSigningConfigArn=arn, CodeSigningPolicies=update)
    expected = {**config, "CodeSigningPolicies": update, "LastModified": "2026-01-01T00:00:01.000+0000"}
    assert updated["CodeSigningConfig"] == expected
    assert (await scene.call("get_code_signing_config", CodeSigningConfigArn=arn))["CodeSigningConfig"] == expected
    await scene.call("delete_code_signing_config", CodeSigningConfigArn=arn)
    assert (await scene.call("list_code_signing_configs"))["CodeSigningConfigs"] == []


async def test_it_warns_unless_told_to_enforce(scene: Scene) -> None:
    config = await create_config(scene)
    assert config["CodeSigningPolicies"] == {"UntrustedArtifactOnDeployment": "Warn"}


async def test_what_is_not_there(scene: Scene) -> None:
    arn = changed((await create_config(scene))["CodeSigningConfigArn"])
    missing = ("ResourceNotFoundException", f"The Lambda code signing configuration {arn} can not be found.")
    for operation in (
        "get_code_signing_config",
        "update_code_signing_config",
        "delete_code_signing_config",
        "list_functions_by_code_signing_config",
    ):
        assert await scene.refused(operation, CodeSigningConfigArn=arn) == missing


async def test_a_function_gets_and_loses_one(scene: Scene) -> None:
    arn = (await create_config(scene))["CodeSigningConfigArn"]
    await scene.create_settled()
    assert await scene.call("get_function_code_signing_config", FunctionName="f") == {}
    assert await scene.call("delete_function_code_signing_config", FunctionName="f") is None
    shown = {"CodeSigningConfigArn": arn, "FunctionName": "f"}
    assert await scene.call("put_function_code_signing_config", **shown) == shown
    assert await scene.call("get_function_code_signing_config", FunctionName="f") == shown
    listed = await scene.call("list_functions_by_code_signing_config", CodeSigningConfigArn=arn)
    assert listed == {"FunctionArns": ["arn:aws:lambda:us-east-1:000000000000:function:f"]}
    code, _ = await scene.refused("delete_code_signing_config", CodeSigningConfigArn=arn)
    assert code == "ResourceConflictException"
    await scene.call("delete_function_code_signing_config", FunctionName="f")
    listed = await scene.call("list_functions_by_code_signing_config", CodeSigningConfigArn=arn)
    assert listed == {"FunctionArns": []}
    await scene.call("put_function_code_signing_config", **shown)
    await scene.call("delete_function", FunctionName="f")
    await scene.call("delete_code_signing_config", CodeSigningConfigArn=arn)


async def test_what_a_function_cannot_get(scene: Scene) -> None:
    arn = (await create_config(scene))["CodeSigningConfigArn"]
    await scene.create_settled()
    gone = changed(arn)
    no_config = (
        "CodeSigningConfigNotFoundException",
        "The code signing configuration cannot be found. "
        f"Check that the provided configuration is not deleted: {gone}.",
    )
    put = "put_function_code_signing_config"
    assert await scene.refused(put, FunctionName="f", CodeSigningConfigArn=gone) == no_config
    assert await scene.refused(put, FunctionName="none", CodeSigningConfigArn=gone) == no_config
    assert await scene.refused_creation("g", CodeSigningConfigArn=gone) == no_config
    assert await scene.refused(put, FunctionName="none", CodeSigningConfigArn=arn) == NO_FUNCTION
    for operation in ("get_function_code_signing_config", "delete_function_code_signing_config"):
        assert await scene.refused(operation, FunctionName="none") == NO_FUNCTION


async def test_pages_and_accounts(scene: Scene) -> None:
    made = []
    for _ in range(3):
        scene.clock.now_ms += 1
        made.append((await create_config(scene))["CodeSigningConfigArn"])
    first = await scene.call("list_code_signing_configs", MaxItems=2)
    second = await scene.call("list_code_signing_configs", MaxItems=2, Marker=first["NextMarker"])
    listed = [*first["CodeSigningConfigs"], *second["CodeSigningConfigs"]]
    assert [config["CodeSigningConfigArn"] for config in listed] == made, "oldest first"
    assert "NextMarker" not in second
    for name in ("a", "b", "c"):
        await scene.create_settled(name)
        await scene.call("put_function_code_signing_config", FunctionName=name, CodeSigningConfigArn=made[0])
    page = await scene.call("list_functions_by_code_signing_config", CodeSigningConfigArn=made[0], MaxItems=2)
    rest = await scene.call(
        "list_functions_by_code_signing_config", CodeSigningConfigArn=made[0], Marker=page["NextMarker"]
    )
    assert [arn[-1] for arn in (*page["FunctionArns"], *rest["FunctionArns"])] == ["a", "b", "c"]
    for other in (replace(scene.caller, account_id="2" * 12), replace(scene.caller, region="eu-west-1")):
        assert (await scene.call("list_code_signing_configs", other))["CodeSigningConfigs"] == []
        refused = await scene.refused("get_code_signing_config", other, CodeSigningConfigArn=made[0])
        assert refused[0] == "ResourceNotFoundException"


async def test_creation_with_a_configuration(scene: Scene) -> None:
    arn = (await create_config(scene))["CodeSigningConfigArn"]
    await scene.create_settled(CodeSigningConfigArn=arn)
    shown = {"CodeSigningConfigArn": arn, "FunctionName": "f"}
    assert await scene.call("get_function_code_signing_config", FunctionName="f") == shown
