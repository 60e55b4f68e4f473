"""The contract EventQueue over every driver."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from lambent.model.errors import TooManyRequestsError
from lambent.model.event import EventFate
from lambent.store.queues.contracts import QueueKey, QueueTotals, Settlement
from tests.contract.queues.conftest import KEY, LEASE_MS, an_event

if TYPE_CHECKING:
    from lambent.store.queues.contracts import ClaimedEvent, EventQueue
    from tests.contract.queues.conftest import Opened, QueuePlace


async def totals(queue: EventQueue, key: QueueKey = KEY) -> QueueTotals:
    """Return the counts of a queue."""
    return next(one for one in await queue.totals() if one.queue == key)


async def claimed(queue: EventQueue, limit: int = 100, lease_ms: int = LEASE_MS) -> list[ClaimedEvent]:
    """Return what can be claimed now."""
    return list((await queue.claim(KEY, limit, lease_ms)).events)


async def test_an_event_comes_out_as_it_went_in(opened: Opened) -> None:
    queue = opened.queue
    assert await queue.put(an_event('{"a": "\\u0000é"}')) is None
    (event,) = await claimed(queue)
    assert (event.head, event.payload, event.record) == ('{"a": "\\u0000é"}'.encode(),) * 2 + (None,)
    assert await claimed(queue) == []
    assert await queue.settle(Settlement(event.lease, EventFate.SUCCEEDED))
    assert not await queue.settle(Settlement(event.lease, EventFate.SUCCEEDED))
    counts = await totals(queue)
    assert (counts.received, counts.succeeded, counts.queued, counts.in_flight, counts.drift) == (1, 1, 0, 0, 0)


async def test_events_are_claimed_in_the_order_in_which_they_came(opened: Opened) -> None:
    queue = opened.queue
    for number in range(5):
        await queue.put(an_event(str(number)))
    first = await queue.claim(KEY, 3, LEASE_MS)
    assert [event.payload for event in first.events] == [b"0", b"1", b"2"]
    assert first.next_ms is not None
    assert first.next_ms <= 0
    rest = await queue.claim(KEY, 3, LEASE_MS)
    assert [event.payload for event in rest.events] == [b"3", b"4"]
    assert rest.next_ms is not None
    assert 0 < rest.next_ms <= LEASE_MS


async def test_queues_are_apart(opened: Opened) -> None:
    other = QueueKey("000000000000", "us-east-1", "g")
    await opened.queue.put(an_event("1"))
    assert not (await opened.queue.claim(other, 9, LEASE_MS)).events
    await opened.queue.put(an_event("2", other))
    assert [event.payload for event in (await opened.queue.claim(other, 9, LEASE_MS)).events] == [b"2"]
    assert sorted(key.name for key, _ in await opened.queue.backlog()) == ["f", "g"]


async def test_what_is_put_with_a_lease_is_its_putters(opened: Opened) -> None:
    lease = await opened.queue.put(an_event("1", lease_ms=LEASE_MS))
    assert lease is not None
    assert await claimed(opened.queue) == []
    assert (await totals(opened.queue)).in_flight == 1
    assert await opened.queue.settle(Settlement(lease, EventFate.DROPPED))
    counts = await totals(opened.queue)
    assert (counts.received, counts.dropped, counts.in_flight, counts.drift) == (1, 1, 0, 0)


async def test_an_event_that_comes_back_does_so_in_its_time(opened: Opened) -> None:
    queue = opened.queue
    await queue.put(an_event("1"))
    (event,) = await claimed(queue)
    assert await queue.settle(Settlement(event.lease, None, 60_000, b"head", b"record"))
    nothing = await queue.claim(KEY, 9, LEASE_MS)
    assert not nothing.events
    assert nothing.next_ms is not None
    assert 50_000 < nothing.next_ms <= 60_000
    assert (await totals(queue)).queued == 1
    await queue.put(an_event("2"))
    (second,) = await claimed(queue)
    assert second.payload == b"2"
    assert await queue.settle(Settlement(second.lease, None, 0, b"head", b"record"))
    (again,) = await claimed(queue)
    assert (again.head, again.payload, again.record) == (b"head", b"2", b"record")
    assert again.lease.epoch == second.lease.epoch + 1


async def test_who_was_overtaken_settles_nothing(opened: Opened) -> None:
    queue = opened.queue
    await queue.put(an_event("1"))
    (stale,) = await claimed(queue, lease_ms=1)
    await asyncio.sleep(0.02)
    (current,) = await claimed(queue)
    assert current.lease.number == stale.lease.number
    assert current.lease.epoch > stale.lease.epoch
    assert await queue.extend([stale.lease, current.lease], LEASE_MS) == [False, True]
    assert not await queue.settle(Settlement(stale.lease, EventFate.SUCCEEDED))
    assert not await queue.settle(Settlement(stale.lease, None, 0, b"stale"))
    assert await queue.settle(Settlement(current.lease, EventFate.DEAD_LETTERED))
    assert not await queue.settle(Settlement(stale.lease, EventFate.SUCCEEDED))
    counts = await totals(queue)
    assert (counts.received, counts.succeeded, counts.dead_lettered, counts.drift) == (1, 0, 1, 0)


async def test_an_extended_lease_holds(opened: Opened) -> None:
    await opened.queue.put(an_event("1"))
    (event,) = await claimed(opened.queue, lease_ms=500)
    assert await opened.queue.extend([event.lease], LEASE_MS) == [True]
    await asyncio.sleep(0.6)
    assert await claimed(opened.queue) == []
    assert await opened.queue.settle(Settlement(event.lease, EventFate.SUCCEEDED))


async def test_no_event_is_claimed_twice_by_many_at_once(opened: Opened) -> None:
    queue = opened.queue
    async with asyncio.TaskGroup() as tasks:
        for number in range(400):
            tasks.create_task(queue.put(an_event(str(number))))
    seen: list[bytes] = []

    async def work() -> None:
        while events := await claimed(queue, 7):
            seen.extend(event.payload for event in events)
            async with asyncio.TaskGroup() as settling:
                for event in events:
                    settling.create_task(queue.settle(Settlement(event.lease, EventFate.SUCCEEDED)))

    async with asyncio.TaskGroup() as tasks:
        for _ in range(8):
            tasks.create_task(work())
    assert sorted(seen, key=int) == [str(number).encode() for number in range(400)]
    counts = await totals(queue)
    assert (counts.received, counts.succeeded, counts.queued, counts.in_flight) == (400, 400, 0, 0)


async def test_everything_is_there_after_a_new_start(place: QueuePlace) -> None:
    first = await place.open()
    for number in range(10):
        await first.queue.put(an_event(str(number)))
    leased = (await first.queue.claim(KEY, 4, 1)).events
    assert await first.queue.settle(Settlement(leased[0].lease, EventFate.SUCCEEDED))
    assert await first.queue.settle(Settlement(leased[1].lease, None, 0, b"changed"))
    await first.close()
    await asyncio.sleep(0.01)

    second = await place.open()
    counts = await totals(second.queue)
    assert (counts.received, counts.succeeded, counts.queued + counts.in_flight, counts.drift) == (10, 1, 9, 0)
    events = await claimed(second.queue)
    assert {event.payload for event in events} == {str(number).encode() for number in range(1, 10)}
    assert [event.head for event in events if event.payload == b"1"] == [b"changed"]
    # By a process that has put nothing itself.
    for event in events[:2]:
        assert await second.queue.settle(Settlement(event.lease, EventFate.SUCCEEDED))
    assert (await totals(second.queue)).succeeded == 3
    await second.close()


async def test_payloads_of_a_megabyte(opened: Opened) -> None:
    payload = '"' + "x" * 1_048_574 + '"'
    await opened.queue.put(an_event(payload))
    (event,) = await claimed(opened.queue)
    assert event.payload.decode() == payload


async def test_a_full_queue_refuses_and_takes_again(place: QueuePlace) -> None:
    opened = await place.bounded(events_max=10).open()
    other = QueueKey("000000000000", "us-east-1", "g")
    for number in range(8):
        await opened.queue.put(an_event(str(number)))
    with pytest.raises(TooManyRequestsError, match="of the function f is full"):
        await opened.queue.put(an_event("9"))
    await opened.queue.put(an_event("0", other))
    await opened.queue.put(an_event("1", other))
    with pytest.raises(TooManyRequestsError, match="events is full"):
        await opened.queue.put(an_event("2", other))
    for event in await claimed(opened.queue, 4):
        await opened.queue.settle(Settlement(event.lease, EventFate.SUCCEEDED))
    await opened.queue.put(an_event("2", other))
    counts = await totals(opened.queue)
    assert (counts.received, counts.drift) == (8, 0)
    await opened.close()


async def test_bytes_are_bounded_too(place: QueuePlace) -> None:
    opened = await place.bounded(bytes_max=1_000).open()
    await opened.queue.put(an_event("x" * 700))
    with pytest.raises(TooManyRequestsError):
        await opened.queue.put(an_event("x" * 301))
    await opened.close()
    again = await place.bounded(bytes_max=1_000).open()
    with pytest.raises(TooManyRequestsError):
        await again.queue.put(an_event("x" * 301))
    await again.close()


async def test_peeking_takes_nothing_and_discarding_counts(opened: Opened) -> None:
    queue = opened.queue
    for number in range(5):
        await queue.put(an_event(str(number)))
    (held,) = await claimed(queue, 1)
    assert [event.payload for event in await queue.peek(KEY, 2)] == [b"1", b"2"]
    assert await queue.peek(QueueKey("0", "r", "nobody"), 2) == []
    assert await queue.discard(KEY) == 4
    assert await queue.discard(KEY) == 0
    assert await queue.settle(Settlement(held.lease, EventFate.SUCCEEDED))
    counts = await totals(queue)
    assert (counts.received, counts.dropped, counts.succeeded, counts.queued, counts.drift) == (5, 4, 1, 0, 0)


async def test_many_small_and_large_in_one_commit(opened: Opened) -> None:
    """Statements take 64, 16, 4 or 1 rows at a time: every rest is met."""
    async with asyncio.TaskGroup() as tasks:
        for number in range(151):
            tasks.create_task(opened.queue.put(an_event(str(number), lease_ms=LEASE_MS if number % 2 else 0)))
    events = await claimed(opened.queue, 1_000)
    assert len(events) == 76
    counts = await totals(opened.queue)
    assert (counts.received, counts.in_flight, counts.drift) == (151, 151, 0)


async def test_what_may_come_once_comes_once(place: QueuePlace) -> None:
    opened = await place.open()
    queue = opened.queue
    for name in ("a", "a", "b"):
        assert await queue.put(an_event(name)._replace(once=name)) is None
    await asyncio.gather(*(queue.put(an_event("c")._replace(once="c")) for _ in range(5)))
    await opened.close()
    again = await place.open()
    try:
        assert await again.queue.put(an_event("a")._replace(once="a")) is None
        found = list((await again.queue.claim(KEY, 100, LEASE_MS)).events)
        assert sorted(event.payload for event in found) == [b"a", b"b", b"c"]
        for event in found:
            assert await again.queue.settle(Settlement(event.lease, EventFate.SUCCEEDED))
        await again.queue.put(an_event("a")._replace(once="a"))
        counts = await totals(again.queue)
        assert (counts.received, counts.succeeded, counts.queued, counts.drift) == (3, 3, 0, 0)
    finally:
        await again.close()
