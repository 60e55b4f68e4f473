"""Change sets and nested stacks of functions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.scenario.stacks.conftest import Stack, body, function, get_att, names, outputs, resource

if TYPE_CHECKING:
    from tests.running import LambentServer

pytestmark = pytest.mark.slow


def _change(stack: Stack, resources: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    """Make a change set, carry it out, and return its changes."""
    client, name = stack.client, f"c-{kind}"
    client.create_change_set(
        StackName=stack.name, ChangeSetName=name, ChangeSetType=kind, TemplateBody=body(resources, {})
    )
    client.get_waiter("change_set_create_complete").wait(
        StackName=stack.name, ChangeSetName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    changes: list[dict[str, Any]] = client.describe_change_set(StackName=stack.name, ChangeSetName=name)["Changes"]
    client.execute_change_set(StackName=stack.name, ChangeSetName=name)
    stack.wait_ended()
    return [one["ResourceChange"] for one in changes]


def test_a_change_set_says_what_is_replaced(stacking: LambentServer) -> None:
    stack = Stack(stacking, "changing")
    first = {"F": function(FunctionName="one"), "P": _permission("s3.amazonaws.com")}
    assert [one["Action"] for one in _change(stack, first, "CREATE")] == ["Add", "Add"]
    assert stack.status == "CREATE_COMPLETE", stack.reasons
    statement = stack.physical_id("P")
    second = {"F": function(FunctionName="one", Timeout=9), "P": _permission("sns.amazonaws.com")}
    changes = {one["LogicalResourceId"]: one["Replacement"] for one in _change(stack, second, "UPDATE")}
    assert changes == {"F": "False", "P": "True"}
    assert stack.status == "UPDATE_COMPLETE", stack.reasons
    policy = json.loads(stacking.client().get_policy(FunctionName="one")["Policy"])
    [left] = policy["Statement"]
    assert left["Principal"] == {"Service": "sns.amazonaws.com"}
    assert left["Sid"] == stack.physical_id("P") != statement
    stack.delete()
    assert "one" not in names(stacking)


def _permission(principal: str) -> dict[str, Any]:
    return resource("Permission", FunctionName={"Ref": "F"}, Action="lambda:InvokeFunction", Principal=principal)


def test_nested_stacks_are_made_and_removed_whole(stacking: LambentServer) -> None:
    s3 = stacking.client("s3")
    s3.create_bucket(Bucket="templates")
    inner = body({"F": function(Timeout={"Ref": "Seconds"})}, {
        "Parameters": {"Seconds": {"Type": "Number"}}, "Outputs": outputs(Name={"Ref": "F"}),
    })  # fmt: skip
    s3.put_object(Bucket="templates", Key="inner.json", Body=inner.encode())
    url = "https://templates.s3.us-east-1.amazonaws.com/inner.json"
    nested = {"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": url, "Parameters": {"Seconds": "11"}}}
    stack = Stack(stacking, "outer").create({"N": nested}, Outputs=outputs(Name=get_att("N", "Outputs.Name")))
    assert stack.status == "CREATE_COMPLETE", stack.reasons
    name = stack.outputs["Name"]
    assert stacking.client().get_function_configuration(FunctionName=name)["Timeout"] == 11
    stack.delete()
    assert stack.status == "DELETE_COMPLETE", stack.reasons
    assert name not in names(stacking)


def test_nothing_stays_of_a_nested_stack_that_fails(stacking: LambentServer) -> None:
    s3 = stacking.client("s3")
    s3.create_bucket(Bucket="failing-templates")
    inner = {"F": function(FunctionName="inner"), "X": {**function(Runtime="no"), "DependsOn": "F"}}
    s3.put_object(Bucket="failing-templates", Key="inner.json", Body=body(inner, {}).encode())
    url = f"{stacking.url}/failing-templates/inner.json"
    nested = {"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": url}}
    stack = Stack(stacking, "outer-failing").create({"N": nested})
    assert stack.status == "ROLLBACK_COMPLETE"
    assert any("was not successfully created" in one for one in stack.reasons), stack.reasons
    assert "inner" not in names(stacking)
    stack.delete()
