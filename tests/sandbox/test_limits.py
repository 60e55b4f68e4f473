"""Every limit of a sandbox, met from inside."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lambent.environments.sandbox.sandbox import RuntimeExit

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sandbox.conftest import Farm, Running

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("needs_root")]

MEMORY = """
import mmap
kept = []
def handler(mib):
    block = bytearray(mib << 20)
    for offset in range(0, len(block), 4096):
        block[offset] = 1
    return len(block)
"""
KEEPS = MEMORY.replace("    return", "    kept.append(block)\n    return")


def control_files(name: str, *, of: Running) -> list[str]:
    """Return the contents of a control file in all hierarchies of one sandbox."""
    return [
        path.read_text().strip()
        for path in Path("/sys/fs/cgroup").glob(f"**/lambent-*/*/{name}")
        if str(of.sandbox.pid) in (path.parent / "cgroup.procs").read_text().split()
    ]


def oom_score(pid: int) -> int:
    """Return how much the kernel prefers a process as its victim."""
    return int(Path(f"/proc/{pid}/oom_score_adj").read_text())


def test_out_of_memory_is_told_and_survived(in_farm: Callable[..., None]) -> None:
    async def scenario(farm: Farm) -> None:
        running = await farm.run(MEMORY, memory_mib=128)
        assert await running.ask(40) == 40 << 20
        assert 40 <= running.sandbox.memory_peak_mib() <= 60
        for _ in range(2):
            await running.tell(300)
            assert await running.sandbox.wait_exited() == RuntimeExit(None, 9, is_out_of_memory=True)
            await running.sandbox.reset()
            await running.connect()
        assert await running.ask(40) == 40 << 20
        await running.close()

    in_farm(scenario)


def test_all_together_are_bounded(in_farm: Callable[..., None]) -> None:
    async def scenario(farm: Farm) -> None:
        first = await farm.run(KEEPS, memory_mib=256)
        second = await farm.run(KEEPS, memory_mib=256)
        assert await first.ask(200) == 200 << 20
        await second.tell(200)
        exits = [asyncio.ensure_future(each.sandbox.wait_exited()) for each in (first, second)]
        done, left = await asyncio.wait(exits, return_when=asyncio.FIRST_COMPLETED)
        assert [each.result() for each in done] == [RuntimeExit(None, 9, is_out_of_memory=True)]
        for each in left:
            each.cancel()
        third = await farm.run("def handler(event):\n    return event\n")
        assert await third.ask(1) == 1
        for running in (first, second, third):
            await running.close()

    in_farm(scenario, memory_mib_max=300)


def test_killed_by_itself_is_not_out_of_memory(in_farm: Callable[..., None]) -> None:
    async def scenario(farm: Farm) -> None:
        running = await farm.run("import os\ndef handler(event):\n    os.kill(os.getpid(), 9)\n", memory_mib=128)
        await running.tell()
        assert await running.sandbox.wait_exited() == RuntimeExit(None, 9, is_out_of_memory=False)
        await running.close()

    in_farm(scenario)


def test_page_cache_does_not_count(in_farm: Callable[..., None]) -> None:
    async def scenario(farm: Farm) -> None:
        running = await farm.run(
            "def handler(event):\n"
            "    with open('/tmp/big', 'wb') as file:\n"
            "        for _ in range(200): file.write(bytes(1 << 20))\n"
            "    return len(open('/tmp/big', 'rb').read(1 << 20))\n"
        )
        await running.ask()
        assert running.sandbox.memory_peak_mib() < 40
        await running.close()

    in_farm(scenario)


@pytest.mark.parametrize("size_mib", [512, 1024])
def test_tmp_is_as_large_as_asked_and_not_larger(in_farm: Callable[..., None], size_mib: int) -> None:
    async def scenario(farm: Farm) -> None:
        running = await farm.run(
            "import os\n"
            "def handler(event):\n"
            "    written = 0\n"
            "    try:\n"
            "        with open('/tmp/big', 'wb', buffering=0) as file:\n"
            "            while True: written += file.write(bytes(1 << 20))\n"
            "    except OSError as error:\n"
            "        status = os.stat('/tmp')\n"
            "        return [written >> 20, error.errno, os.stat('/tmp/big').st_uid, oct(status.st_mode)]\n",
            memory_mib=128,
            ephemeral_storage_mib=size_mib,
        )
        written, number, owner, mode = await running.ask()
        assert number == errno.ENOSPC
        assert size_mib <= written <= size_mib * 1.04 + 8
        assert (owner, mode) == (993, "0o41777")
        await running.close()

    in_farm(scenario)


def test_descriptors_and_processes(in_farm: Callable[..., None]) -> None:
    async def scenario(farm: Farm) -> None:
        running = await farm.run(
            "import os, resource, time\n"
            "def handler(event):\n"
            "    if event == 'files':\n"
            "        held = []\n"
            "        try:\n"
            "            while True: held.append(os.open('/dev/null', 0))\n"
            "        except OSError as error:\n"
            "            return [len(held), error.errno]\n"
            "    count = 0\n"
            "    while True:\n"
            "        try:\n"
            "            if os.fork() == 0:\n"
            "                time.sleep(1000)\n"
            "            count += 1\n"
            "        except OSError as error:\n"
            "            return [count, error.errno]\n",
            memory_mib=2048,
        )
        files, number = await running.ask("files")
        assert number == errno.EMFILE
        assert 1000 <= files <= 1024
        running_two = await farm.run("def handler(event):\n    return 1\n")
        processes, number = await running.ask("processes")
        assert number == errno.EAGAIN
        assert 500 <= processes <= 1024
        assert await running_two.ask() == 1
        await running.sandbox.reset()
        await running.connect()
        assert (await running.ask("files"))[1] == errno.EMFILE
        await running.close()
        await running_two.close()

    in_farm(scenario)


def test_frozen_does_nothing_until_thawed(in_farm: Callable[..., None]) -> None:
    async def scenario(farm: Farm) -> None:
        running = await farm.run("def handler(event):\n    return event\n")
        assert await running.ask(1) == 1
        running.sandbox.freeze()
        async with asyncio.timeout(10):
            while "frozen 1" not in "".join(control_files("cgroup.events", of=running)):
                await asyncio.sleep(0)
        async with asyncio.TaskGroup() as group:
            answer = group.create_task(running.ask(2))
            # Long enough for a thousand answers of a sandbox that runs.
            await asyncio.sleep(0.1)
            assert not answer.done()
            running.sandbox.thaw()
            assert await answer == 2
        running.sandbox.freeze()
        await running.close()

    in_farm(scenario)


def test_frozen_can_be_reset(in_farm: Callable[..., None]) -> None:
    async def scenario(farm: Farm) -> None:
        running = await farm.run("def handler(event):\n    return 1\n")
        running.sandbox.freeze()
        await running.sandbox.reset()
        await running.connect()
        assert await running.ask() == 1
        await running.close()

    in_farm(scenario)


def test_cpu_share_is_written_when_asked(in_farm: Callable[..., None]) -> None:
    async def scenario(farm: Farm) -> None:
        running = await farm.run("def handler(event):\n    return 1\n")
        await running.sandbox.apply_cpu_limit(0.5)
        # The supervisor answers in order: when the next sandbox is there, the limit is.
        other = await farm.driver.create(farm.kind())
        assert control_files("cpu.cfs_quota_us", of=running) + control_files("cpu.max", of=running) in (
            ["10000"],
            ["10000 20000"],
        )
        await other.close()
        await running.close()

    in_farm(scenario)


def test_killed_before_the_daemon(in_farm: Callable[..., None]) -> None:
    async def scenario(farm: Farm) -> None:
        running = await farm.run("def handler(event):\n    return open('/proc/self/oom_score_adj').read()\n")
        inside = int(await running.ask())
        assert oom_score(os.getpid()) < oom_score(running.sandbox.pid) < inside
        await running.close()

    in_farm(scenario)
