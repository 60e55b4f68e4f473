"""Random bytes for ids: drawn from the system in pages, for every draw gives the interpreter's lock away."""

from __future__ import annotations

import os

_PAGE_BYTES = 4_096


class RandomBytes:
    """`os.urandom` by the page. Scope: the event loop's thread. No byte is given twice; keys are drawn elsewhere."""

    __slots__ = ("_page", "_place")

    def __init__(self) -> None:
        self._page = b""
        self._place = 0

    def __call__(self, count: int) -> bytes:
        """Return `count` random bytes that nobody can foretell."""
        place, end = self._place, self._place + count
        if end > len(self._page):
            if count > _PAGE_BYTES:
                return os.urandom(count)
            self._page = os.urandom(_PAGE_BYTES)
            place, end = 0, count
        self._place = end
        return self._page[place:end]
