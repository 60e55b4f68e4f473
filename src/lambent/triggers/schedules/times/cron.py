"""Cron expressions of six fields, as EventBridge has them: what they mean, and the next local time that they name.

Source: EventBridge Scheduler user guide, "Schedule types"; EventBridge user guide, "Cron expressions reference".
"""

from __future__ import annotations

import calendar
import re
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_MONTHS = {
    "JAN": 1, "FEB": 2, "MAR": 3, "APR": 4, "MAY": 5, "JUN": 6, "JUL": 7, "AUG": 8, "SEP": 9, "OCT": 10, "NOV": 11,
    "DEC": 12,
}  # fmt: skip
_DAYS = {"SUN": 1, "MON": 2, "TUE": 3, "WED": 4, "THU": 5, "FRI": 6, "SAT": 7}
_YEARS = (1970, 2199)
_NEAREST_WORKDAY = re.compile(r"(\d{1,2})W")
_LAST_OF_MONTH = re.compile(r"(\w{1,3})L")
_NTH_OF_MONTH = re.compile(r"(\w{1,3})#([1-5])")


class CronError(ValueError):
    """The text is no cron expression."""


class _Field(NamedTuple):
    """What numbers and names one field takes. `wraps`: a range may go over the end (SAT-MON)."""

    low: int
    high: int
    names: Mapping[str, int] = {}
    wraps: bool = False


_MINUTE, _HOUR, _DAY, _MONTH = _Field(0, 59), _Field(0, 23), _Field(1, 31), _Field(1, 12, _MONTHS)
_WEEKDAY, _YEAR = _Field(1, 7, _DAYS, wraps=True), _Field(*_YEARS)


class DayRule(NamedTuple):
    """Which days of a month are meant: by their number or by the day of the week.

    `days`: numbers 1 to 31, empty when weekdays say. `weekdays`: 1 (Sunday) to 7; `nth`: only the nth of them, -1: the
    last. `last_day`: the month's. `nearest_workday`: the Monday to Friday nearest to that day (0: none), or to the
    last.
    """

    days: frozenset[int] = frozenset()
    weekdays: frozenset[int] = frozenset()
    last_day: bool = False
    nearest_workday: int = 0
    is_last_workday: bool = False
    nth: int = 0

    def of(self, year: int, month: int) -> list[int]:
        """Return the days of a month that are meant, in order."""
        length = calendar.monthrange(year, month)[1]
        if self.nearest_workday or self.is_last_workday:
            wanted = length if self.is_last_workday else self.nearest_workday
            return [_workday_near(year, month, wanted, length)] if wanted <= length else []
        if self.last_day:
            return [length]
        if not self.weekdays:
            return [day for day in sorted(self.days) if day <= length]
        found = [day for day in range(1, length + 1) if _weekday(year, month, day) in self.weekdays]
        if self.nth < 0:
            return found[-1:]
        return found[self.nth - 1 : self.nth] if self.nth else found


class Cron(NamedTuple):
    """A parsed expression."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    day_rule: DayRule
    months: tuple[int, ...]
    years: tuple[int, ...]

    def after(self, moment: datetime) -> datetime | None:
        """Return the first local time that is named and later than `moment` (naive); None when there is none."""
        first = moment.replace(second=0, microsecond=0) + timedelta(minutes=1)
        for day in self._days_from(first.date()):
            for hour in self.hours:
                for minute in self.minutes:
                    found = datetime(day.year, day.month, day.day, hour, minute)
                    if found >= first:
                        return found
        return None

    def _days_from(self, first: date) -> Iterator[date]:
        for year in self.years:
            if year < first.year:
                continue
            for month in self.months:
                if (year, month) < (first.year, first.month):
                    continue
                for day in self.day_rule.of(year, month):
                    found = date(year, month, day)
                    if found >= first:
                        yield found


def parse_cron(text: str) -> Cron:
    """Return what the text between the parentheses of `cron(…)` means.

    Raises:
        CronError: it is none.
    """
    fields = re.split(" +", text)
    if len(fields) != 6 or not all(fields) or not text.isascii():
        raise CronError(text)
    minutes, hours, days, months, weekdays, years = (field.upper() for field in fields)
    # Source: user guide: whoever says something in one of the two has to say ? in the other.
    if (days == "?") == (weekdays == "?"):
        raise CronError(text)
    return Cron(
        _values(_MINUTE, minutes),
        _values(_HOUR, hours),
        _weekday_rule(weekdays) if days == "?" else _day_rule(days),
        _values(_MONTH, months),
        _values(_YEAR, years),
    )


def _day_rule(text: str) -> DayRule:
    if text == "L":
        return DayRule(last_day=True)
    if text == "LW":
        return DayRule(is_last_workday=True)
    near = _NEAREST_WORKDAY.fullmatch(text)
    if near is not None:
        return DayRule(nearest_workday=_number(_DAY, near[1]))
    return DayRule(days=frozenset(_values(_DAY, text)))


def _weekday_rule(text: str) -> DayRule:
    if text == "L":
        return DayRule(weekdays=frozenset({7}))
    last = _LAST_OF_MONTH.fullmatch(text)
    if last is not None:
        return DayRule(weekdays=frozenset({_number(_WEEKDAY, last[1])}), nth=-1)
    nth = _NTH_OF_MONTH.fullmatch(text)
    if nth is not None:
        return DayRule(weekdays=frozenset({_number(_WEEKDAY, nth[1])}), nth=int(nth[2]))
    return DayRule(weekdays=frozenset(_values(_WEEKDAY, text)))


def _values(field: _Field, text: str) -> tuple[int, ...]:
    found: set[int] = set()
    for item in text.split(","):
        found.update(_item(field, item))
    return tuple(sorted(found))


def _item(field: _Field, text: str) -> Sequence[int]:
    spread, slash, step_text = text.partition("/")
    step = _plain(step_text) if slash else 1
    if not 1 <= step <= field.high:
        raise CronError(text)
    first_text, dash, last_text = spread.partition("-")
    if spread == "*":
        first, last = field.low, field.high
    elif dash:
        first, last = _number(field, first_text), _number(field, last_text)
    else:
        first = _number(field, first_text)
        last = field.high if slash else first
    if first <= last:
        return range(first, last + 1, step)
    if not field.wraps:
        raise CronError(text)
    return [*range(first, field.high + 1), *range(field.low, last + 1)][::step]


def _number(field: _Field, text: str) -> int:
    number = field.names.get(text)
    number = _plain(text) if number is None else number
    if not field.low <= number <= field.high:
        raise CronError(text)
    return number


def _plain(text: str) -> int:
    if not text.isdigit() or len(text) > 4:
        raise CronError(text)
    return int(text)


def _weekday(year: int, month: int, day: int) -> int:
    """Return 1 for Sunday to 7 for Saturday."""
    return date(year, month, day).isoweekday() % 7 + 1


def _workday_near(year: int, month: int, day: int, length: int) -> int:
    """Return the Monday to Friday nearest to a day, in the same month."""
    weekday = _weekday(year, month, day)
    if weekday == 7:
        return day - 1 if day > 1 else day + 2
    if weekday == 1:
        return day + 1 if day < length else day - 2
    return day
