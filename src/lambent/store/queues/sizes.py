"""How full the queues are, and who may still put."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambent.model.errors import TooManyRequestsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lambent.store.queues.contracts import QueueBounds, QueueKey

# The longest queue against the room that is left for all.
_SHARE = 4


class QueueSizes:
    """Events and bytes of every queue, in memory. Scope: process; read from the store when it is opened."""

    def __init__(self, bounds: QueueBounds, sizes: Mapping[QueueKey, tuple[int, int]]) -> None:
        self._bounds = bounds
        self._sizes: dict[QueueKey, list[int]] = {}
        self._events = 0
        self._bytes = 0
        self.replace(sizes)

    def replace(self, sizes: Mapping[QueueKey, tuple[int, int]]) -> None:
        """Take what was counted in the store."""
        self._sizes = {key: [events, size] for key, (events, size) in sizes.items()}
        self._events = sum(events for events, _ in sizes.values())
        self._bytes = sum(size for _, size in sizes.values())

    def take(self, key: QueueKey, size: int) -> None:
        """Count one event more of `size` bytes.

        Raises:
            TooManyRequestsError: there is no room for it (429).
        """
        mine = self._sizes.get(key)
        if mine is None:
            mine = self._sizes[key] = [0, 0]
        bounds = self._bounds
        room_events, room_bytes = bounds.events_max - self._events, bounds.bytes_max - self._bytes
        if room_events < 1 or room_bytes < size:
            raise _full("The queue of asynchronous events is full.")
        if mine[0] >= _SHARE * room_events or mine[1] >= _SHARE * room_bytes:
            raise _full(f"The queue of asynchronous events of the function {key.name} is full.")
        mine[0] += 1
        mine[1] += size
        self._events += 1
        self._bytes += size

    def give(self, key: QueueKey, size: int) -> None:
        """Count one event less. Of a queue that is not known, nothing: what another process put is read later."""
        mine = self._sizes.get(key)
        if mine is None:
            return
        mine[0] -= 1
        mine[1] -= size
        self._events -= 1
        self._bytes -= size


def _full(text: str) -> TooManyRequestsError:
    # AWS has no reason of its own for it: it takes until its account limit of requests is reached.
    return TooManyRequestsError(f"{text} Try again later.", members={"Reason": "CallerRateLimitExceeded"})
