"""Which pollers run, in which order, and how they end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from lambent.events.sources.pollers import Pollers, Progress
from lambent.model.configs.event_source import EventSourceMapping
from tests.contract.sources.virtual import VirtualLoop, run_virtually

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

MAPPING = EventSourceMapping("000000000000", "us-east-1", "m", "r1", "f", 0, event_source_arn="arn:aws:sqs:r:0:q")


class SlowPoller:
    """Needs ten seconds to end; breaks when told so."""

    is_ready = True

    def __init__(self, story: list[str], name: str) -> None:
        self._story = story
        self._name = name
        self._stopped = asyncio.Event()
        self.is_broken = False

    def change(self, mapping: EventSourceMapping) -> None:
        self._story.append(f"{self._name} changed to {mapping.batch_size}")

    def stop(self) -> None:
        self._stopped.set()

    async def run(self) -> None:
        self._story.append(f"{self._name} began")
        if self.is_broken:
            raise ValueError("broken")
        await self._stopped.wait()
        await asyncio.sleep(10)
        self._story.append(f"{self._name} ended")


class Stage:
    """Pollers, what became of them, and what was forgotten."""

    def __init__(self) -> None:
        self.story: list[str] = []
        self.made: list[SlowPoller] = []
        self.pollers = Pollers(lambda _mapping, _tell: self._make(), self._forget)

    def _make(self) -> SlowPoller:
        self.made.append(SlowPoller(self.story, str(len(self.made))))
        return self.made[-1]

    async def _forget(self, mapping_id: str) -> None:
        self.story.append(f"{mapping_id} forgotten")


def staged(play: Callable[[Stage], Awaitable[None]]) -> list[str]:
    """Run pollers while a play goes on; return the story."""

    async def main(_loop: VirtualLoop) -> list[str]:
        stage = Stage()
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(stage.pollers.run())
            await play(stage)
            running.cancel()
        return stage.story

    return run_virtually(main)


def test_the_next_poller_of_a_mapping_begins_when_the_last_has_ended() -> None:
    async def play(stage: Stage) -> None:
        stage.pollers.put(MAPPING)
        await asyncio.sleep(1)
        stage.pollers.put(replace(MAPPING, revision_id="r2", is_enabled=False))
        assert stage.pollers.progress(replace(MAPPING, is_enabled=False)) == Progress("Disabling")
        stage.pollers.put(replace(MAPPING, revision_id="r3"))
        await asyncio.sleep(1)
        stage.pollers.put(replace(MAPPING, revision_id="r4", parallelization_factor=2))
        await asyncio.sleep(60)

    assert staged(play) == ["0 began", "0 ended", "1 began", "1 ended", "2 began"]


def test_what_a_poller_kept_is_forgotten_when_it_has_ended() -> None:
    async def play(stage: Stage) -> None:
        stage.pollers.put(MAPPING)
        stage.pollers.put(replace(MAPPING, revision_id="r2", batch_size=7))
        await asyncio.sleep(1)
        stage.pollers.remove("m")
        stage.pollers.remove("never polled")
        await asyncio.sleep(60)
        assert stage.pollers.progress(replace(MAPPING, is_enabled=False)) == Progress("Disabled")

    assert staged(play) == ["0 changed to 7", "0 began", "never polled forgotten", "0 ended", "m forgotten"]


@pytest.mark.parametrize(("seconds", "last"), [(30, "0 ended"), (5, "0 began")])
def test_a_stop_waits_for_what_is_under_way(seconds: float, last: str) -> None:
    async def play(stage: Stage) -> None:
        stage.pollers.put(MAPPING)
        await asyncio.sleep(1)
        begin = asyncio.get_running_loop().time()
        await stage.pollers.stop(seconds)
        assert asyncio.get_running_loop().time() - begin == pytest.approx(min(seconds, 10))
        stage.pollers.put(replace(MAPPING, uuid="other"))
        await asyncio.sleep(0)

    assert staged(play)[-1] == last


def test_one_that_breaks_begins_again_and_says_so() -> None:
    async def play(stage: Stage) -> None:
        stage.pollers.put(MAPPING)
        stage.made[0].is_broken = True
        await asyncio.sleep(0.5)
        progress = stage.pollers.progress(MAPPING)
        assert progress is not None
        assert progress.last_result == "PROBLEM: internal Lambda error"
        await asyncio.sleep(5)

    assert staged(play) == ["0 began", "1 began"]
