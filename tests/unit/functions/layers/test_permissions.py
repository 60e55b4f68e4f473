"""The policy of a layer version."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from tests.unit.functions.layers.test_layers import PREFIX, publish

if TYPE_CHECKING:
    from tests.unit.functions.conftest import Scene

LAYER = {"LayerName": "l", "VersionNumber": 1}


async def add(scene: Scene, statement_id: str = "s1", **members: Any) -> Any:
    defaults = {"Action": "lambda:GetLayerVersion", "Principal": "*", "StatementId": statement_id}
    return await scene.call("add_layer_version_permission", **{**LAYER, **defaults, **members})


async def test_statements_come_and_go(scene: Scene) -> None:
    await publish(scene)
    assert await scene.refused("get_layer_version_policy", **LAYER) == (
        "ResourceNotFoundException",
        "No policy is associated with the given resource.",
    )
    first = await add(scene)
    statement = {
        "Sid": "s1",
        "Effect": "Allow",
        "Principal": "*",
        "Action": "lambda:GetLayerVersion",
        "Resource": f"{PREFIX}l:1",
    }
    assert json.loads(first["Statement"]) == statement
    policy = await scene.call("get_layer_version_policy", **LAYER)
    assert policy["RevisionId"] == first["RevisionId"]
    assert json.loads(policy["Policy"]) == {"Version": "2012-10-17", "Id": "default", "Statement": [statement]}
    second = await add(
        scene, "s2", Principal="222222222222", OrganizationId="o-abcdefghij", RevisionId=first["RevisionId"]
    )
    assert json.loads(second["Statement"])["Principal"] == {"AWS": "arn:aws:iam::222222222222:root"}
    assert json.loads(second["Statement"])["Condition"] == {"StringEquals": {"aws:PrincipalOrgID": "o-abcdefghij"}}
    await scene.call("remove_layer_version_permission", **LAYER, StatementId="s2", RevisionId=second["RevisionId"])
    left = await scene.call("get_layer_version_policy", **LAYER)
    assert [item["Sid"] for item in json.loads(left["Policy"])["Statement"]] == ["s1"]
    assert left["RevisionId"] not in (first["RevisionId"], second["RevisionId"])
    await scene.call("remove_layer_version_permission", **LAYER, StatementId="s1")
    assert (await scene.refused("get_layer_version_policy", **LAYER))[0] == "ResourceNotFoundException"


async def test_what_is_refused(scene: Scene) -> None:
    await publish(scene)
    await add(scene)
    given = {"Action": "lambda:GetLayerVersion", "Principal": "*"}
    assert await scene.refused("add_layer_version_permission", **LAYER, **given, StatementId="s1") == (
        "ResourceConflictException",
        "The statement id (s1) provided already exists. "
        "Please provide a new statement id, or remove the existing statement.",
    )
    stale = (
        "PreconditionFailedException",
        "The Revision Id provided does not match the latest Revision Id. "
        "Call the GetLayerPolicy API to retrieve the latest Revision Id",
    )
    wrong = {"RevisionId": "wrong"}
    assert await scene.refused("add_layer_version_permission", **LAYER, **given, StatementId="s2", **wrong) == stale
    assert await scene.refused("remove_layer_version_permission", **LAYER, StatementId="s1", **wrong) == stale
    assert await scene.refused("remove_layer_version_permission", **LAYER, StatementId="s2") == (
        "ResourceNotFoundException",
        "Statement s2 is not found in resource policy.",
    )
    for name, number in (("none", 1), ("l", 2)):
        layer = {"LayerName": name, "VersionNumber": number}
        missing = ("ResourceNotFoundException", f"Layer version {PREFIX}{name}:{number} does not exist.")
        assert await scene.refused("add_layer_version_permission", **layer, **given, StatementId="s") == missing
        assert await scene.refused("get_layer_version_policy", **layer) == missing
        assert await scene.refused("remove_layer_version_permission", **layer, StatementId="s1") == missing


async def test_statements_at_one_time_are_all_kept(scene: Scene) -> None:
    await publish(scene)
    async with asyncio.TaskGroup() as tasks:
        for number in range(8):
            tasks.create_task(add(scene, f"s{number}"))
    policy = json.loads((await scene.call("get_layer_version_policy", **LAYER))["Policy"])
    assert sorted(item["Sid"] for item in policy["Statement"]) == [f"s{number}" for number in range(8)]


async def test_a_policy_has_a_size(scene: Scene) -> None:
    await publish(scene)
    for number in range(100):
        await add(scene, f"{number:0100d}")
        size = len((await scene.call("get_layer_version_policy", **LAYER))["Policy"])
        if size + 300 > 20_480:
            break
    code, text = await scene.refused(
        "add_layer_version_permission",
        **LAYER,
        Action="lambda:GetLayerVersion",
        Principal="*",
        StatementId="z" * 100,
        OrganizationId="o-" + "a" * 32,
    )
    assert code == "PolicyLengthExceededException"
    assert text.endswith("is bigger than the limit (20480).")


async def test_a_policy_goes_with_its_version(scene: Scene) -> None:
    await publish(scene)
    await add(scene)
    await scene.call("delete_layer_version", **LAYER)
    assert (await scene.refused("get_layer_version_policy", **LAYER))[1] == f"Layer version {PREFIX}l:1 does not exist."
