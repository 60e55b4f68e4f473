"""What a function may answer to a REST API, and what it gets."""

from __future__ import annotations

import pytest

from lambent.neighbours.program.rest_apis.proxies import is_answer, proxy_event


@pytest.mark.parametrize(
    ("given", "is_one"),
    [
        ({"statusCode": 200}, True),
        ({"statusCode": "201", "headers": None, "body": None}, True),
        ({}, True),
        ({"headers": {"a": True}, "multiValueHeaders": {"b": ["1"]}, "isBase64Encoded": False}, True),
        ({"statusCode": 200, "wrongValue": "value"}, False),
        ({"statusCode": "many"}, False),
        ({"headers": ["a"]}, False),
        (None, False),
        ("text", False),
        ([], False),
    ],
)
def test_answers(given: object, is_one: bool) -> None:
    assert is_answer(given) is is_one


def test_an_event_has_no_version_and_the_last_of_many_values() -> None:
    many = {"multiValueQueryStringParameters": {"a": ["1", "2"]}, "multiValueHeaders": {"h": ["x", "y"]}}
    assert proxy_event({"version": "1.0", "path": "/", "headers": {"h": "x"}, **many}) == {
        "path": "/", "headers": {"h": "y"}, "queryStringParameters": {"a": "2"}, **many
    }  # fmt: skip
    assert proxy_event("text") == "text"
