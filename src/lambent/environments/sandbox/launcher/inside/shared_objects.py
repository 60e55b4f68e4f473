"""What outlives every process: System V memory, semaphores and queues. Runs on Python 3.8 and newer."""

from __future__ import annotations

from .. import syscalls

_IPC_RMID = 0


def remove_all() -> None:
    """Remove every System V object of this namespace that is ours: its memory stays charged to the environment."""
    for kind in ("shm", "sem", "msg"):
        try:
            with open(f"/proc/sysvipc/{kind}") as listing:
                rows = listing.readlines()[1:]
        except OSError:
            continue
        for row in rows:
            number = int(row.split()[1])
            if kind == "shm":
                syscalls.LIBC.shmctl(number, _IPC_RMID, None)
            elif kind == "sem":
                syscalls.LIBC.semctl(number, 0, _IPC_RMID)
            else:
                syscalls.LIBC.msgctl(number, _IPC_RMID, None)
