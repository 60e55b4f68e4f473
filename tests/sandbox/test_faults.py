"""Parts die: the supervisor, a zygote, the daemon. Everything they made dies with them; the rest heals."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lambent.environments.sandbox.launch import LauncherOptions, start_launcher
from lambent.environments.sandbox.sandbox import SandboxError
from tests.loops import run_apart
from tests.sandbox.conftest import UID_BASE

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sandbox.conftest import Farm

pytestmark = pytest.mark.slow

ECHO = "def handler(event):\n    return event\n"


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def wait_until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Look again and again until it is so."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def test_supervisor_killed(in_farm: Callable[..., None]) -> None:
    async def scenario(farm: Farm) -> None:
        running = [await farm.run(ECHO) for _ in range(3)]
        pids = [each.sandbox.pid for each in running]
        zygotes = dict(farm.driver.zygote_ids())
        first = farm.driver.supervisor_pid
        os.kill(first, signal.SIGKILL)
        for each in running:
            with pytest.raises(SandboxError, match="was lost"):
                await each.sandbox.wait_exited()
        await wait_until(lambda: not any(is_alive(pid) for pid in (*pids, *zygotes.values())))
        await wait_until(lambda: farm.driver.supervisor_pid != first)
        again = await farm.run(ECHO)
        assert await again.ask(5) == 5
        with pytest.raises(SandboxError):
            await running[0].sandbox.reset()
        for each in (*running, again):
            await each.close()

    in_farm(scenario)


def test_zygote_killed(in_farm: Callable[..., None]) -> None:
    async def scenario(farm: Farm) -> None:
        survivor = await farm.run(ECHO)
        (pid,) = farm.driver.zygote_ids().values()
        os.kill(pid, signal.SIGKILL)
        await wait_until(lambda: [pid] != list(farm.driver.zygote_ids().values()) != [])
        again = await farm.run(ECHO)
        assert await again.ask(1) == 1
        assert await survivor.ask(2) == 2
        await again.close()
        await survivor.close()

    in_farm(scenario)


def test_init_killed(in_farm: Callable[..., None]) -> None:
    async def scenario(farm: Farm) -> None:
        running = await farm.run(ECHO)
        os.kill(running.sandbox.pid, signal.SIGKILL)
        with pytest.raises(SandboxError, match="was lost"):
            await running.sandbox.wait_exited()
        with pytest.raises(SandboxError):
            await running.sandbox.reset()
        await running.close()

    in_farm(scenario)


def test_a_launcher_that_does_not_end_is_killed(tmp_path: Path) -> None:
    launcher = start_launcher(LauncherOptions(tmp_path, uid_base=UID_BASE))
    launcher.process.send_signal(signal.SIGSTOP)
    launcher.stop(0.2)
    assert launcher.process.returncode == -signal.SIGKILL


def test_guard_killed(in_farm: Callable[..., None], leftovers: Callable[..., Any], tmp_path: Path) -> None:
    reached = []

    async def scenario(farm: Farm) -> None:
        running = await farm.run(ECHO)
        assert leftovers(tmp_path)["processes"] != []
        farm.launcher.process.kill()
        with pytest.raises(SandboxError, match="was lost"):
            await running.sandbox.wait_exited()
        with pytest.raises(SandboxError, match="the launcher has ended"):
            await farm.driver.create(farm.kind())
        await running.close()
        reached.append("the end")

    async def nothing(farm: Farm) -> None:
        assert (await farm.driver.create(farm.kind())).pid

    # Whether the driver's end, the count of what is left, or neither of them comes to complain is chance.
    with contextlib.suppress(BaseExceptionGroup, AssertionError):
        in_farm(scenario)
    assert reached == ["the end"]
    run_apart(wait_until(lambda: leftovers(tmp_path)["processes"] == []))
    with contextlib.suppress(AssertionError):
        in_farm(nothing)
    swept = leftovers(tmp_path)
    assert (swept["processes"], swept["cgroups"], swept["loops"]) == ([], [], [])


def test_zygote_that_cannot_start_says_why(in_farm: Callable[..., None]) -> None:
    async def scenario(farm: Farm) -> None:
        (farm.client / "lambent_runtime.py").write_text("raise RuntimeError('planted')\n")
        with pytest.raises(SandboxError, match="planted"):
            await farm.driver.create(farm.kind())

    in_farm(scenario)


@pytest.mark.usefixtures("needs_root")
def test_what_a_crash_left_is_swept(in_farm: Callable[..., None]) -> None:
    async def scenario(farm: Farm) -> None:
        running = await farm.run(ECHO)
        identity = (farm.data / "launcher" / "installation-id").read_text()
        stranger = Path("/sys/fs/cgroup") / _hierarchies()[0] / "lambent-000000000000" / "e1"
        stranger.mkdir(parents=True)
        try:
            before = farm.driver.supervisor_pid
            os.kill(before, signal.SIGKILL)
            await wait_until(lambda: farm.driver.supervisor_pid != before)
            assert _sandbox_cgroups(identity) == []
            assert stranger.exists()
        finally:
            stranger.rmdir()
            stranger.parent.rmdir()
        await running.close()

    in_farm(scenario)


def _sandbox_cgroups(identity: str) -> list[Path]:
    return [path for path in Path("/sys/fs/cgroup").glob(f"**/lambent-{identity}/*") if path.is_dir()]


def _hierarchies() -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line.split()[4].removeprefix("/sys/fs/cgroup").strip("/") for line in lines if " - cgroup2 " in line]
