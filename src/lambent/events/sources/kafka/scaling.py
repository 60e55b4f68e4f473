"""How many members of a group a mapping in provisioned mode has at a moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lambent.model.configs.event_source import EventSourceMapping

# Source: service description, ProvisionedPollerConfig: the defaults for Kafka.
_MINIMUM = 1
_MAXIMUM = 200
# A poller that has more than so many batches before it needs another beside it.
_BATCHES_BEHIND = 2
# So often in a row must there be too much, or nothing, before anything changes: each change moves partitions.
_LOOKS_UP = 2
_LOOKS_DOWN = 10


class Scaling:
    """Scope: mapping. Doubles while the pollers are behind, takes one away when they have long had nothing to do."""

    def __init__(self) -> None:
        self._behind = 0
        self._idle = 0

    def wanted(self, mapping: EventSourceMapping, running: int, lag: int, partitions: int) -> int:
        """Return how many members there shall be, when `running` do and `lag` records of `partitions` wait."""
        config = mapping.provisioned_poller_config
        if config is None:
            return 1
        least = config.minimum_pollers or _MINIMUM
        most = max(least, config.maximum_pollers or _MAXIMUM)
        self._behind = self._behind + 1 if lag > _BATCHES_BEHIND * (mapping.batch_size or 1) * running else 0
        self._idle = self._idle + 1 if not lag else 0
        wanted = running
        if self._behind >= _LOOKS_UP:
            # More than one for each partition would have nothing to read.
            wanted, self._behind = max(running, min(2 * running, partitions)), 0
        elif self._idle >= _LOOKS_DOWN:
            wanted, self._idle = running - 1, 0
        return min(max(wanted, least), most)
