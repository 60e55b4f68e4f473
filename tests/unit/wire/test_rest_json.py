"""Members to and from the parts of HTTP."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lambent.wire.api_description import ApiDescription
from lambent.wire.generated.create_function import FunctionConfiguration
from lambent.wire.generated.delete_function import DeleteFunctionResponse
from lambent.wire.generated.invoke import InvocationResponse
from lambent.wire.rest_json import (
    RequestError,
    RequestParts,
    decode_request,
    encode_error,
    encode_response,
    parse_body,
    parse_json,
)

DESCRIPTION = ApiDescription()
ROLE = "arn:aws:iam::123456789012:role/r"


def decode(name: str, body: Any = None, **parts: Any) -> Any:
    given = {"labels": {}, "query": {}, "headers": {}, **parts}
    return decode_request(DESCRIPTION.operation(name), RequestParts(body=body, **given))


def test_labels_query_headers_and_body() -> None:
    request = decode("ListFunctions", query={"MaxItems": ["7"], "Marker": ["m"]})
    assert (request.max_items, request.marker) == (7, "m")
    request = decode("UntagResource", labels={"Resource": "arn:aws:lambda:us-east-1:123456789012:function:f"},
                     query={"tagKeys": ["a", "b"]})  # fmt: skip
    assert request.tag_keys == ["a", "b"]
    request = decode("Invoke", labels={"FunctionName": "f"}, headers={"x-amz-log-type": "Tail"})
    assert (request.function_name, request.log_type, request.payload) == ("f", "Tail", None)


def test_what_is_unknown_or_null_is_ignored() -> None:
    body: dict[str, Any] = {
        "FunctionName": "f",
        "Role": ROLE,
        "Code": {"ZipFile": "AAAA", "New": 1},
        "Handler": None,
        "Later": [],
    }
    request = decode("CreateFunction", body)
    assert (request.code.zip_file, request.handler) == (b"\0\0\0", None)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ([], "Unexpected field type"),
        ({"FunctionName": 1}, "NUMBER_VALUE can not be converted to a String"),
        ({"FunctionName": "f", "Role": ROLE, "Code": {"ZipFile": "%"}}, "base64"),
        ({"Code": "x"}, "Unexpected field type"),
        ({"Layers": "x"}, "Expected list or null"),
        ({"Tags": []}, "Start of structure or map found where not expected"),
    ],
)
def test_types_that_are_wrong(body: Any, text: str) -> None:
    with pytest.raises(RequestError, match=text) as refused:
        decode("CreateFunction", body)
    assert refused.value.code == "SerializationException"


@pytest.mark.parametrize("number", ["x", "", "1.5", "1" * 5_000])
def test_numbers_in_a_query(number: str) -> None:
    with pytest.raises(RequestError) as refused:
        decode("ListFunctions", query={"MaxItems": [number]})
    assert refused.value.code in ("SerializationException", "ValidationException")


@pytest.mark.parametrize("body", [b"{", b"\xff", b"[" * 100_000, b"nope"])
def test_bodies_that_are_not_json(body: bytes) -> None:
    with pytest.raises(RequestError) as refused:
        parse_json(body)
    assert refused.value.code == "SerializationException"


def test_answers() -> None:
    answer = encode_response(
        DESCRIPTION.operation("CreateFunction"), FunctionConfiguration(function_name="f", timeout=3)
    )
    assert (answer.status, answer.headers, json.loads(answer.body)) == (201, (), {"FunctionName": "f", "Timeout": 3})
    answer = encode_response(DESCRIPTION.operation("DeleteFunction"), DeleteFunctionResponse(status_code=204))
    assert (answer.status, answer.body) == (204, b"")
    answer = encode_response(DESCRIPTION.operation("TagResource"), None)
    assert (answer.status, answer.body) == (204, b"")
    invoked = InvocationResponse(status_code=200, executed_version="7", payload=b"[]")
    answer = encode_response(DESCRIPTION.operation("Invoke"), invoked)
    assert (answer.status, answer.headers, answer.body) == (200, (("X-Amz-Executed-Version", "7"),), b"[]")


def test_errors() -> None:
    code = "TooManyRequestsException"
    answer = encode_error(code, DESCRIPTION.error_form(code), "slow", {"Reason": "why", "retryAfterSeconds": "1"})
    assert answer.status == 429
    assert answer.headers == (("x-amzn-ErrorType", code), ("Retry-After", "1"))
    assert json.loads(answer.body) == {"Type": "User", "message": "slow", "Reason": "why"}


def test_a_body_that_is_a_blob_is_taken_as_it_is() -> None:
    operation = DESCRIPTION.operation("InvokeAsync")
    for content in (b"[1]", b"no json", b'{"InvokeArgs": 1}'):
        request = decode("InvokeAsync", parse_body(operation, content), labels={"FunctionName": "f"})
        assert request.invoke_args == content
    assert parse_body(operation, b"") is None
    assert parse_body(DESCRIPTION.operation("TagResource"), b'{"Tags": {}}') == {"Tags": {}}
