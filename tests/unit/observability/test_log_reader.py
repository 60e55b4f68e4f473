"""Reading and following logs."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from lambent.observability import LogStore, Recorder, log_reader
from lambent.observability.log_format import LogGroup, encode
from lambent.observability.log_reader import LogQuery, LogReader
from lambent.observability.metrics import FunctionMetrics
from tests.loops import run_apart

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.unit.observability.conftest import Events


def _query(
    function: str | None = "hello", *, group: str | None = None, since_ms: int = 0, is_following: bool = False
) -> LogQuery:
    directory = LogGroup("1" * 12, "eu-west-1", group).directory if group else None
    return LogQuery("1" * 12, "eu-west-1", function, directory, since_ms, is_following)


def _messages(store: LogStore, recorder: Recorder, query: LogQuery) -> list[str]:
    async def read() -> bytes:
        return b"".join([chunk async for chunk in LogReader(store, recorder, query)])

    return [json.loads(line)["message"] for line in run_apart(read()).splitlines()]


def _filled(path: Path) -> tuple[LogStore, Recorder]:
    store = LogStore(path, 1024 * 1024)
    store.load()
    own = LogGroup("1" * 12, "eu-west-1", "/aws/lambda/hello")
    shared = LogGroup("1" * 12, "eu-west-1", "shared")
    foreign = LogGroup("2" * 12, "eu-west-1", "/aws/lambda/hello")
    store.append(own, encode(1, "hello", "s1", b"a\nb\n") + encode(5, "hello", "s2", b"c\n"), 1)
    store.append(shared, encode(2, "hello", "s1", b"d\n") + encode(2, "other", "s1", b"e\n"), 2)
    store.append(foreign, encode(3, "hello", "s1", b"not mine\n"), 3)
    return store, Recorder(store, FunctionMetrics())


def test_a_function_s_lines_from_all_its_groups(tmp_path: Path) -> None:
    assert _messages(*_filled(tmp_path), _query()) == ["a", "b", "c", "d"]


def test_a_group_s_lines_of_all_functions(tmp_path: Path) -> None:
    assert _messages(*_filled(tmp_path), _query(None, group="shared")) == ["d", "e"]


def test_since(tmp_path: Path) -> None:
    assert _messages(*_filled(tmp_path), _query(since_ms=2)) == ["c", "d"]


def test_every_segment_is_read_once(tmp_path: Path) -> None:
    store = LogStore(tmp_path, 64 * 1024 * 16)
    store.load()
    group = LogGroup("1" * 12, "eu-west-1", "/aws/lambda/hello")
    for number in range(12):
        store.append(group, encode(number, "hello", "s", b"%d" % number + b" " * 40_000 + b"\n"), number)
    assert len(store.segments_of(group.directory)) > 3
    numbers = [int(message) for message in _messages(store, Recorder(store, FunctionMetrics()), _query(since_ms=4))]
    assert numbers == list(range(4, 12))


def test_a_follower_gets_lines_as_they_are_written(tmp_path: Path, events: Events) -> None:
    async def scenario() -> list[bytes]:
        store = LogStore(tmp_path, 1024 * 1024)
        store.load()
        recorder = Recorder(store, FunctionMetrics())
        reader = LogReader(store, recorder, _query(is_following=True))
        chunks = []
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            loop = group.create_task(recorder.run())
            for text in ("one\n", "two\n"):
                recorder.emit(events.lines(text))
                chunks.append(await anext(reader))
            loop.cancel()
        return chunks

    assert [json.loads(chunk)["message"] for chunk in run_apart(scenario())] == ["one", "two"]


def test_a_follower_of_a_silent_log_says_nothing_and_ends_with_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_reader, "_SILENCE_SECONDS", 0.001)

    async def scenario() -> list[bytes]:
        store, recorder = _filled(tmp_path)
        reader = LogReader(store, recorder, _query("nobody", is_following=True))
        assert await anext(reader) == b""
        recorder.end_followers()
        return [chunk async for chunk in reader]

    assert run_apart(scenario()) == []
