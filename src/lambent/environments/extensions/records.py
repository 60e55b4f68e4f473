"""How records are written: JSON without blanks, times as AWS writes them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lambent.model.platform_event import Span


def spans_of(spans: Iterable[Span]) -> list[dict[str, object]]:
    """Return spans as part of a record that is not JSON yet."""
    return [
        {"name": span.name, "start": time_text(span.start_ms), "durationMs": round(span.duration_ms, 3)}
        for span in spans
    ]


def compact_text(text: str) -> str:
    """Return a text as JSON."""
    return json.dumps(text)


def compact(record: Mapping[str, object]) -> str:
    """Return a record as JSON without blanks."""
    return json.dumps(record, separators=(",", ":"))


def time_text(at_ms: int) -> str:
    """Return `at_ms` (Unix epoch) as `2026-01-31T23:59:59.123Z`."""
    seconds, rest_ms = divmod(at_ms, 1000)
    return f"{_second_text(seconds)}.{rest_ms:03d}Z"


# A record of an invocation has seven times in it, mostly of one second.
@lru_cache(maxsize=8)
def _second_text(at_seconds: int) -> str:
    return datetime.fromtimestamp(at_seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
