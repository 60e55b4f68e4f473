"""Conditions: operators, missing keys, wildcards."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.model.configs.policy_conditions import Condition, is_like, is_met

BUCKET = "arn:aws:s3:::bucket"


@pytest.mark.parametrize(
    ("operator", "values", "given_value", "expected"),
    [
        ("StringEquals", ["a", "b"], "b", True),
        ("StringEquals", ["a"], "A", False),
        ("StringEquals", ["a"], None, False),
        ("StringEqualsIfExists", ["a"], None, True),
        ("StringEqualsIfExists", ["a"], "b", False),
        ("StringNotEquals", ["a", "b"], "b", False),
        ("StringNotEquals", ["a", "b"], "c", True),
        ("StringNotEquals", ["a"], None, True),
        ("StringEqualsIgnoreCase", ["a"], "A", True),
        ("StringLike", ["a*c"], "abc", True),
        ("ArnLike", ["arn:aws:s3:::*"], BUCKET, True),
        ("ArnLike", ["arn:*:bucket"], BUCKET, False),
        ("ArnEquals", [BUCKET], BUCKET, True),
        ("ArnNotLike", ["arn:aws:s3:::*"], BUCKET, False),
        ("Bool", ["true"], "True", True),
        ("Null", ["true"], None, True),
        ("Null", ["false"], None, False),
        ("Null", ["false"], "x", True),
        ("NumericLessThan", ["10"], "9", True),
        ("NumericLessThan", ["10"], "x", False),
        ("NumericNotEquals", ["10"], "9", True),
        ("DateGreaterThan", ["2020-01-01T00:00:00Z"], "2026-01-01T00:00:00Z", True),
        ("DateGreaterThan", ["2020-01-01"], "1577836801", True),
        ("DateLessThan", ["soon"], "2026-01-01T00:00:00Z", False),
        ("IpAddress", ["10.0.0.0/8"], "10.1.2.3", True),
        ("NotIpAddress", ["10.0.0.0/8"], "10.1.2.3", False),
        ("IpAddress", ["nowhere"], "10.1.2.3", False),
        ("ForAnyValue:StringEquals", ["a"], "a", True),
        ("ForAllValues:StringEquals", ["a"], None, True),
    ],
)
def test_operators(operator: str, values: list[str], given_value: str | None, expected: bool) -> None:
    context = {} if given_value is None else {"aws:key": given_value}
    assert is_met(Condition(operator, "AWS:Key", tuple(values)), context) is expected


@given(st.text("ab*?", max_size=8), st.text("ab", max_size=8))
def test_wildcards_are_those_of_patterns(pattern: str, text: str) -> None:
    expression = "".join({"*": ".*", "?": "."}.get(character, character) for character in pattern)
    assert is_like(pattern, text) is (re.fullmatch(expression, text) is not None)


def test_many_stars_are_not_slow() -> None:
    assert not is_like("*a" * 200 + "b", "a" * 5_000)
