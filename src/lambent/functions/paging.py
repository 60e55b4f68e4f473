"""Markers: where the next page begins, as text that a client gives back as it is."""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Protocol, TypeVar

from lambent.model.errors import InvalidParameterValueError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lambent.model.arn import FunctionArn
    from lambent.store import Resources

T = TypeVar("T")


class Qualified(Protocol):
    """What hangs on a function, a version or an alias."""

    @property
    def qualifier(self) -> str:
        """Its qualifier, as it is ordered by."""


class PagedRequest(Protocol):
    """A request for a page."""

    @property
    def marker(self) -> str | None:
        """Where it begins."""

    @property
    def max_items(self) -> int | None:
        """How long it may be."""


Q = TypeVar("Q", bound=Qualified)

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


async def page_of_function(
    resources: Resources, resource: type[Q], arn: FunctionArn, request: PagedRequest
) -> tuple[Sequence[Q], str | None]:
    """Return a page of what hangs on a function's qualifiers, in their order, and the next page's marker if any.

    Raises:
        InvalidParameterValueError: see `place_of` (400).
    """
    place = place_of(request.marker, 1)
    limit = page_size(request.max_items)
    after = None if place is None else (arn.name, place[0])
    found = await resources.page(resource, arn.account_id, arn.region, name=arn.name, after=after, limit=limit + 1)
    page, last = cut(found, limit)
    return page, None if last is None else marker_of(last.qualifier)


def _is_part(part: object) -> bool:
    # A forged one may hold what no database takes: NUL, half a surrogate pair.
    return isinstance(part, str) and part.isprintable()
