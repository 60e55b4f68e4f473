"""Macros: functions of ours rewrite templates before anything is made of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.scenario.stacks.conftest import Stack, body, function, names

if TYPE_CHECKING:
    from tests.running import LambentServer

pytestmark = pytest.mark.slow

# Appends what it was given to each description; without a name it fails.
REWRITING = """
def handler(event, context):
    given = event["params"].get("Mark")
    if not given:
        return {"requestId": event["requestId"], "status": "failure", "errorMessage": "no mark"}
    return {"requestId": event["requestId"], "status": "success", "fragment": walked(event["fragment"], given)}

def walked(node, mark):
    if isinstance(node, dict):
        return {key: one + mark if key == "Description" else walked(one, mark) for key, one in node.items()}
    return node
"""


@pytest.fixture(scope="module")
def marking(stacking: LambentServer) -> LambentServer:
    """A server with the macro Marking."""
    macro = {
        "Type": "AWS::CloudFormation::Macro", "Properties": {"Name": "Marking", "FunctionName": {"Ref": "F"}},
    }  # fmt: skip
    stack = Stack(stacking, "macro").create({"F": function(REWRITING), "M": macro})
    assert stack.status == "CREATE_COMPLETE", stack.reasons
    assert stack.physical_id("M") == "Marking"
    return stacking


def _call(**parameters: Any) -> dict[str, Any]:
    return {"Name": "Marking", "Parameters": parameters}


def test_snippets_come_first_and_the_whole_in_order(marking: LambentServer) -> None:
    resource = function(FunctionName="marked", Description="a")
    resource["Properties"]["Fn::Transform"] = _call(Mark="-b")
    sections = {
        "Transform": [_call(Mark={"Ref": "Given"}), _call(Mark="-d")],
        "Parameters": {"Given": {"Type": "String", "Default": "-c"}},
    }
    stack = Stack(marking, "marked").create({"F": resource}, **sections)
    assert stack.status == "CREATE_COMPLETE", stack.reasons
    assert marking.client().get_function_configuration(FunctionName="marked")["Description"] == "a-b-c-d"
    template = stack.client.get_template(StackName="marked", TemplateStage="Processed")["TemplateBody"]
    assert template["Resources"]["F"]["Properties"]["Description"] == "a-b-c-d"
    assert "Transform" not in template
    stack.delete()


def test_a_macro_that_fails_or_is_not_there(marking: LambentServer) -> None:
    client = marking.client("cloudformation")
    for call, text in (
        (_call(), "Transform 000000000000::Marking failed with: no mark."),
        ({"Name": "Nobody"}, "No transform named 000000000000::Nobody found."),
    ):
        template = body({"F": function(FunctionName="unmarked")}, {"Transform": call})
        with pytest.raises(ClientError) as refused:
            client.create_stack(StackName="unmarked", TemplateBody=template, Capabilities=["CAPABILITY_AUTO_EXPAND"])
        assert refused.value.response["Error"]["Message"] == text
        assert json.loads(template)["Transform"] == call
    assert "unmarked" not in names(marking)
