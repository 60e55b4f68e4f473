"""Which interpreter serves an identifier: the version asked for, or the nearest that our runtime clients support."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from lambent.environments.runtimes.identifiers import Language
from lambent.environments.sandbox.sandbox import Interpreter, RuntimeFamily

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lambent.environments.runtimes.identifiers import RuntimeIdentifier

# What our clients run on; older and newer identifiers take the nearest of these.
_CLIENT_VERSIONS = {
    Language.PYTHON: ((3, 8), (3, 99)),
    Language.NODEJS: ((16,), (99,)),
    Language.RUBY: ((2, 7), (9, 99)),
    Language.JAVA: ((8,), (99,)),
}
FAMILIES = {
    Language.PYTHON: RuntimeFamily.PYTHON,
    Language.NODEJS: RuntimeFamily.NODEJS,
    Language.RUBY: RuntimeFamily.RUBY,
    Language.JAVA: RuntimeFamily.JAVA,
}


def nearest(
    identifier: RuntimeIdentifier, interpreters: Sequence[Interpreter], *, is_exact: bool = False
) -> Interpreter | None:
    """Return the best interpreter: the exact version with the highest patch, else the nearest, newer before older."""
    bounds = _CLIENT_VERSIONS.get(identifier.language)
    if bounds is None or not identifier.version or identifier.name == "python2.7":
        return None
    low, high = bounds
    usable = [
        each
        for each in interpreters
        if each.family is FAMILIES[identifier.language] and low <= parse_version(each.version)[: len(low)] <= high
    ]
    exact = [each for each in usable if is_exact_version(identifier, each)]
    if exact:
        return max(exact, key=lambda each: parse_version(each.version))
    if is_exact or not usable:
        return None
    width = len(low)
    wanted = identifier.version[:width]

    def distance(each: Interpreter) -> tuple[int, int, tuple[int, ...]]:
        found = parse_version(each.version)
        # A new major number is farther than any minor one: Ruby 3.1 is nearer to 2.7 than 3.4 is.
        gap = _ordinal(found[:width]) - _ordinal(wanted)
        return abs(gap), 0 if gap > 0 else 1, tuple(-part for part in found)

    return min(usable, key=distance)


@functools.lru_cache(maxsize=256)
def parse_version(text: str) -> tuple[int, ...]:
    """Return "3.11.7" as (3, 11, 7); what is not a number ends it."""
    parts: list[int] = []
    for part in text.split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        parts.append(int(digits))
    return tuple(parts)


def _ordinal(parts: tuple[int, ...]) -> int:
    return sum(part * 1_000**place for place, part in enumerate(reversed(parts)))


def is_exact_version(identifier: RuntimeIdentifier, interpreter: Interpreter) -> bool:
    """Whether an interpreter has the identifier's own version, whatever its patch."""
    width = len(_CLIENT_VERSIONS[identifier.language][0])
    return parse_version(interpreter.version)[:width] == identifier.version[:width]


def version_text(identifier: RuntimeIdentifier, interpreter: Interpreter) -> str:
    """Return what INIT_START says: "python:3.11.v7"."""
    parts = parse_version(interpreter.version)
    if identifier.language is Language.PYTHON:
        return f"python:{text_of(parts[:2])}.v{text_of(parts[2:]) or '0'}"
    if identifier.language is Language.RUBY:
        return f"ruby:{text_of(parts[:2])}.v{text_of(parts[2:]) or '0'}"
    if identifier.language is Language.JAVA:
        return f"java:{text_of(parts[:1])}.v{text_of(parts[2:]) or '0'}"
    return f"nodejs:{text_of(parts[:1])}.v{text_of(parts[1:]) or '0'}"


@functools.lru_cache(maxsize=256)
def text_of(parts: tuple[int, ...]) -> str:
    """Return (3, 11) as "3.11"."""
    return ".".join(map(str, parts))
