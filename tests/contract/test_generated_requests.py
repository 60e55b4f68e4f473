"""Requests made from the service description, right and wrong: every one is answered, and never as our own fault.

They go to a real server that has a function, so that what stands behind the door is asked too.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import string
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lambent.api.operations import OPERATIONS
from tests.contract.door import Door, options
from tests.contract.samples import ROLE, SERVICE, SHAPES, sample
from tests.running import make_zip_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Executor

    from tests.conftest import ServerFactory
    from tests.running import LambentServer

TEXTS = st.text(max_size=12) | st.text(string.ascii_letters + string.digits + "-_$:./", max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
# Not verified here; it says whose and of which service the request is.
SIGNED = {
    "X-Amz-Date": "20260101T000000Z",
    "Authorization": "AWS4-HMAC-SHA256 Credential=000000000000/20260101/us-east-1/lambda/aws4_request, "
    f"SignedHeaders=host;x-amz-date, Signature={'0' * 64}",
}
WRONG_TYPES: tuple[Any, ...] = (7, 1.5, True, "text", [], {}, [[]], {"a": {}}, None)


@st.composite
def mostly_right(draw: st.DrawFn, name: str) -> dict[str, Any]:
    """Draw a request: what is required and some of the rest, each right or, seldom, any text or any JSON."""
    shape = SHAPES[name]
    request = {}
    for member, value in sample(name).items():
        if member not in shape.get("required", ()) and draw(st.booleans()):
            continue
        odds = draw(st.integers(0, 9))
        request[member] = draw(TEXTS) if odds == 0 else draw(JSON) if odds == 1 else value
    return request


@st.composite
def spoilt(draw: st.DrawFn, name: str) -> dict[str, Any]:
    """Draw a request in which one thing, at any depth, is wrong: type, length, pattern, range, enum, missing, extra."""
    request = sample(name)
    shape = SHAPES[name]
    for member in [member for member in request if member not in shape.get("required", ())]:
        if draw(st.booleans()):
            del request[member]
    spoiling = draw(_spoilt(name, request))
    assert isinstance(spoiling, dict)
    return spoiling


@st.composite
def _spoilt(draw: st.DrawFn, name: str, value: Any, depth: int = 0) -> Any:
    shape = SHAPES[name]
    kind = shape["type"]
    if depth and draw(st.integers(0, 5)) == 0:
        return draw(st.sampled_from(WRONG_TYPES))
    if kind == "structure":
        if not shape["members"]:
            return {"Extra": 1}
        member = draw(st.sampled_from(sorted(shape["members"])))
        target = shape["members"][member]["shape"]
        way = draw(st.sampled_from(("deeper", "deeper", "deeper", "missing", "extra")))
        if way == "missing":
            return {key: one for key, one in value.items() if key != member}
        if way == "extra":
            return {**value, "ThereIsNoSuchMember": draw(JSON)}
        return {**value, member: draw(_spoilt(target, value.get(member, sample(target, 1)), depth + 1))}
    if kind == "list":
        if "max" in shape and draw(st.booleans()):
            return value * (min(shape["max"], 2_000) + 1)
        return draw(st.just([]) | st.lists(_spoilt(shape["member"]["shape"], value[0], depth + 1), max_size=2))
    if kind == "map":
        return draw(st.dictionaries(TEXTS, st.just(next(iter(value.values()))), max_size=60))
    if kind in ("integer", "long", "double"):
        numbers = (shape.get("min", 0) - 1, shape.get("max", 0) + 1, 10**30, -(10**30), 0.5, "1", "x")
        return draw(st.sampled_from(numbers))
    if kind == "string":
        long = "a" * (min(shape.get("max", 20_000), 20_000) + 1)
        return draw(st.sampled_from((long, "", "bad value!", "\u00e9\u4e2d\U0001f600", "a\nb", "../..", "%00")) | TEXTS)
    return draw(st.sampled_from((*WRONG_TYPES, "###", "A", "2026-01-01T00:00:00Z", 10**30)))


@pytest.fixture(scope="module")
def server(lambent_server_factory: ServerFactory) -> LambentServer:
    """A server of the module's own, without neighbours: requests name buckets and keys at random."""
    return lambent_server_factory({"neighbours.enabled": "false", "logs.deliver": "false"})


