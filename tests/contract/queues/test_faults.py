"""Kill -9 amid commits, a full disk, a disk that hangs, a database that goes away: nothing acknowledged is lost."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from lambent.model.errors import ServiceError, UnavailableError
from lambent.model.event import EventFate
from lambent.store.queues.contracts import Settlement
from tests.contract.queues.conftest import KEY, LEASE_MS, QueuePlace, an_event
from tests.contract.store.conftest import Place, postgres_place
from tests.postgres import Postgres

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Puts events, settles half of them, and says of each what was answered.
_WRITER = """
import asyncio, pathlib, sys
from lambent.model.event import EventFate
from lambent.store.queues.contracts import Settlement
from tests.contract.queues.conftest import QueuePlace, an_event
from tests.contract.store.conftest import Place

async def main():
    queue = (await QueuePlace(Place(pathlib.Path(sys.argv[1]), sys.argv[2])).open()).queue
    async def write(lane):
        number = 0
        while True:
            name = f"{lane}-{number}"
            lease = await queue.put(an_event(name, lease_ms=1 if number % 2 else 0))
            print(name, flush=True)
            if lease is not None:
                assert await queue.settle(Settlement(lease, EventFate.SUCCEEDED))
                print("-" + name, flush=True)
            number += 1
    async with asyncio.TaskGroup() as tasks:
        for lane in range(8):
            tasks.create_task(write(lane))

asyncio.run(main())
"""

_FULL = """
import asyncio, pathlib, resource, sys
from lambent.model.errors import ServiceError
from lambent.model.event import EventFate
from lambent.store.queues.contracts import Settlement
from tests.contract.queues.conftest import KEY, QueuePlace, an_event
from tests.contract.store.conftest import Place

async def main():
    place = QueuePlace(Place(pathlib.Path(sys.argv[1])))
    opened = await place.open()
    await opened.queue.put(an_event("before"))
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, hard))
    kept, refused = 1, 0
    for number in range(60):
        try:
            await opened.queue.put(an_event("x" * 20_000))
            kept += 1
        except ServiceError as error:
            assert "nothing was changed" in error.message, error.message
            refused += 1
    assert refused > 0
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    await opened.queue.put(an_event("after"))
    [counts] = await opened.queue.totals()
    assert (counts.received, counts.queued, counts.drift) == (kept + 1, kept + 1, 0), (counts, kept)
    claim = await opened.queue.claim(KEY, 100, 1_000)
    assert len(claim.events) == kept + 1
    for event in claim.events:
        assert await opened.queue.settle(Settlement(event.lease, EventFate.SUCCEEDED))
    await opened.close()
    print("refused", refused)

asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.parametrize("lines", [1, 60, 600])
async def test_kill_9_keeps_what_was_answered(place: QueuePlace, lines: int) -> None:
    def write_until_killed() -> list[str]:
        command = [sys.executable, "-c", _WRITER, str(place.place.directory), place.place.url]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            told = [writer.stdout.readline().strip() for _ in range(lines)]
            os.kill(writer.pid, signal.SIGKILL)
            return told + writer.stdout.read().split()

    told = await asyncio.to_thread(write_until_killed)
    assert all(told), "the writer must not end by itself"
    ended = {name[1:] for name in told if name.startswith("-")}
    kept = {name for name in told if not name.startswith("-")} - ended
    await asyncio.sleep(0.01)

    opened = await place.open()
    found = {event.payload.decode() for event in (await opened.queue.claim(KEY, 1_000_000, LEASE_MS)).events}
    # One put or settlement of each lane may have been committed and not been answered.
    assert ended.isdisjoint(found)
    assert len(kept - found) + len(found - kept) <= 8
    [counts] = await opened.queue.totals()
    assert (counts.in_flight, counts.drift) == (len(found), 0)
    await opened.close()


@pytest.mark.slow
def test_a_full_disk_is_told_and_later_work_goes_on(tmp_path: Path) -> None:
    run = subprocess.run([sys.executable, "-c", _FULL, str(tmp_path)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("refused")


async def test_a_disk_that_hangs_makes_nobody_hang(tmp_path: Path) -> None:
    opened = await QueuePlace(Place(tmp_path)).bounded(wait_seconds=0.1).open()
    go_on, entered = threading.Event(), threading.Event()

    def hang(_: object) -> None:
        entered.set()
        assert go_on.wait(20)

    async with asyncio.TaskGroup() as tasks:
        hanging = tasks.create_task(opened.queue.work(hang))  # type: ignore[attr-defined]
        assert await asyncio.to_thread(entered.wait, 10)
        with pytest.raises(UnavailableError, match="in time"):
            await opened.queue.put(an_event("refused"))
        go_on.set()
        await hanging
    await opened.queue.put(an_event("taken"))
    claim = await opened.queue.claim(KEY, 9, LEASE_MS)
    assert [event.payload for event in claim.events] == [b"taken"]
    await opened.close()


@pytest.fixture
def mortal() -> Iterator[Postgres]:
    """A PostgreSQL of the test's own, to be killed."""
    server = Postgres()
    try:
        yield server
    finally:
        server.remove()


@pytest.mark.slow
async def test_a_database_that_is_away_refuses_and_loses_nothing(mortal: Postgres, tmp_path: Path) -> None:
    opened = await QueuePlace(postgres_place(mortal, tmp_path)).bounded(wait_seconds=1.0).open()
    queue = opened.queue
    kept: list[str] = []
    refused = 0
    is_over = asyncio.Event()

    async def put_on(lane: int) -> None:
        nonlocal refused
        number = 0
        while not is_over.is_set():
            try:
                await queue.put(an_event(f"{lane}-{number}"))
                kept.append(f"{lane}-{number}")
            except ServiceError:
                refused += 1
                await asyncio.sleep(0.02)
            number += 1

    async def kill_and_start() -> None:
        for _ in range(2):
            count = len(kept)
            while len(kept) < count + 100:
                await asyncio.sleep(0.01)
            await asyncio.to_thread(mortal.kill)
            with pytest.raises(ServiceError):
                await queue.put(an_event("while it is away"))
            with pytest.raises(ServiceError):
                await queue.claim(KEY, 1, LEASE_MS)
            await asyncio.to_thread(mortal.start)
        count = len(kept)
        while len(kept) < count + 100:
            await asyncio.sleep(0.01)
        is_over.set()

    async with asyncio.TaskGroup() as tasks:
        for lane in range(4):
            tasks.create_task(put_on(lane))
        tasks.create_task(kill_and_start())
    assert refused > 0
    found = {event.payload.decode() for event in (await queue.claim(KEY, 1_000_000, LEASE_MS)).events}
    assert set(kept) <= found
    [counts] = await queue.totals()
    assert (counts.in_flight, counts.drift) == (len(found), 0)
    assert await queue.settle(Settlement((await queue.peek(KEY, 1))[0].lease, EventFate.SUCCEEDED))
    await opened.close()
