"""What a layer may say it is compatible with, in AWS's words and AWS's order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambent.functions.definition.runtimes import DEPRECATED, NEWER, SUPPORTED
from lambent.model.errors import ValidationError

if TYPE_CHECKING:
    from collections.abc import Sequence

_ARCHITECTURES = ("x86_64", "arm64")
_KNOWN = frozenset((*SUPPORTED, *DEPRECATED, *NEWER))

# What a listing may be narrowed to, names of AWS's own among them. Source: recorded (test_layer_exceptions).
_FILTERS = (
    "ruby3.5", "ruby2.6", "dotnetcore1.0", "python3.7", "nodejs8.10", "nasa", "ruby2.7", "python2.7-greengrass",
    "dotnetcore2.0", "python3.8", "java21", "dotnet6", "dotnetcore2.1", "python3.9", "java11", "nodejs6.10",
    "provided", "dotnetcore3.1", "dotnet8", "java25", "java17", "nodejs", "nodejs4.3", "java8.al2", "go1.x",
    "dotnet10", "nodejs20.x", "go1.9", "byol", "nodejs10.x", "provided.al2023", "nodejs22.x", "python3.10", "java8",
    "nodejs12.x", "python3.11", "nodejs24.x", "nodejs8.x", "python3.12", "nodejs14.x", "nodejs8.9", "nodejs26.x",
    "python3.13", "python3.14", "nodejs16.x", "python3.15", "provided.al2", "nodejs4.3-edge", "nodejs18.x",
    "ruby3.2", "python3.4", "ruby3.3", "ruby3.4", "ruby2.5", "python3.6", "python2.7",
)  # fmt: skip


def check_compatibilities(runtimes: Sequence[str] | None, architectures: Sequence[str] | None) -> None:
    """Refuse names that are none.

    Raises:
        ValidationError: all that is wrong, at once (400). Source: recorded (test_layer_exceptions).
    """
    found = []
    if not _KNOWN.issuperset(runtimes or ()):
        found.append(_wrong(_listed(runtimes), "compatibleRuntimes", _one_of(SUPPORTED)))
    if not set(_ARCHITECTURES).issuperset(architectures or ()):
        constraint = f"Member must satisfy constraint: [{_one_of(_ARCHITECTURES)}, Member must not be null]"
        found.append(_wrong(_listed(architectures), "compatibleArchitectures", constraint))
    if found:
        noun = "error" if len(found) == 1 else "errors"
        raise ValidationError(f"{len(found)} validation {noun} detected: {'; '.join(found)}")


def check_filter(runtime: str | None) -> None:
    """Refuse to narrow a listing to what is no runtime. Raises ValidationError (400). Source: as above."""
    if runtime is not None and runtime not in _KNOWN and runtime not in _FILTERS:
        raise ValidationError(f"1 validation error detected: {_wrong(runtime, 'compatibleRuntime', _one_of(_FILTERS))}")


def _listed(names: Sequence[str] | None) -> str:
    return f"[{', '.join(names or ())}]"


def _one_of(names: Sequence[str]) -> str:
    return f"Member must satisfy enum value set: [{', '.join(names)}]"


def _wrong(value: str, member: str, constraint: str) -> str:
    return f"Value '{value}' at '{member}' failed to satisfy constraint: {constraint}"
