"""Events on their way to the daemon: tried again while it cannot take them, and given up as a RetryPolicy says.

Source: EventBridge user guide, "How EventBridge retries delivering events".
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambent.neighbours.program.bridge import Bridge, Source

_log = logging.getLogger("ministack")

# An event that the daemon cannot take just now is tried again after these seconds, for which its request waits.
_PAUSES_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0)
# Afterwards one with a RetryPolicy waits longer each time, and nobody waits for it.
_LATER_SECONDS = 60.0
_LATER_SECONDS_MAX = 600.0
_PASSING = frozenset({"TooManyRequestsException", "ServiceException", "ServiceUnavailable"})


class _Event(NamedTuple):
    arn: str
    source: Source
    payload: Any
    started: float

    def condition(self, attempts: int, age_seconds: float) -> str:
        """Return which bound of its RetryPolicy would be passed by trying once more, at this age; or nothing."""
        if self.source.retries is None:
            return ""
        attempts_max, seconds_max = self.source.retries
        if attempts >= attempts_max:
            return "MaximumRetryAttempts"
        return "MaximumEventAgeInSeconds" if age_seconds > seconds_max else ""


class Retries:
    """Brings the events of a bridge. Scope: process; what waits is in memory, and a kill loses it."""

    def __init__(
        self,
        bridge: Bridge,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bridge = bridge
        self._sleep = sleep
        self._monotonic = monotonic
        bridge.hand_over = self.hand_over

    def hand_over(self, arn: str, source: Source, payload: Any) -> None:
        """Bring an event; return when it was taken, or refused, or has to wait for long."""
        event = _Event(arn, source, payload, self._monotonic())
        for attempt, pause in enumerate(_PAUSES_SECONDS):
            if self._is_settled(event, attempt, pause):
                return
            self._sleep(pause)
        self._go_on(event, len(_PAUSES_SECONDS))

    def _go_on(self, event: _Event, attempt: int) -> None:
        pause = min(_LATER_SECONDS * 2 ** (attempt - len(_PAUSES_SECONDS)), _LATER_SECONDS_MAX)
        if not self._is_settled(event, attempt, pause):
            self._bridge.later(pause, lambda: self._go_on(event, attempt + 1))

    def _is_settled(self, event: _Event, attempt: int, pause: float) -> bool:
        """Try once; return whether that was all, because it was taken or because it is not tried again."""
        source = event.source
        if source.retries is not None:
            source = source._replace(attributes=(*source.attributes, ("RETRY_ATTEMPTS", str(attempt))))
        code, _, answer = self._bridge.exchange(event.arn, source, event.payload)
        if not code:
            return True
        text = answer.decode("utf-8", "replace")
        if code in _PASSING:
            condition = event.condition(attempt, self._monotonic() - event.started + pause)
            is_over = source.retries is None and attempt >= len(_PAUSES_SECONDS)
            if not condition and not is_over:
                return False
            if condition:
                source = source._replace(attributes=(*source.attributes, ("EXHAUSTED_RETRY_CONDITION", condition)))
                self._bridge.exchange(event.arn, source, event.payload, failure=(code, text))
        _log.warning("an event of %s for %s is lost: %s", source.arn or source.principal, event.arn, text)
        return True
