"""Markers: what comes back is what was given, and nothing else is taken."""

from __future__ import annotations

import base64

import pytest

from lambent.functions.paging import cut, marker_of, page_size, place_of
from lambent.model.errors import InvalidParameterValueError


def test_a_marker_comes_back() -> None:
    assert place_of(marker_of("f", "$LATEST"), 2) == ("f", "$LATEST")
    assert place_of(None, 2) is None
    assert place_of("", 2) is None


@pytest.mark.parametrize(
    "marker",
    ["x", "?", "ä", marker_of("one"), marker_of("one", "two", "three")]
    + [
        base64.urlsafe_b64encode(place).decode()
        for place in (
            b'["f",1]',
            b'["f",null]',
            b'{"f":"g"}',
            b'["f","\\u0000"]',
            b'["f","\\ud800"]',
            b'"fg"',
            b"[[],[]]",
        )
    ],
)
def test_what_is_no_marker(marker: str) -> None:
    with pytest.raises(InvalidParameterValueError, match="Invalid marker"):
        place_of(marker, 2)


def test_pages() -> None:
    assert [page_size(asked) for asked in (None, 1, 50, 10_000)] == [50, 1, 50, 50]
    assert cut([1, 2, 3], 2) == ([1, 2], 2)
    assert cut([1, 2], 2) == ([1, 2], None)
    assert cut([], 2) == ([], None)
