"""Thousands of seeded schedules of pollers in virtual time: queues and streams, functions that fail and are throttled,
requests and answers that are lost, daemons that are killed, stopped and started. What must hold holds after every step,
and planted bugs are found out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lambent.events.sources.queues.queue_poller import QueuePoller, _Batch
from lambent.events.sources.streams import shard_reader
from tests.contract.sources.queue_world import QueueWorld
from tests.contract.sources.stream_world import StreamWorld
from tests.contract.sources.virtual import Broken, quietly, run_virtually

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lambent.events.sources.source import SourceRecord
    from tests.contract.sources.virtual import VirtualLoop

PARTS = 10
QUICK = 80
LONG = 2_000


def live_queue(seed: int, poller: type[QueuePoller] = QueuePoller) -> QueueWorld:
    """Run a schedule of a queue. Raises Broken."""

    async def main(loop: VirtualLoop) -> QueueWorld:
        world = QueueWorld(seed, loop, poller)
        await world.run()
        return world

    return run_virtually(main)


def live_stream(seed: int) -> StreamWorld:
    """Run a schedule of a stream. Raises Broken."""

    async def main(loop: VirtualLoop) -> StreamWorld:
        world = StreamWorld(seed, loop)
        await world.run()
        return world

    return run_virtually(main)


@pytest.mark.slow
def test_queues() -> None:
    worlds = [quietly(live_queue, seed) for seed in range(QUICK)]
    letters = [letter for world in worlds for letter in world.box.letters]
    # The schedules are such that things go wrong in them.
    assert sum(letter.receives > 1 for letter in letters) > 100
    assert any(letter.is_buried for letter in letters)


@pytest.mark.slow
def test_streams() -> None:
    worlds = [quietly(live_stream, seed) for seed in range(QUICK)]
    entries = [entry for world in worlds for entry in world.stream.entries()]
    assert sum(entry.processed > 1 for entry in entries) > 10
    assert sum(entry.is_lost for entry in entries) > 50
    assert {one for world in worlds for one in world.conditions} == {"RetryAttemptsExhausted", "RecordAgeExceeded"}
    assert sum(bool(part.parents) for world in worlds for part in world.stream.parts.values()) > 50


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", range(PARTS))
def test_thousands_of_queues(part: int) -> None:
    for seed in range(QUICK + part * LONG // PARTS, QUICK + (part + 1) * LONG // PARTS):
        quietly(live_queue, seed)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", range(PARTS))
def test_thousands_of_streams(part: int) -> None:
    for seed in range(QUICK + part * LONG // PARTS, QUICK + (part + 1) * LONG // PARTS):
        quietly(live_stream, seed)


class HastyProgress(shard_reader.Progress):
    """The planted bug: what was read counts as done."""

    def read(self, record: SourceRecord) -> None:
        super().read(record)
        self.done((record,))


class HastyPoller(QueuePoller):
    """The planted bug: messages are removed before their function has answered."""

    async def _settle(self, batch: _Batch, left: Sequence[SourceRecord]) -> bool:
        await self._quietly(self._source.remove(batch.records))
        return await super()._settle(batch, left)


@pytest.mark.slow
def test_a_checkpoint_before_its_records_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_reader, "Progress", HastyProgress)
    assert found(live_stream, "the checkpoint of") >= 15


@pytest.mark.slow
def test_messages_that_are_removed_too_soon_are_found_out() -> None:
    assert found(lambda seed: live_queue(seed, HastyPoller), "was removed unprocessed") >= 15


def found(simulate: Callable[[int], object], text: str) -> int:
    """Return in how many of twenty schedules a bug was found for what it is."""
    count = 0
    for seed in range(20):
        try:
            quietly(simulate, seed)
        except Broken as error:
            count += text in str(error)
    return count


def test_a_schedule_is_the_same_each_time() -> None:
    first, second = (live_queue(7) for _ in range(2))
    assert [vars(letter) for letter in first.box.letters] == [vars(letter) for letter in second.box.letters]
