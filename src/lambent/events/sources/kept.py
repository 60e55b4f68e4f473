"""What pollers have kept of a mapping outlives them, and goes when the mapping is deleted."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from lambent.model.errors import LambdaError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from lambent.store.queues.contracts import Leases

_KIND = "shard/"
# A mapping that another daemon has just made is known here long before that.
_SWEEP_SECONDS = 60.0


def kept_prefix(mapping_id: str) -> str:
    """Return how the names of a mapping's leases begin; their values are its checkpoints."""
    return f"{_KIND}{mapping_id}/"


class KeptCheckpoints:
    """Removes checkpoints. Scope: process; keeps nothing. What a crash left behind goes after the next start."""

    def __init__(self, leases: Leases) -> None:
        self._leases = leases
        self._log = logging.getLogger(__name__)

    async def forget(self, mapping_id: str) -> None:
        """Remove all that is kept of a mapping. Never raises: what stays is found by a later `sweep`."""
        try:
            await self._leases.forget(kept_prefix(mapping_id))
        except LambdaError as error:
            self._log.warning("the checkpoints of event source mapping %s could not be removed: %s", mapping_id, error)

    async def sweep(self, known: Callable[[], Collection[str]], seconds: float = _SWEEP_SECONDS) -> None:
        """Remove what is kept of mappings that are not `known` when `seconds` have passed. Never raises."""
        try:
            names = await self._leases.names(_KIND)
        except LambdaError as error:
            self._log.warning("the checkpoints of event sources could not be listed: %s", error)
            return
        await asyncio.sleep(seconds)
        for mapping_id in {name.split("/")[1] for name in names} - set(known()):
            await self.forget(mapping_id)
