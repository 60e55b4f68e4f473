"""Whole numbers by weights."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.environments.provisioning.shares import shared_out


@pytest.mark.parametrize(
    ("count", "weights", "shares"),
    [
        (5, [1.0], [5]),
        (4, [0.75, 0.25], [3, 1]),
        (10, [0.99, 0.01], [9, 1]),
        (1, [0.5, 0.5], [1, 0]),
        (1, [0.1, 0.9], [0, 1]),
        (3, [0.5, 0.5], [2, 1]),
        (0, [0.5, 0.5], [0, 0]),
        (5, [], []),
    ],
)
def test_shares(count: int, weights: list[float], shares: list[int]) -> None:
    assert shared_out(count, weights) == shares


@given(st.integers(0, 500), st.lists(st.floats(0.001, 1.0), min_size=1, max_size=3))
def test_nothing_is_lost(count: int, weights: list[float]) -> None:
    shares = shared_out(count, weights)
    assert sum(shares) == count
    assert all(share >= (1 if count >= len(weights) else 0) for share in shares)
