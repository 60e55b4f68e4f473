"""What stands in for images and cgroups at level 1: a look at /tmp and memory, ten times a second."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING

from lambent.environments.sandbox.memory_gauge import number_after

if TYPE_CHECKING:
    from pathlib import Path

PROCESSES_MAX = 1_200
# Each open socket can hold 208 KiB in its buffers, which no process's size shows.
DESCRIPTORS_MAX = 2_048
TMP_EVERY = 5


class SizeWatch:
    """One sandbox's use of memory and disk, looked at from another thread. Scope: one sandbox.

    `memory_mib` None: a cgroup limits memory, only /tmp is looked at.
    """

    def __init__(self, init_pid: int, tmp_directory: Path, memory_mib: int | None, tmp_mib: int) -> None:
        self._init_pid = init_pid
        self._tmp_directory = tmp_directory
        self._is_memory_limited = memory_mib is None
        self._memory_bytes_max = (memory_mib or 0) << 20
        self._tmp_bytes_max = tmp_mib << 20
        self._looks = 0
        self._pids: list[int] = []
        self.memory_peak_bytes = 0
        self.is_memory_outgrown = False
        self.is_tmp_outgrown = False

    def look(self) -> None:
        """Measure, note what is too large, and kill it at once: buffers fill while the loop is told."""
        pids = self._pids = _descendants(self._init_pid)
        if not self._is_memory_limited:
            # First what is quickly asked: the sizes of many processes take long, and buffers fill meanwhile.
            if descriptors_in_use(pids) > DESCRIPTORS_MAX:
                self.is_memory_outgrown = True
                self.kill_seen()
                return
            memory_bytes = _memory_bytes(pids)
            self.memory_peak_bytes = max(self.memory_peak_bytes, min(memory_bytes, self._memory_bytes_max))
            self.is_memory_outgrown = memory_bytes > self._memory_bytes_max
        if self._looks % TMP_EVERY == 0:
            self.is_tmp_outgrown = directory_bytes(self._tmp_directory) > self._tmp_bytes_max
        self._looks += 1

    def peak_mib(self) -> int:
        """Return the highest use of memory so far, in MiB, rounded up; measured now if no look has been taken yet."""
        if not self.memory_peak_bytes:
            measured = memory_in_use_bytes(self._init_pid)
            self.memory_peak_bytes = max(self.memory_peak_bytes, min(measured, self._memory_bytes_max))
        return -(-self.memory_peak_bytes >> 20)

    def kill_seen(self) -> None:
        """Kill what the last look saw: an ordinary user's daemon may, and init, asked to, competes with it for CPU."""
        for pid in self._pids:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        self._pids = []


def memory_in_use_bytes(init_pid: int) -> int:
    """Return what all descendants of an init hold in memory without file pages, pages shared by several once."""
    return _memory_bytes(_descendants(init_pid))


def descriptors_in_use(pids: list[int]) -> int:
    """Return how many descriptors processes have open together; 0 before Linux 6.2, which does not tell."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            total += os.stat(f"/proc/{pid}/fd").st_size
    return total


def _memory_bytes(pids: list[int]) -> int:
    if len(pids) == 1:
        return _status_bytes(pids[0])
    return sum(_proportional_bytes(pid) for pid in pids)


def directory_bytes(directory: Path) -> int:
    """Return the space that everything below a directory takes on disk; links are not followed."""
    total = 0
    pending = [str(directory)]
    while pending:
        with contextlib.suppress(OSError), os.scandir(pending.pop()) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    total += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
    return total


def _descendants(pid: int) -> list[int]:
    found: list[int] = []
    pending = [pid]
    while pending and len(found) < PROCESSES_MAX:
        parent = pending.pop()
        # A child belongs to the thread that forked it.
        with contextlib.suppress(OSError):
            for thread in os.listdir(f"/proc/{parent}/task"):
                with contextlib.suppress(OSError), open(f"/proc/{parent}/task/{thread}/children", "rb") as file:
                    children = [int(child) for child in file.read().split()]
                    found += children
                    pending += children
    return found


def _status_bytes(pid: int) -> int:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/status", "rb") as file:
        status = file.read()
        return (number_after(status, b"\nRssAnon:") + number_after(status, b"\nRssShmem:")) << 10
    return 0


def _proportional_bytes(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
            rollup = file.read()
    except OSError:
        return _status_bytes(pid)
    return (number_after(rollup, b"\nPss_Anon:") + number_after(rollup, b"\nPss_Shmem:")) << 10
