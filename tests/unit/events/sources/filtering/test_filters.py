"""Patterns: what is one and what is not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.events.sources.filtering.filters import FILTERS_MAX, check_filters, is_pattern
from lambent.model.configs.event_source import Filter, FilterCriteria
from lambent.model.errors import InvalidParameterValueError


@pytest.mark.parametrize(
    "pattern",
    [
        {},
        {"eventName": ["INSERT", "MODIFY"]},
        {"body": {"a": {"b": [None, "", 1.5, True]}}},
        {"dynamodb": {"NewImage": {"n": {"N": [{"numeric": [">", 100]}, {"anything-but": "101"}]}}}},
        {"a": [{"numeric": [">", 0, "<=", 5]}]},
        {"a": [{"exists": False}]},
        {"a": [{"prefix": "us-"}, {"suffix": ".png"}, {"equals-ignore-case": "x"}, {"wildcard": "a*"}]},
        {"a": [{"prefix": {"equals-ignore-case": "x"}}]},
        {"a": [{"anything-but": ["a", 1]}, {"anything-but": {"prefix": "x"}}]},
        {"a": [{"cidr": "10.0.0.0/8"}]},
        {"$or": [{"a": [1]}, {"b": [2]}]},
    ],
)
def test_patterns(pattern: Any) -> None:
    assert is_pattern(json.dumps(pattern))


@pytest.mark.parametrize(
    "text",
    [
        "single-string",
        '[{"eventName": ["INSERT"=123}]',
        "null",
        "[]",
        '"text"',
        '{"eventSource": "aws:sqs"}',
        '{"eventSource": []}',
        '{"eventSource": {}}',
        '{"a": [[1]]}',
        '{"a": [{}]}',
        '{"a": [{"exists": "yes"}]}',
        '{"a": [{"numeric": [">"]}]}',
        '{"a": [{"numeric": [">", "1"]}]}',
        '{"a": [{"sounds-like": "x"}]}',
        '{"a": [{"prefix": 1}]}',
        '{"a": [{"prefix": "a", "suffix": "b"}]}',
        '{"$or": [{"a": [1]}]}',
        "[" * 100_000,
    ],
)
def test_what_is_no_pattern(text: str) -> None:
    assert not is_pattern(text)


def test_five_filters_and_no_more() -> None:
    one = Filter('{"a": [1]}')
    check_filters(FilterCriteria((one,) * FILTERS_MAX))
    check_filters(None)
    with pytest.raises(InvalidParameterValueError):
        check_filters(FilterCriteria((one,) * (FILTERS_MAX + 1)))
    with pytest.raises(InvalidParameterValueError, match="Invalid filter pattern definition"):
        check_filters(FilterCriteria((Filter("no"),)))


@given(st.text())
def test_any_text_is_judged(text: str) -> None:
    is_pattern(text)
