"""Who steps back for whom."""

from __future__ import annotations

from lambent.events.pacing.courtesy import Courtesy
from lambent.events.pacing.lanes import WINDOW
from lambent.store.queues.contracts import QueueKey

FLOOD, PROBE = QueueKey("0", "r", "flood"), QueueKey("0", "r", "probe")


def test_alone_a_function_has_all() -> None:
    courtesy, now = Courtesy(1), 100.0
    courtesy.arrived(FLOOD, now, is_first=True)
    courtesy.arrived(FLOOD, now, is_first=False)
    assert courtesy.window(FLOOD, now) == WINDOW


def test_while_another_is_called_it_steps_back() -> None:
    courtesy, now = Courtesy(1), 100.0
    courtesy.arrived(PROBE, now, is_first=True)
    assert courtesy.window(FLOOD, now + 0.1) == 1
    assert courtesy.window(PROBE, now + 0.1) == WINDOW
    assert courtesy.window(FLOOD, now + 5) == WINDOW


def test_two_that_both_have_many_do_not_wait_for_each_other() -> None:
    courtesy, now = Courtesy(1), 100.0
    for key in (FLOOD, PROBE):
        courtesy.arrived(key, now, is_first=False)
    assert courtesy.window(FLOOD, now) == courtesy.window(PROBE, now) == WINDOW


def test_while_many_arrive_all_step_back() -> None:
    courtesy, now = Courtesy(2), 100.0
    for number in range(2_000):
        courtesy.arrived(FLOOD, now + number / 5_000, is_first=False)
    assert courtesy.window(FLOOD, now + 0.4) == 2
    assert courtesy.window(FLOOD, now + 1) == WINDOW


def test_few_are_no_flood() -> None:
    courtesy, now = Courtesy(2), 100.0
    for number in range(400):
        courtesy.arrived(FLOOD, now + number / 500, is_first=False)
    assert courtesy.window(FLOOD, now + 0.8) == WINDOW
