"""Filters of event source mappings: what a pattern may be.

Source: developer guide, "Control which events Lambda sends to your function"; EventBridge guide, "Event patterns".
"""

from __future__ import annotations

import ipaddress
import json
from typing import TYPE_CHECKING

from lambent.model.errors import InvalidParameterValueError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lambent.model.configs.event_source import FilterCriteria

FILTERS_MAX = 5

_COMPARISONS = frozenset(("=", "<", "<=", ">", ">="))
_TEXT_OPERATORS = frozenset(("prefix", "suffix", "equals-ignore-case", "wildcard"))


def check_filters(criteria: FilterCriteria | None) -> None:
    """Refuse criteria that are no patterns.

    Raises:
        InvalidParameterValueError: one is no pattern, or there are more than five (400).
    Source: recorded (test_sqs_invalid_event_filter).
    """
    filters = (criteria.filters or ()) if criteria is not None else ()
    if len(filters) > FILTERS_MAX:
        raise InvalidParameterValueError(f"The number of filters must be less than or equal to {FILTERS_MAX}.")
    for one in filters:
        if one.pattern is not None and not is_pattern(one.pattern):
            raise InvalidParameterValueError("Invalid filter pattern definition.")


def is_pattern(text: str) -> bool:
    """Whether a text is a pattern: an object whose every path ends in a list of values and comparisons."""
    try:
        pattern = json.loads(text)
        return isinstance(pattern, dict) and _is_object(pattern)
    except (ValueError, RecursionError):
        return False


def _is_object(pattern: Mapping[str, object]) -> bool:
    return all(_is_member(key, value) for key, value in pattern.items())


def _is_member(key: str, value: object) -> bool:
    if key == "$or":
        if not isinstance(value, list) or len(value) < 2:
            return False
        return all(isinstance(one, dict) and bool(one) and _is_object(one) for one in value)
    if isinstance(value, dict):
        return bool(value) and _is_object(value)
    return isinstance(value, list) and bool(value) and all(_is_alternative(one) for one in value)


def _is_alternative(value: object) -> bool:
    if not isinstance(value, dict):
        return not isinstance(value, list)
    if len(value) != 1:
        return False
    operator, operand = next(iter(value.items()))
    if operator == "exists":
        return isinstance(operand, bool)
    if operator == "numeric":
        return _is_range(operand)
    if operator == "cidr":
        return _is_network(operand)
    if operator == "anything-but":
        return _is_exclusion(operand)
    return operator in _TEXT_OPERATORS and _is_text(operand)


def _is_text(operand: object) -> bool:
    if isinstance(operand, dict):
        return set(operand) == {"equals-ignore-case"} and isinstance(operand["equals-ignore-case"], str)
    return isinstance(operand, str)


def _is_exclusion(operand: object) -> bool:
    if isinstance(operand, dict):
        return len(operand) == 1 and set(operand) <= _TEXT_OPERATORS and all(map(_is_exclusion, operand.values()))
    if not isinstance(operand, list):
        return _is_plain(operand)
    return bool(operand) and all(_is_plain(one) for one in operand)


def _is_network(operand: object) -> bool:
    if not isinstance(operand, str) or "/" not in operand:
        return False
    try:
        ipaddress.ip_network(operand, strict=False)
    except ValueError:
        return False
    return True


def _is_plain(operand: object) -> bool:
    return isinstance(operand, str | int | float) and not isinstance(operand, bool)


def _is_range(operand: object) -> bool:
    if not isinstance(operand, list) or len(operand) not in (2, 4):
        return False
    comparisons, numbers = operand[::2], operand[1::2]
    return all(isinstance(one, str) and one in _COMPARISONS for one in comparisons) and all(
        isinstance(one, int | float) and not isinstance(one, bool) for one in numbers
    )
