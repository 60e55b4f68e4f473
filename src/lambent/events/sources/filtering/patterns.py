"""EventBridge's pattern language, as filters of event source mappings use it: does an event match?

    {"body": {"price": [{"numeric": [">", 0, "<=", 5]}], "$or": [{"a": ["x"]}, {"b": [{"exists": false}]}]}}

Members of an object must all match; of the alternatives in a list one must. An event's list matches when one of its
elements does. Source: EventBridge user guide, "Comparison operators"; for corners AWS's own library
of it, event-ruler.
"""

from __future__ import annotations

import ipaddress
import json
import re
from functools import partial
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Matches = Callable[[Any], bool]


class _Absent:
    """The value of a member that is not there."""


ABSENT: Final = _Absent()
_NOWHERE = [{"exists": False}]
# What a comparison is asked with: a string, number, boolean, None, or ABSENT.
_COMPARE = {
    "=": lambda value, bound: value == bound,
    "<": lambda value, bound: value < bound,
    "<=": lambda value, bound: value <= bound,
    ">": lambda value, bound: value > bound,
    ">=": lambda value, bound: value >= bound,
}


class Pattern:
    """One pattern, ready to be asked. Immutable. The text must have passed `filters.is_pattern`."""

    __slots__ = ("_matches", "members")

    def __init__(self, text: str) -> None:
        pattern = json.loads(text)
        self.members: Mapping[str, Any] = pattern
        self._matches = _object(pattern)

    def matches(self, document: object) -> bool:
        """Whether a decoded JSON value matches."""
        return self._matches(document)


def _object(pattern: Mapping[str, Any]) -> Matches:
    parts: list[Matches] = []
    absences: list[Matches] = []
    for key, value in pattern.items():
        if key == "$or":
            parts.append(_any_of([_object(one) for one in value]))
        else:
            kind = absences if value == _NOWHERE else parts
            kind.append(partial(_member, key, _value(value)))

    def matches(value: object) -> bool:
        if isinstance(value, list):
            inner = [one for one in value if isinstance(one, dict | list)]
            if not inner:
                return matches(ABSENT)
            # What must be there is in one and the same element; what must not be there is in none.
            return any(
                all(part(one) for part in parts) if isinstance(one, dict) else matches(one) for one in inner
            ) and (all(part(one) for part in absences for one in inner))
        if not isinstance(value, dict):
            value = ABSENT
        return all(part(value) for part in (*parts, *absences))

    return matches


def _member(key: str, matches: Matches, value: object) -> bool:
    return matches(value.get(key, ABSENT) if isinstance(value, dict) else ABSENT)


def _value(pattern: dict[str, Any] | list[Any]) -> Matches:
    if isinstance(pattern, dict):
        return _object(pattern)
    return _leaf([_alternative(one) for one in pattern])


def _any_of(choices: Sequence[Matches]) -> Matches:
    return lambda value: any(matches(value) for matches in choices)


def _leaf(alternatives: Sequence[Matches]) -> Matches:
    any_alternative = _any_of(alternatives)

    def matches(value: object) -> bool:
        if isinstance(value, list):
            # An empty list, as a list of objects, has no value that could be compared.
            leaves = list(_leaves(value))
            return any(map(any_alternative, leaves)) if leaves else any_alternative(ABSENT)
        # Only leaves are compared: an object in its place is no value.
        return any_alternative(ABSENT if isinstance(value, dict) else value)

    return matches


def _leaves(values: Sequence[Any]) -> Sequence[Any]:
    """Return the values of a list, those of lists in it included."""
    found: list[Any] = []
    waiting = list(reversed(values))
    while waiting:
        one = waiting.pop()
        if isinstance(one, list):
            waiting += reversed(one)
        elif not isinstance(one, dict):
            found.append(one)
    return found


def _alternative(pattern: object) -> Matches:
    if not isinstance(pattern, dict):
        return partial(_is_equal, pattern)
    ((operator, operand),) = pattern.items()
    if operator == "exists":
        return lambda value: (value is not ABSENT) is operand
    if operator == "numeric":
        return partial(_is_in_range, operand)
    if operator == "cidr":
        return partial(_is_in_network, ipaddress.ip_network(operand, strict=False))
    if operator == "anything-but":
        return partial(_is_anything_but, _excluded(operand))
    return partial(_is_text_that, _text(operator, operand))


def _is_equal(wanted: object, value: object) -> bool:
    if isinstance(wanted, bool) or isinstance(value, bool) or wanted is None:
        return value is wanted
    if isinstance(wanted, str) or isinstance(value, str):
        return isinstance(value, str) and wanted == value
    return isinstance(value, int | float) and bool(wanted == value)


def _is_in_range(operand: Sequence[Any], value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return all(_COMPARE[sign](value, bound) for sign, bound in zip(operand[::2], operand[1::2], strict=True))


def _is_in_network(network: ipaddress.IPv4Network | ipaddress.IPv6Network, value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        return ipaddress.ip_address(value) in network
    except ValueError:
        return False


def _is_text_that(matches: Callable[[str], bool], value: object) -> bool:
    return isinstance(value, str) and matches(value)


def _is_anything_but(is_excluded: Matches, value: object) -> bool:
    return value is not ABSENT and not is_excluded(value)


def _excluded(operand: object) -> Matches:
    if isinstance(operand, dict):
        ((operator, excluded),) = operand.items()
        texts = excluded if isinstance(excluded, list) else [excluded]
        return _any_of([partial(_is_text_that, _text(operator, one)) for one in texts])
    values = operand if isinstance(operand, list) else [operand]
    return _any_of([partial(_is_equal, one) for one in values])


def _text(operator: str, operand: str | dict[str, str]) -> Callable[[str], bool]:
    is_folded = isinstance(operand, dict)
    if isinstance(operand, dict):
        operand = operand["equals-ignore-case"]
    match operator:
        case "prefix":
            return partial(_begins, operand.lower() if is_folded else operand, is_folded)
        case "suffix":
            return partial(_ends, operand.lower() if is_folded else operand, is_folded)
        case "equals-ignore-case":
            folded = operand.lower()
            return lambda text: text.lower() == folded
        case _:
            wildcard = _wildcard(operand)
            return lambda text: wildcard.fullmatch(text) is not None


def _begins(text: str, is_folded: bool, value: str) -> bool:
    return (value.lower() if is_folded else value).startswith(text)


def _ends(text: str, is_folded: bool, value: str) -> bool:
    return (value.lower() if is_folded else value).endswith(text)


def _wildcard(text: str) -> re.Pattern[str]:
    """Return the expression for `*` as anything, `\\*` and `\\\\` as these characters. It never looks back twice."""
    pieces: list[str] = [""]
    position = 0
    while position < len(text):
        one = text[position]
        if one == "*":
            pieces.append("")
        elif one == "\\" and position + 1 < len(text):
            position += 1
            pieces[-1] += text[position]
        else:
            pieces[-1] += one
        position += 1
    first, *rest = map(re.escape, pieces)
    if not rest:
        return re.compile(first, re.DOTALL)
    # Atomic groups: each piece is found at its first place and never looked for again, so the time stays linear.
    *middle, last = rest
    found = "".join(f"(?>.*?{piece})" for piece in middle if piece)
    return re.compile(f"{first}{found}.*{last}", re.DOTALL)
