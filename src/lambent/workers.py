"""Processes for CPU work (decoding, unpacking), so that nothing heavy runs on the event loop."""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import BrokenExecutor, Executor, Future
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures.process import ProcessPoolExecutor


P = ParamSpec("P")
T = TypeVar("T")


class Workers(Executor):
    """A pool of processes, there while it has work. Scope: node. After a crash of the daemon: they end too.

    It is made at the first work, ended when idle (each process costs some 15 MiB), and made anew when one was killed.

    Work that a dead pool had taken fails with BrokenProcessPool; what is submitted afterwards runs.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._lock = threading.Lock()
        self._pool: ProcessPoolExecutor | None = None
        self._working = 0
        self._submitted = 0

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run `fn` in a process. See concurrent.futures.Executor."""
        with self._lock:
            pool = self._pool = self._pool or self._new_pool()
            try:
                future = pool.submit(fn, *args, **kwargs)
            except BrokenExecutor:
                pool.shutdown(wait=False, cancel_futures=True)
                pool = self._pool = self._new_pool()
                future = pool.submit(fn, *args, **kwargs)
            self._working += 1
            self._submitted += 1
        future.add_done_callback(self._done)
        return future

    def end_idle(self, seen: int) -> int:
        """End the processes if nothing was submitted since `seen`; return the count to pass next time. May block."""
        with self._lock:
            pool = None
            if seen == self._submitted and not self._working:
                pool, self._pool = self._pool, None
            seen = self._submitted
        if pool is not None:
            pool.shutdown()
        return seen

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the processes."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait, cancel_futures=cancel_futures)

    def _done(self, future: Future[T]) -> None:
        with self._lock:
            self._working -= 1

    def _new_pool(self) -> ProcessPoolExecutor:
        # Imported with the first work: a tenth of a start, and many servers are started only to be looked at.
        import multiprocessing
        from concurrent.futures.process import ProcessPoolExecutor

        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(self._count, mp_context=context, initializer=_begin_worker)


# Unpacking may take a core for seconds: then functions that are called meanwhile come first.
_NICE = 10


def _begin_worker() -> None:
    os.nice(_NICE)
    _end_with_parent()


def _end_with_parent() -> None:
    # A pipe's end would not tell: siblings hold it too. However the daemon ends, its workers do.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import multiprocessing

    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
