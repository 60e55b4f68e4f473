"""Processes for CPU work: there while needed, made anew when killed, gone when idle."""

from __future__ import annotations

import os
import signal
from concurrent.futures.process import BrokenProcessPool

import pytest

from lambent.workers import Workers

pytestmark = pytest.mark.slow


def test_a_killed_worker_is_replaced() -> None:
    workers = Workers(1)
    try:
        first = workers.submit(os.getpid).result(30)
        os.kill(first, signal.SIGKILL)
        for _ in range(50):
            try:
                second = workers.submit(os.getpid).result(30)
                break
            except BrokenProcessPool:
                continue
        assert second != first
    finally:
        workers.shutdown()


def test_idle_workers_end_and_come_back() -> None:
    workers = Workers(1)
    try:
        first = workers.submit(os.getpid).result(30)
        seen = workers.end_idle(-1)
        assert workers.submit(os.getpid).result(30) == first, "work since the last look keeps them"
        seen = workers.end_idle(seen)
        assert workers.end_idle(seen) == seen
        with pytest.raises(ProcessLookupError):
            os.kill(first, 0)
        assert workers.submit(os.getpid).result(30) != first
    finally:
        workers.shutdown()
