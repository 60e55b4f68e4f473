"""Whole numbers by weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def shared_out(count: int, weights: Sequence[float]) -> list[int]:
    """Return `count` divided by weights: whole numbers, at least one each while there are enough."""
    if not weights:
        return []
    total = sum(weights)
    exact = [count * weight / total for weight in weights]
    shares = [max(int(part), min(1, count // len(weights))) for part in exact]
    by_rest = sorted(range(len(weights)), key=lambda index: exact[index] - shares[index], reverse=True)
    while (left := count - sum(shares)) > 0:
        for index in by_rest[:left]:
            shares[index] += 1
    while (excess := sum(shares) - count) > 0:
        largest = max(range(len(shares)), key=lambda index: shares[index])
        shares[largest] -= min(excess, 1)
    return shares
