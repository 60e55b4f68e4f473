"""A queue as SQS has them, functions that take their time, and daemons that poll the one for the other.

What must hold: no message is lost or removed unprocessed; of a FIFO group nothing is processed before what came before
it; without faults each message is processed once and received once, whatever the throttles; a batch under way is
settled by an orderly stop; never more invocations at one time than the mapping allows.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from lambent.events.sources.meter import Meter
from lambent.events.sources.queues.queue_poller import QueuePoller
from lambent.events.sources.source import SourceError, SourceRecord
from lambent.model.configs.event_source import EventSourceMapping, ScalingConfig
from tests.contract.sources.virtual import Broken, Life, Process, Surroundings, answered, refused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lambent.events.sources.deliverer import Delivered
    from lambent.events.sources.pollers import Poller, Tell
    from tests.contract.sources.virtual import VirtualLoop

STEPS = 25
END_SECONDS = 100_000.0
RECEIVES_MAX = 6


@dataclass
class Letter:
    """A message. `processed` counts the successes of its function, `excuses` the reasons to get it once more."""

    number: int
    group: str
    is_bad: bool
    visible_at: float
    size_bytes: int
    receipt: str = ""
    receives: int = 0
    processed: int = 0
    excuses: int = 0
    is_gone: bool = False
    is_buried: bool = False

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be done about it."""
        return self.processed > 0 or self.is_buried


@dataclass
class LetterBox:
    """The queue's own side. Knows no process."""

    around: Surroundings
    is_fifo: bool
    visibility: int
    letters: list[Letter] = field(default_factory=list)
    _here: list[Letter] = field(default_factory=list)

    def put(self, group: str) -> None:
        """A sender sends one."""
        letter = Letter(self.around.number(), group, self.around.happens(0.03), self.around.loop.time(), 100)
        if self.around.happens(0.1):
            letter.size_bytes = 2_500_000
        self.letters.append(letter)
        self._here.append(letter)

    def take(self, count: int) -> list[Letter]:
        """Give out what may be seen; bury what was seen too often."""
        now, hidden = self.around.loop.time(), set[str]()
        found: list[Letter] = []
        self._here = here = [letter for letter in self._here if not letter.is_gone]
        if not self.is_fifo:
            here = self.around.random.sample(here, len(here))
        for letter in here:
            is_visible = letter.visible_at <= now
            if self.is_fifo and letter.group in hidden:
                continue
            if not is_visible:
                hidden.add(letter.group)
                # Standard queues may give out a message twice.
                if self.is_fifo or not self.around.happens(0.01 if self.around.weather.faults else 0):
                    continue
            if letter.receives >= RECEIVES_MAX and letter.is_bad:
                letter.is_gone = letter.is_buried = True
                continue
            if len(found) == count:
                break
            letter.receives += 1
            letter.receipt = f"{letter.number}/{self.around.number()}"
            letter.visible_at = now + self.visibility
            found.append(letter)
        return found

    def held(self, record: SourceRecord) -> Letter | None:
        """Return the letter of a receipt that still counts."""
        for letter in self._here:
            if letter.receipt == record.receipt and not letter.is_gone:
                return letter
        return None


