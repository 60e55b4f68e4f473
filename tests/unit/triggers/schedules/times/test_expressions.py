"""Expressions: a table of what they mean, in several time zones, and of the forms that are none."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from lambent.triggers.schedules.times.expressions import (
    At,
    Bounds,
    ExpressionError,
    Rate,
    UnknownTimezoneError,
    next_ms,
    parse_rule_schedule,
    parse_schedule,
    timezone_of,
)

# Expression, after (UTC), the following times (UTC). Sources of the forms: AWS's user guides.
CRON_IN_UTC = [
    ("cron(0 10 * * ? *)", "2026-03-01 09:59", ["2026-03-01 10:00", "2026-03-02 10:00"]),
    ("cron(0 10 * * ? *)", "2026-03-01 10:00", ["2026-03-02 10:00"]),
    ("cron(15 12 * * ? *)", "2026-02-28 12:15", ["2026-03-01 12:15"]),
    ("cron(0 18 ? * MON-FRI *)", "2026-05-01 18:00", ["2026-05-04 18:00", "2026-05-05 18:00"]),
    ("cron(0 8 1 * ? *)", "2026-05-01 08:00", ["2026-06-01 08:00", "2026-07-01 08:00"]),
    ("cron(0/15 * * * ? *)", "2026-05-01 08:50", ["2026-05-01 09:00", "2026-05-01 09:15"]),
    ("cron(0/10 * ? * MON-FRI *)", "2026-05-01 23:50", ["2026-05-04 00:00", "2026-05-04 00:10"]),
    ("cron(0/5 8-17 ? * MON-FRI *)", "2026-05-01 17:55", ["2026-05-04 08:00", "2026-05-04 08:05"]),
    ("cron(0/30 20-23 ? * MON-FRI *)", "2026-05-04 23:30", ["2026-05-05 20:00"]),
    ("cron(0/30 0-2 ? * MON-FRI *)", "2026-05-04 01:10", ["2026-05-04 01:30", "2026-05-04 02:00"]),
    ("cron(0 2 ? * SAT *)", "2026-05-04 00:00", ["2026-05-09 02:00", "2026-05-16 02:00"]),
    ("cron(5,35 14 * * ? *)", "2026-05-04 14:05", ["2026-05-04 14:35", "2026-05-05 14:05"]),
    ("cron(15 10 ? * 6L 2026-2027)", "2026-05-04 00:00", ["2026-05-29 10:15", "2026-06-26 10:15"]),
    ("cron(15 10 ? * 6L 2002-2005)", "2026-05-04 00:00", [None]),
    ("cron(0 2 ? * SAT#3 *)", "2026-05-04 00:00", ["2026-05-16 02:00", "2026-06-20 02:00"]),
    ("cron(* * ? * SAT#3 *)", "2026-05-16 23:58", ["2026-05-16 23:59", "2026-06-20 00:00"]),
    ("cron(0/5 5 ? JAN 1-5 2027)", "2026-05-04 00:00", ["2027-01-03 05:00", "2027-01-03 05:05"]),
    ("cron(0-59/10 0-23/2 ? * * *)", "2026-05-04 00:50", ["2026-05-04 02:00", "2026-05-04 02:10"]),
    ("cron(0-15/1 8-8 ? * 2,3,4,5,6,7 *)", "2026-05-02 08:15", ["2026-05-04 08:00"]),
    ("cron(1-31/30 1-1 ? * 1,7 *)", "2026-05-01 00:00", ["2026-05-02 01:01", "2026-05-02 01:31", "2026-05-03 01:01"]),
    ("cron(30-30 13-13 ? * 2,4,6 *)", "2026-05-02 00:00", ["2026-05-04 13:30", "2026-05-06 13:30"]),
    ("cron(*/20 * * * ? *)", "2026-05-02 00:00", ["2026-05-02 00:20"]),
    ("cron(7/20 * * * ? *)", "2026-05-02 00:00", ["2026-05-02 00:07", "2026-05-02 00:27", "2026-05-02 00:47"]),
    ("cron(0 0 L * ? *)", "2027-02-01 00:00", ["2027-02-28 00:00", "2027-03-31 00:00"]),
    ("cron(0 0 L 2 ? *)", "2027-12-01 00:00", ["2028-02-29 00:00"]),
    ("cron(0 0 LW * ? *)", "2026-05-01 00:00", ["2026-05-29 00:00", "2026-06-30 00:00"]),
    ("cron(0 0 15W * ? *)", "2026-08-01 00:00", ["2026-08-14 00:00", "2026-09-15 00:00"]),
    ("cron(0 0 1W * ? *)", "2026-08-01 00:00", ["2026-08-03 00:00", "2026-09-01 00:00"]),
    ("cron(0 0 31W 5 ? *)", "2026-05-01 00:00", ["2026-05-29 00:00"]),
    ("cron(0 0 31W 6 ? *)", "2026-05-01 00:00", [None]),
    ("cron(0 0 31 * ? *)", "2026-05-01 00:00", ["2026-05-31 00:00", "2026-07-31 00:00"]),
    ("cron(0 0 29 2 ? *)", "2026-05-01 00:00", ["2028-02-29 00:00", "2032-02-29 00:00"]),
    ("cron(0 0 30 2 ? *)", "2026-05-01 00:00", [None]),
    ("cron(0 0 ? * L *)", "2026-05-04 00:00", ["2026-05-09 00:00"]),
    ("cron(0 0 ? * MONL *)", "2026-05-04 00:00", ["2026-05-25 00:00"]),
    ("cron(0 0 ? * 2#1 *)", "2026-05-04 00:00", ["2026-06-01 00:00"]),
    ("cron(0 0 ? * 2#5 *)", "2026-05-04 00:00", ["2026-06-29 00:00", "2026-08-31 00:00"]),
    ("cron(0 0 ? * SAT-MON *)", "2026-05-04 00:00", ["2026-05-09 00:00", "2026-05-10 00:00", "2026-05-11 00:00"]),
    ("cron(0 0 ? * sun *)", "2026-05-04 00:00", ["2026-05-10 00:00"]),
    ("cron(0 0 1 jan,JUL ? *)", "2026-05-04 00:00", ["2026-07-01 00:00", "2027-01-01 00:00"]),
    ("cron(0 0 1 1/3 ? *)", "2026-05-04 00:00", ["2026-07-01 00:00", "2026-10-01 00:00"]),
    ("cron(0 0 1-7/3 * ? *)", "2026-05-02 00:00", ["2026-05-04 00:00", "2026-05-07 00:00", "2026-06-01 00:00"]),
    ("cron(0 0 1 1 ? 2030,2040)", "2026-05-02 00:00", ["2030-01-01 00:00", "2040-01-01 00:00", None]),
    ("cron(0 0 1 1 ? 2026/5)", "2026-05-02 00:00", ["2031-01-01 00:00", "2036-01-01 00:00"]),
    ("cron(59 23 31 12 ? 2199)", "2026-05-02 00:00", ["2199-12-31 23:59", None]),
    ("cron(0  10  * * ? *)", "2026-05-02 10:00", ["2026-05-03 10:00"]),
    ("cron(00 08 * * ? *)", "2026-05-02 00:00", ["2026-05-02 08:00"]),
]

# The same with a time zone; what comes twice comes once, what a clock skips is skipped.
IN_ZONES = [
    ("cron(30 2 * * ? *)", "America/New_York", "2026-03-07 12:00", ["2026-03-09 06:30", "2026-03-10 06:30"]),
    ("cron(30 1 * * ? *)", "America/New_York", "2026-10-31 12:00", ["2026-11-01 05:30", "2026-11-02 06:30"]),
    ("cron(0 9 * * ? *)", "America/New_York", "2026-03-07 15:00", ["2026-03-08 13:00", "2026-03-09 13:00"]),
    ("cron(0 9 * * ? *)", "America/New_York", "2026-10-31 14:00", ["2026-11-01 14:00", "2026-11-02 14:00"]),
    ("cron(0 * * * ? *)", "America/New_York", "2026-03-08 06:00", ["2026-03-08 07:00", "2026-03-08 08:00"]),
    ("cron(0 * * * ? *)", "America/New_York", "2026-11-01 04:00", ["2026-11-01 05:00", "2026-11-01 07:00"]),
    ("cron(15 * * * ? *)", "America/New_York", "2026-11-01 06:00", ["2026-11-01 07:15"]),
    ("cron(30 2 * * ? *)", "Europe/Berlin", "2026-03-28 12:00", ["2026-03-30 00:30"]),
    ("cron(30 2 * * ? *)", "Europe/Berlin", "2026-10-24 12:00", ["2026-10-25 00:30", "2026-10-26 01:30"]),
    ("cron(0 8 ? * MON *)", "Europe/London", "2026-03-24 00:00", ["2026-03-30 07:00"]),
    ("cron(0 8 ? * MON *)", "Europe/London", "2026-10-20 00:00", ["2026-10-26 08:00"]),
    ("cron(30 1 * * ? *)", "Europe/London", "2026-03-28 12:00", ["2026-03-30 00:30"]),
    ("cron(15 2 * * ? *)", "Australia/Lord_Howe", "2026-10-03 00:00", ["2026-10-04 15:15"]),
    ("cron(45 1 * * ? *)", "Australia/Lord_Howe", "2026-04-03 20:00", ["2026-04-04 14:45", "2026-04-05 15:15"]),
    ("cron(0 0 * * ? *)", "America/Sao_Paulo", "2018-11-03 12:00", ["2018-11-05 02:00"]),
    ("cron(0 0 * * ? *)", "Asia/Kathmandu", "2026-05-01 00:00", ["2026-05-01 18:15"]),
    ("cron(0 12 30 12 ? *)", "Pacific/Apia", "2011-12-29 00:00", ["2012-12-29 22:00"]),
    ("cron(0 0 L * ? *)", "Asia/Tokyo", "2026-05-01 00:00", ["2026-05-30 15:00"]),
    ("cron(0 9 1 * ? *)", "Pacific/Kiritimati", "2026-05-02 00:00", ["2026-05-31 19:00"]),
    ("cron(0 6 * * ? *)", "Africa/Cairo", "2026-04-23 12:00", ["2026-04-24 03:00"]),
    ("at(2026-07-01T12:00:00)", "Europe/Helsinki", "2026-05-01 00:00", ["2026-07-01 09:00", None]),
    ("at(2026-11-01T01:30:00)", "America/New_York", "2026-05-01 00:00", ["2026-11-01 05:30", None]),
    ("at(2026-03-08T02:30:00)", "America/New_York", "2026-01-01 00:00", [None]),
    ("at(2026-03-29T02:00:00)", "Europe/Berlin", "2026-01-01 00:00", [None]),
    ("at(2026-07-01T12:00:07)", "UTC", "2026-07-01 12:00:06", ["2026-07-01 12:00:07", None]),
    ("at(2026-07-01T12:00:07)", "UTC", "2026-07-01 12:00:07", [None]),
]

NO_EXPRESSION = [
    # Source: recorded by others against AWS.
    "cron(0 1 * * * *)", "cron(7 20 * * NOT *)", "cron(INVALID)", "cron(0 dummy ? * MON-FRI *)", "cron(71 8 1 * ? *)",
    "cron()", "rate(10 seconds)", "rate(10 years)", "rate()", "rate(10)", "rate(10 minutess)", "rate(foo minutes)",
    "rate(-10 minutes)", "rate( 10 minutes )", " rate(10 minutes)", "at(2021-12-31T23:59:59Z)", "at(2021-12-31)",
    # Bounds and signs of each field.
    "cron(60 * * * ? *)", "cron(-1 * * * ? *)", "cron(* 24 * * ? *)", "cron(* * 0 * ? *)", "cron(* * 32 * ? *)",
    "cron(* * * 0 ? *)", "cron(* * * 13 ? *)", "cron(* * ? * 0 *)", "cron(* * ? * 8 *)", "cron(* * * * ? 1969)",
    "cron(* * * * ? 2200)", "cron(* * ? * ? *)", "cron(? * * * ? *)", "cron(* ? * * ? *)", "cron(* * * ? ? *)",
    "cron(* * * * ? ?)", "cron(0/0 * * * ? *)", "cron(0/ * * * ? *)", "cron(/5 * * * ? *)", "cron(10-5 * * * ? *)",
    "cron(1,,2 * * * ? *)", "cron(1, * * * ? *)", "cron(1- * * * ? *)", "cron(-5 * * * ? *)", "cron(0/61 * * * ? *)",
    "cron(L * * * ? *)", "cron(* L * * ? *)", "cron(0 0 W * ? *)", "cron(0 0 32W * ? *)", "cron(0 0 5W,6W * ? *)",
    "cron(0 0 L,5 * ? *)", "cron(0 0 ? * 3#6 *)", "cron(0 0 ? * 3#0 *)", "cron(0 0 ? * 3#1,6#3 *)",
    "cron(0 0 ? * 8L *)",
    "cron(0 0 ? * XYZ *)", "cron(0 0 1 XYZ ? *)", "cron(0 0 1 1.5 ? *)", "cron(0 10 * * ?)", "cron(0 10 * * ? * *)",
    "cron( 0 10 * * ? *)", "cron(0 10 * * ? * )", "cron(0 10 * * ? *", "CRON(0 10 * * ? *)",
    "cron(0 10 * * ? *) ", "cron(0 1\u0660 * * ? *)", "0 10 * * ? *",
    # Rates.
    "rate(0 minutes)", "rate(1.5 hours)", "rate(10 MINUTES)", "rate(10  minutes)", "rate(10 minutes",
    "Rate(10 minutes)",
    "rate(1 week)", "rate(1\u0660 minutes)", "rate(10 minutes) ", "rate(+1 minute)",
    # Once.
    "at()", "at(2026-13-01T00:00:00)", "at(2026-02-30T00:00:00)", "at(2026-01-01T24:00:00)", "at(2026-01-01 00:00:00)",
    "at(2026-01-01T00:00)", "at(2026-1-1T00:00:00)", "at(2026-01-01T00:00:00.000)", "at(2026-01-01T00:00:00+01:00)",
    "", "at", "every(5 minutes)",
]  # fmt: skip


def _ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1_000)


def _check(expression: str, zone: str, after: str, expected: list[str | None]) -> None:
    parsed = parse_schedule(expression)
    moment = _ms(after)
    for text in expected:
        found = next_ms(parsed, timezone_of(zone), Bounds(0), moment)
        shown = None if found is None else datetime.fromtimestamp(found / 1_000, UTC).replace(tzinfo=None)
        assert shown == (None if text is None else datetime.fromisoformat(text)), expression
        if found is None:
            return
        moment = found


@pytest.mark.parametrize(("expression", "after", "expected"), CRON_IN_UTC)
def test_cron_in_utc(expression: str, after: str, expected: list[str | None]) -> None:
    _check(expression, "UTC", after, expected)


@pytest.mark.parametrize(("expression", "zone", "after", "expected"), IN_ZONES)
def test_time_zones(expression: str, zone: str, after: str, expected: list[str | None]) -> None:
    _check(expression, zone, after, expected)


@pytest.mark.parametrize("expression", NO_EXPRESSION)
def test_what_is_no_expression(expression: str) -> None:
    with pytest.raises(ExpressionError):
        parse_schedule(expression)
    with pytest.raises(ExpressionError):
        parse_rule_schedule(expression)


@pytest.mark.parametrize(
    ("expression", "period_ms"),
    [
        ("rate(1 minute)", 60_000),
        ("rate(5 minutes)", 300_000),
        ("rate(1 hour)", 3_600_000),
        ("rate(12 hours)", 43_200_000),
        ("rate(1 day)", 86_400_000),
        ("rate(7 days)", 604_800_000),
    ],
)
def test_rates(expression: str, period_ms: int) -> None:
    assert parse_schedule(expression) == parse_rule_schedule(expression) == Rate(period_ms)


@pytest.mark.parametrize(
    "expression", ["rate(1 minutes)", "rate(1 hours)", "rate(1 days)", "rate(10 minute)", "rate(2 hour)", "rate(3 day)"]
)
def test_units_agree_with_their_number_in_rules_alone(expression: str) -> None:
    assert isinstance(parse_schedule(expression), Rate)
    with pytest.raises(ExpressionError):
        parse_rule_schedule(expression)


def test_a_rule_is_never_due_only_once() -> None:
    assert parse_schedule("at(2026-01-01T00:00:00)") == At(datetime(2026, 1, 1))
    with pytest.raises(ExpressionError):
        parse_rule_schedule("at(2026-01-01T00:00:00)")


@pytest.mark.parametrize(
    "name",
    ["", "Mars/Base", "europe/berlin/", "../etc/passwd", "/etc/localtime", "America", "Europe/Berlin ", "UTC+25h"],
)
def test_what_is_no_time_zone(name: str) -> None:
    with pytest.raises(UnknownTimezoneError):
        timezone_of(name)


def test_a_rate_counts_from_its_start_and_a_day_has_24_hours() -> None:
    rate, zone = parse_schedule("rate(1 day)"), timezone_of("America/New_York")
    start = _ms("2026-03-07 15:00")
    assert next_ms(rate, zone, Bounds(start), start - 1) == start
    assert next_ms(rate, zone, Bounds(start), start) == start + 86_400_000
    assert next_ms(rate, zone, Bounds(start), start + 86_400_000 * 5 + 7) == start + 86_400_000 * 6


def test_start_and_end_are_within() -> None:
    cron, zone = parse_schedule("cron(0 * * * ? *)"), timezone_of("UTC")
    bounds = Bounds(_ms("2026-05-01 10:00"), _ms("2026-05-01 12:00"))
    assert next_ms(cron, zone, bounds, 0) == _ms("2026-05-01 10:00")
    assert next_ms(cron, zone, bounds, _ms("2026-05-01 11:00")) == _ms("2026-05-01 12:00")
    assert next_ms(cron, zone, bounds, _ms("2026-05-01 12:00")) is None


def test_what_happens_once_knows_no_bounds() -> None:
    once, zone = parse_schedule("at(2026-05-01T10:00:00)"), timezone_of("UTC")
    bounds = Bounds(_ms("2027-01-01 00:00"), _ms("2026-01-01 00:00"))
    assert next_ms(once, zone, bounds, 0) == _ms("2026-05-01 10:00")
