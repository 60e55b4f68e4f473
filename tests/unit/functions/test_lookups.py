"""A change that others of the same resource keep overtaking ends: it is told so, and holds up nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lambent.store import Resources
from lambent.store.contracts import CommitRefusedError, RecordKey
from tests.unit.functions.conftest import PREFIX, ROLE, zipped

if TYPE_CHECKING:
    import pytest

    from tests.unit.functions.conftest import Scene

NAME = {"FunctionName": "f"}
ALIAS = {**NAME, "Name": "live"}
LAYER = {"LayerName": "l", "VersionNumber": 1}
STATEMENT = {"Action": "lambda:GetLayerVersion", "Principal": "*"}
GRANT = {"StatementId": "s", "Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com"}
PROVIDER = {"CapacityProviderName": "p"}
PUBLISHERS = {"SigningProfileVersionArns": ["arn:aws:signer:us-east-1:000000000000:/signing-profiles/p/0123456789"]}
# Every change that reads, decides and commits anew when another one came first; `csc` stands for the config's ARN.
CHANGES: dict[str, dict[str, Any]] = {
    "add_layer_version_permission": {**LAYER, **STATEMENT, "StatementId": "other"},
    "add_permission": {**NAME, **GRANT, "StatementId": "other"},
    "create_alias": {**ALIAS, "Name": "next", "FunctionVersion": "1"},
    "delete_alias": ALIAS,
    "delete_capacity_provider": PROVIDER,
    "delete_code_signing_config": {"CodeSigningConfigArn": "csc"},
    "delete_function": {**NAME, "Qualifier": "2"},
    "delete_layer_version": LAYER,
    "publish_layer_version": {"LayerName": "l", "Content": {"ZipFile": zipped("x = 2\n", "python/x.py")}},
    "publish_version": NAME,
    "put_function_code_signing_config": {**NAME, "CodeSigningConfigArn": "csc"},
    "put_function_concurrency": {**NAME, "ReservedConcurrentExecutions": 1},
    "put_function_scaling_config": {**NAME, "Qualifier": "1", "FunctionScalingConfig": {"MinExecutionEnvironments": 1}},
    "remove_layer_version_permission": {**LAYER, "StatementId": "s"},
    "tag_resource": {"Resource": f"{PREFIX}f", "Tags": {"a": "1"}},
    "untag_resource": {"Resource": f"{PREFIX}f", "TagKeys": ["made"]},
    "update_alias": {**ALIAS, "Description": "d"},
    "update_capacity_provider": {**PROVIDER, "CapacityProviderScalingConfig": {"MaxVCpuCount": 16}},
    "update_code_signing_config": {"CodeSigningConfigArn": "csc", "Description": "d"},
    "update_function_event_invoke_config": {**NAME, "MaximumRetryAttempts": 1},
    "update_function_url_config": {**NAME, "AuthType": "NONE"},
}


async def furnish(scene: Scene) -> str:
    """Make one of everything; return the code signing config's ARN."""
    await scene.create_settled(Publish=True, Tags={"made": "with"})
    for description in ("second", "third"):
        await scene.call("update_function_configuration", **NAME, Description=description)
        await scene.settled()
        if description == "second":
            await scene.call("publish_version", **NAME)
    await scene.call("create_alias", **ALIAS, FunctionVersion="1")
    await scene.call("add_permission", **NAME, **GRANT)
    await scene.call("put_function_event_invoke_config", **NAME, MaximumRetryAttempts=2)
    await scene.call("create_function_url_config", **NAME, AuthType="AWS_IAM")
    await scene.call("publish_layer_version", LayerName="l", Content={"ZipFile": zipped("x = 1\n", "python/x.py")})
    await scene.call("add_layer_version_permission", **LAYER, **STATEMENT, StatementId="s")
    await scene.call(
        "create_capacity_provider",
        **PROVIDER,
        VpcConfig={"SubnetIds": ["subnet-1"], "SecurityGroupIds": []},
        PermissionsConfig={"CapacityProviderOperatorRoleArn": ROLE},
    )
    made = await scene.call("create_code_signing_config", AllowedPublishers=PUBLISHERS)
    return str(made["CodeSigningConfig"]["CodeSigningConfigArn"])


async def test_it_is_told_and_does_not_try_for_ever(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    signing = await furnish(scene)
    tried: list[int] = []

    async def overtaken(resources: Resources, *writes: object) -> None:
        tried.append(len(writes))
        raise CommitRefusedError(RecordKey("0" * 12, "us-east-1", "another", "kind"), None)

    with monkeypatch.context() as patched:
        patched.setattr(Resources, "commit", overtaken)
        for operation, given in CHANGES.items():
            tried.clear()
            members = {key: signing if value == "csc" else value for key, value in given.items()}
            code, text = await scene.refused(operation, **members)
            assert (code, bool(text)) == ("ResourceConflictException", True), operation
            assert 1 < len(tried) <= 50, operation
    # Nothing was changed, and the same changes are possible when nobody is in the way.
    assert await scene.call("list_tags", Resource=f"{PREFIX}f") == {"Tags": {"made": "with"}}
    await scene.call("tag_resource", **CHANGES["tag_resource"])
