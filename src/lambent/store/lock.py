"""One daemon for each data directory."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from lambent.store.contracts import StoreUnusableError


class DataDirectoryInUseError(StoreUnusableError):
    """Another daemon holds the data directory; the text says which."""


class DataDirectoryLock:
    """Holds `lock` in the data directory while the object is open. Scope: installation.

    The kernel gives the lock back when the process ends, however it ends.
    """

    def __init__(self, data_directory: str | Path) -> None:
        """Take the lock.

        Raises:
            DataDirectoryInUseError: another process holds it.
        """
        path = Path(data_directory) / "lock"
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._descriptor, 32, 0).decode("ascii", "replace").strip()
            os.close(self._descriptor)
            raise DataDirectoryInUseError(
                f"The data directory {data_directory} is in use by another lambent (process {holder or 'unknown'}). "
                "Stop it, or choose another directory with --data-dir."
            ) from None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def close(self) -> None:
        """Give the lock back."""
        os.close(self._descriptor)
