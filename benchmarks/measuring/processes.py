"""CPU time and memory of a server's processes, by role, read from /proc."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Process:
    """One process of a tree: its role says whose work it does."""

    pid: int
    role: str


def tree(root: int) -> list[Process]:
    """Return `root` and everything below it, with roles as Lambent's processes have them."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir(_PROC):
        if entry.isdigit():
            with contextlib.suppress(OSError, IndexError):
                parent = int((_PROC / entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry))
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        with contextlib.suppress(OSError):
            found.append(Process(pid, "daemon" if pid == root else _role(pid)))
        waiting += children.get(pid, [])
    return found


def _role(pid: int) -> str:
    """Name what a process below the daemon is by what can be seen from outside."""
    fields = dict(line.split(":", 1) for line in (_PROC / str(pid) / "status").read_text().splitlines() if ":" in line)
    inner = fields.get("NSpid", str(pid)).split()
    command = (_PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    if len(inner) > 1:
        return "init" if inner[-1] == "1" else "function"
    if "multiprocessing" in command:
        return "worker"
    if "embedded.py" in command:
        return "neighbours"
    # Zygotes replace the supervisor's program by the interpreter that functions will run in.
    return "supervisor" if "__main__.py" in command else "zygote"


def cpu_ns(root: int) -> dict[str, int]:
    """Return nanoseconds on a CPU so far by role; processes that have ended are not in it."""
    totals: dict[str, int] = {}
    for process in tree(root):
        with contextlib.suppress(OSError):
            for task in os.listdir(_PROC / str(process.pid) / "task"):
                text = (_PROC / str(process.pid) / "task" / task / "schedstat").read_text()
                totals[process.role] = totals.get(process.role, 0) + int(text.split()[0])
    return totals


def pss_kib(root: int) -> dict[str, int]:
    """Return the proportional set size in KiB by role, swap included."""
    totals: dict[str, int] = {}
    for process in tree(root):
        with contextlib.suppress(OSError):
            for line in (_PROC / str(process.pid) / "smaps_rollup").read_text().splitlines():
                if line.startswith(("Pss:", "SwapPss:")):
                    totals[process.role] = totals.get(process.role, 0) + int(line.split()[1])
    return totals


def counts(root: int) -> dict[str, int]:
    """Return the number of processes by role."""
    totals: dict[str, int] = {}
    for process in tree(root):
        totals[process.role] = totals.get(process.role, 0) + 1
    return totals


class CpuMeter:
    """CPU time between construction and `per_call`."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._before = cpu_ns(root)

    def per_call(self, calls: int) -> dict[str, float]:
        """Return µs of CPU a call by role."""
        after = cpu_ns(self._root)
        return {
            role: round((spent - self._before.get(role, 0)) / 1000 / max(calls, 1), 2)
            for role, spent in sorted(after.items())
        }
