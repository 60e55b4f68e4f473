"""The sink: bounded, never blocking, honest about losses."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from lambent.observability import recorder as recorder_module
from lambent.observability.log_format import LogGroup
from lambent.observability.logs import LogStore
from lambent.observability.metrics import FunctionMetrics
from lambent.observability.recorder import Recorder
from tests.loops import run_apart

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import pytest

    from tests.unit.observability.conftest import Events

_DIRECTORY = LogGroup("1" * 12, "eu-west-1", "/aws/lambda/hello").directory


@contextlib.asynccontextmanager
async def _running(recorder: Recorder) -> AsyncIterator[None]:
    """Run the recorder's loop for the block; leaving writes the rest."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(recorder.run())
        yield
        await asyncio.sleep(0)
        task.cancel()


def _lines(path: Path) -> bytes:
    store = LogStore(path, 16 * 1024 * 1024)
    store.load()
    segments = store.segments_of(_DIRECTORY)
    return b"".join(record.lines for _, _, one in segments for record in store.read(one, 0)[0])


def _recorder(path: Path) -> Recorder:
    store = LogStore(path, 16 * 1024 * 1024)
    store.load()
    return Recorder(store, FunctionMetrics())


def test_lines_are_on_disk_when_run_ends(tmp_path: Path, events: Events) -> None:
    async def scenario() -> None:
        recorder = _recorder(tmp_path)
        async with _running(recorder):
            await asyncio.sleep(0)
            recorder.emit(events.lines("first\n"))
            recorder.emit(events.lines("second\n", events.environment(stream="s2")))
            recorder.emit(events.lines("third\n"))

    run_apart(scenario())
    assert _lines(tmp_path) == b"first\nsecond\nthird\n"


def test_followers_wake_after_a_batch(tmp_path: Path, events: Events) -> None:
    async def scenario() -> bytes:
        recorder = _recorder(tmp_path)
        async with _running(recorder):
            seen = recorder.batches_written
            recorder.emit(events.lines("one\n"))
            async with asyncio.timeout(10):
                await recorder.wait_written(seen)
            return _lines(tmp_path)

    assert run_apart(scenario()) == b"one\n"


def test_what_does_not_fit_is_counted_and_said_in_the_log(
    tmp_path: Path, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "QUEUED_BYTES_MAX", 1_000)

    async def scenario() -> Recorder:
        recorder = _recorder(tmp_path)
        for _ in range(3):
            recorder.emit(events.lines("x" * 399 + "\n"))
        assert recorder.lost_bytes == 800
        async with _running(recorder):
            pass
        return recorder

    assert run_apart(scenario()).statistics() == {"queued_bytes": 0, "lost_bytes": 800}
    text = _lines(tmp_path)
    assert text.count(b"x" * 399) == 1
    assert text.endswith(b"LOGS_DROPPED 800 bytes: lines came faster than they could be written\n")


def test_a_disk_that_refuses_is_said_when_it_takes_again(
    tmp_path: Path, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> Recorder:
        recorder = _recorder(tmp_path)
        async with _running(recorder):
            real_append = LogStore.append

            def refuse(self: LogStore, group: LogGroup, data: bytes, at_ms: int) -> None:
                raise OSError("full")

            monkeypatch.setattr(LogStore, "append", refuse)
            for _ in range(2):
                seen = recorder.batches_written
                recorder.emit(events.lines("lost\n"))
                async with asyncio.timeout(10):
                    await recorder.wait_written(seen)
            monkeypatch.setattr(LogStore, "append", real_append)
            recorder.emit(events.lines("kept\n"))
        return recorder

    recorder = run_apart(scenario())
    assert recorder.lost_bytes == 10
    assert _lines(tmp_path) == b"kept\nLOGS_DROPPED 10 bytes: lines came faster than they could be written\n"


def test_other_events_are_counted_at_once(tmp_path: Path, events: Events) -> None:
    async def scenario() -> dict[str, dict[str, float]]:
        metrics = FunctionMetrics()
        Recorder(LogStore(tmp_path, 1), metrics).emit(events.start())
        return metrics.of_account("1" * 12, "eu-west-1")

    assert run_apart(scenario())["hello"]["concurrent"] == 1