class QueueDoor:
    """The queue as one process sees it: a QueueSource with bad connections."""

    def __init__(self, box: LetterBox, life: Life) -> None:
        self._box = box
        self._around = box.around
        self._life = life
        self.is_ordered = box.is_fifo

    @property
    def keep_seconds(self) -> float:
        return max(self._box.visibility / 3, 0.5)

    async def receive(self, count_max: int, wait_seconds: int) -> Sequence[SourceRecord]:
        await self._call()
        end = self._around.loop.time() + wait_seconds
        while not (found := self._box.take(count_max)):
            left = end - self._around.loop.time()
            if left <= 0:
                return []
            await asyncio.sleep(min(left, 1.0))
            await self._life.check()
        await self._answer()
        return [self._record(letter) for letter in found]

    async def remove(self, records: Sequence[SourceRecord]) -> None:
        await self._call()
        lost = 0
        for record in records:
            letter = self._box.held(record)
            if letter is None:
                lost += 1
                continue
            self._around.require(letter.processed, f"message {letter.number} was removed unprocessed")
            letter.is_gone = True
        await self._answer()
        if lost:
            raise SourceError(f"{lost} receipts do not count any more")

    async def keep(self, records: Sequence[SourceRecord]) -> None:
        await self._hide(records, self._box.visibility)

    async def give_back(self, records: Sequence[SourceRecord]) -> None:
        for record in records:
            letter = self._box.held(record)
            if letter is not None:
                letter.excuses += 1
        await self._hide(records, 0)

    def event(self, records: Sequence[SourceRecord]) -> dict[str, Any]:
        return {"Records": [record.document for record in records]}

    async def _hide(self, records: Sequence[SourceRecord], seconds: float) -> None:
        await self._call()
        for record in records:
            letter = self._box.held(record)
            if letter is not None:
                letter.visible_at = self._around.loop.time() + seconds
        await self._answer()

    async def _call(self) -> None:
        await self._around.travel()
        await self._life.check()
        if self._around.happens(self._around.weather.faults):
            raise SourceError("the request did not arrive")

    async def _answer(self) -> None:
        if self._around.happens(self._around.weather.faults):
            raise SourceError("the answer did not arrive")
        await self._life.check()

    @staticmethod
    def _record(letter: Letter) -> SourceRecord:
        document = {"messageId": str(letter.number)}
        return SourceRecord(document, {}, str(letter.number), letter.size_bytes, letter.receipt, group=letter.group)


class Functions:
    """The mapping's function: a Deliverer. It goes on when the process that called it has died."""

    def __init__(self, world: QueueWorld, life: Life) -> None:
        self._world = world
        self._life = life
        self.meter = Meter(None, world.around.clock)

    async def deliver(
        self,
        mapping: EventSourceMapping,
        event: Mapping[str, Any],
        _trace_header: str | None = None,
        *,
        record_count: int = 0,
    ) -> Delivered:
        assert record_count == len(event["Records"])
        world, around = self._world, self._world.around
        await self._life.check()
        letters = [world.by_number(int(one["messageId"])) for one in event["Records"]]
        around.require(letters, "the function got an empty batch")
        around.require(len(letters) <= (mapping.batch_size or 0), "the batch was too large")
        if around.happens(around.weather.throttles):
            await asyncio.sleep(0.01)
            return refused(around)
        world.running += 1
        most = (mapping.scaling_config.maximum_concurrency if mapping.scaling_config else None) or 1_000
        around.require(world.running <= most or world.is_stormy, f"{world.running} invocations at one time")
        outcome = world.outcome(letters)
        answer: asyncio.Future[Delivered] = around.loop.create_future()
        seconds = around.random.uniform(0.001, world.box.visibility * 0.5)
        around.loop.call_later(seconds, self._end, letters, outcome, answer)
        return await answer

    def _end(self, letters: Sequence[Letter], failed: set[int], answer: asyncio.Future[Delivered]) -> None:
        world = self._world
        world.running -= 1
        for letter in letters:
            if letter.number not in failed:
                world.processed(letter)
            else:
                letter.excuses += 1
        if answer.done():
            # Nobody hears of it: what was processed comes again.
            return
        if not failed:
            answer.set_result(answered(b"null"))
        elif world.is_partial:
            items = [{"itemIdentifier": str(number)} for number in sorted(failed)]
            answer.set_result(answered(json.dumps({"batchItemFailures": items}).encode()))
        else:
            answer.set_result(answered(b"{}", is_error=True))


