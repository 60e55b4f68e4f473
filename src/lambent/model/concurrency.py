"""A lease on concurrency: who pays for a running invocation, and until when."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class ConcurrencyPool(StrEnum):
    """Which pool paid."""

    UNRESERVED = "unreserved"
    RESERVED = "reserved"
    PROVISIONED = "provisioned"


class ConcurrencyLease:
    """One unit of concurrency. It belongs to the environment's run: released when that is idle or dead.

    `release` works once; later calls do nothing, so both the environment and the door's block may call it.
    `hand_over` says that an environment now owns it, and leaving the door's block keeps it.
    """

    __slots__ = ("_give_back", "is_handed_over", "pool")

    def __init__(self, pool: ConcurrencyPool, give_back: Callable[[], None]) -> None:
        self.pool = pool
        self.is_handed_over = False
        self._give_back: Callable[[], None] | None = give_back

    def hand_over(self) -> None:
        """From now on the environment releases it."""
        self.is_handed_over = True

    def release(self) -> None:
        """Give it back. Idempotent."""
        give_back, self._give_back = self._give_back, None
        if give_back is not None:
            give_back()
