"""From shapes to types that are kept and back: members of the same name, however deep."""

from __future__ import annotations

import functools
import typing
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


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
