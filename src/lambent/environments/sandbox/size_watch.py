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
# Each open socket can hold 208 KiB in its buffers, which no process's size shows. A thousand processes, each with its
# standard streams and a few more, are no reason to end anything.
DESCRIPTORS_MAX = 2_048
_FREE_DESCRIPTORS = 8
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
        self.is_out_of_hand = False
        self.is_tmp_outgrown = False

    def look(self) -> None:
        """Measure, note what is too large, and kill at once: memory fills while the loop is told.

        As the kernel does in a cgroup, the largest process is killed first. What is too large at the next look too is
        out of hand: all is killed.
        """
        pids = self._pids = _descendants(self._init_pid)
        if not self._is_memory_limited:
            # First what is quickly asked: the sizes of many processes take long, and buffers fill meanwhile.
            is_outgrown = self.is_out_of_hand = descriptors_in_use(pids) > DESCRIPTORS_MAX
            if not is_outgrown:
                sizes = _sizes_bytes(pids)
                memory_bytes = sum(sizes.values())
                self.memory_peak_bytes = max(self.memory_peak_bytes, min(memory_bytes, self._memory_bytes_max))
                is_outgrown = memory_bytes > self._memory_bytes_max
                self.is_out_of_hand = is_outgrown and self.is_memory_outgrown
            self.is_memory_outgrown = is_outgrown
            if is_outgrown:
                self._kill(pids if self.is_out_of_hand else [max(sizes, key=sizes.__getitem__)])
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
        self._kill(self._pids)
        self._pids = []

    def _kill(self, pids: list[int]) -> None:
        for pid in pids:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)


def memory_in_use_bytes(init_pid: int) -> int:
    """Return what all descendants of an init hold in memory without file pages, pages shared by several once."""
    return sum(_sizes_bytes(_descendants(init_pid)).values())


def descriptors_in_use(pids: list[int]) -> int:
    """Return how many descriptors processes have open together beyond the first few of each; 0 before Linux 6.2."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            total += max(0, os.stat(f"/proc/{pid}/fd").st_size - _FREE_DESCRIPTORS)
    return total


def _sizes_bytes(pids: list[int]) -> dict[int, int]:
    if len(pids) == 1:
        return {pids[0]: _status_bytes(pids[0])}
    return {pid: _proportional_bytes(pid) for pid in pids}


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
