"""RabbitMQ's values in the guide's form."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from lambent.events.sources.brokers.rabbitmq_records import date_text, header_value


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(1970, 1, 1, 0, 33, 41, tzinfo=UTC), "Jan 1, 1970, 12:33:41 AM"),
        (datetime(2026, 11, 21, 12, 0, 5, tzinfo=UTC), "Nov 21, 2026, 12:00:05 PM"),
        (datetime(2026, 2, 3, 23, 59, 59), "Feb 3, 2026, 11:59:59 PM"),
        (datetime(2026, 2, 3, 1, 0, tzinfo=timezone(timedelta(hours=2))), "Feb 2, 2026, 11:00:00 PM"),
    ],
)
def test_dates(moment: datetime, text: str) -> None:
    assert date_text(moment) == text


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("value1", {"bytes": [118, 97, 108, 117, 101, 49]}),
        ("é", {"bytes": [-61, -87]}),
        (bytearray(b"\xff\x01"), {"bytes": [-1, 1]}),
        (10, 10),
        (1.5, 1.5),
        (True, True),
        (None, None),
        (Decimal("1.25"), 1.25),
        (datetime(1970, 1, 1, tzinfo=UTC), "Jan 1, 1970, 12:00:00 AM"),
        ([{"count": 1, "queue": "q"}], [{"count": 1, "queue": {"bytes": [113]}}]),
    ],
)
def test_headers(value: object, shown: object) -> None:
    assert header_value(value) == shown
