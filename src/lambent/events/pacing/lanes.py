"""One function's events on this node: what is claimed and waits, what runs, and when the next may start.

A function starts at most WINDOW attempts that are young. A quick one therefore never has more than WINDOW under way,
which is all that a machine can use. One that takes a second or longer waits for something outside, as a rule: its
attempts are young for a tenth of a second, and it gets WINDOW more each time, until its concurrency or the node's bound
ends that. As long as nothing is known of it, its first attempts may be starting cold, and more would only delay them.
The bound is shared: no lane takes more than is left for the others.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lambent.model.event import AsyncEvent
    from lambent.store.queues.contracts import EventLease, QueueKey

WINDOW = 4
YOUNG_SECONDS = 0.1
_YOUNG_SECONDS_QUICK = 0.25
_YOUNG_SECONDS_MAX = 1.0
_LONG_SECONDS = 1.0
_YOUNG_TIMES = 4
_SMOOTHING = 0.2
NEVER = float("inf")
_PAUSE_SECONDS = 0.1
_PAUSE_SECONDS_MAX = 1.0
_BATCH_MIN = 4
BATCH_MAX = 256
# A claim whose last event has begun this soon was too small; this late, too large.
_QUICK_SECONDS = 0.5
_SLOW_SECONDS = 2.0


class Attempt:
    """One event that this node has claimed. Scope: until it is settled."""

    __slots__ = ("event", "is_guest", "is_over", "is_young", "lease", "started")

    def __init__(self, lease: EventLease | None, event: AsyncEvent) -> None:
        self.lease = lease
        self.event = event
        self.started = 0.0
        self.is_young = False
        self.is_over = False
        # It started at once, with none of its function's before it.
        self.is_guest = False


class Lane:
    """See above. Scope: node. `next_due` is when the store has something to claim, in seconds of the loop's clock."""

    __slots__ = (
        "_batch",
        "_claimed_at",
        "_pause_seconds",
        "_usual_seconds",
        "_young",
        "_young_count",
        "_young_seconds",
        "is_claiming",
        "is_hungry",
        "key",
        "next_due",
        "pause_until",
        "ready",
        "running",
        "window",
    )  # fmt: skip

    def __init__(self, key: QueueKey) -> None:
        self.key = key
        self.ready: deque[Attempt] = deque()
        self.running = 0
        self.window = WINDOW
        self.next_due = NEVER
        self.pause_until = 0.0
        self.is_claiming = False
        self.is_hungry = False
        self._pause_seconds = _PAUSE_SECONDS
        self._young: deque[Attempt] = deque()
        self._young_count = 0
        self._young_seconds = _YOUNG_SECONDS_MAX
        self._usual_seconds: float | None = None
        self._batch = 2 * _BATCH_MIN
        self._claimed_at = 0.0

    def has_backlog(self, now: float) -> bool:
        """Whether others are before an event that comes now."""
        return bool(self.ready) or self.next_due <= now or self.is_claiming

    def is_unused(self) -> bool:
        """Whether nothing is known of it that the store does not know."""
        return not (self.ready or self.running or self.is_claiming or self.is_hungry) and self.next_due == NEVER

    def may_start(self, now: float, room: int, window: int = WINDOW) -> bool:
        """Whether one more attempt may start, with `room` left on the node and at most `window` young ones."""
        if now < self.pause_until or self.running >= room:
            return False
        young = self._young
        while young and (young[0].is_over or now - young[0].started >= self._young_seconds):
            attempt = young.popleft()
            if not attempt.is_over:
                attempt.is_young = False
                self._young_count -= 1
        return self._young_count < min(self.window, window)

    def start(self, attempt: Attempt, now: float) -> None:
        """Count an attempt that starts."""
        attempt.started = now
        attempt.is_young = True
        self.running += 1
        self._young_count += 1
        self._young.append(attempt)

    def finish(self, attempt: Attempt) -> None:
        """Count an attempt that has left its function. Idempotent."""
        if attempt.is_over:
            return
        attempt.is_over = True
        self.running -= 1
        if attempt.is_young:
            self._young_count -= 1

    def ran(self, seconds: float) -> None:
        """An attempt was not throttled and took so long: what was narrowed widens again, slowly."""
        usual = self._usual_seconds
        self._usual_seconds = usual = seconds if usual is None else usual + _SMOOTHING * (seconds - usual)
        if usual >= _LONG_SECONDS:
            self._young_seconds = YOUNG_SECONDS
        else:
            self._young_seconds = min(max(_YOUNG_TIMES * usual, _YOUNG_SECONDS_QUICK), _YOUNG_SECONDS_MAX)
        self._pause_seconds = _PAUSE_SECONDS
        if self.window < WINDOW and self._young_count >= self.window - 1:
            self.window += 1

    def throttled(self, now: float) -> None:
        """An attempt was throttled: no more at one time than run now, and none for a moment."""
        self.window = max(1, min(WINDOW, self.running))
        if now >= self.pause_until:
            self.pause_until = now + self._pause_seconds
            self._pause_seconds = min(2 * self._pause_seconds, _PAUSE_SECONDS_MAX)

    def note_due(self, due: float) -> bool:
        """The store has an event that is due then; return whether that is sooner than what was known."""
        if due >= self.next_due:
            return False
        self.next_due = due
        return True

    def wants_claim(self, now: float) -> bool:
        """Whether it is time to fetch more events from the store."""
        return not self.is_claiming and self.next_due <= now and len(self.ready) <= self._batch // 4

    def next_batch(self, now: float) -> int:
        """Return how many events to claim: as many as begin within a second or so."""
        taken_seconds = now - self._claimed_at
        if taken_seconds < _QUICK_SECONDS:
            self._batch = min(2 * self._batch, BATCH_MAX)
        elif taken_seconds > _SLOW_SECONDS:
            self._batch = max(self._batch // 2, _BATCH_MIN)
        self._claimed_at = now
        return self._batch
