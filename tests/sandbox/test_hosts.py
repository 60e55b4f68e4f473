"""Hosts that offer less: each missing feature has a reason, and the level is what is really kept."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lambent.environments.sandbox.sandbox import RuntimeExit
from lambent.model.environment import IsolationLevel

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sandbox.conftest import Farm

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("needs_root")]

MEMORY = """
import time
def handler(mib):
    kept = bytearray(mib << 20)
    while mib > 128:
        time.sleep(1)
    return 1
"""
# Memory that no process's size shows.
UNSEEN_MEMORY = """
import ctypes, os, socket
def handler(wanted):
    one, other = socket.socketpair()
    sizes = []
    for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
        before = one.getsockopt(socket.SOL_SOCKET, option)
        one.setsockopt(socket.SOL_SOCKET, option, before // 4)
        sizes.append(one.getsockopt(socket.SOL_SOCKET, option) / before)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    try:
        os.close(os.memfd_create("x"))
        files = 0
    except OSError as error:
        files = error.errno
    libc = ctypes.CDLL(None, use_errno=True)
    segments = 0 if libc.shmget(0, 4096, 0o1600) >= 0 else ctypes.get_errno()
    return [sizes, one.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), files, segments]
"""
FILL = """
def handler(event):
    kind = next(line.split()[2] for line in open("/proc/mounts") if line.split()[1] == "/tmp")
    written = 0
    try:
        with open("/tmp/big", "wb", buffering=0) as file:
            while True:
                written += file.write(bytes(1 << 20))
    except OSError as error:
        return [kind, written >> 20, error.errno]
"""


def cgroup_mounts(kind: str) -> tuple[str, ...]:
    """Return where hierarchies of a kind are mounted, the innermost first."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return tuple(sorted((line.split()[4] for line in lines if f" - {kind} " in line), reverse=True))


def test_version_one_only(in_farm: Callable[..., None]) -> None:
    if not cgroup_mounts("cgroup"):
        pytest.skip("this host has no cgroup v1 hierarchies")

    async def scenario(farm: Farm) -> None:
        assert farm.driver.level is IsolationLevel.L2
        assert farm.driver.missing_features == {}
        running = await farm.run("def handler(event):\n    return event\n")
        running.sandbox.freeze()
        running.sandbox.thaw()
        assert await running.ask(1) == 1
        running.sandbox.freeze()
        await running.close()

    in_farm(scenario, hidden=cgroup_mounts("cgroup2"))


def test_no_cgroups(in_farm: Callable[..., None]) -> None:
    async def scenario(farm: Farm) -> None:
        assert farm.driver.level is IsolationLevel.L1
        assert {"cgroup memory", "cgroup cpu", "cgroup freezer"} <= farm.driver.missing_features.keys()
        running = await farm.run(MEMORY, memory_mib=128)
        running.sandbox.freeze()
        running.sandbox.thaw()
        assert await running.ask(1) == 1
        assert running.sandbox.memory_peak_mib() >= 1
        unseen = await farm.run(UNSEEN_MEMORY)
        assert await unseen.ask(1) == [[1, 1], 1, errno.EPERM, errno.EPERM]
        await unseen.close()
        await running.tell(400)
        assert await running.sandbox.wait_exited() == RuntimeExit(None, 9, is_out_of_memory=True)
        await running.close()

    in_farm(scenario, hidden=(*cgroup_mounts("cgroup2"), *cgroup_mounts("cgroup")))


def test_a_memory_cgroup_lets_functions_have_what_it_counts(in_farm: Callable[..., None]) -> None:
    async def scenario(farm: Farm) -> None:
        running = await farm.run(UNSEEN_MEMORY)
        # The kernel doubles what it is asked for.
        assert await running.ask(1) == [[0.5, 0.5], 1, 0, 0]
        await running.close()

    in_farm(scenario)


def test_no_disk_images(in_farm: Callable[..., None]) -> None:
    async def scenario(farm: Farm) -> None:
        assert "disk /tmp" in farm.driver.missing_features
        running = await farm.run(FILL, memory_mib=256, ephemeral_storage_mib=64)
        kind, written_mib, number = await running.ask()
        assert (kind, number) == ("tmpfs", errno.ENOSPC)
        assert 60 <= written_mib <= 64
        await running.close()

    in_farm(scenario, empty=(str(shutil.which("mkfs.ext4", path="/usr/sbin:/sbin")),))


def test_the_level_is_proven(in_farm: Callable[..., None]) -> None:
    async def scenario(farm: Farm) -> None:
        await farm.driver.prove()
        assert farm.driver.zygote_ids() == {}

    in_farm(scenario)
