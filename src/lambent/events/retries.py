"""What becomes of an event after an attempt: AWS's rules, pure.

    function error      again after 1 min, then 2 min, as often as MaximumRetryAttempts allows
    throttle, our fault again after 1 s, 2 s, 4 s … 5 min, for as long as MaximumEventAge allows; uses up no retry
    too old             MaximumEventAge would be over by the next attempt: it ends now

Source: developer guide, "How Lambda handles errors and retries with asynchronous invocation"; recorded
(test_maxeventage: the end does not wait for the age).
"""

from __future__ import annotations

from typing import NamedTuple

from msgspec.structs import replace

from lambent.model.event import AsyncEvent, Condition, Response

RETRIES = 2
AGE_SECONDS = 21_600
BASE_SECONDS = 60.0
_MINUTE_MS = 60_000
_FIRST_SETBACK_MS = 1_000
_SETBACK_MINUTES_MAX = 5
# Beyond this the longest delay is reached anyway.
_DOUBLINGS_MAX = 16


class EventLimits(NamedTuple):
    """What applies to one event. `base_seconds` stands for AWS's minute; shorter, retries come sooner."""

    retries_max: int = RETRIES
    age_seconds_max: int = AGE_SECONDS
    base_seconds: float = BASE_SECONDS


class Verdict(NamedTuple):
    """The event as it is now. It ended by `condition`, or comes back in `delay_ms`."""

    event: AsyncEvent
    condition: Condition | None = None
    delay_ms: int = 0


def is_too_old(event: AsyncEvent, limits: EventLimits, now_ms: int) -> bool:
    """Whether an event may not be tried any more."""
    return event.age_ms(now_ms) > limits.age_seconds_max * 1_000


def after_run(event: AsyncEvent, response: Response, limits: EventLimits, now_ms: int) -> Verdict:
    """Return what follows when the function ran, or is not there to be run."""
    event = replace(event, attempts=event.attempts + 1, setbacks=0, response=response)
    if response.function_error is None and response.status_code == 200:
        return Verdict(event, Condition.SUCCESS)
    if event.attempts > limits.retries_max:
        return Verdict(event, Condition.RETRIES_EXHAUSTED)
    base_ms = int(limits.base_seconds * 1_000)
    return _later(event, event.attempts * _MINUTE_MS, event.attempts * base_ms, limits, now_ms)


def after_setback(event: AsyncEvent, response: Response, limits: EventLimits, now_ms: int) -> Verdict:
    """Return what follows when the function could not run."""
    full_ms = setback_ms(event.setbacks, BASE_SECONDS)
    event = replace(event, setbacks=event.setbacks + 1, response=response)
    return _later(event, full_ms, setback_ms(event.setbacks - 1, limits.base_seconds), limits, now_ms)


def setback_ms(before: int, base_seconds: float) -> int:
    """Return the delay after a setback, when there were so many in a row before."""
    longest_ms = int(_SETBACK_MINUTES_MAX * base_seconds * 1_000)
    return min(_FIRST_SETBACK_MS << min(before, _DOUBLINGS_MAX), longest_ms)


def _later(event: AsyncEvent, full_ms: int, real_ms: int, limits: EventLimits, now_ms: int) -> Verdict:
    """Let it come back after `real_ms`, or end if AWS's `full_ms` would be too late."""
    if event.age_ms(now_ms) + full_ms > limits.age_seconds_max * 1_000:
        return Verdict(event, Condition.EVENT_AGE_EXCEEDED)
    skipped_ms = max(0, full_ms - real_ms)
    return Verdict(replace(event, skipped_ms=event.skipped_ms + skipped_ms), None, real_ms)
