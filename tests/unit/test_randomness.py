"""Random bytes by the page: as many as are asked for, and none of them twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambent.randomness import RandomBytes

if TYPE_CHECKING:
    import pytest


def test_lengths_and_no_repetition(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[bytes] = []

    def urandom(count: int) -> bytes:
        drawn.append(bytes((len(drawn) + number) % 251 for number in range(count)))
        return drawn[-1]

    monkeypatch.setattr("lambent.randomness.os.urandom", urandom)
    random_bytes = RandomBytes()
    assert random_bytes(0) == b""
    parts = [random_bytes(16) for _ in range(256)]
    assert b"".join(parts) == drawn[0]
    assert len(drawn) == 1
    # What a page no longer holds whole comes from the next one.
    assert random_bytes(4_000) == drawn[1][:4_000]
    assert random_bytes(97) == drawn[2][:97]
    assert random_bytes(5_000) == drawn[3]
    assert random_bytes(3) == drawn[2][97:100]


def test_two_of_them_differ() -> None:
    assert RandomBytes()(32) != RandomBytes()(32)
