"""How much memory a sandbox used at most, without page cache, read without asking anybody."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_MIB = 1 << 20
CHILDREN_MAX = 8


class MemoryGauge:
    """Reads control files that root opened for the daemon, which own nothing else of them. Scope: one sandbox.

    The kernel's own high-water mark counts page cache. So: whenever that mark has risen, take what is in use now
    without cache, and add by how much the runtime process has once been larger than it is now.
    """

    def __init__(self, files: Mapping[str, int], pid: int) -> None:
        self._files = files
        self._pid = pid
        self._kills = 0
        self._peak_bytes = 0
        self._mark = -1

    def peak_mib(self) -> int:
        """Return the highest use so far, in MiB, rounded up."""
        if "memory_peak" in self._files:
            with contextlib.suppress(OSError, ValueError):
                mark = int(os.pread(self._files["memory_peak"], 64, 0))
                if mark != self._mark:
                    self._mark = mark
                    self._peak_bytes = max(self._peak_bytes, min(mark, self._in_use_bytes()))
        return -(-self._peak_bytes // _MIB)

    def is_killed_since_last_asked(self) -> bool:
        """Whether the kernel killed something inside for want of memory since the last time."""
        if "memory_events" not in self._files:
            return False
        try:
            kills = number_after(os.pread(self._files["memory_events"], 4096, 0), b"oom_kill ")
        except OSError:
            return False
        is_killed = kills > self._kills
        self._kills = kills
        return is_killed

    def close(self) -> None:
        """Forget the files; their owner closes them."""
        self._files = {}

    def _in_use_bytes(self) -> int:
        stat = b"\n" + os.pread(self._files["memory_stat"], 16384, 0)
        names = (b"\ntotal_rss ", b"\ntotal_shmem ") if b"\ntotal_rss " in stat else (b"\nanon ", b"\nshmem ")
        return sum(number_after(stat, name) for name in names) + self._shrunk_bytes()

    def _shrunk_bytes(self) -> int:
        """By how much the largest child of init was larger once than it is now, file pages left out."""
        shrunk = 0
        try:
            with open(f"/proc/{self._pid}/task/{self._pid}/children", "rb") as file:
                children = file.read().split()
            for child in children[:CHILDREN_MAX]:
                with open(f"/proc/{int(child)}/status", "rb") as file:
                    status = file.read()
                once = (
                    number_after(status, b"\nVmHWM:")
                    - number_after(status, b"\nRssFile:")
                    - number_after(status, b"\nRssShmem:")
                )
                shrunk = max(shrunk, once - number_after(status, b"\nRssAnon:"))
        except OSError:
            return shrunk << 10
        return shrunk << 10


def number_after(text: bytes, name: bytes) -> int:
    """Return the number behind `name` on its line, 0 without such a line. A unit behind the number is left out."""
    start = text.find(name)
    if start < 0:
        return 0
    return int(text[start + len(name) :].split(b"\n", 1)[0].split()[0])
