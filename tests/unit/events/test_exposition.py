"""The queue's figures in Prometheus's text format."""

from __future__ import annotations

from lambent.events.exposition import exposed
from lambent.store.queues.contracts import QueueKey, QueueTotals


def values(text: str) -> dict[str, float]:
    """Return name → value."""
    lines = (line.split() for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in lines}


def test_all_queues_are_summed_up() -> None:
    first = QueueTotals(QueueKey("1", "r", "secret-a"), 10, 2, 1, 3, 4, 0, -1_500)
    second = QueueTotals(QueueKey("2", "r", "secret-b"), 5, 0, 0, 4, 0, 0, None)
    text = exposed([first, second], {"running": 3})
    assert values(text) == {
        "lambent_events_received_total": 15,
        "lambent_events_queued": 2,
        "lambent_events_in_flight": 1,
        "lambent_events_succeeded_total": 7,
        "lambent_events_dropped_total": 4,
        "lambent_events_dead_lettered_total": 0,
        "lambent_events_drift": 1,
        "lambent_events_functions": 1,
        "lambent_events_overdue_seconds": 1.5,
        "lambent_events_node_running": 3,
    }
    assert "secret" not in text


def test_an_empty_queue_has_figures_and_each_says_what_it_is() -> None:
    text = exposed([], {})
    found = values(text)
    assert set(found.values()) == {0}
    for name in found:
        assert f"# HELP {name} " in text
        assert f"# TYPE {name} " in text
