"""Which of several daemons fires."""

from __future__ import annotations

import asyncio
import contextlib

from lambent.model.errors import UnavailableError
from lambent.triggers.schedules.holding import Holding


class FakeLeases:
    """One lease: whoever is named in `owner` gets it."""

    def __init__(self) -> None:
        self.owner = "a"
        self.is_away = False
        self.asked = 0
        self.released: list[str] = []

    async def acquire(self, name: str, owner: str, ttl_ms: int) -> int | None:
        self.asked += 1
        if self.is_away:
            raise UnavailableError("The database is away.")
        return 1 if owner == self.owner else None

    async def release(self, name: str, epoch: int) -> bool:
        self.released.append(name)
        return True


async def _run_until_asked(holding: Holding, leases: FakeLeases) -> asyncio.Task[None]:
    running = asyncio.get_running_loop().create_task(holding.run())
    while not leases.asked:
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    return running


async def _end(running: asyncio.Task[None]) -> None:
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


async def test_a_daemon_alone_is_the_one() -> None:
    holding = Holding(None, "a")
    await holding.wait()
    await holding.run()
    assert holding.is_held


async def test_one_of_two_is_the_one_and_gives_it_back() -> None:
    leases = FakeLeases()
    mine, other = Holding(leases, "a"), Holding(leases, "b")  # type: ignore[arg-type]
    running = [await _run_until_asked(one, leases) for one in (mine, other)]
    await asyncio.sleep(0.01)
    assert mine.is_held
    assert not other.is_held
    for task in running:
        await _end(task)
    assert not mine.is_held
    assert leases.released == ["schedules"]


async def test_whoever_cannot_ask_does_not_fire() -> None:
    leases = FakeLeases()
    leases.is_away = True
    holding = Holding(leases, "a")  # type: ignore[arg-type]
    running = await _run_until_asked(holding, leases)
    assert not holding.is_held
    await _end(running)
    assert leases.released == []
