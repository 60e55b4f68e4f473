"""The queue's figures as Prometheus reads them: whether every event that came is accounted for, at any moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lambent.store.events import EventStore
    from lambent.store.queues.contracts import QueueTotals

# Name, kind, what it says, and the member of QueueTotals.
_SUMS = (
    ("received_total", "counter", "Events that were accepted.", "received"),
    ("queued", "gauge", "Events that wait.", "queued"),
    ("in_flight", "gauge", "Events that somebody has claimed and not settled.", "in_flight"),
    ("succeeded_total", "counter", "Events whose function succeeded.", "succeeded"),
    ("dropped_total", "counter", "Events that ended and of which nobody was told.", "dropped"),
    ("dead_lettered_total", "counter", "Events that ended at a destination or a dead-letter queue.", "dead_lettered"),
    ("drift", "gauge", "Events missing in received = the sum of the other five: always 0.", "drift"),
)
_PREFIX = "lambent_events_"


class EventExposition:
    """Scope: the sums are the cluster's, `statistics()` (name → number) are this node's. Keeps no state."""

    def __init__(self, store: EventStore, statistics: Callable[[], Mapping[str, int]]) -> None:
        self._store = store
        self._statistics = statistics

    async def text(self) -> str:
        """Return all figures, of all accounts together: no name of a function is among them.

        Raises:
            ServiceError: the store cannot be read.
        """
        return exposed(await self._store.totals(), self._statistics())


def exposed(totals: Sequence[QueueTotals], statistics: Mapping[str, int]) -> str:
    """Return the figures in Prometheus's text format, version 0.0.4."""
    lines = []
    for name, kind, meaning, member in _SUMS:
        lines += _metric(name, kind, meaning, sum(getattr(one, member) for one in totals))
    waiting = sum(one.queued + one.in_flight > 0 for one in totals)
    lines += _metric("functions", "gauge", "Functions that have events.", waiting)
    # How long an event that is due has waited for somebody to claim it: what a queue that stands still shows.
    overdue_ms = max((-one.next_ms for one in totals if one.next_ms is not None), default=0)
    lines += _metric("overdue_seconds", "gauge", "For how long the first event is due.", max(0, overdue_ms) / 1_000)
    for name, number in statistics.items():
        lines += _metric(f"node_{name}", "gauge", f"On this node: {name.replace('_', ' ')}.", number)
    return "\n".join(lines) + "\n"


def _metric(name: str, kind: str, meaning: str, value: float) -> list[str]:
    full = _PREFIX + name
    return [f"# HELP {full} {meaning}", f"# TYPE {full} {kind}", f"{full} {value}"]
