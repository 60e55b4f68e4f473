"""Values of templates as operations take them: a number may stand there as a text, and the reverse."""

from __future__ import annotations

from typing import Any

_FALSE_AND_TRUE = {"false": False, "true": True}


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
