"""From shapes to types that are kept and back: members of the same name, however deep; from templates to shapes."""

from __future__ import annotations

import functools
import typing
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_FALSE_AND_TRUE = {"false": False, "true": True}


def copied(source: object, kind: Callable[..., T], **others: object) -> T:
    """Return a `kind` (shape or dataclass) with the members of `source` that have its members' names, and `others`.

    Lists become tuples and nested types their namesakes, as `kind` declares them. A member that `source` lacks keeps
    its default.
    """
    members = dict(others)
    for name, hint in _hints(kind).items():
        value = getattr(source, name, None) if name not in others else None
        if value is not None:
            members[name] = _converted(value, hint)
    return kind(**members)


def given_members(request: Any) -> dict[str, Any]:
    """Return the members of a request that were given, by AWS's names."""
    pairs = zip(request.__struct_encode_fields__, request.__struct_fields__, strict=True)
    return {name: value for name, member in pairs if (value := getattr(request, member)) is not None}


def _converted(value: Any, hint: Any) -> Any:
    inner = next((one for one in get_args(hint) if one is not type(None)), None)
    origin = get_origin(hint)
    if origin is None or not get_args(hint):
        return copied(value, hint) if hasattr(hint, "__annotations__") and _is_record(hint) else value
    if origin in (list, tuple):
        return origin(_converted(item, inner) for item in value)
    if isinstance(value, dict) or hasattr(value, "items"):
        items = get_args(_stripped(hint))[1]
        return {key: _converted(item, items) for key, item in value.items()}
    return _converted(value, inner)


def _stripped(hint: Any) -> Any:
    """Return a mapping's hint without `| None`."""
    if type(None) in get_args(hint):
        return next(one for one in get_args(hint) if one is not type(None))
    return hint


def _is_record(kind: Any) -> bool:
    return hasattr(kind, "__struct_fields__") or hasattr(kind, "__dataclass_fields__")


@functools.lru_cache(maxsize=256)
def _hints(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind)


class ExtraneousKeyError(Exception):
    """A structure has a key that there is not; the message is CloudFormation's."""


def coerced(spec: Any, value: Any, path: str = "#") -> Any:
    """Return a template's value as a shape has it (`spec`: INPUT of a generated module), by members' names.

    Raises:
        ExtraneousKeyError: a key that the shape does not have. Source: observed, "Model validation failed".
    """
    kind = spec[0]
    if kind == "structure" and isinstance(value, dict):
        return _structure(spec[1], value, path)
    if kind == "list" and isinstance(value, list):
        return [coerced(spec[3], one, path) for one in value]
    if kind == "map" and isinstance(value, dict):
        return {str(key): coerced(spec[4], one, path) for key, one in value.items()}
    return _scalar(kind, value)


def _structure(members: dict[str, Any], value: dict[str, Any], path: str) -> dict[str, Any]:
    extraneous = [name for name in value if name not in members]
    if extraneous:
        found = ", ".join(f"{path}: extraneous key [{name}] is not permitted" for name in extraneous)
        raise ExtraneousKeyError(f"Model validation failed ({found})")
    return {
        name: coerced(members[name][0], one, f"{path}/{name}") for name, one in value.items() if one is not None
    }  # fmt: skip


def _scalar(kind: str, value: Any) -> Any:
    if kind == "string" and isinstance(value, bool):
        return "true" if value else "false"
    if kind == "string" and isinstance(value, int | float):
        return str(value)
    if kind == "boolean" and isinstance(value, str):
        return _FALSE_AND_TRUE.get(value.lower(), value)
    if isinstance(value, str) and kind in ("integer", "double", "timestamp"):
        try:
            return int(value) if kind == "integer" else float(value)
        except ValueError:
            return value
    if kind == "integer" and isinstance(value, float) and value.is_integer():
        return int(value)
    return value
