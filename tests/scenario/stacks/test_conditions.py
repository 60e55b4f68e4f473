"""Conditions of a template: every function that may stand in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.scenario.stacks.conftest import Stack

if TYPE_CHECKING:
    from tests.running import LambentServer

pytestmark = pytest.mark.slow
_PARAMETERS = {
    "Groups": {"Type": "CommaDelimitedList", "Default": ""},
    "Names": {"Type": "CommaDelimitedList", "Default": "a, b"},
    "Stage": {"Type": "String", "Default": "prod"},
}
_MAPPINGS = {"Sizes": {"us-east-1": {"Kind": "large"}}}
_REGION = {"Ref": "AWS::Region"}


def _equals(one: Any, other: Any) -> dict[str, Any]:
    return {"Fn::Equals": [one, other]}


_CONDITIONS: dict[str, tuple[Any, bool]] = {
    "Region": (_equals(_REGION, "us-east-1"), True),
    "NoGroups": (_equals({"Fn::Join": ["", {"Ref": "Groups"}]}, ""), True),
    "Joined": (_equals({"Fn::Join": ["-", {"Ref": "Names"}]}, "a-b"), True),
    "Picked": (_equals({"Fn::Select": [1, {"Ref": "Names"}]}, "a"), False),
    "Mapped": (_equals({"Fn::FindInMap": ["Sizes", _REGION, "Kind"]}, "large"), True),
    "Substituted": (_equals({"Fn::Sub": "${Stage}-${AWS::Region}"}, "prod-us-east-1"), True),
    "Split": (_equals({"Fn::Select": [0, {"Fn::Split": ["o", {"Ref": "Stage"}]}]}, "pr"), True),
    "Numbers": (_equals(1, "1"), True),
    "Truths": (_equals(True, "true"), True),
    "Both": ({"Fn::And": [{"Condition": "Region"}, {"Fn::Not": [{"Condition": "Picked"}]}]}, True),
    "Either": ({"Fn::Or": [{"Condition": "Picked"}, {"Condition": "Later"}]}, True),
    "Chosen": (_equals({"Fn::If": ["Later", "x", "y"]}, "x"), True),
    "Later": (_equals({"Ref": "Stage"}, "prod"), True),
}


def test_what_they_come_to(stacking: LambentServer) -> None:
    shown = {name: {"Value": {"Fn::If": [name, "yes", "no"]}} for name in _CONDITIONS}
    conditions = {name: definition for name, (definition, _) in _CONDITIONS.items()}
    queues = {name: {"Type": "AWS::SQS::Queue", "Condition": name} for name in ("Region", "Picked")}
    stack = Stack(stacking, "conditional").create(
        queues, Parameters=_PARAMETERS, Mappings=_MAPPINGS, Conditions=conditions, Outputs=shown
    )
    assert stack.status == "CREATE_COMPLETE", stack.reasons
    assert stack.outputs == {name: "yes" if expected else "no" for name, (_, expected) in _CONDITIONS.items()}
    found = stacking.client("cloudformation").describe_stack_resources(StackName="conditional")["StackResources"]
    assert [one["LogicalResourceId"] for one in found] == ["Region"]
    stack.delete()


@pytest.mark.parametrize(
    ("conditions", "text"),
    [
        ({"A": {"Condition": "B"}, "B": {"Fn::Not": [{"Condition": "A"}]}}, "circular condition dependency"),
        ({"A": {"Fn::And": [{"Condition": "Nowhere"}, _equals("1", "1")]}}, "Unresolved condition dependency Nowhere"),
    ],
)
def test_what_depends_on_itself_or_on_nothing(stacking: LambentServer, conditions: dict[str, Any], text: str) -> None:
    with pytest.raises(ClientError, match=text) as refused:
        Stack(stacking, "circular").create({"Q": {"Type": "AWS::SQS::Queue"}}, Conditions=conditions)
    assert refused.value.response["Error"]["Code"] == "ValidationError"
