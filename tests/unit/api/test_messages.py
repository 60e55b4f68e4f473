"""Heads of answers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lambent.api.messages import HttpRequest, Peer, encode_head


def test_a_head() -> None:
    head = encode_head(404, [("A", "1"), ("B", "ü")], "Content-Length: 0\r\n")
    assert head == b"HTTP/1.1 404 Not Found\r\nA: 1\r\nB: \xfc\r\nContent-Length: 0\r\n\r\n"


@given(st.text(), st.text())
def test_no_value_makes_a_line_of_its_own(first: str, second: str) -> None:
    head = encode_head(200, [("A", first), ("B", second)], "")
    lines = head.split(b"\r\n")
    assert len(lines) == 5
    assert lines[1].startswith(b"A: ")
    assert lines[2].startswith(b"B: ")
    assert b"\n" not in b"".join(lines)
    assert b"\r" not in b"".join(lines)


def test_a_target_s_parts() -> None:
    request = HttpRequest("GET", "/a?b=c?d", {}, Peer("http", "127.0.0.1", 1))
    assert (request.path, request.query) == ("/a", "b=c?d")
