"""When functions with many waiting events step back: while another's events run as they come, and while many arrive.

A queue that is worked off as fast as it can be keeps every core busy, and whoever comes meanwhile waits for a place on
one at each of a dozen steps. So a core is left free for others as long as there are any. And events are accepted
before they are run: whoever sends a flood waits for its answers, whereas a queue is made for waiting.

While an event of a function that has no others is on its way, what waits in queues waits a moment longer: all but one
attempt in a few milliseconds, so that many such functions together do not hold a queue up for good.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambent.events.pacing.lanes import BATCH_MAX, WINDOW

if TYPE_CHECKING:
    from lambent.store.queues.contracts import QueueKey

_OTHERS_SECONDS = 0.5
_COUNT_SECONDS = 0.1
_MANY_PER_SECOND = 1_000
# For how long a guest's event is waited for, and how often one that waits starts meanwhile.
_WAIT_SECONDS = 0.02
START_SECONDS = 0.005
# What is claimed in half a millisecond; 256 events take six.
_CLAIM_MAX = 16


class Courtesy:
    """Scope: node. Memory: one function and a few counts. `window`: the attempts of a function that steps back."""

    def __init__(self, window: int) -> None:
        self._window = window
        self._guest: QueueKey | None = None
        self._guest_until = 0.0
        self._arrivals = 0
        self._counted_at = 0.0
        self._crowded_until = 0.0
        self._guests_underway = 0
        self._guest_began = 0.0
        self._started = 0.0

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
        return self._window if self._steps_back(key, now) else WINDOW

    def claim_max(self, key: QueueKey, now: float) -> int:
        """Return how many of a function's events may be claimed at once: puts wait for a claim's end."""
        return _CLAIM_MAX if self._steps_back(key, now) else BATCH_MAX

    def _steps_back(self, key: QueueKey, now: float) -> bool:
        return now < self._crowded_until or (now < self._guest_until and key != self._guest)

    def guest_began(self, now: float) -> None:
        """An event starts at once, for its function has no others."""
        self._guests_underway += 1
        self._guest_began = now

    def guest_ended(self) -> bool:
        """Its function is done with it; return whether what waits may go on."""
        self._guests_underway -= 1
        return not self._guests_underway

    def waits(self, now: float) -> bool:
        """Return whether events that wait, and what is needed to run them, wait a moment longer."""
        return (
            self._guests_underway > 0
            and now - self._guest_began < _WAIT_SECONDS
            and now - self._started < START_SECONDS
        )

    def started(self, now: float) -> None:
        """One of those that waited starts."""
        self._started = now
