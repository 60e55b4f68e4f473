"""Requests to operations, codes to forms of errors."""

from __future__ import annotations

import pytest

from lambent.wire.api_description import ApiDescription

DESCRIPTION = ApiDescription()
ARN = "arn:aws:lambda:us-east-1:000000000000:function:f"


@pytest.mark.parametrize("name", [operation.name for operation in DESCRIPTION.operations()])
def test_every_operation_finds_itself(name: str) -> None:
    operation = DESCRIPTION.operation(name)
    target = operation.uri.replace("{", "a").replace("}", "").replace("+", "")
    matched = DESCRIPTION.match(operation.method, target)
    assert matched is not None
    assert matched[0] is operation


@pytest.mark.parametrize(
    ("method", "target", "name", "labels"),
    [
        ("GET", "/2015-03-31/functions/", "ListFunctions", {}),
        ("GET", "/2015-03-31/functions?Marker=%2F", "ListFunctions", {}),
        ("GET", "/2015-03-31/functions/a%3Ab?x", "GetFunction", {"FunctionName": "a:b"}),
        ("GET", "/2018-10-31/layers?find=LayerVersion&Arn=x", "GetLayerVersionByArn", {}),
        ("GET", "/2018-10-31/layers?Arn=x", "ListLayers", {}),
        ("GET", f"/2017-03-31/tags/{ARN}", "ListTags", {"Resource": ARN}),
        ("GET", f"/2017-03-31/tags/{ARN}/more", "ListTags", {"Resource": f"{ARN}/more"}),
    ],
)
def test_targets(method: str, target: str, name: str, labels: dict[str, str]) -> None:
    matched = DESCRIPTION.match(method, target)
    assert matched is not None
    assert (matched[0].name, matched[1]) == (name, labels)


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("PATCH", "/2015-03-31/functions"),
        ("GET", "/"),
        ("GET", "/2015-03-31/functions//policy"),
        ("GET", "/2015-03-31/f"),
    ],
)
def test_nothing_there(method: str, target: str) -> None:
    assert DESCRIPTION.match(method, target) is None


def test_forms_of_errors() -> None:
    throttled = DESCRIPTION.error_form("TooManyRequestsException")
    assert (throttled.status, throttled.message_member, throttled.kind) == (429, "message", "User")
    assert throttled.headers == {"retryAfterSeconds": "Retry-After"}
    assert DESCRIPTION.error_form("ResourceNotFoundException").message_member == "Message"
    assert DESCRIPTION.error_form("ValidationException").kind is None
    assert DESCRIPTION.error_form("NobodyKnowsException").status == 500
