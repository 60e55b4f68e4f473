"""Properties of the types as members of requests."""

from __future__ import annotations

import pytest

from lambent.neighbours.program.stack_types import properties as p


def test_names_agree_but_for_keys_and_tags() -> None:
    given = {"KmsKeyArn": "k", "Tags": [{"Key": "a", "Value": 1}], "Timeout": 3, "Role": None}
    assert p.members(given, *given) == {"KMSKeyArn": "k", "Tags": {"a": "1"}, "Timeout": 3}


def test_weights_are_a_mapping() -> None:
    listed = {"AdditionalVersionWeights": [{"FunctionVersion": "2", "FunctionWeight": 0.1}]}
    assert p.weights(listed) == {"AdditionalVersionWeights": {"2": 0.1}}
    assert p.weights(None) is None


def test_what_is_gone_goes_back_to_its_default() -> None:
    names = p.changed(
        {"Timeout": 9, "Role": "r", "Layers": ["a"]}, {"Role": "s"}, frozenset({"Timeout", "Role", "Layers"})
    )
    assert names == ("Layers", "Role", "Timeout")
    assert p.with_defaults({"Role": "s"}, names, p.FUNCTION_DEFAULTS) == {"Layers": [], "Role": "s", "Timeout": 3}


@pytest.mark.parametrize(
    ("given", "lines"),
    [
        ({"FunctionName": "f"}, []),
        ({}, ["#: required key [FunctionName] not found"]),
        ({"FunctionName": "f", "Size": 1}, ["#: extraneous key [Size] is not permitted"]),
    ],
)
def test_what_the_schema_does_not_have(given: dict[str, object], lines: list[str]) -> None:
    found = p.problem(p.VERSION, "V", given)
    if not lines:
        assert found is None
        return
    assert found == "\n".join(["Properties validation failed for resource V with message:", *lines])


def test_every_required_and_replacing_property_is_one() -> None:
    for described in p.TYPES.values():
        assert described.properties.issuperset((*described.required, *described.replacing))
