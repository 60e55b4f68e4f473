"""Who steps back for whom."""

from __future__ import annotations

from lambent.events.pacing.courtesy import Courtesy
from lambent.events.pacing.lanes import BATCH_MAX, WINDOW
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


def test_what_is_claimed_for_one_that_steps_back_is_little() -> None:
    courtesy, now = Courtesy(WINDOW), 100.0
    assert courtesy.claim_max(FLOOD, now) == BATCH_MAX
    courtesy.arrived(PROBE, now, is_first=True)
    assert courtesy.claim_max(FLOOD, now) < courtesy.claim_max(PROBE, now) == BATCH_MAX


def test_what_waits_waits_while_a_guest_is_on_its_way() -> None:
    courtesy, now = Courtesy(1), 100.0
    courtesy.started(now)
    assert not courtesy.waits(now)
    courtesy.guest_began(now)
    courtesy.guest_began(now)
    assert courtesy.waits(now + 0.004)
    assert not courtesy.guest_ended()
    assert courtesy.waits(now + 0.004)
    assert courtesy.guest_ended()
    assert not courtesy.waits(now + 0.004)


def test_guests_stop_nothing_for_good() -> None:
    """Neither many that follow each other nor one that stays."""
    courtesy, now = Courtesy(1), 100.0
    starts = 0
    for _ in range(1_000):
        now += 0.001
        courtesy.guest_began(now)
        if not courtesy.waits(now):
            courtesy.started(now)
            starts += 1
    assert 150 <= starts <= 250
    assert not courtesy.waits(now + 0.03)
