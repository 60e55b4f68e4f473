"""The only place that reads the clock; everybody else is handed a `Clock` by constructor."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Time as an argument. `SystemClock` is the real one; tests bring one that jumps."""

    def time_ms(self) -> int:
        """Return milliseconds since the Unix epoch, UTC."""

    def monotonic_ns(self) -> int:
        """Return nanoseconds of a clock that never goes back; only differences mean anything."""


class SystemClock:
    """The machine's clock. Scope: process."""

    __slots__ = ()

    def time_ms(self) -> int:
        """Return milliseconds since the Unix epoch, UTC."""
        return time.time_ns() // 1_000_000

    def monotonic_ns(self) -> int:
        """Return nanoseconds of CLOCK_MONOTONIC."""
        return time.monotonic_ns()
