"""Requests made from the service description, right and wrong: every one is answered, and never as our own fault."""

from __future__ import annotations

import http.client
import json
import string
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import pytest
from botocore.loaders import Loader
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lambent.api.operations import OPERATIONS
from tests.contract.door import Door, options

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Executor

SERVICE: dict[str, Any] = Loader().load_service_model("lambda", "service-2")
SHAPES: dict[str, Any] = SERVICE["shapes"]
TEXTS = st.text(max_size=12) | st.text(string.ascii_letters + string.digits + "-_$:./", max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
RIGHT = {
    "NamespacedFunctionName": "f",
    "FunctionName": "f",
    "RoleArn": "arn:aws:iam::123456789012:role/r",
    "TaggableResource": "arn:aws:lambda:us-east-1:000000000000:function:f",
    "FunctionArn": "arn:aws:lambda:us-east-1:000000000000:function:f",
}


def values(name: str) -> st.SearchStrategy[Any]:
    """Return values of a shape, mostly right, sometimes of another type."""
    shape = SHAPES[name]
    kind = shape["type"]
    if kind == "structure":
        required = set(shape.get("required", ()))
        members = {member: values(target["shape"]) for member, target in shape["members"].items()}
        right: st.SearchStrategy[Any] = st.fixed_dictionaries(
            {member: one for member, one in members.items() if member in required},
            optional={member: one for member, one in members.items() if member not in required},
        )
    elif kind == "list":
        right = st.lists(values(shape["member"]["shape"]), max_size=3)
    elif kind == "map":
        right = st.dictionaries(TEXTS, values(shape["value"]["shape"]), max_size=3)
    elif kind == "string":
        right = st.sampled_from(shape["enum"]) if "enum" in shape else st.just(RIGHT.get(name, "a")) | TEXTS
    elif kind == "blob":
        right = st.just("AAAA") | TEXTS
    elif kind == "boolean":
        right = st.booleans()
    else:
        right = st.integers(shape.get("min", -5) - 1, shape.get("max", 5) + 1)
    return st.one_of(right, right, right, right, right, right, JSON)


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
        target = members[member]
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


def check(door: Door, name: str, data: st.DataObject) -> None:
    operation = SERVICE["operations"][name]
    arguments = data.draw(values(operation["input"]["shape"]))
    if not isinstance(arguments, dict):
        arguments = {}
    arguments = {
        key: value for key, value in arguments.items() if key in SHAPES[operation["input"]["shape"]]["members"]
    }
    path, headers, body = parts(operation, arguments)
    connection = http.client.HTTPConnection(door.host, door.port, timeout=20)
    try:
        connection.request(operation["http"]["method"], path, body or None, headers)
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    assert answer.status < 500 or answer.status == 501, content
    assert answer.headers["x-amzn-RequestId"]
    if answer.status >= 400:
        assert answer.headers["x-amzn-ErrorType"]
        assert json.loads(content)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(name for name, row in OPERATIONS.items() if row.method is not None))
@settings(suppress_health_check=list(HealthCheck), max_examples=25, deadline=None)
@given(data=st.data())
def test_requests_of_what_is_there(door: Door, name: str, data: st.DataObject) -> None:
    check(door, name, data)


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(SERVICE["operations"]))
@settings(suppress_health_check=list(HealthCheck), max_examples=300, deadline=None)
@given(data=st.data())
def test_requests_of_every_operation(door: Door, name: str, data: st.DataObject) -> None:
    check(door, name, data)


@pytest.mark.slow
@settings(suppress_health_check=list(HealthCheck), max_examples=150, deadline=None)
@given(
    head=st.lists(st.binary(max_size=30) | st.sampled_from([b"\r\n", b"POST / HTTP/1.1\r\n", b"Host: localhost\r\n"])),
    rest=st.binary(max_size=60),
)
def test_any_bytes_are_answered_or_the_connection_ends(door: Door, head: list[bytes], rest: bytes) -> None:
    answer = door.exchange(b"".join(head) + rest, is_last=True)
    assert answer == b"" or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 501", b"HTTP/1.1 505"))
