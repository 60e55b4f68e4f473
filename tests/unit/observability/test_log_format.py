"""Records on disk."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.observability.log_format import LogGroup, LogRecord, decode, encode

_WORD = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=" \n"), min_size=1, max_size=40)


@given(at_ms=st.integers(0, 2**48), function=_WORD, stream=_WORD, lines=st.binary(max_size=200), cut=st.integers(1, 50))
def test_a_record_reads_as_written_and_a_cut_one_not_at_all(
    at_ms: int, function: str, stream: str, lines: bytes, cut: int
) -> None:
    data = encode(at_ms, function, stream, lines)
    assert decode(data) == (LogRecord(at_ms, function, stream, lines), len(data))
    assert decode(data[:-cut]) is None
    assert decode(b"x" + data, 1) == (LogRecord(at_ms, function, stream, lines), len(data) + 1)


@pytest.mark.parametrize("data", [b"no header here\n", b"x" * 2000, b"1 2 3\nab"])
def test_what_is_no_record_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="no record begins"):
        decode(data)


@pytest.mark.parametrize("name", ["/aws/lambda/x", "..", ".", "../../etc", "a" * 512, "." * 300, "/" * 512, "~", "ä/b"])
def test_directories_of_groups_stay_inside(name: str) -> None:
    parts = LogGroup("1" * 12, "eu-west-1", name).directory.split("/")
    assert len(parts) == 3
    assert parts[2] not in (".", "..")
    assert len(parts[2]) <= 255


def test_directories_of_groups_differ() -> None:
    names = ["a" * 300 + "x", "a" * 300 + "y", "/aws/lambda/x", "%2Faws%2Flambda%2Fx"]
    assert len({LogGroup("1" * 12, "eu-west-1", name).directory for name in names}) == len(names)
