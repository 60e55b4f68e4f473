"""When functions with many waiting events step back: while another's events run as they come, and while many arrive.

A queue that is worked off as fast as it can be keeps every core busy, and whoever comes meanwhile waits for a place on
one at each of a dozen steps. So a core is left free for others as long as there are any. And events are accepted
before they are run: whoever sends a flood waits for its answers, whereas a queue is made for waiting.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambent.events.pacing.lanes import WINDOW

if TYPE_CHECKING:
    from lambent.store.queues.contracts import QueueKey

_OTHERS_SECONDS = 0.5
_COUNT_SECONDS = 0.1
_MANY_PER_SECOND = 1_000


class Courtesy:
    """Scope: node. Memory: one function and one count. `window`: the attempts of a function that steps back."""

    def __init__(self, window: int) -> None:
        self._window = window
        self._guest: QueueKey | None = None
        self._guest_until = 0.0
        self._arrivals = 0
        self._counted_at = 0.0
        self._crowded_until = 0.0

    def arrived(self, key: QueueKey, now: float, *, is_first: bool) -> None:
        """An event came; `is_first`: no other of its function was before it."""
        self._arrivals += 1
        if now - self._counted_at >= _COUNT_SECONDS:
            if self._arrivals >= _MANY_PER_SECOND * (now - self._counted_at):
                self._crowded_until = now + 2 * _COUNT_SECONDS
            self._arrivals, self._counted_at = 0, now
        if is_first:
            self._guest, self._guest_until = key, now + _OTHERS_SECONDS

    def window(self, key: QueueKey, now: float) -> int:
        """Return how many attempts of a function may be young at one time."""
        is_guest = key == self._guest or now >= self._guest_until
        return WINDOW if is_guest and now >= self._crowded_until else self._window
