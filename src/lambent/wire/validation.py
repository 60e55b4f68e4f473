"""The constraints of the service description, checked and told in AWS's wording.

A specification is the tuple that scripts/generate writes: ("string", min, max, pattern, enum), ("integer", min, max),
("list", min, max, item), ("map", min, max, key, value), ("structure", members, required), ("any",) …
Source of the wording: recorded answers (lambda/test_lambda_api.json: "1 validation error detected: …").
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_VIOLATIONS_MAX = 50

# Lists in whose message AWS does not say that members must not be null.
# Source: recorded (test_invalid_vpc_config_security_group).
_UNNAMED_NULL = frozenset(("vpcConfig.securityGroupIds", "vpcConfig.subnetIds"))

# Secrets: a message never shows what was given. Source: observed.
_UNSHOWN = frozenset(("environment.variables",))

# Members of a character class for letters, numbers and separators; beyond Latin they are taken by their blocks.
_CATEGORIES = {
    r"\p{L}": "A-Za-z\u00aa\u00b5\u00ba\u00c0-\u02af\u0370-\u1fff\u2c00-\ud7ff\uf900-\ufffd\U00010000-\U0003ffff",
    r"\p{N}": "0-9\u00b2\u00b3\u00b9\u00bc-\u00be\u2070-\u2089\u2150-\u218b\u2460-\u249b",
    r"\p{Z}": " \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000",
}

# AWS lists these values in another order than its description does. Source: recorded (RecursiveLoop, InvokeMode,
# StartingPosition).
_ORDERS = {
    frozenset(order): order
    for order in (
        ("Terminate", "Allow"),
        ("RESPONSE_STREAM", "BUFFERED"),
        ("LATEST", "AT_TIMESTAMP", "TRIM_HORIZON"),
    )
}


class WrongTypeError(Exception):
    """A JSON value has another type than its member: AWS's SerializationException; the text is the message."""


def violations(spec: Any, value: Any) -> str | None:
    """Return AWS's message about everything in `value` that breaks `spec`, or None.

    Raises:
        WrongTypeError: a JSON type is wrong.
    """
    found: list[str] = []
    for violation in _check(spec, value, ""):
        found.append(violation)
        if len(found) == _VIOLATIONS_MAX:
            break
    if not found:
        return None
    noun = "error" if len(found) == 1 else "errors"
    return f"{len(found)} validation {noun} detected: " + "; ".join(found)


def member_path(path: str, member: str) -> str:
    """Return `path` with a member, spelled as AWS does in its messages: functionName, vpcConfig.subnetIds."""
    name = member[:1].lower() + member[1:]
    return f"{path}.{name}" if path else name


def _check(spec: Any, value: Any, path: str) -> Iterator[str]:
    kind = spec[0]
    if value is None or kind == "any":
        return
    _require_type(kind, value)
    if kind == "structure":
        yield from _check_structure(spec, value, path)
    elif kind == "list":
        yield from _bounds(spec, len(value), "length", value, path)
        yield from _check_items(spec[3], value, path)
    elif kind == "map":
        yield from _bounds(spec, len(value), "length", value, path)
        yield from _check_map(spec, value, path)
    else:
        for constraint in _scalar_constraints(spec, value):
            yield _violation(_as_read(spec, value), path, constraint)


def _check_structure(spec: Any, value: dict[str, Any], path: str) -> Iterator[str]:
    members, required = spec[1], spec[2]
    for member in required:
        if value.get(member) is None:
            yield f"Value null at '{member_path(path, member)}' failed to satisfy constraint: Member must not be null"
    for member, (inner, _location, _name) in members.items():
        if member in value and not _is_sound(inner, value[member]):
            yield from _check(inner, value[member], member_path(path, member))


def _is_sound(spec: Any, value: Any) -> bool:
    """Whether a value is a scalar with nothing wrong: most are, and for them no path and no generator is made."""
    kind = spec[0]
    if kind == "string":
        if type(value) is not str or (spec[4] is not None and value not in spec[4]):
            return False
        low, high, pattern = spec[1], spec[2], spec[3]
        if (high is not None and len(value) > high) or (low is not None and len(value) < low):
            return False
        return pattern is None or _pattern(pattern).fullmatch(value) is not None
    if kind == "integer":
        low, high = (*spec, None, None)[1:3]
        return type(value) is int and (low is None or value >= low) and (high is None or value <= high)
    return (kind == "boolean" and type(value) is bool) or (kind == "blob" and type(value) is str)


def _check_items(item: Any, value: list[Any], path: str) -> Iterator[str]:
    if item[0] in ("structure", "list", "map"):
        for index, element in enumerate(value, 1):
            yield from _check(item, element, f"{path}.{index}.member")
        return
    for element in value:
        if element is not None:
            _require_type(item[0], element)
    if any(element is None or list(_scalar_constraints(item, element)) for element in value):
        described = _described(item, with_null=path not in _UNNAMED_NULL)
        yield _violation(value, path, f"Member must satisfy constraint: [{', '.join(described)}]")


