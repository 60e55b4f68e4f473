"""AWS's rules for events that failed, as a table."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from lambent.events.retries import EventLimits, after_run, after_setback, is_too_old, setback_ms
from lambent.model.arn import FunctionArn
from lambent.model.event import AsyncEvent, Condition, Response

NOW = 1_700_000_000_000
EVENT = AsyncEvent(FunctionArn("000000000000", "us-east-1", "f"), "id", b"{}", NOW)
FAILED = Response(200, b"{}", "1", "Unhandled")
THROTTLED = Response(429)


def test_success_ends_whatever_its_age() -> None:
    old = replace(EVENT, accepted_ms=NOW - 10**9, attempts=2)
    verdict = after_run(old, Response(200, b"null", "1"), EventLimits(), NOW)
    assert (verdict.condition, verdict.event.attempts) == (Condition.SUCCESS, 3)


@pytest.mark.parametrize("base", [60.0, 5.0, 0.5])
def test_a_minute_then_two_then_the_end(base: float) -> None:
    limits = EventLimits(base_seconds=base)
    first = after_run(EVENT, FAILED, limits, NOW)
    assert (first.condition, first.delay_ms) == (None, int(base * 1_000))
    second = after_run(first.event, FAILED, limits, NOW)
    assert (second.condition, second.delay_ms) == (None, int(2 * base * 1_000))
    third = after_run(second.event, FAILED, limits, NOW)
    assert (third.condition, third.event.attempts) == (Condition.RETRIES_EXHAUSTED, 3)
    assert second.event.skipped_ms == int(3 * (60 - base) * 1_000)


@pytest.mark.parametrize(("retries", "attempts"), [(0, 1), (1, 2), (2, 3)])
def test_maximum_retry_attempts(retries: int, attempts: int) -> None:
    event, condition = EVENT, None
    for _ in range(attempts):
        assert condition is None
        verdict = after_run(event, FAILED, EventLimits(retries), NOW)
        event, condition = verdict.event, verdict.condition
    assert (condition, event.attempts) == (Condition.RETRIES_EXHAUSTED, attempts)


@pytest.mark.parametrize(("age", "ran"), [(60, 1), (61, 2), (90, 2), (180, 2), (181, 3), (21_600, 3)])
def test_the_age_ends_before_a_retry_that_would_come_too_late(age: int, ran: int) -> None:
    """At AWS's pace, however short the minute here is; each run takes some milliseconds."""
    event, condition, now_ms = EVENT, None, NOW
    limits = EventLimits(age_seconds_max=age, base_seconds=1.0)
    while condition is None:
        now_ms += 5
        verdict = after_run(event, FAILED, limits, now_ms)
        event, condition, now_ms = verdict.event, verdict.condition, now_ms + verdict.delay_ms
    assert event.attempts == ran
    assert condition is (Condition.RETRIES_EXHAUSTED if ran == 3 else Condition.EVENT_AGE_EXCEEDED)


def test_setbacks_double_from_a_second_to_five_minutes() -> None:
    event, delays = EVENT, []
    for _ in range(11):
        verdict = after_setback(event, THROTTLED, EventLimits(), NOW)
        assert (verdict.condition, verdict.event.attempts) == (None, 0)
        event = verdict.event
        delays.append(verdict.delay_ms // 1_000)
    assert delays == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert after_run(event, FAILED, EventLimits(), NOW).event.setbacks == 0
    assert setback_ms(1_000_000, 60.0) == 300_000
    assert setback_ms(20, 1.0) == 5_000


def test_setbacks_end_with_the_age() -> None:
    late = NOW + 59_500
    assert after_setback(EVENT, THROTTLED, EventLimits(age_seconds_max=60), late).condition is (
        Condition.EVENT_AGE_EXCEEDED
    )
    assert not is_too_old(EVENT, EventLimits(age_seconds_max=60), NOW + 60_000)
    assert is_too_old(EVENT, EventLimits(age_seconds_max=60), NOW + 60_001)


def test_a_function_that_is_gone_uses_up_retries() -> None:
    verdict = after_run(EVENT, Response(404), EventLimits(0), NOW)
    assert (verdict.condition, verdict.event.attempts) == (Condition.RETRIES_EXHAUSTED, 1)
