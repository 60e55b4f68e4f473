"""What the operating system says about running processes, for the driver that has no cgroup to ask (L0)."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from msgspec import Struct

_PROC = Path("/proc")
_PAGE_KIB = os.sysconf("SC_PAGE_SIZE") // 1024


class ProcessEntry(Struct, frozen=True):
    """One living process; memory in KiB. `session_id` is the process group where the system hides sessions (macOS)."""

    pid: int
    parent_pid: int
    session_id: int
    threads: int
    resident_kib: int


def processes() -> list[ProcessEntry]:
    """Return every process that can be seen, zombies excepted (2 ms for 100 processes)."""
    if not (_PROC / "self" / "stat").exists():
        return _processes_by_ps()
    entries = (_entry(name) for name in os.listdir(_PROC) if name.isdigit())
    return [entry for entry in entries if entry is not None]


def memory_kib(entries: list[ProcessEntry]) -> int:
    """Return what these processes hold together: shared pages once (PSS) where there are several."""
    if len(entries) == 1:
        return entries[0].resident_kib
    return sum(_proportional_kib(entry) for entry in entries)


def tasks_of_account() -> int:
    """Return how many threads the daemon's account runs now: RLIMIT_NPROC counts them all."""
    account = os.getuid()
    return sum(entry.threads for entry in processes() if _owner(entry.pid) == account)


def peak_kib(pid: int) -> int:
    """Return the highest resident size of one process so far; 0 when unknown or gone."""
    try:
        lines = (_PROC / str(pid) / "status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)


def members(entries: list[ProcessEntry], session_id: int, temp_directory: Path) -> list[ProcessEntry]:
    """Return the processes of a session, their descendants, and strays that carry its TMPDIR in their environment.

    A stray left the session with setsid and lost its parent; only its environment still tells where it came from.
    """
    family = {entry.pid for entry in entries if entry.session_id == session_id}
    size = -1
    while size != len(family):
        size = len(family)
        family.update(entry.pid for entry in entries if entry.parent_pid in family)
    mark = f"TMPDIR={temp_directory}".encode()
    return [entry for entry in entries if entry.pid in family or _has_variable(entry.pid, mark)]


def strays(entries: list[ProcessEntry], directory: Path) -> list[ProcessEntry]:
    """Return the processes whose TMPDIR lies below `directory`: left behind by an earlier run."""
    mark = f"TMPDIR={directory}{os.sep}".encode()
    return [entry for entry in entries if _has_variable(entry.pid, mark, is_prefix=True)]


def _has_variable(pid: int, mark: bytes, *, is_prefix: bool = False) -> bool:
    if pid == os.getpid():
        return False
    try:
        variables = (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return False
    return any(item.startswith(mark) if is_prefix else item == mark for item in variables)


def _owner(pid: int) -> int:
    try:
        return (_PROC / str(pid)).stat().st_uid
    except OSError:
        return -1


def _entry(name: str) -> ProcessEntry | None:
    try:
        text = (_PROC / name / "stat").read_text(errors="replace")
    except OSError:
        return None
    # The command name may hold spaces and brackets: fields are counted from its last bracket.
    fields = text[text.rindex(")") + 2 :].split()
    if fields[0] in "ZX":
        return None
    return ProcessEntry(
        pid=int(name),
        parent_pid=int(fields[1]),
        session_id=int(fields[3]),
        threads=int(fields[17]),
        resident_kib=int(fields[21]) * _PAGE_KIB,
    )


def _proportional_kib(entry: ProcessEntry) -> int:
    try:
        lines = (_PROC / str(entry.pid) / "smaps_rollup").read_text().splitlines()
    except OSError:
        return entry.resident_kib
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), entry.resident_kib)


def _processes_by_ps() -> list[ProcessEntry]:
    command = ["ps", "-A", "-o", "pid=,ppid=,pgid=,rss=,stat="]
    listing = subprocess.run(command, check=False, capture_output=True, text=True, timeout=5)
    rows = [line.split() for line in listing.stdout.splitlines()]
    return [
        ProcessEntry(int(pid), int(parent), int(group), 1, int(resident))
        for pid, parent, group, resident, state in rows
        if not state.startswith("Z")
    ]
