"""The loop over brokers against one that does what the test says."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from lambent.clock import SystemClock
from lambent.events.sources.brokers.broker_poller import BrokerParts, BrokerPoller
from lambent.events.sources.brokers.inbox import Inbox
from lambent.events.sources.deliverer import Delivered, Verdict
from lambent.events.sources.source import SourceError, SourceRecord, Trouble
from lambent.model.configs.event_source import EventSourceMapping, Filter, FilterCriteria

if TYPE_CHECKING:
    from collections.abc import Sequence

ARN = "arn:aws:mq:us-east-1:000000000000:broker:b:b-1"
MAPPING = EventSourceMapping(
    "000000000000", "us-east-1", "u", "r", "arn:aws:lambda:us-east-1:000000000000:function:f", 0,
    event_source_arn=ARN, batch_size=3, maximum_batching_window_in_seconds=0, queues=("q",),
)  # fmt: skip


class FakeBroker:
    """A connection whose inbox the test fills."""

    concurrency_max = 1
    failed_seconds: Sequence[float] = (0.0,)

    def __init__(self, error: SourceError | None = None, *, goes_back: bool = True) -> None:
        self.inbox = Inbox(SystemClock())
        self.error = error
        self.goes_back = goes_back
        self.removed: list[str] = []
        self.refused: list[str] = []
        self.back: list[str] = []
        self.closed = asyncio.Event()

    async def open(self) -> None:
        if self.error is not None:
            raise self.error

    async def watch(self) -> None:
        await asyncio.Event().wait()

    async def remove(self, records: Sequence[SourceRecord]) -> None:
        if self.inbox.error is not None:
            raise self.inbox.error
        self.removed += [record.item_id for record in records]

    async def refuse(self, records: Sequence[SourceRecord]) -> None:
        self.refused += [record.item_id for record in records]

    async def failed(self, records: Sequence[SourceRecord], tries: int) -> Sequence[SourceRecord] | None:
        if self.goes_back:
            self.back += [record.item_id for record in records]
            return None
        return [replace(record, document={**record.document, "tries": tries}) for record in records]

    async def close(self) -> None:
        self.closed.set()

    def event(self, records: Sequence[SourceRecord]) -> dict[str, Any]:
        return {"messages": [record.document for record in records]}

    def put(self, *names: str, size_bytes: int = 10) -> None:
        """Send messages."""
        for name in names:
            document = {"data": name}
            self.inbox.put(SourceRecord(document, document, name, size_bytes, name))


class Scene:
    """A poller, its brokers one after the other, and a function that answers as it is told."""

    concurrency_max = 1

    def __init__(self, *brokers: FakeBroker) -> None:
        self.brokers = list(brokers)
        self.connected = 0
        self.events: list[list[str]] = []
        self.told: list[tuple[str | None, str | None]] = []
        self.verdicts: list[Verdict] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.running = 0
        self.running_max = 0
        parts = BrokerParts(self.connect, self, SystemClock())  # type: ignore[arg-type]
        self.poller = BrokerPoller(MAPPING, parts, self.tell)

    def tell(self, text: str | None, trouble: str | None = None) -> None:
        self.told.append((text, trouble))

    async def connect(self, _mapping: EventSourceMapping) -> FakeBroker:
        self.connected += 1
        return self.brokers[min(self.connected, len(self.brokers)) - 1]

    async def deliver(self, _mapping: EventSourceMapping, event: dict[str, Any], **_: Any) -> Delivered:
        self.events.append([one["data"] for one in event["messages"]])
        self.running += 1
        self.running_max = max(self.running_max, self.running)
        await self.gate.wait()
        self.running -= 1
        return Delivered(self.verdicts.pop(0) if self.verdicts else Verdict.SUCCEEDED, "id")

    async def until(self, condition: Any) -> None:
        async with asyncio.timeout(20):
            while not condition():
                await asyncio.sleep(0.01)


async def over(scene: Scene, running: asyncio.Task[None]) -> None:
    """Stop the poller and wait for its end."""
    scene.poller.stop()
    async with asyncio.timeout(20):
        await running


async def test_batches_by_size_and_what_is_left() -> None:
    broker = FakeBroker()
    broker.put("a", "b", "c", "d")
    scene = Scene(broker)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(scene.poller.run())
        await scene.until(lambda: len(broker.removed) == 4)
        assert scene.events == [["a", "b", "c"], ["d"]]
        assert scene.poller.is_ready
        await over(scene, running)
    assert broker.closed.is_set()
    assert scene.told == [(None, None), ("OK", None), ("OK", None)]


async def test_a_batch_is_cut_at_six_megabytes_and_what_is_larger_is_refused() -> None:
    broker = FakeBroker()
    broker.put("a", "b", size_bytes=4_000_000)
    broker.put("too large", size_bytes=7_000_000)
    broker.put("c")
    scene = Scene(broker)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(scene.poller.run())
        await scene.until(lambda: len(broker.removed) == 3)
        assert (scene.events, broker.refused) == ([["a"], ["b", "c"]], ["too large"])
        await over(scene, running)


async def test_what_no_filter_wants_is_acknowledged() -> None:
    broker = FakeBroker()
    broker.put("no", "yes")
    scene = Scene(broker)
    scene.poller.change(replace(MAPPING, filter_criteria=FilterCriteria((Filter('{"data": ["yes"]}'),))))
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(scene.poller.run())
        await scene.until(lambda: len(broker.removed) == 2)
        assert (scene.events, broker.removed) == ([["yes"]], ["no", "yes"])
        await over(scene, running)


async def test_a_throttled_batch_stays_and_is_tried_again() -> None:
    broker = FakeBroker()
    broker.put("a")
    scene = Scene(broker)
    scene.verdicts = [Verdict.THROTTLED, Verdict.NO_FUNCTION, Verdict.SUCCEEDED]
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(scene.poller.run())
        await scene.until(lambda: broker.removed)
        assert (scene.events, broker.back) == ([["a"]] * 3, [])
        await over(scene, running)


@pytest.mark.parametrize("goes_back", [True, False])
async def test_a_batch_that_failed_goes_back_or_is_tried_here(goes_back: bool) -> None:
    broker = FakeBroker(goes_back=goes_back)
    broker.put("a")
    scene = Scene(broker)
    scene.verdicts = [Verdict.FAILED, Verdict.SUCCEEDED]
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(scene.poller.run())
        await scene.until(lambda: broker.back or broker.removed)
        assert (broker.back, broker.removed) == ((["a"], []) if goes_back else ([], ["a"]))
        await over(scene, running)
    assert scene.told[1] == ("PROBLEM: Function call failed", None)


async def test_as_many_batches_at_one_time_as_the_broker_allows() -> None:
    broker = FakeBroker()
    broker.concurrency_max = 2
    broker.put(*map(str, range(12)))
    scene = Scene(broker)
    scene.gate.clear()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(scene.poller.run())
        await scene.until(lambda: scene.running == 2)
        scene.gate.set()
        await scene.until(lambda: len(broker.removed) == 12)
        assert scene.running_max == 2
        await over(scene, running)


async def test_a_lost_connection_is_made_anew_and_nothing_is_acknowledged_on_the_old_one() -> None:
    first, second = FakeBroker(), FakeBroker()
    scene = Scene(first, second)
    first.put("a")
    scene.gate.clear()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(scene.poller.run())
        await scene.until(lambda: scene.running == 1)
        first.inbox.fail(SourceError("gone"))
        second.put("a")
        scene.gate.set()
        await scene.until(lambda: second.removed)
        assert (first.removed, second.removed, scene.events) == ([], ["a"], [["a"], ["a"]])
        assert first.closed.is_set()
        await over(scene, running)
    assert ("PROBLEM: gone", None) in scene.told


async def test_a_refusal_is_told_and_a_change_tries_again_at_once() -> None:
    refused, fine = FakeBroker(SourceError("no", trouble=Trouble.AUTHENTICATION)), FakeBroker()
    scene = Scene(refused, fine)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(scene.poller.run())
        await scene.until(lambda: scene.told)
        assert scene.told == [("PROBLEM: no", "EVENT_SOURCE_AUTHN_ERROR")]
        assert not scene.poller.is_ready
        scene.poller.change(MAPPING)
        await scene.until(lambda: scene.poller.is_ready)
        assert scene.told[-1] == (None, None)
        await over(scene, running)


async def test_another_batch_size_is_a_new_connection() -> None:
    first, second = FakeBroker(), FakeBroker()
    scene = Scene(first, second)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(scene.poller.run())
        await scene.until(lambda: scene.poller.is_ready)
        scene.poller.change(replace(MAPPING, maximum_batching_window_in_seconds=1))
        second.put("a", "b", "c", "d")
        await asyncio.sleep(0)
        assert scene.connected == 1
        scene.poller.change(replace(MAPPING, batch_size=4))
        await scene.until(lambda: second.removed)
        assert (first.closed.is_set(), scene.events) == (True, [["a", "b", "c", "d"]])
        await over(scene, running)


async def test_a_stop_lets_the_batch_under_way_end() -> None:
    broker = FakeBroker()
    broker.put("a", "b", "c", "d")
    scene = Scene(broker)
    scene.gate.clear()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(scene.poller.run())
        await scene.until(lambda: scene.running == 1)
        scene.poller.stop()
        scene.gate.set()
        async with asyncio.timeout(20):
            await running
    assert (broker.removed, scene.events) == (["a", "b", "c"], [["a", "b", "c"]])
