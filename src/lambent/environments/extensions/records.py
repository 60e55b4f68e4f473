"""How records are written: JSON without blanks, times as AWS writes them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lambent.model.platform_event import Span


def spans_json(spans: Iterable[Span]) -> str:
    """Return spans as records hold them."""
    return (
        "["
        + ",".join(
            f'{{"name":"{span.name}","start":"{time_text(span.start_ms)}","durationMs":{span.duration_ms:.3f}}}'
            for span in spans
        )
        + "]"
    )


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
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at_ms % 1000:03d}Z"
