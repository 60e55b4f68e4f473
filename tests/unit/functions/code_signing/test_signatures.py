"""No code counts as signed: Enforce refuses it, Warn lets it pass and says so."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from lambent.model.platform_event import SignatureUnverified
from tests.unit.functions.code_signing.test_configs import ENFORCE, create_config
from tests.unit.functions.conftest import ROLE, zipped
from tests.unit.functions.layers.test_layers import publish

if TYPE_CHECKING:
    import pytest

    from tests.unit.functions.conftest import Scene

REFUSED = (
    "CodeVerificationFailedException",
    "Lambda cannot deploy the function. The function or layer might be signed using a signature that the client is "
    "not configured to accept. Check the provided signature for f.",
)
NEW_CODE = {"FunctionName": "f", "ZipFile": zipped("def handler(event, context): return 2\n")}


async def test_enforce_refuses_every_deployment(scene: Scene) -> None:
    arn = (await create_config(scene, CodeSigningPolicies=ENFORCE))["CodeSigningConfigArn"]
    assert await scene.refused_creation(CodeSigningConfigArn=arn) == REFUSED
    assert (await scene.refused("get_function", FunctionName="f"))[0] == "ResourceNotFoundException"
    before = await scene.create_settled()
    await scene.call("put_function_code_signing_config", FunctionName="f", CodeSigningConfigArn=arn)
    assert await scene.refused("update_function_code", **NEW_CODE) == REFUSED
    assert await scene.refused("update_function_code", **NEW_CODE, DryRun=True) == REFUSED
    layer = (await publish(scene))["LayerVersionArn"]
    assert await scene.refused("update_function_configuration", FunctionName="f", Layers=[layer]) == REFUSED
    assert await scene.call("get_function_configuration", FunctionName="f") == before
    await scene.call("update_function_configuration", FunctionName="f", Description="no code, no signature")
    await scene.settled()
    await scene.call("delete_function_code_signing_config", FunctionName="f")
    await scene.call("update_function_code", **NEW_CODE)


async def test_warn_lets_pass_and_says_so(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    arn = (await create_config(scene))["CodeSigningConfigArn"]
    with caplog.at_level(logging.WARNING):
        created = await scene.create_settled(CodeSigningConfigArn=arn)
    assert not created.keys() & {"SigningProfileVersionArn", "SigningJobArn"}
    assert [record.message for record in caplog.records] == [
        f"{created['FunctionArn']}: code without a verified signature was deployed; {arn} only warns"
    ]
    await scene.call("update_function_code", **NEW_CODE)
    assert scene.noted == [SignatureUnverified("000000000000", "us-east-1", "f", scene.clock.now_ms)] * 2


async def test_images_cannot_be_signed(scene: Scene) -> None:
    arn = (await create_config(scene))["CodeSigningConfigArn"]
    image = {"ImageUri": "000000000000.dkr.ecr.us-east-1.amazonaws.com/r:latest"}
    members = {"FunctionName": "i", "PackageType": "Image", "Code": image, "Role": ROLE}
    refused = (
        "InvalidParameterValueException",
        "Code signing is not supported for functions created with container images.",
    )
    assert await scene.refused("create_function", **members, CodeSigningConfigArn=arn) == refused
    await scene.call("create_function", **members)
    put = "put_function_code_signing_config"
    assert await scene.refused(put, FunctionName="i", CodeSigningConfigArn=arn) == refused
