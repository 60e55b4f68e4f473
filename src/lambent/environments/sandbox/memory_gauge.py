"""How much memory a sandbox used at most, without page cache, read without asking anybody."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_MIB = 1 << 20


class MemoryGauge:
    """Reads control files that root opened for the daemon, which own nothing else of them. Scope: one sandbox.

    The kernel's own high-water mark counts page cache. So: whenever that mark has risen, take what is in use now
    without cache, and the high-water mark of the runtime process without file pages; the highest value counts.
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
            kills = _field(os.pread(self._files["memory_events"], 4096, 0), b"oom_kill ")
        except OSError:
            return False
        is_killed = kills > self._kills
        self._kills = kills
        return is_killed

    def close(self) -> None:
        """Forget the files; their owner closes them."""
        self._files = {}

    def _in_use_bytes(self) -> int:
        stat = os.pread(self._files["memory_stat"], 16384, 0)
        anonymous = _field(stat, b"\ntotal_rss ") if b"\ntotal_rss " in stat else _field(b"\n" + stat, b"\nanon ")
        shared = _field(stat, b"\ntotal_shmem ") if b"\ntotal_shmem " in stat else _field(stat, b"\nshmem ")
        return anonymous + shared


def _field(text: bytes, name: bytes) -> int:
    start = text.find(name)
    if start < 0:
        return 0
    return int(text[start + len(name) :].split(b"\n", 1)[0])
