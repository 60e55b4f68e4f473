"""How many attempts of one function may run."""

from __future__ import annotations

from lambent.events.pacing.lanes import NEVER, WINDOW, YOUNG_SECONDS, Attempt, Lane
from lambent.model.arn import FunctionArn
from lambent.model.event import AsyncEvent
from lambent.store.queues.contracts import QueueKey

ROOM = 1_000


def started(lane: Lane, now: float, room: int = ROOM) -> list[Attempt]:
    """Start as many as may."""
    made = []
    while lane.may_start(now, room):
        attempt = Attempt(None, AsyncEvent(FunctionArn("0", "r", "f"), "id", b"", 0))
        lane.start(attempt, now)
        made.append(attempt)
    return made


def a_lane() -> Lane:
    return Lane(QueueKey("0", "r", "f"))


def test_a_quick_function_has_a_window_under_way() -> None:
    lane, now = a_lane(), 10.0
    for _ in range(50):
        attempts = started(lane, now)
        assert lane.running == WINDOW
        for attempt in attempts[: len(attempts) // 2 + 1]:
            lane.finish(attempt)
            lane.finish(attempt)
            lane.ran(0.002)
        now += 0.002


def test_a_function_of_which_nothing_is_known_starts_slowly() -> None:
    lane = a_lane()
    started(lane, 10.0)
    assert started(lane, 10.5) == []
    assert len(started(lane, 11.0)) == WINDOW


def test_one_that_waits_for_something_gets_more_and_more() -> None:
    lane, now = a_lane(), 10.0
    [first, *_] = started(lane, now)
    now += 5.0
    lane.finish(first)
    lane.ran(5.0)
    before = lane.running
    for _ in range(10):
        started(lane, now)
        now += YOUNG_SECONDS + 0.001
    assert lane.running == before + 10 * WINDOW


def test_no_lane_takes_more_than_is_left_for_others() -> None:
    lane = a_lane()
    assert len(started(lane, 10.0, room=2)) == 2
    assert not lane.may_start(10.0, 2)


def test_throttles_narrow_and_pause() -> None:
    lane = a_lane()
    attempts = started(lane, 10.0)
    for attempt in attempts[1:]:
        lane.finish(attempt)
    lane.throttled(10.0)
    assert lane.window == 1
    assert started(lane, 10.05) == []
    lane.finish(attempts[0])
    assert len(started(lane, 10.2)) == 1
    for _ in range(WINDOW):
        lane.ran(0.01)
    assert lane.window > 1


def test_a_lane_that_knows_nothing_may_go() -> None:
    lane = a_lane()
    assert lane.is_unused()
    assert not lane.has_backlog(10.0)
    lane.note_due(20.0)
    assert not lane.is_unused()
    assert not lane.has_backlog(10.0)
    assert lane.has_backlog(20.0)
    assert lane.wants_claim(20.0)
    lane.next_due = NEVER
    assert lane.is_unused()


def test_claims_grow_when_they_are_used_up_soon() -> None:
    lane = a_lane()
    sizes = [lane.next_batch(10.0 + number * 0.1) for number in range(6)]
    assert sizes == sorted(sizes)
    assert sizes[-1] > sizes[0]
    assert lane.next_batch(100.0) < sizes[-1]
