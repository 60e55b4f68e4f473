"""Constraints in AWS's wording; the recorded texts are the judge."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.wire.validation import WrongTypeError, violations

NUMBER = ("double", 0.0, 1.0)
WEIGHTS = ("map", 0, 1, ("string", 1, 1024, "[0-9]+", None), NUMBER)


def told(spec: Any, value: Any) -> str | None:
    return violations(("structure", {"Thing": (spec, None, None)}, ("Thing",)), {"Thing": value})


def test_nothing_wrong() -> None:
    assert told(("string", 1, 3, "[a-z]+", None), "abc") is None


@pytest.mark.parametrize(
    ("spec", "value", "shown", "constraint"),
    [
        (("string", None, None, None, ("A", "B")), "C", "'C'", "Member must satisfy enum value set: [A, B]"),
        (
            ("string", None, None, None, ("Allow", "Terminate")),
            "InvalidValue",
            "'InvalidValue'",
            "Member must satisfy enum value set: [Terminate, Allow]",
        ),
        (("string", 0, 2, None, None), "abc", "'abc'", "Member must have length less than or equal to 2"),
        (("string", 4, None, None, None), "abc", "'abc'", "Member must have length greater than or equal to 4"),
        (
            ("string", None, None, "[0-9]+", None),
            "abc",
            "'abc'",
            "Member must satisfy regular expression pattern: [0-9]+",
        ),
        (("integer", 128, 10240), 1, "'1'", "Member must have value greater than or equal to 128"),
        (("integer", 128, 10240), 10241, "'10241'", "Member must have value less than or equal to 10240"),
        (("string", None, None, None, None), None, "null", "Member must not be null"),
        # Recorded: test_lambda_api.json, routing config of aliases.
        (
            WEIGHTS,
            {"2": 2.0},
            "'{2=2.0}'",
            "Map value must satisfy constraint: [Member must have value less than or equal to 1.0, "
            "Member must have value greater than or equal to 0.0, Member must not be null]",
        ),
        (
            WEIGHTS,
            {"$LATEST": 0.5},
            "'{$LATEST=0.5}'",
            "Map keys must satisfy constraint: [Member must have length less than or equal to 1024, "
            "Member must have length greater than or equal to 1, "
            "Member must satisfy regular expression pattern: [0-9]+]",
        ),
        # Recorded: test_lambda_api.json, layers.
        (
            ("list", 0, 2, ("string", None, None, None, ("x86_64", "arm64"))),
            ["invalidarch", "x86_64"],
            "'[invalidarch, x86_64]'",
            "Member must satisfy constraint: [Member must satisfy enum value set: [x86_64, arm64], "
            "Member must not be null]",
        ),
        (
            ("list", 1, 1, ("string", None, None, None, None)),
            [],
            "'[]'",
            "Member must have length greater than or equal to 1",
        ),
    ],
)
def test_wording(spec: Any, value: Any, shown: str, constraint: str) -> None:
    message = f"1 validation error detected: Value {shown} at 'thing' failed to satisfy constraint: {constraint}"
    assert told(spec, value) == message


def test_several_are_counted_and_told_together() -> None:
    spec = importlib.import_module("lambent.wire.generated.create_function").INPUT
    message = violations(spec, {"FunctionName": "f", "Role": "r1", "Code": {}, "Timeout": 901})
    assert message is not None
    assert message.startswith("2 validation errors detected: Value 'r1' at 'role' failed to satisfy constraint: ")
    assert "; Value '901' at 'timeout' failed to satisfy constraint: Member must have value less than or" in message


def test_nested_members_are_told_by_their_path() -> None:
    spec = importlib.import_module("lambent.wire.generated.create_function").INPUT
    request = {"FunctionName": "f", "Role": "arn:aws:iam::123456789012:role/r", "Code": {}}
    message = violations(spec, {**request, "SnapStart": {"ApplyOn": "invalidOption"}})
    assert message == (
        "1 validation error detected: Value 'invalidOption' at 'snapStart.applyOn' failed to satisfy constraint: "
        "Member must satisfy enum value set: [PublishedVersions, None]"
    )


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("string", 1, "NUMBER_VALUE can not be converted to a String"),
        ("string", True, "TRUE_VALUE can not be converted to a String"),
        ("string", {}, "Start of structure or map found where not expected."),
        ("integer", "1", "STRING_VALUE can not be converted to an Integer"),
        ("integer", 1.5, "DECIMAL_VALUE can not be converted to an Integer"),
        ("boolean", "true", "STRING_VALUE can not be converted to a Boolean"),
        ("double", False, "FALSE_VALUE can not be converted to a Double"),
    ],
)
def test_wrong_types(kind: str, value: Any, text: str) -> None:
    with pytest.raises(WrongTypeError, match=text):
        told((kind, None, None, None, None), value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(member=st.sampled_from(["Code", "Environment", "Tags", "Layers", "VpcConfig", "Timeout", "Role"]), value=JSON)
def test_any_value_is_judged(member: str, value: Any) -> None:
    spec = importlib.import_module("lambent.wire.generated.create_function").INPUT
    try:
        message = violations(spec, {member: value})
    except WrongTypeError as error:
        message = str(error)
    assert message


def test_the_members_of_networks_as_recorded() -> None:
    # Source: lambda/test_lambda_api.json, test_invalid_vpc_config_security_group.
    groups = ("list", 0, 5, ("string", 0, 1024, "sg-[0-9a-zA-Z]*", None))
    vpc = ("structure", {"SecurityGroupIds": (groups, None, None)}, ())
    spec = ("structure", {"VpcConfig": (vpc, None, None)}, ())
    assert violations(spec, {"VpcConfig": {"SecurityGroupIds": ["bad-format"]}}) == (
        "1 validation error detected: Value '[bad-format]' at 'vpcConfig.securityGroupIds' failed to satisfy "
        "constraint: Member must satisfy constraint: [Member must have length less than or equal to 1024, Member must "
        "have length greater than or equal to 0, Member must satisfy regular expression pattern: sg-[0-9a-zA-Z]*]"
    )


@pytest.mark.parametrize(("given", "told"), [(2, "2.0"), (-1, "-1.0"), (1.5, "1.5"), (None, "null")])
def test_numbers_are_told_as_read(given: float | None, told: str) -> None:
    # Source: lambda/test_lambda_api.json, test_notfound_and_invalid_routingconfigs.
    message = violations(("map", None, None, ("string", 1, 1024, "[0-9]+", None), ("double", 0.0, 1.0)), {"2": given})
    assert message is not None
    assert message.startswith(f"1 validation error detected: Value '{{2={told}}}' at ''")


def test_which_arns_take_tags_as_recorded() -> None:
    spec = importlib.import_module("lambent.wire.generated.list_tags").INPUT
    # Recorded: TestLambdaTags::test_tag_exceptions, tag_lambda_invalidarn.
    told_text = violations(spec, {"Resource": "arn:aws:something"})
    assert told_text is not None
    assert told_text.startswith("1 validation error detected: Value 'arn:aws:something' at 'resource' failed")
    assert "|layer:([a-zA-Z0-9-_]+)|code-signing-config:csc-[a-z0-9]{17}|" in told_text
    assert told_text.endswith("|capacity-provider:[a-zA-Z0-9-_]+)")


def test_environment_variables_are_never_shown() -> None:
    # Source: observed; names have two characters at least.
    spec = importlib.import_module("lambent.wire.generated.create_function").INPUT
    function = {"FunctionName": "f", "Role": "arn:aws:iam::000000000000:role/r", "Code": {"ZipFile": ""}}
    assert violations(spec, {**function, "Environment": {"Variables": {"A": "hunter2"}}}) == (
        "1 validation error detected: Value at 'environment.variables' failed to satisfy constraint: "
        "Map keys must satisfy constraint: [Member must satisfy regular expression pattern: [a-zA-Z]([a-zA-Z0-9_])+]"
    )
