"""Reads, on connections of their own, in a few threads; those of a single row where they are asked for."""

from __future__ import annotations

import asyncio
import queue
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from lambent.store.sqlite.connection import connect, service_error

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

T = TypeVar("T")


class Readers:
    """Scope: the database file. Keeps no state but its connections. `count` is the number of threads."""

    def __init__(self, path: str, commit_lock: threading.Lock, *, count: int = 2) -> None:
        self._commit_lock = commit_lock
        self._connections: queue.SimpleQueue[sqlite3.Connection] = queue.SimpleQueue()
        self._count = count
        for _ in range(count):
            self._connections.put(connect(path, is_read_only=True))
        self._near = connect(path, is_read_only=True)
        self._threads = ThreadPoolExecutor(max_workers=count, thread_name_prefix="store-reader")

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Return what `work` reads. What it read has been announced to the change feed before this returns.

        Raises:
            ServiceError: the database could not be read (500).
        """
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._read, work)

    async def read_one(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Return what `work` reads: a row or two by primary key. Promises and raises as `read`.

        Such a read takes some 20 µs and handing it to a thread ten times that, so it is done here and now, unless a
        commit is under way: then nobody on the loop waits for the disk.
        """
        if not self._commit_lock.acquire(blocking=False):
            return await self.read(work)
        try:
            return self.read_now(work)
        finally:
            self._commit_lock.release()

    def read_now(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Return what `work` reads, announced or not: a row or two by primary key. Raises as `read`.

        A commit under way is no obstacle: in WAL mode who reads sees what was committed before.
        """
        try:
            return work(self._near)
        except sqlite3.Error as error:
            raise service_error(error) from error

    def close(self) -> None:
        """End the threads and close the connections."""
        self._threads.shutdown(wait=True)
        self._near.close()
        for _ in range(self._count):
            self._connections.get_nowait().close()

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        connection = self._connections.get()
        try:
            result = work(connection)
        except sqlite3.Error as error:
            raise service_error(error) from error
        finally:
            self._connections.put(connection)
        # Without this a caller could be told of a new state a moment before the data plane hears of it.
        with self._commit_lock:
            return result
