"""Ids in AWS's form."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Ids:
    """Makes random UUIDs (RevisionId and the like). Keeps no state."""

    def __init__(self, random_bytes: Callable[[int], bytes]) -> None:
        self._random_bytes = random_bytes

    def new(self) -> str:
        """Return a UUID of version 4."""
        # As uuid.UUID would, without making one: creating a function takes several.
        text = self._random_bytes(16).hex()
        variant = "89ab"[int(text[16], 16) & 3]
        return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{variant}{text[17:20]}-{text[20:]}"
