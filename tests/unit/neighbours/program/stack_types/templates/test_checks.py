"""What is wrong with templates."""

from __future__ import annotations

from typing import Any

import pytest

from lambent.neighbours.program.stack_types.templates.checks import template_problem


def _resources(**resources: dict[str, Any]) -> dict[str, Any]:
    return {"Resources": {name: {"Type": "AWS::SQS::Queue", **one} for name, one in resources.items()}}


@pytest.mark.parametrize(
    "template",
    [
        _resources(A={"Properties": {"B": {"Ref": "AWS::Region"}}}),
        _resources(A={}, B={"Properties": {"C": {"Fn::Sub": ["${A.Arn} ${X} ${!Y} ${AWS::Region}", {"X": 1}]}}}),
        {
            **_resources(A={"Properties": {"B": {"Ref": "P"}}, "Condition": "C"}),
            "Parameters": {"P": {}},
            "Conditions": {"C": {}},
        },
        _resources(A={"Properties": {"Text": {"Ref": "is no call", "Other": 1}}}),
    ],
)
def test_nothing_is_wrong(template: dict[str, Any]) -> None:
    assert template_problem(template) is None


@pytest.mark.parametrize(
    ("template", "text"),
    [
        (
            _resources(
                A={"Properties": {"B": {"Fn::GetAtt": "B.Arn"}}}, B={"DependsOn": ["C"]}, C={"DependsOn": "A"},
                D={"DependsOn": "A"},
            ),
            "Circular dependency between resources: [A, B, C]",
        ),
        (_resources(A={"DependsOn": ["A"]}), "Circular dependency between resources: [A]"),
        (
            {"Resources": {"A": {}}},
            "Template format error: [/Resources/A] Every Resources object must contain a Type member.",
        ),
        (
            _resources(A={"Properties": {"B": {"Fn::Sub": "${Missing.Arn}"}}}),
            "Template error: instance of Fn::GetAtt references undefined resource Missing",
        ),
    ],
)  # fmt: skip
def test_something_is_wrong(template: dict[str, Any], text: str) -> None:
    assert template_problem(template) == text
