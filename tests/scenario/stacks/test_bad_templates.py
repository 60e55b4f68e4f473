"""Templates that CloudFormation refuses: its own error, and nothing is left behind."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.scenario.stacks.conftest import ROLE, Stack, function, get_att, names, resource

if TYPE_CHECKING:
    from tests.running import LambentServer

pytestmark = pytest.mark.slow

_QUEUE = {"Type": "AWS::SQS::Queue"}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "circle": (
        {"Resources": {"A": {**_QUEUE, "DependsOn": "B"}, "B": {**_QUEUE, "DependsOn": "A"}, "C": _QUEUE}},
        "Circular dependency between resources: [A, B]",
    ),
    "type": (
        {"Resources": {"A": {"Type": "AWS::Lambda::Functoin"}}},
        "Template format error: Unrecognized resource types: [AWS::Lambda::Functoin]",
    ),
    "reference": (
        {"Resources": {"F": function(MemorySize={"Ref": "Nothing"})}},
        "Template format error: Unresolved resource dependencies [Nothing] in the Resources block of the template",
    ),
    "substitution": (
        {"Resources": {"F": function(Description={"Fn::Sub": "of ${Nothing}"})}},
        "Template format error: Unresolved resource dependencies [Nothing] in the Resources block of the template",
    ),
    "output": (
        {"Resources": {"Q": _QUEUE}, "Outputs": {"O": {"Value": {"Ref": "Nothing"}}}},
        "Template format error: Unresolved resource dependencies [Nothing] in the Outputs block of the template",
    ),
    "resource": (
        {"Resources": {"Q": _QUEUE}, "Outputs": {"O": {"Value": get_att("Nothing", "Arn")}}},
        "Template error: instance of Fn::GetAtt references undefined resource Nothing",
    ),
    "attribute": (
        {"Resources": {"F": function()}, "Outputs": {"O": {"Value": get_att("F", "Name")}}},
        "Template error: resource F does not support attribute type Name in Fn::GetAtt",
    ),
    "condition": (
        {"Resources": {"Q": {**_QUEUE, "Condition": "Never"}}},
        "Template format error: Unresolved condition dependency Never in the Resources block of the template",
    ),
    "nothing": ({"Description": "empty"}, "Template format error: At least one Resources member must be defined."),
    "many": (
        {"Resources": {f"Q{number}": _QUEUE for number in range(501)}},
        "Template format error: Number of resources, 501, is greater than maximum allowed, 500",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(stacking: LambentServer, name: str) -> None:
    template, message = REFUSED[name]
    client = stacking.client("cloudformation")
    body = json.dumps(template)
    with pytest.raises(ClientError) as refused:
        client.create_stack(StackName=f"bad-{name}", TemplateBody=body)
    assert refused.value.response["Error"] == {"Type": "Sender", "Code": "ValidationError", "Message": message}
    with pytest.raises(ClientError) as refused:
        client.create_change_set(StackName=f"bad-{name}", ChangeSetName="c", ChangeSetType="CREATE", TemplateBody=body)
    assert refused.value.response["Error"]["Message"] == message
    with pytest.raises(ClientError):
        client.describe_stacks(StackName=f"bad-{name}")
    assert names(stacking) == set()


def test_a_template_over_its_limit(stacking: LambentServer) -> None:
    body = json.dumps({"Resources": {"Q": _QUEUE}, "Metadata": {"Long": "x" * 51_200}})
    with pytest.raises(ClientError) as refused:
        stacking.client("cloudformation").create_stack(StackName="long", TemplateBody=body)
    end = "at 'templateBody' failed to satisfy constraint: Member must have length less than or equal to 51200"
    assert refused.value.response["Error"]["Message"].endswith(end)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('{"Resources": ', "Template format error: JSON not well-formed. (line 1, column 14)"),
        ("Resources: [", "Template format error: YAML not well-formed. (line 1, column 13)"),
        ("only text", "Template format error: unsupported structure."),
    ],
)
def test_what_is_no_template(stacking: LambentServer, body: str, message: str) -> None:
    with pytest.raises(ClientError) as refused:
        stacking.client("cloudformation").create_stack(StackName="no-template", TemplateBody=body)
    assert refused.value.response["Error"]["Message"] == message


def test_properties_that_there_are_not(stacking: LambentServer) -> None:
    stack = Stack(stacking, "extraneous").create({"Q": _QUEUE, "F": function(Colour="red")})
    assert stack.status == "ROLLBACK_COMPLETE"
    reason = "Properties validation failed for resource F with message:\n#: extraneous key [Colour] is not permitted"
    assert reason in stack.reasons
    stack.delete()
    missing = resource("Function", Role=ROLE)
    stack = Stack(stacking, "missing").create({"F": missing})
    reason = "Properties validation failed for resource F with message:\n#: required key [Code] not found"
    assert reason in stack.reasons
    stack.delete()


def test_what_lambda_refuses_is_said_in_its_words(stacking: LambentServer) -> None:
    resources = {"Good": function(), "F": {**function(Runtime="python9.9"), "DependsOn": "Good"}}
    stack = Stack(stacking, "refused").create(resources)
    assert stack.status == "ROLLBACK_COMPLETE"
    [reason] = [one for one in stack.reasons if one.startswith("Resource handler returned message: ")]
    assert "(Service: Lambda, Status Code: 400, Request ID: " in reason
    assert "HandlerErrorCode: InvalidRequest)" in reason
    assert names(stacking) == set()
    stack.delete()


def test_an_update_that_fails_is_taken_back(stacking: LambentServer) -> None:
    before = {"F": function("handler = lambda *_: 1", FunctionName="steady", MemorySize=256)}
    stack = Stack(stacking, "back").create(before)
    after = {
        "F": function("handler = lambda *_: 2", FunctionName="steady", MemorySize=512),
        "N": {**function(FunctionName="new"), "DependsOn": "F"},
        "X": {**resource("Alias", FunctionName={"Ref": "F"}, FunctionVersion="99", Name="no"), "DependsOn": "N"},
    }
    stack.update(after)
    assert stack.status == "UPDATE_ROLLBACK_COMPLETE", stack.reasons
    assert names(stacking) == {"steady"}
    found = stacking.client().get_function_configuration(FunctionName="steady")
    assert found["MemorySize"] == 256
    assert stacking.client().invoke(FunctionName="steady")["Payload"].read() == b"1"
    stack.delete()
    assert names(stacking) == set()