class QueueWorld:
    """One schedule."""

    def __init__(self, seed: int, loop: VirtualLoop, poller: type[QueuePoller] = QueuePoller) -> None:
        self.around = around = Surroundings(seed, loop)
        self._poller = poller
        self.is_partial = around.happens(0.4)
        self.box = LetterBox(around, around.happens(0.5), around.random.choice((2, 6, 30)))
        self.running = 0
        self.is_stormy = around.weather.faults > 0
        self._letters: dict[int, Letter] = {}
        is_fifo = self.box.is_fifo
        name = "q.fifo" if is_fifo else "q"
        window = 0 if is_fifo else around.random.choice((0, 0, 1, 5))
        size = around.random.choice((1, 3, 10)) if is_fifo or not window else around.random.choice((1, 10, 25))
        self.mapping = EventSourceMapping(
            "000000000000", "us-east-1", "m", "r1", "arn:aws:lambda:us-east-1:000000000000:function:f", 0, True,
            event_source_arn=f"arn:aws:sqs:us-east-1:000000000000:{name}", batch_size=size,
            maximum_batching_window_in_seconds=window,
            scaling_config=ScalingConfig(around.random.choice((2, 5))) if around.happens(0.5) else None,
            function_response_types=("ReportBatchItemFailures",) if self.is_partial else (),
        )  # fmt: skip

    def by_number(self, number: int) -> Letter:
        """Return a message."""
        return self._letters[number]

    def outcome(self, letters: Sequence[Letter]) -> set[int]:
        """Decide which messages of a batch will fail."""
        bad = [n for n, letter in enumerate(letters) if letter.is_bad or self.around.happens(self.around.weather.fails)]
        if not bad:
            return set()
        if not self.is_partial:
            return {letter.number for letter in letters}
        # Of an ordered batch what follows a failure has not been tried.
        failed = letters[bad[0] :] if self.box.is_fifo else [letters[n] for n in bad]
        return {letter.number for letter in failed}

    def processed(self, letter: Letter) -> None:
        """The function was successful with a message."""
        if self.box.is_fifo and not letter.processed:
            before = [
                one.number
                for one in self.box.letters
                if one.group == letter.group and one.number < letter.number and not one.is_over
            ]
            self.around.require(not before, f"message {letter.number} was processed before {before}")
        letter.processed += 1

    def begin(self, tasks: asyncio.TaskGroup) -> Process:
        """Start a daemon."""
        life = Life()

        def make(mapping: EventSourceMapping, tell: Tell) -> Poller:
            return self._poller(mapping, QueueDoor(self.box, life), Functions(self, life), self.around.clock, tell)  # type: ignore[arg-type]

        process = Process(life, make)
        process.start(tasks, self.mapping)
        return process

    async def run(self) -> None:
        """Live it. Raises Broken."""
        around = self.around
        async with asyncio.TaskGroup() as tasks:
            process = self.begin(tasks)
            for _ in range(STEPS):
                for _ in range(around.random.choice((0, 1, 2, 12, 40))):
                    self.box.put(around.random.choice("abc") if self.box.is_fifo else "")
                    self._letters[self.box.letters[-1].number] = self.box.letters[-1]
                await asyncio.sleep(around.random.choice((0.01, 0.5, 3.0, 20.0)))
                process = await self._turn(process, tasks)
                around.check()
            around.weather = type(around.weather)()
            await self._peace()
            await process.stop()
        around.check()
        self._account()

    async def _turn(self, process: Process, tasks: asyncio.TaskGroup) -> Process:
        around = self.around
        if around.happens(around.weather.deaths):
            await process.kill()
            return self.begin(tasks)
        if around.happens(0.05):
            await process.stop()
            around.require(not self.running or self.is_stormy, "a batch was left under way by a stop")
            return self.begin(tasks)
        if around.happens(0.05):
            is_enabled = not self.mapping.is_enabled
            self.mapping = _changed(self.mapping, around.number(), is_enabled=is_enabled)
            process.pollers.put(self.mapping)
            if not is_enabled:
                await asyncio.sleep(around.random.choice((0.0, 1.0, 60.0)))
                self.mapping = _changed(self.mapping, around.number(), is_enabled=True)
                process.pollers.put(self.mapping)
        return process

    async def _peace(self) -> None:
        end = self.around.loop.time() + END_SECONDS
        while not all(letter.is_gone for letter in self.box.letters):
            if self.around.loop.time() > end:
                left = [letter.number for letter in self.box.letters if not letter.is_gone]
                raise Broken(f"messages {left} stay for ever")
            await asyncio.sleep(50.0)
            self.around.check()

    def _account(self) -> None:
        for letter in self.box.letters:
            self.around.require(letter.is_over, f"message {letter.number} was lost")
            if not letter.is_bad and not self.is_stormy:
                self.around.require(
                    letter.receives <= 1 + letter.excuses,
                    f"message {letter.number} was received {letter.receives} times for {letter.excuses} reasons",
                )
                self.around.require(
                    letter.processed <= 1 + letter.excuses, f"message {letter.number} ran {letter.processed} times"
                )
        self.around.check()


def _changed(mapping: EventSourceMapping, number: int, *, is_enabled: bool) -> EventSourceMapping:
    return replace(mapping, revision_id=f"r{number}", is_enabled=is_enabled)
