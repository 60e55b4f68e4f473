"""Schedule expressions, and when they are due: in a time zone, between two dates.

Source: EventBridge Scheduler user guide, "Schedule types" (time zones, daylight saving time); EventBridge user guide,
"Rate expressions reference"; which forms are refused: observed.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from lambent.triggers.schedules.times.cron import Cron, CronError, parse_cron

if TYPE_CHECKING:
    from datetime import tzinfo

_RATE = re.compile(r"rate\((\d{1,9}) (minute|hour|day)(s?)\)", re.ASCII)
_AT = re.compile(r"at\(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\)", re.ASCII)
_UNIT_MS = {"minute": 60_000, "hour": 3_600_000, "day": 86_400_000}
# The last year of an expression is 2199.
_LATEST_MS = 7_258_118_400_000
_NAME = re.compile(r"[A-Za-z0-9_+\-]+(?:/[A-Za-z0-9_+\-]+)*", re.ASCII)


class ExpressionError(ValueError):
    """The text is no schedule expression."""


class UnknownTimezoneError(ValueError):
    """There is no time zone of this name."""


class Rate(NamedTuple):
    """Every so many milliseconds."""

    period_ms: int


class At(NamedTuple):
    """Once, at a local time."""

    moment: datetime


Expression = Rate | At | Cron


class Bounds(NamedTuple):
    """From when (for a rate: the first time itself) and until when something is due; ms of the Unix epoch."""

    start_ms: int
    end_ms: int | None = None


def parse_schedule(text: str) -> Expression:
    """Return what an expression of EventBridge Scheduler means; units may be singular or plural.

    Raises:
        ExpressionError: it is none.
    """
    rate = _RATE.fullmatch(text)
    if rate is not None and int(rate[1]) > 0:
        return Rate(int(rate[1]) * _UNIT_MS[rate[2]])
    if _AT.fullmatch(text) is not None:
        try:
            return At(datetime.fromisoformat(text[3:-1]))
        except ValueError as error:
            raise ExpressionError(text) from error
    if text.startswith("cron(") and text.endswith(")"):
        try:
            return parse_cron(text[5:-1])
        except CronError as error:
            raise ExpressionError(text) from error
    raise ExpressionError(text)


def parse_rule_schedule(text: str) -> Rate | Cron:
    """Return what an expression of an EventBridge rule means: no `at`, and 1 goes with the singular alone.

    Raises:
        ExpressionError: it is none.
    """
    parsed = parse_schedule(text)
    if isinstance(parsed, At):
        raise ExpressionError(text)
    rate = _RATE.fullmatch(text)
    if rate is not None and (int(rate[1]) == 1) is bool(rate[3]):
        raise ExpressionError(text)
    return parsed


def timezone_of(name: str) -> tzinfo:
    """Return a time zone of the IANA database.

    Raises:
        UnknownTimezoneError: there is none of this name.
    """
    if name == "UTC":
        return UTC
    # Imported where a zone is asked for: a start needs none.
    from zoneinfo import ZoneInfo

    if _NAME.fullmatch(name) is None:
        raise UnknownTimezoneError(name)
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, LookupError) as error:
        raise UnknownTimezoneError(name) from error


def next_ms(expression: Expression, zone: tzinfo, bounds: Bounds, after_ms: int) -> int | None:
    """Return when an expression is due first after `after_ms`; None: never again.

    Bounds do not count for what happens once. Source: API reference, CreateSchedule, StartDate.
    """
    if isinstance(expression, At):
        moment_ms = _moment_ms(expression.moment, zone)
        return moment_ms if moment_ms is not None and moment_ms > after_ms else None
    if isinstance(expression, Rate):
        periods = max(0, (after_ms - bounds.start_ms) // expression.period_ms + 1)
        found: int | None = bounds.start_ms + periods * expression.period_ms
    else:
        # A cron time that is the start itself counts.
        found = _next_cron_ms(expression, zone, max(after_ms, bounds.start_ms - 1))
    if found is None or found > _LATEST_MS or (bounds.end_ms is not None and found > bounds.end_ms):
        return None
    return found


def _next_cron_ms(cron: Cron, zone: tzinfo, after_ms: int) -> int | None:
    """Return the next time. What a clock that is put forward leaves out is skipped; what comes twice counts once."""
    local = datetime.fromtimestamp(after_ms // 1_000, zone).replace(tzinfo=None)
    while (candidate := cron.after(local)) is not None:
        moment_ms = _moment_ms(candidate, zone)
        if moment_ms is not None and moment_ms > after_ms:
            return moment_ms
        local = candidate
    return None


def _moment_ms(local: datetime, zone: tzinfo) -> int | None:
    """Return when a local time is, the first time if it comes twice; None when the clock skips it."""
    seconds = local.replace(tzinfo=zone, fold=0).timestamp()
    back = datetime.fromtimestamp(seconds, zone).replace(tzinfo=None, fold=0)
    return int(seconds * 1_000) if back == local else None