@pytest.fixture
def with_function(server: LambentServer) -> LambentServer:
    """The server, with a function f, its version 1 and its alias live, whatever the test before took away."""
    client = server.client()
    with contextlib.suppress(ClientError):
        client.create_function(
            FunctionName="f",
            Role=ROLE,
            Runtime="python3.12",
            Handler="index.handler",
            Code={"ZipFile": make_zip_bytes({"index.py": "def handler(event, context): return event\n"})},
        )
        client.get_waiter("function_active_v2").wait(FunctionName="f", WaiterConfig={"Delay": 1, "MaxAttempts": 30})
        client.publish_version(FunctionName="f")
        client.create_alias(FunctionName="f", Name="live", FunctionVersion="1")
    return server


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory, workers: Executor) -> Iterator[Door]:
    """A door in accept mode."""
    with Door(options(tmp_path_factory.mktemp("spool"), auth_mode="accept"), workers) as served:
        yield served


def parts(operation: dict[str, Any], arguments: dict[str, Any]) -> tuple[str, dict[str, str], bytes]:
    """Return path, headers and body that carry `arguments`."""
    members = SHAPES[operation["input"]["shape"]]["members"]
    path: str = operation["http"]["requestUri"]
    query: list[tuple[str, str]] = []
    headers: dict[str, str] = {}
    document: dict[str, Any] = {}
    for member, value in arguments.items():
        target = members.get(member, {})
        wire, location = target.get("locationName", member), target.get("location")
        text = value if isinstance(value, str) else json.dumps(value)
        if location == "uri":
            path = path.replace("{" + wire + "}", quote(text, safe="")).replace("{" + wire + "+}", quote(text))
        elif location == "querystring":
            query += [(wire, str(one)) for one in (value if isinstance(value, list) else [text])]
        elif location == "header":
            headers[wire] = quote(text, safe=" !#$&'*+./:=?@_~")
        else:
            document[wire] = value
    if query:
        path += ("&" if "?" in path else "?") + urlencode(query)
    payload = SHAPES[operation["input"]["shape"]].get("payload")
    body = json.dumps(document.get(payload) if payload else document).encode() if document else b""
    return path, headers, body


def check(server: LambentServer, name: str, arguments: dict[str, Any]) -> None:
    operation = SERVICE["operations"][name]
    path, headers, body = parts(operation, arguments)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        connection.request(operation["http"]["method"], path, body or None, headers | SIGNED)
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    # What docs/operations.md lists; and a package in S3, which is switched off here.
    is_later = "501" in (OPERATIONS[name].note or "") or b"neighbours.s3.endpoint" in content
    assert answer.status < 500 or (answer.status == 501 and is_later), content
    assert answer.headers["x-amzn-RequestId"]
    if answer.status >= 400:
        assert answer.headers["x-amzn-ErrorType"]
        assert json.loads(content)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(OPERATIONS))
@settings(suppress_health_check=list(HealthCheck), max_examples=8, deadline=None)
@given(data=st.data())
def test_requests_of_every_operation(with_function: LambentServer, name: str, data: st.DataObject) -> None:
    shape = SERVICE["operations"][name]["input"]["shape"]
    check(with_function, name, data.draw(mostly_right(shape) | spoilt(shape)))


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(OPERATIONS))
@settings(suppress_health_check=list(HealthCheck), max_examples=230, deadline=None)
@given(data=st.data())
def test_many_requests_of_every_operation(with_function: LambentServer, name: str, data: st.DataObject) -> None:
    shape = SERVICE["operations"][name]["input"]["shape"]
    check(with_function, name, data.draw(mostly_right(shape) | spoilt(shape)))


@pytest.mark.slow
@settings(suppress_health_check=list(HealthCheck), max_examples=150, deadline=None)
@given(
    head=st.lists(st.binary(max_size=30) | st.sampled_from([b"\r\n", b"POST / HTTP/1.1\r\n", b"Host: localhost\r\n"])),
    rest=st.binary(max_size=60),
)
def test_any_bytes_are_answered_or_the_connection_ends(door: Door, head: list[bytes], rest: bytes) -> None:
    answer = door.exchange(b"".join(head) + rest, is_last=True)
    assert answer == b"" or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 501", b"HTTP/1.1 505"))
