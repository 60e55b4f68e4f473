"""Custom resources: functions of ours make, change and remove them, and answer to the address that they are given."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.scenario.stacks.conftest import Stack, function, get_att, names, outputs

if TYPE_CHECKING:
    from tests.running import LambentServer

pytestmark = pytest.mark.slow

# Prints what it is asked, and does what the resource's properties say.
PROVIDING = """
import json
import cfnresponse
def handler(event, context):
    print("asked", json.dumps(event))
    given = event["ResourceProperties"]
    if given.get("Silent") == "true" and event["RequestType"] == "Create":
        return
    is_failing = given.get("Failing") == event["RequestType"]
    status = cfnresponse.FAILED if is_failing else cfnresponse.SUCCESS
    data = {"Doubled": given.get("Value", "") * 2}
    cfnresponse.send(event, context, status, data, given.get("Id", "made"), reason="asked to fail")
"""


def asked(server: LambentServer, name: str) -> list[dict[str, Any]]:
    """Return the events that a provider has printed."""
    status, body = server.get(f"/_lambent/v1/logs?function={name}")
    assert status == 200, body
    lines = [json.loads(line)["message"] for line in body.decode().splitlines()]
    return [json.loads(line.removeprefix("asked ")) for line in lines if line.startswith("asked ")]


def _custom(**properties: Any) -> dict[str, Any]:
    return {"Type": "Custom::Thing", "Properties": {"ServiceToken": get_att("F", "Arn"), **properties}}


def test_a_resource_is_made_changed_replaced_and_removed(stacking: LambentServer) -> None:
    provider = function(PROVIDING, FunctionName="provider")
    given = outputs(Doubled=get_att("C", "Doubled"), Id={"Ref": "C"})
    stack = Stack(stacking, "custom").create(
        {"F": provider, "C": _custom(Value="ab", Number=3, Is=True)}, Outputs=given
    )
    assert stack.status == "CREATE_COMPLETE", stack.reasons
    assert stack.outputs == {"Doubled": "abab", "Id": "made"}
    [event] = asked(stacking, "provider")
    assert event["ResourceProperties"] == {
        "ServiceToken": "arn:aws:lambda:us-east-1:000000000000:function:provider",
        "Value": "ab", "Number": "3", "Is": "true",
    }  # fmt: skip
    assert (event["RequestType"], event["ResourceType"], event["LogicalResourceId"]) == ("Create", "Custom::Thing", "C")
    stack.update({"F": provider, "C": _custom(Value="cd")}, Outputs=given)
    assert stack.outputs == {"Doubled": "cdcd", "Id": "made"}
    stack.update({"F": provider, "C": _custom(Value="ef", Id="other")}, Outputs=given)
    assert stack.status == "UPDATE_COMPLETE", stack.reasons
    assert stack.outputs == {"Doubled": "efef", "Id": "other"}
    types = [(one["RequestType"], one.get("PhysicalResourceId")) for one in asked(stacking, "provider")]
    assert types == [("Create", None), ("Update", "made"), ("Update", "made"), ("Delete", "made")]
    stack.delete()
    assert stack.status == "DELETE_COMPLETE", stack.reasons
    assert (asked(stacking, "provider")[-1]["RequestType"], len(asked(stacking, "provider"))) == ("Delete", 5)


def test_a_provider_of_node(stacking: LambentServer) -> None:
    code = (
        "const response = require('cfn-response');\n"
        "exports.handler = (event, context) => { response.send(event, context, response.SUCCESS, { Said: 'yes' }); };\n"
    )
    resources = {"F": function(code, Runtime="nodejs22.x"), "C": _custom()}
    stack = Stack(stacking, "custom-node").create(resources, Outputs=outputs(Said=get_att("C", "Said")))
    assert stack.status == "CREATE_COMPLETE", stack.reasons
    assert stack.outputs == {"Said": "yes"}
    stack.delete()


def test_one_that_fails_is_removed_again(stacking: LambentServer) -> None:
    resources = {"F": function(PROVIDING, FunctionName="failing"), "C": _custom(Failing="Create")}
    stack = Stack(stacking, "custom-failing").create(resources)
    assert stack.status == "ROLLBACK_COMPLETE"
    [reason] = [one for one in stack.reasons if one.startswith("Received response status")]
    assert "[FAILED] from custom resource. Message returned: asked to fail (RequestId: " in reason
    assert [one["RequestType"] for one in asked(stacking, "failing")] == ["Create", "Delete"]
    assert "failing" not in names(stacking)
    stack.delete()


@pytest.mark.long
def test_one_that_does_not_answer_in_time(stacking: LambentServer) -> None:
    resources = {"F": function(PROVIDING, FunctionName="silent"), "C": _custom(Silent=True, ServiceTimeout=2)}
    stack = Stack(stacking, "custom-silent").create(resources)
    assert stack.status == "ROLLBACK_COMPLETE"
    assert any(one.startswith("CloudFormation did not receive a response") for one in stack.reasons), stack.reasons
    assert "silent" not in names(stacking)
    stack.delete()


def test_a_provider_that_is_not_there(stacking: LambentServer) -> None:
    token = "arn:aws:lambda:us-east-1:000000000000:function:nobody"
    resources = {"C": {"Type": "AWS::CloudFormation::CustomResource", "Properties": {"ServiceToken": token}}}
    stack = Stack(stacking, "custom-nobody").create(resources)
    assert stack.status == "ROLLBACK_COMPLETE"
    assert any("Error Code: ResourceNotFoundException" in one for one in stack.reasons), stack.reasons
    stack.delete()
