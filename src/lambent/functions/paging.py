"""Markers: where the next page begins, as text that a client gives back as it is."""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, TypeVar

from lambent.model.errors import InvalidParameterValueError

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")

# Source: API reference, ListFunctions and ListVersionsByFunction: at most 50 in a response, whatever is asked.
PAGE_MAX = 50


def page_size(max_items: int | None) -> int:
    """Return how many items the answer may have."""
    return min(max_items or PAGE_MAX, PAGE_MAX)


def marker_of(*place: str) -> str:
    """Return the marker for the page after `place`, the identity of the last item of this one."""
    return base64.urlsafe_b64encode(json.dumps(place, separators=(",", ":")).encode()).decode()


def place_of(marker: str | None, length: int) -> tuple[str, ...] | None:
    """Return the place, of `length` parts, that `marker_of` was given; None without a marker.

    Raises:
        InvalidParameterValueError: it is no marker of ours (400).
    """
    if not marker:
        return None
    try:
        place = json.loads(base64.b64decode(marker, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        place = None
    if not isinstance(place, list) or len(place) != length or not all(_is_part(part) for part in place):
        raise InvalidParameterValueError("Invalid marker.")
    return tuple(place)


def cut(found: Sequence[T], limit: int) -> tuple[Sequence[T], T | None]:
    """Return the page out of up to `limit` + 1 items, and its last item if there are more."""
    return (found[:limit], found[limit - 1]) if len(found) > limit else (found, None)


def _is_part(part: object) -> bool:
    # A forged one may hold what no database takes: NUL, half a surrogate pair.
    return isinstance(part, str) and part.isprintable()
