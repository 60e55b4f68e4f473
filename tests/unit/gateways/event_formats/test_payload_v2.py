"""Requests as events, answers as HTTP answers: payload format 2.0."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.gateways.event_formats.payload_v2 import BadAnswerError, Door, ReadAnswer, event_of, is_binary, read_answer
from lambent.wire.http_exchange import HttpCall, HttpCaller

HOST = "id.lambda-url.us-east-1.localhost:4566"
CALLER = HttpCaller("111122223333", "arn:aws:sts::111122223333:assumed-role/r/session", "AKID")


def call(target: str = "/", body: bytes = b"", method: str = "GET", **headers: str) -> HttpCall:
    named = {"host": HOST, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return HttpCall(method, target, named, body, "request-id", "http", "10.0.0.9", 4566)


def event(asked: HttpCall, caller: HttpCaller | None = None) -> dict[str, Any]:
    door = Door("id", HOST, caller, 1_583_348_638_390, "Root=1-a-b")
    path = asked.target.partition("?")[0]
    decoded: dict[str, Any] = json.loads(event_of(asked, path, door))
    return decoded


def test_the_whole_event() -> None:
    asked = call(
        "/my/pa%2Fth?parameter1=value1&parameter1=value2&parameter2=a%20b&empty=",
        "Hello ü".encode(),
        "POST",
        content_type="text/plain; charset=utf-8",
        cookie="cookie1=1; cookie2=2",
        user_agent="agent",
        x_twice="a,b",
        connection="keep-alive",
    )
    assert event(asked) == {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": "/my/pa%2Fth",
        "rawQueryString": "parameter1=value1&parameter1=value2&parameter2=a%20b&empty=",
        "cookies": ["cookie1=1", "cookie2=2"],
        "headers": {
            "host": HOST,
            "content-type": "text/plain; charset=utf-8",
            "cookie": "cookie1=1; cookie2=2",
            "user-agent": "agent",
            "x-twice": "a,b",
            "x-amzn-trace-id": "Root=1-a-b",
            "x-forwarded-for": "10.0.0.9",
            "x-forwarded-port": "4566",
            "x-forwarded-proto": "http",
            "x-amzn-tls-cipher-suite": "TLS_AES_128_GCM_SHA256",
            "x-amzn-tls-version": "TLSv1.3",
        },
        "queryStringParameters": {"parameter1": "value1,value2", "parameter2": "a b", "empty": ""},
        "requestContext": {
            "accountId": "anonymous",
            "apiId": "id",
            "domainName": HOST,
            "domainPrefix": "id",
            "http": {
                "method": "POST",
                "path": "/my/pa%2Fth",
                "protocol": "HTTP/1.1",
                "sourceIp": "10.0.0.9",
                "userAgent": "agent",
            },
            "requestId": "request-id",
            "routeKey": "$default",
            "stage": "$default",
            "time": "04/Mar/2020:19:03:58 +0000",
            "timeEpoch": 1_583_348_638_390,
        },
        "body": "Hello ü",
        "isBase64Encoded": False,
    }


def test_what_is_not_there_is_not_named() -> None:
    found = event(call())
    assert not {"cookies", "queryStringParameters", "body", "authorizer"} & (found.keys() | found["requestContext"])
    assert (found["isBase64Encoded"], found["rawQueryString"]) == (False, "")


def test_who_signed() -> None:
    found = event(call(authorization="AWS4-HMAC-SHA256 x", x_amz_security_token="t", x_amz_date="d"), CALLER)
    context = found["requestContext"]
    assert context["accountId"] == "111122223333"
    assert context["authorizer"] == {
        "iam": {
            "accessKey": "AKID",
            "accountId": "111122223333",
            "callerId": "session",
            "cognitoIdentity": None,
            "principalOrgId": None,
            "userArn": CALLER.principal_arn,
            "userId": "session",
        }
    }
    assert not {"authorization", "x-amz-security-token"} & found["headers"].keys()
    root = HttpCaller("111122223333", "arn:aws:iam::111122223333:root", "AKID")
    assert event(call(), root)["requestContext"]["authorizer"]["iam"]["userId"] == "111122223333"
    # Of a URL that nobody has to sign for it may be the function's own.
    assert event(call(authorization="Bearer x"))["headers"]["authorization"] == "Bearer x"


@pytest.mark.parametrize(
    ("content_type", "body", "is_base64"),
    [
        ("application/json", b"{}", False),
        ("Application/JSON; charset=utf-8", b"{}", False),
        ("application/xml", b"<a/>", False),
        ("application/javascript", b"a", False),
        ("text/anything", b"a", False),
        ("text/plain", b"\xff", True),
        ("application/x-www-form-urlencoded", b"a=b", True),
        ("multipart/form-data; boundary=x", b"--x", True),
        ("application/octet-stream", b"a", True),
        ("", b"a", True),
    ],
)
def test_binary_bodies(content_type: str, body: bytes, is_base64: bool) -> None:
    asked = call("/", body, "POST", **({"content_type": content_type} if content_type else {}))
    found = event(asked)
    assert found["isBase64Encoded"] is is_base64
    assert (base64.b64decode(found["body"]) if is_base64 else found["body"].encode()) == body
    assert is_binary(asked) is (is_base64 and body != b"\xff")


@pytest.mark.parametrize(
    ("payload", "body"),
    [
        # Recorded: TestLambdaURL.test_lambda_url_invocation.
        (b'{"hello": "world"}', b'{"hello":"world"}'),
        (b'["hello", 3, true]', b'["hello",3,true]'),
        (b'"hello"', b"hello"),
        (b"3", b"3"),
        (b"3.1", b"3.1"),
        (b"true", b"true"),
        (b"null", b"null"),
        ('{"a": "é"}'.encode(), '{"a":"é"}'.encode()),
    ],
)
def test_answers_that_are_a_body(payload: bytes, body: bytes) -> None:
    assert read_answer(payload) == ReadAnswer(200, (), body)


def answer(**members: object) -> bytes:
    return json.dumps({"statusCode": 200, **members}).encode()


def test_answers_with_a_status() -> None:
    found = read_answer(
        answer(statusCode=201, headers={"X-A": "1", "X-N": 2, "X-B": True}, cookies=["a=b", "c=d"], body="text")
    )
    headers = (("X-A", "1"), ("X-N", "2"), ("X-B", "true"), ("Set-Cookie", "a=b"), ("Set-Cookie", "c=d"))
    assert found == ReadAnswer(201, headers, b"text")
    assert read_answer(answer(statusCode="418")).status == 418
    assert read_answer(answer(statusCode=204.0)).status == 204
    assert read_answer(answer(body={"a": 1})).body == b'{"a":1}'
    assert read_answer(answer(body=base64.b64encode(b"\x00\xff").decode(), isBase64Encoded=True)).body == b"\x00\xff"
    assert read_answer(answer(body=None)).body == b""


def test_headers_that_are_not_the_functions() -> None:
    found = read_answer(answer(headers={"Content-Length": "7", "Connection": "close", "WWW-Authenticate": "Basic"}))
    assert found.headers == (
        ("x-amzn-Remapped-Content-Length", "7"),
        ("x-amzn-Remapped-WWW-Authenticate", "Basic"),
    )


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"no json",
        b"\xff",
        b"[" * 100_000,
        answer(statusCode=None),
        answer(statusCode=True),
        answer(statusCode="abc"),
        answer(statusCode="20"),
        answer(statusCode=199),
        answer(statusCode=600),
        answer(statusCode=200.5),
        answer(statusCode=[200]),
        answer(headers=[]),
        answer(headers="a: b"),
        answer(headers={"A": None}),
        answer(headers={"A": ["1", "2"]}),
        answer(headers={"A b": "1"}),
        answer(headers={"": "1"}),
        answer(headers={"A": "1\r\nB: 2"}),
        answer(cookies="a=b"),
        answer(cookies=[1, None]),
        answer(cookies=["a\nb"]),
        answer(body="no base64!", isBase64Encoded=True),
    ],
)
def test_answers_of_wrong_shape(payload: bytes) -> None:
    with pytest.raises(BadAnswerError):
        read_answer(payload)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
MEMBERS = st.dictionaries(
    st.sampled_from(["statusCode", "headers", "cookies", "body", "isBase64Encoded"]), JSON, max_size=5
)


@given(JSON | MEMBERS)
def test_any_json_is_an_answer_or_a_bad_one(value: object) -> None:
    try:
        found = read_answer(json.dumps(value).encode())
    except BadAnswerError:
        return
    assert 200 <= found.status <= 599
    for name, text in found.headers:
        assert not set("\r\n\0") & set(name + text)
