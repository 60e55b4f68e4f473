"""What is due when."""

from __future__ import annotations

import asyncio

from lambent.triggers.schedules.times.due import DueQueue


class HandClock:
    """A clock that is set by hand."""

    now_ms = 1_000

    def time_ms(self) -> int:
        return self.now_ms

    def monotonic_ns(self) -> int:
        return self.now_ms * 1_000_000


async def test_keys_come_in_the_order_of_their_time() -> None:
    clock = HandClock()
    due: DueQueue[str] = DueQueue(clock)
    for key, at_ms in (("c", 1_300), ("a", 1_100), ("b", 1_200)):
        due.put(key, at_ms)
    assert due.take_due(10) == []
    clock.now_ms = 1_250
    assert due.take_due(10) == ["a", "b"]
    clock.now_ms = 1_300
    assert due.take_due(10) == ["c"]


async def test_a_key_has_one_time() -> None:
    clock = HandClock()
    due: DueQueue[str] = DueQueue(clock)
    due.put("a", 1_100)
    due.put("a", 1_500)
    due.put("b", 1_100)
    due.remove("b")
    due.remove("b")
    clock.now_ms = 1_200
    assert due.take_due(10) == []
    clock.now_ms = 1_500
    assert due.take_due(10) == ["a"]


async def test_waiting_ends_when_something_earlier_comes() -> None:
    due: DueQueue[str] = DueQueue(HandClock())
    due.put("late", 10_000_000)
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(due.wait())
        await asyncio.sleep(0)
        due.put("soon", 900)
        await waiting
    assert due.take_due(10) == ["soon"]


async def test_many_changes_of_one_key_take_no_more_room() -> None:
    due: DueQueue[str] = DueQueue(HandClock())
    for at_ms in range(2_000, 12_000):
        due.put("a", at_ms)
    assert len(due._heap) < 200