def _check_map(spec: Any, value: dict[str, Any], path: str) -> Iterator[str]:
    key_spec, value_spec = spec[3], spec[4]
    if any(list(_scalar_constraints(key_spec, key)) for key in value):
        yield _violation(value, path, f"Map keys must satisfy constraint: [{', '.join(_described(key_spec, False))}]")
    if value_spec[0] in ("structure", "list", "map"):
        for key, element in value.items():
            yield from _check(value_spec, element, f"{path}.{key}.member")
        return
    for element in value.values():
        if element is not None:
            _require_type(value_spec[0], element)
    if any(element is None or list(_scalar_constraints(value_spec, element)) for element in value.values()):
        yield _violation(
            _as_read(value_spec, value),
            path,
            f"Map value must satisfy constraint: [{', '.join(_described(value_spec))}]",
        )


def _scalar_constraints(spec: Any, value: Any) -> Iterator[str]:
    """Yield the constraints of a scalar that `value` breaks."""
    kind, low, high = (*spec, None, None)[:3]
    if kind in ("integer", "double"):
        if high is not None and value > high:
            yield f"Member must have value less than or equal to {_number(kind, high)}"
        if low is not None and value < low:
            yield f"Member must have value greater than or equal to {_number(kind, low)}"
    elif kind == "string":
        if spec[4] is not None and value not in spec[4]:
            yield f"Member must satisfy enum value set: [{_listed(spec[4])}]"
        if high is not None and len(value) > high:
            yield f"Member must have length less than or equal to {high}"
        if low is not None and len(value) < low:
            yield f"Member must have length greater than or equal to {low}"
        if spec[3] is not None and _pattern(spec[3]).fullmatch(value) is None:
            yield f"Member must satisfy regular expression pattern: {spec[3]}"


def _described(spec: Any, with_null: bool = True) -> list[str]:
    """Return all constraints of a scalar, as AWS lists them for members of lists and maps."""
    kind, low, high = (*spec, None, None)[:3]
    parts: list[str] = []
    if kind == "string" and spec[4] is not None:
        parts.append(f"Member must satisfy enum value set: [{_listed(spec[4])}]")
    noun = "value" if kind in ("integer", "double") else "length"
    if high is not None:
        parts.append(f"Member must have {noun} less than or equal to {_number(kind, high)}")
    if low is not None:
        parts.append(f"Member must have {noun} greater than or equal to {_number(kind, low)}")
    if kind == "string" and spec[3] is not None:
        parts.append(f"Member must satisfy regular expression pattern: {spec[3]}")
    if with_null:
        parts.append("Member must not be null")
    return parts


def _listed(values: tuple[str, ...]) -> str:
    return ", ".join(_ORDERS.get(frozenset(values), values))


def _bounds(spec: Any, size: int, noun: str, value: Any, path: str) -> Iterator[str]:
    if spec[2] is not None and size > spec[2]:
        yield _violation(value, path, f"Member must have {noun} less than or equal to {spec[2]}")
    if spec[1] is not None and size < spec[1]:
        yield _violation(value, path, f"Member must have {noun} greater than or equal to {spec[1]}")


def _as_read(spec: Any, value: Any) -> Any:
    """Return a value as AWS has read it when it speaks of it: 2 is 2.0 where a double is meant."""
    if spec[0] != "double" or value is None:
        return value
    if isinstance(value, dict):
        return {key: _as_read(spec, element) for key, element in value.items()}
    return float(value)


def _violation(value: Any, path: str, constraint: str) -> str:
    if path in _UNSHOWN:
        return f"Value at '{path}' failed to satisfy constraint: {constraint}"
    return f"Value '{_rendered(value)}' at '{path}' failed to satisfy constraint: {constraint}"


def _rendered(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + ", ".join(_rendered(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}={_rendered(item)}" for key, item in value.items()) + "}"
    return "null" if value is None else str(value)


def _number(kind: str, value: float) -> str:
    return str(float(value)) if kind == "double" else str(value)


def _require_type(kind: str, value: Any) -> None:
    if kind == "structure":
        _require(isinstance(value, dict), value, "Unexpected field type")
    elif kind == "map":
        _require(isinstance(value, dict), value, "Expected map or null")
    elif kind == "list":
        _require(isinstance(value, list), value, "Expected list or null")
    elif kind in ("string", "blob"):
        _require(isinstance(value, str), value, f"{_token(value)} can not be converted to a String")
    elif kind == "integer":
        is_integer = isinstance(value, int) and not isinstance(value, bool)
        is_integer = is_integer or (isinstance(value, float) and value.is_integer())
        _require(is_integer, value, f"{_token(value)} can not be converted to an Integer")
    elif kind == "double":
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        _require(is_number, value, f"{_token(value)} can not be converted to a Double")
    elif kind == "boolean":
        _require(isinstance(value, bool), value, f"{_token(value)} can not be converted to a Boolean")


def _require(condition: bool, value: Any, message: str) -> None:
    if not condition:
        if isinstance(value, dict | list):
            message = "Start of structure or map found where not expected."
        raise WrongTypeError(message)


def _token(value: Any) -> str:
    if isinstance(value, bool):
        return "TRUE_VALUE" if value else "FALSE_VALUE"
    if isinstance(value, int):
        return "NUMBER_VALUE"
    return "DECIMAL_VALUE" if isinstance(value, float) else "STRING_VALUE"


@functools.lru_cache(maxsize=512)
def _pattern(text: str) -> re.Pattern[str]:
    # The description's patterns are Java's; Unicode categories are all that Python's re lacks (a test compiles all).
    for category, characters in _CATEGORIES.items():
        text = text.replace(category, characters)
    return re.compile(text)
