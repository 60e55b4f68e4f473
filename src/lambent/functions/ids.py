"""Ids in AWS's form."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Ids:
    """Makes random UUIDs (RevisionId and the like). Keeps no state."""

    def __init__(self, random_bytes: Callable[[int], bytes]) -> None:
        self._random_bytes = random_bytes

    def new(self) -> str:
        """Return a UUID of version 4."""
        return str(uuid.UUID(bytes=self._random_bytes(16), version=4))
