"""Permissions against the recorded answers (lambda/test_lambda_api.json: TestLambdaPermissions)."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from lambent.model.function import Alias
from tests.unit.functions.conftest import PREFIX

if TYPE_CHECKING:
    from tests.unit.functions.conftest import Scene

ARN = f"{PREFIX}f"
BUCKET = "arn:aws:s3:::bucket"
GRANT = {"FunctionName": "f", "StatementId": "s3", "Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com"}


async def alias(scene: Scene, name: str = "live") -> Alias:
    """Give the function an alias of $LATEST."""
    made = Alias("000000000000", "us-east-1", "f", name, "$LATEST", "00000000-0000-4000-8000-000000000000")
    await scene.store.resources.commit(scene.store.resources.put_new(made))
    return made


async def policy_of(scene: Scene, **members: Any) -> Any:
    return json.loads((await scene.call("get_policy", FunctionName="f", **members))["Policy"])


async def test_a_policy_is_printed_as_aws_prints_it(scene: Scene) -> None:
    await scene.create_settled()
    added = await scene.call("add_permission", **GRANT, SourceArn=BUCKET)
    statement = (
        '{"Sid":"s3","Effect":"Allow","Principal":{"Service":"s3.amazonaws.com"},"Action":"lambda:InvokeFunction",'
        f'"Resource":"{ARN}","Condition":{{"ArnLike":{{"AWS:SourceArn":"{BUCKET}"}}}}}}'
    )
    assert added == {"Statement": statement}
    answer = await scene.call("get_policy", FunctionName="f")
    assert answer["Policy"] == f'{{"Version":"2012-10-17","Id":"default","Statement":[{statement}]}}'
    assert answer["RevisionId"] == (await scene.settled())["RevisionId"]


@pytest.mark.parametrize(
    ("principal", "printed"),
    [
        ("*", "*"),
        ("111122223333", {"AWS": "arn:aws:iam::111122223333:root"}),
        ("arn:aws:iam::111122223333:role/r", {"AWS": "arn:aws:iam::111122223333:role/r"}),
        ("lambda.amazonaws.com", {"Service": "lambda.amazonaws.com"}),
        ("alexa-appkit.amazon.com", {"Service": "alexa-appkit.amazon.com"}),
    ],
)
async def test_forms_of_principals(scene: Scene, principal: str, printed: Any) -> None:
    await scene.create_settled()
    await scene.call("add_permission", **{**GRANT, "Principal": principal})
    assert (await policy_of(scene))["Statement"][0]["Principal"] == printed


async def test_all_conditions(scene: Scene) -> None:
    await scene.create_settled()
    added = await scene.call(
        "add_permission",
        **{**GRANT, "Principal": "*", "Action": "lambda:InvokeFunctionUrl"},
        SourceArn=BUCKET,
        SourceAccount="111122223333",
        PrincipalOrgID="o-1234567890",
        FunctionUrlAuthType="NONE",
        EventSourceToken="token",
        InvokedViaFunctionUrl=True,
    )
    assert json.loads(added["Statement"])["Condition"] == {
        "StringEquals": {
            "AWS:SourceAccount": "111122223333",
            "aws:PrincipalOrgID": "o-1234567890",
            "lambda:FunctionUrlAuthType": "NONE",
            "lambda:EventSourceToken": "token",
        },
        "ArnLike": {"AWS:SourceArn": BUCKET},
        "Bool": {"lambda:InvokedViaFunctionUrl": "true"},
    }


async def test_what_add_permission_refuses(scene: Scene) -> None:
    missing = await scene.refused("add_permission", **GRANT)
    assert missing == ("ResourceNotFoundException", f"Function not found: {ARN}")
    await scene.create_settled()
    assert await scene.refused("add_permission", **GRANT, Qualifier="$LATEST") == (
        "InvalidParameterValueException",
        "We currently do not support adding policies for $LATEST.",
    )
    assert await scene.refused("add_permission", **{**GRANT, "Principal": "invalid.nonaws.com"}) == (
        "InvalidParameterValueException",
        "The provided principal was invalid. Please check the principal and try again.",
    )
    for qualifier, text in (
        ("gone", f"Cannot find alias arn: {ARN}:gone"),
        ("42", f"Function not found: {ARN}:42"),
        ("with-$", f"Function not found: {ARN}:with-$"),
    ):
        refused = await scene.refused("add_permission", **GRANT, Qualifier=qualifier)
        assert refused == ("ResourceNotFoundException", text)
    await scene.call("add_permission", **GRANT)
    assert await scene.refused("add_permission", **GRANT) == (
        "ResourceConflictException",
        "The statement id (s3) provided already exists. Please provide a new statement id, or remove the existing "
        "statement.",
    )
    assert (await scene.refused("add_permission", **{**GRANT, "StatementId": "u"}, FunctionUrlAuthType="NONE"))[0] == (
        "InvalidParameterValueException"
    )


async def test_what_is_not_there(scene: Scene) -> None:
    nothing = ("ResourceNotFoundException", "The resource you requested does not exist.")
    assert await scene.refused("get_policy", FunctionName="f") == nothing
    assert await scene.refused("remove_permission", FunctionName="f", StatementId="s3") == (
        "ResourceNotFoundException",
        f"No policy found for: {ARN}",
    )
    await scene.create_settled()
    assert await scene.refused("get_policy", FunctionName="f") == nothing
    assert await scene.refused("get_policy", FunctionName="f", Qualifier="77") == nothing
    assert await scene.refused("remove_permission", FunctionName="f", StatementId="s3") == (
        "ResourceNotFoundException",
        "No policy is associated with the given resource.",
    )
    assert await scene.refused("remove_permission", FunctionName="f", StatementId="s3", Qualifier="gone") == (
        "ResourceNotFoundException",
        f"Cannot find alias arn: {ARN}:gone",
    )


async def test_statements_go_and_the_policy_with_the_last(scene: Scene) -> None:
    await scene.create_settled()
    for sid in ("one", "two"):
        await scene.call("add_permission", **{**GRANT, "StatementId": sid})
    assert [one["Sid"] for one in (await policy_of(scene))["Statement"]] == ["one", "two"]
    assert await scene.refused("remove_permission", FunctionName="f", StatementId="none") == (
        "ResourceNotFoundException",
        "Statement none is not found in resource policy.",
    )
    await scene.call("remove_permission", FunctionName="f", StatementId="one")
    assert [one["Sid"] for one in (await policy_of(scene))["Statement"]] == ["two"]
    await scene.call("remove_permission", FunctionName="f", StatementId="two")
    assert (await scene.refused("get_policy", FunctionName="f"))[0] == "ResourceNotFoundException"


async def test_a_policy_and_its_function_share_their_revision(scene: Scene) -> None:
    created = await scene.create_settled()
    wrong = {"RevisionId": "wrong"}
    stale = (
        "PreconditionFailedException",
        "The Revision Id provided does not match the latest Revision Id. "
        "Call the GetPolicy API to retrieve the latest Revision Id",
    )
    assert await scene.refused("add_permission", **GRANT, **wrong) == stale
    await scene.call("add_permission", **GRANT, RevisionId=created["RevisionId"])
    with_permission = (await scene.call("get_policy", FunctionName="f"))["RevisionId"]
    assert with_permission == (await scene.settled())["RevisionId"] != created["RevisionId"]
    assert await scene.refused("remove_permission", FunctionName="f", StatementId="s3", **wrong) == stale
    await scene.call("remove_permission", FunctionName="f", StatementId="s3", RevisionId=with_permission)
    assert (await scene.settled())["RevisionId"] != with_permission


async def test_each_alias_has_a_policy_of_its_own(scene: Scene) -> None:
    await scene.create_settled()
    live = await alias(scene)
    await scene.call("add_permission", **GRANT)
    await scene.call("add_permission", **{**GRANT, "FunctionName": "f:live"}, RevisionId=live.revision_id)
    statement = (await policy_of(scene, Qualifier="live"))["Statement"][0]
    assert statement["Resource"] == f"{ARN}:live"
    assert (await policy_of(scene))["Statement"][0]["Resource"] == ARN
    renewed = await scene.store.resources.get(Alias, "000000000000", "us-east-1", "f", "live")
    assert renewed is not None
    assert renewed.revision_id != live.revision_id


async def test_twenty_kilobytes_and_no_more(scene: Scene) -> None:
    await scene.create_settled()
    code, text = "", ""
    for number in range(200):
        members = {**GRANT, "StatementId": f"{number:0>90}"}
        try:
            await scene.call("add_permission", **members)
        except Exception:
            code, text = await scene.refused("add_permission", **members)
            break
    assert code == "PolicyLengthExceededException"
    assert text.startswith("The final policy size (20")
    assert text.endswith(") is bigger than the limit (20480).")
    document = (await scene.call("get_policy", FunctionName="f"))["Policy"]
    assert 20_000 < len(document) <= 20_480


def document(**statement: Any) -> str:
    """Return a policy document of one statement."""
    whole = {"Effect": "Allow", "Principal": "*", "Action": "lambda:InvokeFunction", "Resource": ARN, **statement}
    return json.dumps({"Version": "2012-10-17", "Statement": {k: v for k, v in whole.items() if v is not None}})


async def test_a_document_replaces_and_add_permission_adds_to_it(scene: Scene) -> None:
    await scene.create_settled()
    await scene.call("add_permission", **GRANT)
    text = document(Sid="mine", Principal={"AWS": ["111122223333"]}, Action=["lambda:*"])
    put = await scene.call("put_resource_policy", ResourceArn=ARN, Policy=text)
    assert put["Policy"] == text
    assert await scene.call("get_resource_policy", ResourceArn=ARN) == put
    assert (await scene.call("get_policy", FunctionName="f")) == put
    await scene.call("add_permission", **GRANT)
    assert [one.get("Sid") for one in (await policy_of(scene))["Statement"]] == ["mine", "s3"]
    stale = await scene.refused("delete_resource_policy", ResourceArn=ARN, RevisionId=put["RevisionId"])
    assert stale[0] == "PreconditionFailedException"
    await scene.call("delete_resource_policy", ResourceArn=ARN)
    assert (await scene.refused("get_resource_policy", ResourceArn=ARN))[0] == "ResourceNotFoundException"
    assert (await scene.refused("delete_resource_policy", ResourceArn=ARN))[0] == "ResourceNotFoundException"


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        "[" * 5_000,
        "[]",
        '{"Version": "2012-10-17"}',
        document(Effect="Maybe"),
        document(Principal=None),
        document(Principal={"Nobody": "x"}),
        document(Principal={"Service": "s3.example.com"}),
        document(Action=None),
        document(Action=[]),
        document(Action=[1]),
        document(Resource=f"{PREFIX}other"),
        document(Condition={"StringSounds": {"a": "b"}}),
        document(Condition={"StringEquals": {"a": {}}}),
        document(Extra=1),
        document(NotPrincipal="*"),
        document(Sid="half").replace("half", r"\ud800"),
    ],
)
async def test_documents_that_are_no_policy(scene: Scene, text: str) -> None:
    await scene.create_settled()
    code, message = await scene.refused("put_resource_policy", ResourceArn=ARN, Policy=text)
    assert code == "InvalidParameterValueException"
    assert message


async def test_a_policy_goes_with_its_function(scene: Scene) -> None:
    await scene.create_settled()
    await scene.call("add_permission", **GRANT)
    await scene.call("delete_function", FunctionName="f")
    await scene.create_settled()
    assert (await scene.refused("get_policy", FunctionName="f"))[0] == "ResourceNotFoundException"


async def test_permissions_at_the_same_time_are_all_kept(scene: Scene) -> None:
    await scene.create_settled()
    async with asyncio.TaskGroup() as tasks:
        for number in range(4):
            tasks.create_task(scene.call("add_permission", **{**GRANT, "StatementId": str(number)}))
    assert {one["Sid"] for one in (await policy_of(scene))["Statement"]} == {"0", "1", "2", "3"}


async def test_a_permission_is_no_change_to_publish(scene: Scene) -> None:
    await scene.create_settled()
    first = await scene.call("publish_version", FunctionName="f")
    await scene.call("add_permission", **GRANT)
    await scene.call("add_permission", **GRANT, Qualifier=first["Version"])
    again = await scene.call("publish_version", FunctionName="f")
    assert again["Version"] == first["Version"]
    policy = await scene.call("get_policy", FunctionName="f", Qualifier=first["Version"])
    assert policy["RevisionId"] == again["RevisionId"] != first["RevisionId"]
