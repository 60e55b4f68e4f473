"""Lines on the way to CloudWatch Logs: in order, in batches, tried again, bounded, and what is lost is counted."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from lambent.observability import delivery as module
from lambent.observability.delivery import LogDelivery

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from tests.unit.observability.conftest import Events

_GROUP = "/aws/lambda/hello"


class FakeLogs:
    """CloudWatch Logs: groups must exist before streams, streams before lines. `failures` are answered first."""

    def __init__(self) -> None:
        self.groups: set[str] = set()
        self.streams: dict[tuple[str, str], list[str]] = {}
        self.actions: list[str] = []
        self.batches: list[int] = []
        self.failures: list[str | ConnectionError] = []
        self.changed = asyncio.Event()

    async def send(self, action: str, body: Mapping[str, object], account_id: str, region: str) -> str | None:
        await asyncio.sleep(0)
        self.actions.append(action)
        if self.failures:
            failure = self.failures.pop(0)
            if isinstance(failure, ConnectionError):
                raise failure
            return failure
        found: Callable[..., str | None] = getattr(self, f"_{action}")
        code = found(body, str(body["logGroupName"]))
        self.changed.set()
        return code

    def _CreateLogGroup(self, body: Mapping[str, object], group: str) -> str | None:
        if group in self.groups:
            return "ResourceAlreadyExistsException"
        self.groups.add(group)
        return None

    def _CreateLogStream(self, body: Mapping[str, object], group: str) -> str | None:
        if group not in self.groups:
            return "ResourceNotFoundException"
        key = (group, str(body["logStreamName"]))
        if key in self.streams:
            return "ResourceAlreadyExistsException"
        self.streams[key] = []
        return None

    def _PutLogEvents(self, body: Mapping[str, Any], group: str) -> str | None:
        key = (group, body["logStreamName"])
        if key not in self.streams:
            return "ResourceNotFoundException"
        times = [event["timestamp"] for event in body["logEvents"]]
        assert times == sorted(times)
        assert len(json.dumps(body)) < 1_048_576
        self.batches.append(len(times))
        texts = [event["message"] for event in body["logEvents"]]
        assert all(text.endswith("\n") for text in texts if "[ERROR]" not in text and len(text) < 200_000)
        self.streams[key] += [text.removesuffix("\n") for text in texts]
        return None

    async def wait_lines(self, count: int) -> None:
        while sum(map(len, self.streams.values())) < count:
            self.changed.clear()
            await self.changed.wait()


@contextlib.asynccontextmanager
async def running(logs: FakeLogs, *, is_begun: bool = True) -> AsyncIterator[LogDelivery]:
    """A delivery whose loop runs for the block."""
    delivery = LogDelivery(logs)
    if is_begun:
        delivery.begin()
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        task = tasks.create_task(delivery.run())
        yield delivery
        task.cancel()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_GATHER_SECONDS", 0.001)
    monkeypatch.setattr(module, "_PAUSE_SECONDS_MIN", 0.001)


async def test_group_and_stream_are_made_and_lines_arrive_in_order(events: Events) -> None:
    logs = FakeLogs()
    async with running(logs) as delivery:
        delivery.put([events.lines("one\ntwo\n\n"), events.lines("other\n", events.environment(stream="s2"))])
        await logs.wait_lines(3)
        delivery.put([events.lines("three\n")])
        await logs.wait_lines(4)
    stream = events.environment().log_stream
    assert logs.streams == {(_GROUP, stream): ["one", "two", "three"], (_GROUP, "s2"): ["other"]}
    assert logs.actions.count("CreateLogStream") <= 4
    assert delivery.statistics() == {"undelivered_bytes": 0, "delivered_events": 4, "delivery_lost_bytes": 0}


async def test_nothing_is_sent_before_the_first_invocation_is_over(events: Events) -> None:
    logs = FakeLogs()
    async with running(logs, is_begun=False) as delivery:
        delivery.put([events.lines("one\n")])
        for _ in range(20):
            await asyncio.sleep(0.001)
        assert logs.actions == []
        delivery.begin()
        await logs.wait_lines(1)


async def test_records_of_several_lines_are_one_event(events: Events) -> None:
    """As recorded: TestLambdaErrors, TestCloudwatchLogs::test_multi_line_prints."""
    logs = FakeLogs()
    folded = b"[ERROR] E: no\rTraceback:\r  File x\n[INFO]\tid\tone\rtwo\n\nplain\rline\n"
    record = events.lines("not what is delivered\n")._replace(folded=folded)
    async with running(logs) as delivery:
        delivery.put([record])
        await logs.wait_lines(3)
    [lines] = logs.streams.values()
    assert lines == ["[ERROR] E: no\nTraceback:\n  File x", "[INFO]\tid\tone\ntwo", "plain\rline"]


async def test_the_trace_belongs_to_the_report(events: Events) -> None:
    fake = FakeLogs()
    report = "REPORT RequestId: 1\tDuration: 1.00 ms\t"
    trace = "XRAY TraceId: 1-0-0\tSampled: true\t"
    async with running(fake) as delivery:
        delivery.put([events.lines(f"{trace}\nEND RequestId: 1\n{report}\n{trace}\nnext\n")])
        await fake.wait_lines(4)
    [lines] = fake.streams.values()
    assert lines == [trace, "END RequestId: 1", f"{report}\n{trace}", "next"]


async def test_large_batches_are_cut(events: Events) -> None:
    logs = FakeLogs()
    async with running(logs) as delivery:
        delivery.put([events.lines("x\n" * 5_000), events.lines("y" * 700_000)])
        await logs.wait_lines(5_004)
    assert max(logs.batches) <= 2_000
    [lines] = logs.streams.values()
    assert "".join(lines[5_000:]) == "y" * 700_000


async def test_a_group_that_was_deleted_is_made_again(events: Events) -> None:
    logs = FakeLogs()
    async with running(logs) as delivery:
        delivery.put([events.lines("one\n")])
        await logs.wait_lines(1)
        logs.groups.clear()
        logs.streams.clear()
        delivery.put([events.lines("two\n")])
        await logs.wait_lines(1)
    assert list(logs.streams.values()) == [["two"]]


async def test_what_fails_for_a_while_is_tried_again_and_nothing_is_lost(events: Events) -> None:
    logs = FakeLogs()
    logs.failures = [ConnectionError("down") for _ in range(5)]
    async with running(logs) as delivery:
        delivery.put([events.lines("one\n"), events.lines("two\n", events.environment(stream="s2"))])
        await logs.wait_lines(2)
    assert delivery.statistics() == {"undelivered_bytes": 0, "delivered_events": 2, "delivery_lost_bytes": 0}


async def test_a_refused_batch_is_counted_and_left(events: Events) -> None:
    logs = FakeLogs()
    async with running(logs) as delivery:
        delivery.put([events.lines("one\n")])
        await logs.wait_lines(1)
        logs.failures = ["InvalidParameterException"]
        delivery.put([events.lines("two\n")])
        while delivery.lost_bytes == 0:
            await asyncio.sleep(0)
        delivery.put([events.lines("three\n")])
        await logs.wait_lines(2)
    assert list(logs.streams.values()) == [["one", "three"]]
    assert delivery.lost_bytes == len("one\n") + 26


async def test_what_waits_is_bounded(events: Events, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "QUEUED_BYTES_MAX", 1_000)
    delivery = LogDelivery(FakeLogs())
    delivery.put(events.lines("x" * 99 + "\n") for _ in range(1_000))
    assert delivery.queued_bytes < 1_500
    assert delivery.lost_bytes > 98_000


async def test_more_lines_than_may_be_sent_are_counted_and_left(
    events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BURST_LINES", 4)
    logs = FakeLogs()
    delivery = LogDelivery(logs, 0.0)
    delivery.put([events.lines("one\ntwo\nthree\n"), events.lines("four\nfive\n"), events.lines("six\n")])
    delivery.begin()
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        task = tasks.create_task(delivery.run())
        await logs.wait_lines(4)
        task.cancel()
    assert logs.streams[_GROUP, events.environment().log_stream] == ["one", "two", "three", "six"]
    assert delivery.statistics()["delivery_lost_bytes"] == len("four\nfive\n")
    refilled = LogDelivery(logs, 1e9)
    for _ in range(10):
        refilled.put([events.lines("a\nb\nc\nd\n")])
        await asyncio.sleep(0.001)
    assert refilled.lost_bytes == 0


async def test_the_end_waits_for_the_last_lines(events: Events) -> None:
    logs = FakeLogs()
    async with running(logs) as delivery:
        delivery.put([events.lines("one\n")])
        await logs.wait_lines(1)
        delivery.put([events.lines("two\n")])
        await delivery.drain(10)
        assert list(logs.streams.values()) == [["one", "two"]]
