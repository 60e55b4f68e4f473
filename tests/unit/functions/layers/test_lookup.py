"""The layers of a function. Texts: recorded, lambda/test_lambda_api.json, test_layer_function_exceptions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from lambent.functions.layers.lookup import check_unpacked_size
from lambent.model.errors import InvalidParameterValueError
from lambent.model.function import CodeReference, FunctionVersion, LayerReference
from tests.unit.functions.layers.test_layers import PREFIX, publish

if TYPE_CHECKING:
    from tests.unit.functions.conftest import Scene

SAME = "Two different versions of the same layer are not allowed to be referenced in the same function. "


async def test_a_function_answers_its_layers(scene: Scene) -> None:
    arns = [(await publish(scene, name))["LayerVersionArn"] for name in ("b", "a")]
    size = (await scene.call("get_layer_version", LayerName="a", VersionNumber=1))["Content"]["CodeSize"]
    shown = [{"Arn": arn, "CodeSize": size} for arn in arns]
    assert (await scene.create_settled(Layers=arns))["Layers"] == shown
    assert (await scene.call("list_functions"))["Functions"][0]["Layers"] == shown
    updated = await scene.call("update_function_configuration", FunctionName="f", Layers=arns[:1])
    assert updated["Layers"] == shown[:1]
    await scene.settled()
    kept = await scene.call("update_function_configuration", FunctionName="f", Description="layers stay")
    assert kept["Layers"] == shown[:1]
    await scene.settled()
    assert "Layers" not in await scene.call("update_function_configuration", FunctionName="f", Layers=[])


async def test_what_is_refused(scene: Scene) -> None:
    first, second = [(await publish(scene))["LayerVersionArn"] for _ in range(2)]
    await scene.create_settled("there")
    for arns, text in (
        ([first, second], f"{SAME}{first} and {second} are versions of the same layer."),
        ([first, first], f"{SAME}{first} and {first} are versions of the same layer."),
        ([f"{PREFIX}none:1"], f"Layer version {PREFIX}none:1 does not exist."),
        ([f"{PREFIX}l:9"], f"Layer version {PREFIX}l:9 does not exist."),
        ([f"{PREFIX}l{n}:1" for n in range(6)], "Cannot reference more than 5 layers."),
        (
            [first.replace("us-east-1", "eu-west-1")],
            "Layers are not in the same region as the function. Layers are expected to be in region us-east-1.",
        ),
    ):
        refused = ("InvalidParameterValueException", text)
        assert await scene.refused_creation(Layers=arns) == refused
        assert await scene.refused("update_function_configuration", FunctionName="there", Layers=arns) == refused


async def test_another_account_s_layer_needs_its_leave(scene: Scene) -> None:
    arn = (await publish(scene))["LayerVersionArn"]
    other = replace(scene.caller, account_id="222222222222", principal_arn="arn:aws:iam::222222222222:root")
    for principal, is_allowed in (("333333333333", False), ("arn:aws:iam::222222222222:root", True)):
        await scene.call(
            "add_layer_version_permission",
            LayerName="l",
            VersionNumber=1,
            Action="lambda:GetLayerVersion",
            Principal=principal,
            StatementId=f"s{principal[-5:].replace(':', '')}",
        )
        if is_allowed:
            assert (await scene.call("get_layer_version_by_arn", other, Arn=arn))["Version"] == 1
        else:
            assert (await scene.refused("get_layer_version_by_arn", other, Arn=arn))[0] == "AccessDeniedException"


def test_code_and_layers_share_a_size() -> None:
    def function(code: int, *layers: int) -> FunctionVersion:
        references = tuple(LayerReference(f"l{n}", CodeReference(f"{n:x}", 1, size)) for n, size in enumerate(layers))
        return FunctionVersion(
            account_id="0" * 12,
            region="us-east-1",
            name="f",
            role="r",
            code=CodeReference("c", 1, code),
            configuration_id="c",
            revision_id="r",
            last_modified_ms=0,
            layers=references,
        )

    check_unpacked_size(function(62_144_000, 100_000_000, 100_000_000))
    with pytest.raises(InvalidParameterValueError, match=r"^Layers consume more than the available size of 262144000"):
        check_unpacked_size(function(1, 200_000_000, 62_144_001))
    with pytest.raises(InvalidParameterValueError, match=r"262144000 bytes\. The actual size is 262144001 bytes\.$"):
        check_unpacked_size(function(62_144_001, 100_000_000, 100_000_000))
