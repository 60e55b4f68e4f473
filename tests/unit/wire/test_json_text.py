"""JSON or not, whatever it holds and however deep it is."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.wire.json_text import find_json_error, is_json_object


@pytest.mark.parametrize("text", [b"{}", b"null", b" [1, 2.5e3] ", '"é"'.encode(), b'"\\u00e9"', b"1e999"])
def test_json(text: bytes) -> None:
    assert find_json_error(text) is None


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b" ",
        b"nope",
        b"NaN",
        b"{]",
        b"[1,]",
        b"01",
        b'{"a":1} x',
        b'"\xff"',
        b'"a\xc3"',
        b'"\x01"',
        b"\xef\xbb\xbf{}",
    ],
)
def test_no_json(text: bytes) -> None:
    assert find_json_error(text)


@pytest.mark.parametrize("unit", [b"[", b'{"a":'])
def test_a_million_brackets(unit: bytes) -> None:
    assert find_json_error(unit * 1_000_000) == "JSON is nested too deeply"


def test_objects() -> None:
    assert is_json_object(b' {"a": 1}')
    assert not is_json_object(b"[1]")
    assert not is_json_object(b"{")
    assert not is_json_object(b"")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    )
)
def test_what_json_writes_is_json(value: object) -> None:
    assert find_json_error(json.dumps(value).encode()) is None
