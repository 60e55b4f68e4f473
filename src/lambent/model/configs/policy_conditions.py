"""Conditions of policy statements: operators, their forms IfExists, ForAnyValue and ForAllValues, wildcards.

Source: IAM user guide, "Condition operators" and "Multivalued context keys".
"""

from __future__ import annotations

import ipaddress
import re
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_ARN_PARTS = 6


class Condition(Struct, frozen=True):
    """One key of one operator: `operator` as written ("StringEqualsIfExists"), any of `values` may match."""

    operator: str
    key: str
    values: tuple[str, ...]


def is_met(condition: Condition, context: Mapping[str, str]) -> bool:
    """Return whether a request's `context` (keys in lower case) meets the condition.

    A key that the request does not have meets only negated operators and those that end in IfExists.
    """
    quantifier, _, written = condition.operator.rpartition(":")
    operator = written.removesuffix("IfExists")
    given = context.get(condition.key.lower())
    if operator == "Null":
        return any((given is None) is (value.lower() == "true") for value in condition.values)
    matches, is_negated = OPERATORS[operator]
    if given is None:
        return is_negated or operator != written or quantifier == "ForAllValues"
    return any(matches(value, given) for value in condition.values) is not is_negated


def is_like(pattern: str, text: str) -> bool:
    """Return whether `text` is `pattern`, where * stands for any characters and ? for one.

    Each piece between stars is taken where it first fits, so a hostile pattern costs no more than a search.
    """
    first, *others = pattern.split("*")
    if not others:
        return len(text) == len(first) and _fits(first, text, 0)
    middle, last = others[:-1], others[-1]
    end = len(text) - len(last)
    if len(first) > end or not _fits(first, text, 0) or not _fits(last, text, end):
        return False
    position = len(first)
    for piece in middle:
        position = _find(piece, text, position, end)
        if position < 0:
            return False
        position += len(piece)
    return True


def _find(piece: str, text: str, start: int, end: int) -> int:
    if "?" not in piece:
        return text.find(piece, start, end)
    found = re.compile(re.escape(piece).replace(r"\?", "."), re.DOTALL).search(text, start, end)
    return -1 if found is None else found.start()


def _fits(piece: str, text: str, position: int) -> bool:
    if "?" not in piece:
        return text.startswith(piece, position)
    return len(text) >= position + len(piece) and all(
        wanted in ("?", found) for wanted, found in zip(piece, text[position:], strict=False)
    )


def _equals(value: str, given: str) -> bool:
    return value == given


def _equals_in_any_case(value: str, given: str) -> bool:
    return value.casefold() == given.casefold()


def _is_arn_like(value: str, given: str) -> bool:
    wanted, found = value.split(":", _ARN_PARTS - 1), given.split(":", _ARN_PARTS - 1)
    if len(wanted) != _ARN_PARTS or len(found) != _ARN_PARTS:
        return value == "*"
    return all(is_like(pattern, part) for pattern, part in zip(wanted, found, strict=True))


def _is_in_network(value: str, given: str) -> bool:
    try:
        return ipaddress.ip_address(given) in ipaddress.ip_network(value, strict=False)
    except ValueError:
        return False


def _compared(compare: Callable[[float, float], bool]) -> Callable[[str, str], bool]:
    def matches(value: str, given: str) -> bool:
        try:
            return compare(float(given), float(value))
        except ValueError:
            return False

    return matches


def _compared_dates(compare: Callable[[float, float], bool]) -> Callable[[str, str], bool]:
    def matches(value: str, given: str) -> bool:
        try:
            return compare(_moment(given), _moment(value))
        except (ValueError, OverflowError):
            return False

    return matches


def _moment(text: str) -> float:
    if text.isdigit():
        return float(text)
    found = datetime.fromisoformat(text)
    return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()


_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "Equals": lambda given, value: given == value,
    "LessThan": lambda given, value: given < value,
    "LessThanEquals": lambda given, value: given <= value,
    "GreaterThan": lambda given, value: given > value,
    "GreaterThanEquals": lambda given, value: given >= value,
}

# Operator → (how one value is compared, whether the outcome is turned round). Null is told apart by its name.
OPERATORS: Mapping[str, tuple[Callable[[str, str], bool], bool]] = MappingProxyType(
    {
        "StringEquals": (_equals, False),
        "StringNotEquals": (_equals, True),
        "StringEqualsIgnoreCase": (_equals_in_any_case, False),
        "StringNotEqualsIgnoreCase": (_equals_in_any_case, True),
        "StringLike": (is_like, False),
        "StringNotLike": (is_like, True),
        "ArnEquals": (_is_arn_like, False),
        "ArnLike": (_is_arn_like, False),
        "ArnNotEquals": (_is_arn_like, True),
        "ArnNotLike": (_is_arn_like, True),
        "BinaryEquals": (_equals, False),
        "Bool": (_equals_in_any_case, False),
        "IpAddress": (_is_in_network, False),
        "NotIpAddress": (_is_in_network, True),
        "Null": (_equals, False),
        **{f"Numeric{name}": (_compared(compare), False) for name, compare in _COMPARISONS.items()},
        "NumericNotEquals": (_compared(_COMPARISONS["Equals"]), True),
        **{f"Date{name}": (_compared_dates(compare), False) for name, compare in _COMPARISONS.items()},
        "DateNotEquals": (_compared_dates(_COMPARISONS["Equals"]), True),
    }
)
