"""When a schedule or a scheduled rule is due: pure, the moment is an argument."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, NamedTuple

from lambent.model.configs.schedule import Schedule
from lambent.triggers.schedules.times.expressions import (
    At,
    Bounds,
    Rate,
    next_ms,
    parse_rule_schedule,
    parse_schedule,
    timezone_of,
)

if TYPE_CHECKING:
    from lambent.model.configs.schedule import ScheduledRule

# What is due within a minute is due in time for AWS; what a stopped server missed by more is not made up.
# Source: EventBridge Scheduler user guide, "Schedule types": invocations have a precision of 60 seconds.
GRACE_MS = 60_000
EVENT_AGE_SECONDS = 86_400
RETRY_ATTEMPTS = 185


class Limits(NamedTuple):
    """How long and how often a target is tried: RetryPolicy."""

    age_ms: int
    attempts: int


def limits_of(target: str) -> Limits:
    """Return the RetryPolicy of a target's JSON text. Source: API reference, RetryPolicy."""
    policy = json.loads(target).get("RetryPolicy") or {}
    seconds = policy.get("MaximumEventAgeInSeconds", EVENT_AGE_SECONDS)
    return Limits(int(seconds) * 1_000, int(policy.get("MaximumRetryAttempts", RETRY_ATTEMPTS)))


def first_ms(schedule: Schedule, now_ms: int) -> int | None:
    """Return what a schedule is due for that begins now, or was changed now; None: never, or it is DISABLED.

    A rate begins at its start; what happens once may be as long ago as its target may be tried.
    """
    if schedule.state != "ENABLED":
        return None
    is_once = schedule.expression.startswith("at(")
    return _next(schedule, now_ms - (limits_of(schedule.target).age_ms if is_once else 1))


def first_of_rule_ms(rule: ScheduledRule, now_ms: int) -> int | None:
    """Return what a rule is due for that begins now: a rate counts from here."""
    if rule.state == "DISABLED":
        return None
    return next_ms(parse_rule_schedule(rule.expression), timezone_of("UTC"), Bounds(rule.anchor_ms), now_ms)


def due_ms(timed: Schedule | ScheduledRule) -> int | None:
    """Return when it is to be done: `next_ms`, somewhere within its flexible time window, always the same place."""
    if timed.next_ms is None or not isinstance(timed, Schedule) or not timed.window_minutes:
        return timed.next_ms
    digest = hashlib.sha256(f"{timed.arn}/{timed.next_ms}".encode()).digest()
    return timed.next_ms + int.from_bytes(digest[:6], "big") % (timed.window_minutes * 60_000)


def is_missed(timed: Schedule | ScheduledRule, now_ms: int) -> bool:
    """Return whether it is too late for what was due: nothing ran here at that time."""
    assert timed.next_ms is not None
    if not isinstance(timed, Schedule):
        # A rotation may be done while its window is open.
        is_rotation = timed.arn.split(":", 3)[2] == "secretsmanager"
        grace_ms = limits_of(timed.targets[0]).age_ms if is_rotation else GRACE_MS
        return now_ms - timed.next_ms > grace_ms
    late_ms = now_ms - timed.next_ms - timed.window_minutes * 60_000
    return late_ms > (limits_of(timed.target).age_ms if timed.expression.startswith("at(") else GRACE_MS)


def following_ms(timed: Schedule | ScheduledRule, now_ms: int) -> int | None:
    """Return what is due after `next_ms`, without what was missed meanwhile."""
    assert timed.next_ms is not None
    if not isinstance(timed, Schedule):
        rule = parse_rule_schedule(timed.expression)
        return next_ms(rule, timezone_of("UTC"), Bounds(timed.anchor_ms), max(timed.next_ms, now_ms - GRACE_MS))
    window_ms = timed.window_minutes * 60_000
    return _next(timed, max(timed.next_ms, now_ms - window_ms - GRACE_MS))


def _next(schedule: Schedule, after_ms: int) -> int | None:
    expression = parse_schedule(schedule.expression)
    start_ms = schedule.anchor_ms if isinstance(expression, Rate) else schedule.start_ms or 0
    end_ms = None if isinstance(expression, At) else schedule.end_ms
    return next_ms(expression, timezone_of(schedule.timezone), Bounds(start_ms, end_ms), after_ms)
