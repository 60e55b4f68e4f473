"""Filter patterns, as the CloudWatch Logs user guide explains them."""

from __future__ import annotations

import json

import pytest

from lambent.neighbours.program.log_filters import matcher

_LINE = '127.0.0.1 Prod frank [10/Oct/2000:13:25:15 -0700] "GET /index.html HTTP/1.0" 404 1534'
_EVENT = json.dumps(
    {
        "eventType": "UpdateTrail", "sourceIPAddress": "111.111.111.111", "arrayKey": ["value", "another value"],
        "objectList": [{"name": "a", "id": 1}, {"name": "b", "id": 2}], "SomeObject": None, "ThisFlag": True,
        "latency": 12.5, "errorCode": "400",
    }
)  # fmt: skip


@pytest.mark.parametrize(
    ("pattern", "line", "is_match"),
    [
        ("", "anything", True),
        ("ERROR", "[ERROR 400] BAD REQUEST", True),
        ("ERROR", "error", False),
        ("ERROR ARGUMENTS", "ARGUMENTS ERROR", True),
        ("ERROR ARGUMENTS", "ERROR only", False),
        ("?ERROR ?WARN", "a WARN", True),
        ("?ERROR ?WARN", "INFO", False),
        ("ERROR -ARGUMENTS", "ERROR x", True),
        ("ERROR -ARGUMENTS", "ERROR ARGUMENTS", False),
        ('"INTERNAL SERVER ERROR"', "an INTERNAL SERVER ERROR", True),
        ('"INTERNAL SERVER ERROR"', "INTERNAL ERROR", False),
        ("%4[0-9]{2}%", "status 404", True),
        ("%4[0-9]{2}%", "status 200", False),
        ('{ $.eventType = "UpdateTrail" }', _EVENT, True),
        ('{ $.eventType = "Update*" }', _EVENT, True),
        ('{ $.sourceIPAddress != "123.123.*" }', _EVENT, True),
        ('{ $.arrayKey[0] = "value" }', _EVENT, True),
        ("{ $.objectList[1].id = 2 }", _EVENT, True),
        ("{ $.SomeObject IS NULL }", _EVENT, True),
        ("{ $.SomeOtherObject NOT EXISTS }", _EVENT, True),
        ("{ $.ThisFlag IS TRUE }", _EVENT, True),
        ("{ $.latency > 12 && $.latency < 13 }", _EVENT, True),
        ("{ $.latency > 13 || ($.latency >= 12.5 && $.errorCode = 400) }", _EVENT, True),
        ("{ $.errorCode = %4[0-9]{2}% }", _EVENT, True),
        ("{ $.missing = 1 }", _EVENT, False),
        ("{ $.latency > 1 }", "no JSON", False),
        ("[ip, server, user, timestamp, request, status = 4*, bytes > 1000]", _LINE, True),
        ("[ip, server, user, timestamp, request, status = 5*, bytes]", _LINE, False),
        ("[..., status = 404, bytes]", _LINE, True),
        ("[ip, ..., bytes < 1000]", _LINE, False),
        ("[ip = %127\\.0\\.0\\.[1-9]%, ...]", _LINE, True),
        ("[ip, rest]", _LINE, False),
        ("[..., status = 404 || status = 410, bytes]", _LINE, True),
    ],
)
def test_patterns(pattern: str, line: str, is_match: bool) -> None:
    assert matcher(pattern)(line) is is_match


@pytest.mark.parametrize("pattern", ["{ $.a = }", "{ $.a ~ 1 }", "{ a = 1 }", "{ ($.a = 1 }", "{ $.a = 1 ) }"])
def test_what_is_no_pattern(pattern: str) -> None:
    with pytest.raises(ValueError, match="."):
        matcher(pattern)
