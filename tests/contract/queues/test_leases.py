"""The contracts Leases and Limiter over every driver."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.contract.queues.conftest import Opened, QueuePlace

TTL_MS = 60_000


async def test_one_holds_a_lease(opened: Opened) -> None:
    leases = opened.leases
    assert await leases.read("shard-1") is None
    assert await leases.acquire("shard-1", "a", TTL_MS) == 1
    assert await leases.acquire("shard-1", "b", TTL_MS) is None
    assert await leases.acquire("shard-1", "a", TTL_MS) == 1
    assert await leases.acquire("shard-2", "b", TTL_MS) == 1
    assert await leases.renew("shard-1", 1, TTL_MS)
    assert await leases.release("shard-1", 1)
    assert not await leases.release("shard-1", 1)
    assert await leases.acquire("shard-1", "b", TTL_MS) == 2


async def test_a_stale_epoch_writes_nothing(opened: Opened) -> None:
    leases = opened.leases
    first = await leases.acquire("shard", "a", 1)
    assert first == 1
    await asyncio.sleep(0.02)
    assert not await leases.renew("shard", first, TTL_MS)
    second = await leases.acquire("shard", "b", TTL_MS)
    assert second == 2
    assert await leases.write("shard", second, b"position 7")
    assert not await leases.write("shard", first, b"position 3")
    assert not await leases.release("shard", first)
    held = await leases.read("shard")
    assert held is not None
    assert (held.owner, held.epoch, held.value) == ("b", 2, b"position 7")


async def test_a_lease_that_ran_out_and_came_back_has_a_new_epoch(opened: Opened) -> None:
    assert await opened.leases.acquire("shard", "a", 1) == 1
    await asyncio.sleep(0.02)
    assert await opened.leases.acquire("shard", "a", TTL_MS) == 2
    assert await opened.leases.write("shard", 2, b"x")


async def test_many_at_once_and_one_gets_it(opened: Opened) -> None:
    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(opened.leases.acquire("one", f"owner-{n}", TTL_MS)) for n in range(12)]
    assert sorted(task.result() or 0 for task in asked) == [0] * 11 + [1]


async def test_names_and_forgetting(opened: Opened) -> None:
    leases = opened.leases
    for name in ("shard/a/1", "shard/a/2", "shard/a%/1", "shard/ab/1", "other"):
        assert await leases.acquire(name, "a", TTL_MS) == 1
    assert list(await leases.names("shard/a/")) == ["shard/a/1", "shard/a/2"]
    assert await leases.forget("shard/a/") == 2
    assert sorted(await leases.names("shard/")) == ["shard/a%/1", "shard/ab/1"]
    assert not await leases.write("shard/a/1", 1, b"late")
    assert await leases.read("shard/a/1") is None
    assert await leases.forget("shard/a/") == 0


async def test_after_a_crash_what_was_written_is_there_and_a_lone_daemon_need_not_wait(place: QueuePlace) -> None:
    first = await place.open()
    assert await first.leases.acquire("shard", "before", TTL_MS) == 1
    assert await first.leases.write("shard", 1, b"position 7")
    await first.close()
    second = await place.open()
    # Others of a shared database may still be at work.
    assert await second.leases.acquire("shard", "after", TTL_MS) == (None if second.queue.is_shared else 2)
    held = await second.leases.read("shard")
    assert held is not None
    assert held.value == b"position 7"
    await second.close()


async def test_slices_never_exceed_the_limit(opened: Opened) -> None:
    limiter = opened.limiter
    assert await limiter.take("account", "a", 600, 1_000, TTL_MS) == 600
    assert await limiter.take("account", "b", 600, 1_000, TTL_MS) == 400
    assert await limiter.take("account", "c", 1, 1_000, TTL_MS) == 0
    assert await limiter.take("account", "a", 100, 1_000, TTL_MS) == 100
    assert await limiter.take("account", "c", 800, 1_000, TTL_MS) == 500
    await limiter.give("account", "b")
    assert await limiter.take("account", "a", 900, 1_000, TTL_MS) == 500
    assert await limiter.take("other", "a", 10, 10, TTL_MS) == 10


async def test_a_slice_that_ran_out_is_lent_again(opened: Opened) -> None:
    assert await opened.limiter.take("account", "a", 10, 10, 1) == 10
    await asyncio.sleep(0.02)
    assert await opened.limiter.take("account", "b", 10, 10, TTL_MS) == 10


async def test_many_take_at_once(opened: Opened) -> None:
    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(opened.limiter.take("account", f"owner-{n}", 7, 50, TTL_MS)) for n in range(12)]
    assert sum(task.result() for task in asked) == 50
