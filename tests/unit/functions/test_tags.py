"""Tags, against the recorded answers (lambda/test_lambda_api.json: TestLambdaTags, TestLambdaTag)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.unit.functions.conftest import PREFIX

if TYPE_CHECKING:
    from tests.unit.functions.conftest import Scene

ARN = f"{PREFIX}f"


async def test_tags_come_and_go(scene: Scene) -> None:
    await scene.create(Tags={"made": "with"})
    assert (await scene.call("get_function", FunctionName="f"))["Tags"] == {"made": "with"}
    await scene.call("tag_resource", Resource=ARN, Tags={"a": "1", "b": "2"})
    await scene.call("tag_resource", Resource=ARN, Tags={"b": "3"})
    assert await scene.call("list_tags", Resource=ARN) == {"Tags": {"made": "with", "a": "1", "b": "3"}}
    await scene.call("untag_resource", Resource=ARN, TagKeys=["a", "made", "b", "never"])
    assert await scene.call("list_tags", Resource=ARN) == {"Tags": {}}
    assert "Tags" not in await scene.call("get_function", FunctionName="f")


async def test_what_tags_refuse(scene: Scene) -> None:
    assert await scene.refused("tag_resource", Resource=ARN, Tags={"a": "b"}) == (
        "ResourceNotFoundException",
        f"Function not found: {ARN}",
    )
    await scene.create()
    assert await scene.refused("tag_resource", Resource=f"{ARN}:v1", Tags={"a": "b"}) == (
        "InvalidParameterValueException",
        "Tags on function aliases and versions are not supported. Please specify a function ARN.",
    )
    assert await scene.refused("tag_resource", Resource=ARN, Tags={}) == (
        "InvalidParameterValueException",
        "An error occurred and the request cannot be processed.",
    )
    assert (await scene.refused("tag_resource", Resource=ARN, Tags={"aws:x": "b"}))[
        0
    ] == "InvalidParameterValueException"
    layer = "arn:aws:lambda:us-east-1:000000000000:layer:l"
    assert (await scene.refused("list_tags", Resource=layer))[0] == "ResourceNotFoundException"


async def test_fifty_tags_and_no_more(scene: Scene) -> None:
    await scene.create()
    too_many = ("InvalidParameterValueException", "Number of tags exceeds resource tag limit.")
    tags = {f"{number}_key": f"{number}_value" for number in range(51)}
    assert await scene.refused("tag_resource", Resource=ARN, Tags=tags) == too_many
    del tags["50_key"]
    await scene.call("tag_resource", Resource=ARN, Tags=tags)
    assert await scene.refused("tag_resource", Resource=ARN, Tags={"more": "x"}) == too_many
    await scene.call("tag_resource", Resource=ARN, Tags={"0_key": "replaced"})


async def test_tags_of_a_capacity_provider(scene: Scene) -> None:
    arn = "arn:aws:lambda:us-east-1:000000000000:capacity-provider:p"
    nothing = ("ResourceNotFoundException", "The resource you requested does not exist.")
    assert await scene.refused("list_tags", Resource=arn) == nothing
    await scene.call(
        "create_capacity_provider",
        CapacityProviderName="p",
        VpcConfig={"SubnetIds": ["subnet-1"], "SecurityGroupIds": []},
        PermissionsConfig={"CapacityProviderOperatorRoleArn": "arn:aws:iam::000000000000:role/r"},
        Tags={"made": "with"},
    )
    await scene.call("tag_resource", Resource=arn, Tags={"a": "1"})
    assert await scene.call("list_tags", Resource=arn) == {"Tags": {"made": "with", "a": "1"}}
    await scene.call("untag_resource", Resource=arn, TagKeys=["made", "never"])
    assert await scene.call("list_tags", Resource=arn) == {"Tags": {"a": "1"}}
    assert await scene.refused("list_tags", Resource=arn.replace("000000000000", "111111111111")) == nothing
    await scene.call("delete_capacity_provider", CapacityProviderName="p")
    assert await scene.refused("tag_resource", Resource=arn, Tags={"a": "1"}) == nothing


async def test_tags_of_a_code_signing_config(scene: Scene) -> None:
    profile = "arn:aws:signer:us-east-1:000000000000:/signing-profiles/p/0123456789"
    made = await scene.call(
        "create_code_signing_config",
        AllowedPublishers={"SigningProfileVersionArns": [profile]},
        Tags={"made": "with"},
    )
    arn = made["CodeSigningConfig"]["CodeSigningConfigArn"]
    await scene.call("tag_resource", Resource=arn, Tags={"a": "1"})
    assert await scene.call("list_tags", Resource=arn) == {"Tags": {"made": "with", "a": "1"}}
    await scene.call("delete_code_signing_config", CodeSigningConfigArn=arn)
    assert (await scene.refused("list_tags", Resource=arn))[0] == "ResourceNotFoundException"


async def test_tags_given_at_the_same_time_are_all_kept(scene: Scene) -> None:
    await scene.create()
    async with asyncio.TaskGroup() as tasks:
        for number in range(5):
            tasks.create_task(scene.call("tag_resource", Resource=ARN, Tags={str(number): "x"}))
    assert set((await scene.call("list_tags", Resource=ARN))["Tags"]) == set("01234")
