"""A stream as Kinesis has them, whose shards are split and merged, functions, and daemons that share its shards.

What must hold: every record is processed, or told to the on-failure destination as the mapping says; a checkpoint never
passes a record that is neither, and never goes back; of one key nothing is processed before what came before it, and
nothing of a shard before all of its parents; windows hand their state on and end once.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from lambent.events.destinations import DestinationError
from lambent.events.sources.meter import Meter
from lambent.events.sources.source import SourceError, SourceRecord
from lambent.events.sources.streams.contracts import IteratorExpiredError, Page, Shard, Start, batch_info
from lambent.events.sources.streams.failures import FailureRecords
from lambent.events.sources.streams.stream_poller import StreamParts, StreamPoller
from lambent.model.configs.event_source import EventSourceMapping
from lambent.model.errors import ServiceError
from lambent.store.sqlite import event_schema
from lambent.store.sqlite.leases import SqliteLeases
from lambent.store.sqlite.migrations import migrate
from tests.contract.sources.virtual import EPOCH_MS, Broken, Life, Process, Surroundings, answered, refused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lambent.events.destinations import Message
    from lambent.events.sources.deliverer import Delivered
    from lambent.events.sources.pollers import Poller, Tell
    from lambent.events.sources.streams.contracts import Position
    from lambent.store.queues.contracts import HeldLease
    from tests.contract.sources.virtual import VirtualLoop

STEPS = 20
END_SECONDS = 500_000.0
ARN = "arn:aws:kinesis:us-east-1:000000000000:stream/s"


@dataclass
class Entry:
    """A record. `processed` counts the answers of the function that were good for it."""

    number: int
    key: str
    arrived_ms: int
    is_bad: bool
    processed: int = 0
    is_lost: bool = False

    @property
    def is_over(self) -> bool:
        """Whether it is processed, or told to be lost."""
        return self.processed > 0 or self.is_lost


@dataclass
class Part:
    """A shard. Sequence numbers are those of its entries."""

    shard_id: str
    parents: tuple[str, ...]
    entries: list[Entry] = field(default_factory=list)
    is_closed: bool = False


class Stream:
    """The stream's own side. Knows no process."""

    def __init__(self, around: Surroundings) -> None:
        self.around = around
        self.parts: dict[str, Part] = {}
        for _ in range(around.random.choice((1, 1, 2, 3))):
            self._open(())

    def put(self) -> None:
        """Somebody puts a record."""
        part = self.around.random.choice(self.open_parts())
        number = self.around.number()
        key = f"{part.shard_id}-{self.around.random.choice('abc')}"
        now_ms = self.around.clock.time_ms()
        part.entries.append(Entry(number, key, now_ms, self.around.happens(0.04)))

    def reshard(self) -> None:
        """Split a shard in two, or merge two."""
        parts = self.open_parts()
        if len(self.parts) > 9:
            return
        chosen = self.around.random.sample(parts, 2 if len(parts) > 1 and self.around.happens(0.5) else 1)
        for part in chosen:
            part.is_closed = True
        for _ in range(1 if len(chosen) == 2 else 2):
            self._open(tuple(part.shard_id for part in chosen))

    def open_parts(self) -> list[Part]:
        """Return the shards that take records."""
        return [part for part in self.parts.values() if not part.is_closed]

    def entries(self) -> list[Entry]:
        """Return all records."""
        return [entry for part in self.parts.values() for entry in part.entries]

    def _open(self, parents: tuple[str, ...]) -> None:
        shard_id = f"shardId-{len(self.parts):012d}"
        self.parts[shard_id] = Part(shard_id, parents)


class StreamDoor:
    """The stream as one process sees it: a StreamSource with bad connections."""

    filtered_member = None

    def __init__(self, stream: Stream, life: Life) -> None:
        self._stream = stream
        self._around = stream.around
        self._life = life

    async def shards(self) -> Sequence[Shard]:
        await self._call()
        return [Shard(part.shard_id, part.parents, part.is_closed) for part in self._stream.parts.values()]

    async def iterator(self, shard_id: str, position: Position) -> str:
        await self._call()
        entries = self._stream.parts[shard_id].entries
        if position.start is Start.AFTER_SEQUENCE_NUMBER:
            assert position.sequence_number is not None
            return str(sum(entry.number <= int(position.sequence_number) for entry in entries))
        return str(len(entries) if position.start is Start.LATEST else 0)

    async def read(self, shard_id: str, iterator: str, count_max: int) -> Page:
        await self._call()
        if self._around.happens(self._around.weather.faults / 2):
            raise IteratorExpiredError(is_trimmed=False)
        part, first = self._stream.parts[shard_id], int(iterator)
        found = part.entries[first : first + min(count_max, self._around.random.choice((1, 5, 1_000)))]
        following = first + len(found)
        is_end = part.is_closed and following == len(part.entries)
        await self._life.check()
        return Page([self._record(entry) for entry in found], None if is_end else str(following))

    def event(self, records: Sequence[SourceRecord]) -> Mapping[str, Any]:
        return {"Records": [record.document for record in records]}

    def lost_info(self, shard_id: str, records: Sequence[SourceRecord]) -> Mapping[str, Any]:
        return batch_info("KinesisBatchInfo", ARN, shard_id, records)

    def item_of(self, identifier: object) -> str | None:
        return identifier if isinstance(identifier, str) else None

    async def _call(self) -> None:
        await self._around.travel()
        await self._life.check()
        if self._around.happens(self._around.weather.faults):
            raise SourceError("no answer")

    @staticmethod
    def _record(entry: Entry) -> SourceRecord:
        document = {"n": entry.number}
        return SourceRecord(document, {}, str(entry.number), 100, group=entry.key, arrived_ms=entry.arrived_ms)


class LeaseDoor:
    """The leases as one process has them: those of SQLite, with a disk that fails."""

    def __init__(self, world: StreamWorld, life: Life) -> None:
        self._world = world
        self._life = life
        self._leases = SqliteLeases(world, world.around.clock)  # type: ignore[arg-type]

    async def acquire(self, name: str, owner: str, ttl_ms: int) -> int | None:
        await self._call()
        return await self._leases.acquire(name, owner, ttl_ms)

    async def renew(self, name: str, epoch: int, ttl_ms: int) -> bool:
        await self._call()
        return await self._leases.renew(name, epoch, ttl_ms)

    async def write(self, name: str, epoch: int, value: bytes) -> bool:
        await self._call()
        is_kept = await self._leases.write(name, epoch, value)
        if is_kept:
            self._world.kept(name, json.loads(value))
        return is_kept

    async def release(self, name: str, epoch: int) -> bool:
        await self._call()
        return await self._leases.release(name, epoch)

    async def read(self, name: str) -> HeldLease | None:
        await self._call()
        return await self._leases.read(name)

    async def names(self, prefix: str) -> Sequence[str]:
        return await self._leases.names(prefix)

    async def forget(self, prefix: str) -> int:
        return await self._leases.forget(prefix)

    async def _call(self) -> None:
        await self._life.check()
        if self._world.around.happens(self._world.around.weather.faults / 2):
            raise ServiceError("the disk does not answer")
        await asyncio.sleep(0.002)
        await self._life.check()


class LostAndFound:
    """The on-failure destination. It is told of batches, and sometimes does not listen."""

    def __init__(self, world: StreamWorld, life: Life) -> None:
        self._world = world
        self._life = life

    async def send(self, _arn: str, message: Message, _account_id: str, _region: str) -> None:
        await self._world.around.travel()
        await self._life.check()
        if self._world.around.happens(self._world.around.weather.faults):
            raise DestinationError("not now", is_final=False)
        self._world.lost(json.loads(message.body))


class StreamFunctions:
    """The mapping's function: a Deliverer. It goes on when the process that called it has died."""

    def __init__(self, world: StreamWorld, life: Life) -> None:
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
        entries = [world.by_number(one["n"]) for one in event["Records"]]
        around.require(entries or event.get("isFinalInvokeForWindow"), "the function got an empty batch")
        around.require(len(entries) <= (mapping.batch_size or 0), "the batch was too large")
        if around.happens(around.weather.throttles):
            return refused(around)
        world.check_order(entries)
        failed = next((n for n, one in enumerate(entries) if world.fails(one)), None)
        answer: asyncio.Future[Delivered] = around.loop.create_future()
        around.loop.call_later(around.random.choice((0.001, 0.1, 2.0, 20.0)), self._end, event, entries, failed, answer)
        return await answer

    def _end(
        self, event: Mapping[str, Any], entries: list[Entry], failed: int | None, answer: asyncio.Future[Delivered]
    ) -> None:
        world = self._world
        payload: dict[str, Any] = {}
        is_error = failed is not None and not world.is_partial
        for entry in entries[:failed] if not is_error else ():
            entry.processed += 1
        if failed is not None and world.is_partial:
            payload["batchItemFailures"] = [{"itemIdentifier": str(entries[failed].number)}]
        if "window" in event and not is_error:
            payload["state"] = world.window_state(event, entries[:failed])
        if not answer.done():
            answer.set_result(answered(json.dumps(payload).encode(), is_error=is_error))


class StreamWorld:
    """One schedule."""

    def __init__(self, seed: int, loop: VirtualLoop) -> None:
        self.around = around = Surroundings(seed, loop)
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        self.connection.row_factory = sqlite3.Row
        migrate(self.connection, steps=event_schema.STEPS)
        self.is_stormy = around.weather.faults > 0
        self.restarts = 0
        self.stream = Stream(around)
        self.conditions: set[str] = set()
        self._kept: dict[str, int] = {}
        self._finished: set[str] = set()
        self._places: dict[int, tuple[Part, Entry]] = {}
        self.is_partial = around.happens(0.4)
        self._windows: dict[tuple[str, str], int] = {}
        self._ended: set[tuple[str, str]] = set()
        retries = around.random.choice((-1, 0, 1, 3))
        window = around.random.choice((0, 0, 0, 10))
        self.mapping = EventSourceMapping(
            "000000000000", "us-east-1", "m", "r1", "arn:aws:lambda:us-east-1:000000000000:function:f", 0, True,
            event_source_arn=ARN, batch_size=around.random.choice((1, 3, 10)), starting_position="TRIM_HORIZON",
            maximum_batching_window_in_seconds=around.random.choice((0, 0, 2)),
            parallelization_factor=1 if window else around.random.choice((1, 1, 3)), tumbling_window_in_seconds=window,
            maximum_retry_attempts=retries, bisect_batch_on_function_error=around.happens(0.5),
            maximum_record_age_in_seconds=around.random.choice((-1, -1, 60)),
            function_response_types=("ReportBatchItemFailures",) if self.is_partial else (),
            on_failure="arn:aws:s3:::lost",
        )  # fmt: skip

    async def work(self, change: Callable[[Any], Any]) -> Any:
        """What SqliteLeases has of the thread that writes."""
        return change(SimpleNamespace(connection=self.connection))

    def by_number(self, number: int) -> Entry:
        """Return a record."""
        return self._place(number)[1]

    def fails(self, entry: Entry) -> bool:
        """Decide whether the function fails at a record."""
        return entry.is_bad or self.around.happens(self.around.weather.fails)

    def check_order(self, entries: Sequence[Entry]) -> None:
        """Require that what a function is given now could not have come sooner."""
        seen: set[int] = set()
        for entry in entries:
            part, _ = self._place(entry.number)
            before = [
                one.number
                for one in part.entries
                if one.key == entry.key and one.number < entry.number and not one.is_over and one.number not in seen
            ]
            self.around.require(not before, f"record {entry.number} came before {before} of its key")
            seen.add(entry.number)
            for parent in part.parents:
                left = [one.number for one in self.stream.parts[parent].entries if not one.is_over]
                self.around.require(not left, f"record {entry.number} of a child came before {left} of {parent}")

    def kept(self, name: str, checkpoint: Mapping[str, Any]) -> None:
        """A checkpoint was committed."""
        part = self.stream.parts[name.rpartition("/")[2]]
        number = checkpoint["sequence_number"]
        reached = -1 if number is None else int(number)
        passed = [one.number for one in part.entries if one.number <= reached and not one.is_over]
        self.around.require(not passed, f"the checkpoint of {part.shard_id} passed {passed}")
        self.around.require(reached >= self._kept.get(name, -1), f"the checkpoint of {part.shard_id} went back")
        self._kept[name] = reached
        if checkpoint["is_finished"]:
            left = [one.number for one in part.entries if not one.is_over]
            self.around.require(part.is_closed and not left, f"{part.shard_id} was finished without {left}")
            self._finished.add(part.shard_id)

    def lost(self, record: Mapping[str, Any]) -> None:
        """The on-failure destination was told of a batch."""
        info = record["KinesisBatchInfo"]
        first, last = int(info["startSequenceNumber"]), int(info["endSequenceNumber"])
        retries = self.mapping.maximum_retry_attempts or 0
        condition = record["requestContext"]["condition"]
        self.conditions.add(condition)
        if condition == "RetryAttemptsExhausted":
            told = record["requestContext"]["approximateInvokeCount"]
            self.around.require(0 <= retries < told, f"given up after {told} of {retries + 1} runs")
        else:
            oldest_ms = self.around.clock.time_ms() - 60_000
            self.around.require(self.by_number(last).arrived_ms <= oldest_ms, f"record {last} was not yet too old")
        numbers = [one["n"] for one in record["payload"]["Records"]]
        told = (numbers[0], numbers[-1], len(numbers))
        self.around.require(told == (first, last, info["batchSize"]), f"{told} were told as {info}")
        for number in numbers:
            self.by_number(number).is_lost = True

    def window_state(self, event: Mapping[str, Any], entries: Sequence[Entry]) -> object:
        """Return the state that a function hands on: how many records its window has had."""
        window = (event["shardId"], event["window"]["start"])
        count = event["state"].get("count", 0)
        if not self.is_stormy:
            known = self._windows.get(window, 0)
            self.around.require(count == known, f"window {window} had {known} records and hands on {count}")
            self.around.require(window not in self._ended, f"window {window} went on after its end")
        if event["isFinalInvokeForWindow"]:
            self._ended.add(window)
        self._windows[window] = count + len(entries)
        for entry in entries:
            text = event["window"]["start"]
            start_ms = entry.arrived_ms - entry.arrived_ms % 10_000
            self.around.require(text == _text(start_ms), f"record {entry.number} is in the window {text}")
        return {"count": count + len(entries)}

    def begin(self, tasks: asyncio.TaskGroup) -> Process:
        """Start a daemon."""
        life, owner = Life(), f"owner-{self.around.number()}"

        def make(mapping: EventSourceMapping, tell: Tell) -> Poller:
            failures = FailureRecords(LostAndFound(self, life), self.around.clock, self.around.random.randbytes)  # type: ignore[arg-type]
            functions: Any = StreamFunctions(self, life)
            parts = StreamParts(functions, failures, LeaseDoor(self, life), owner, self.around.clock)
            return StreamPoller(mapping, StreamDoor(self.stream, life), parts, tell)

        process = Process(life, make)
        process.start(tasks, self.mapping)
        return process

    async def run(self) -> None:
        """Live it. Raises Broken."""
        around = self.around
        async with asyncio.TaskGroup() as tasks:
            processes = [self.begin(tasks) for _ in range(around.random.choice((1, 1, 2)))]
            for _ in range(STEPS):
                for _ in range(around.random.choice((0, 1, 3, 20))):
                    self.stream.put()
                if around.happens(0.15):
                    self.stream.reshard()
                await asyncio.sleep(around.random.choice((0.01, 0.5, 3.0, 30.0)))
                await self._turn(processes, tasks)
                around.check()
            around.weather = type(around.weather)()
            if self.mapping.maximum_retry_attempts == -1:
                for entry in self.stream.entries():
                    entry.is_bad = False
            await self._peace()
            for process in processes:
                await process.stop()
        around.check()
        self._account()
        self.connection.close()

    async def _turn(self, processes: list[Process], tasks: asyncio.TaskGroup) -> None:
        around = self.around
        chosen = around.random.randrange(len(processes))
        if around.happens(around.weather.deaths):
            await processes[chosen].kill()
            processes[chosen] = self.begin(tasks)
        elif around.happens(0.07):
            await processes[chosen].stop()
            processes[chosen] = self.begin(tasks)
        elif around.happens(0.07):
            await self._change(processes)

    async def _change(self, processes: list[Process]) -> None:
        """Disable and enable, or let more lanes read."""
        around = self.around
        if around.happens(0.5) and not self.mapping.tumbling_window_in_seconds:
            self._put(processes, parallelization_factor=around.random.choice((1, 2, 4)))
            return
        self._put(processes, is_enabled=False)
        await asyncio.sleep(around.random.choice((0.0, 1.0, 60.0)))
        self._put(processes, is_enabled=True)

    def _put(self, processes: list[Process], **members: Any) -> None:
        self.mapping = replace(self.mapping, revision_id=f"r{self.around.number()}", **members)
        for process in processes:
            process.pollers.put(self.mapping)

    async def _peace(self) -> None:
        end = self.around.loop.time() + END_SECONDS
        while not self._is_settled():
            if self.around.loop.time() > end:
                left = [entry.number for entry in self.stream.entries() if not entry.is_over]
                raise Broken(f"records {left} stay for ever, checkpoints {self._kept}, finished {self._finished}")
            await asyncio.sleep(50.0)
            self.around.check()

    def _is_settled(self) -> bool:
        closed = {part.shard_id for part in self.stream.parts.values() if part.is_closed}
        last = {
            f"shard/m/{part.shard_id}": part.entries[-1].number for part in self.stream.parts.values() if part.entries
        }
        return (
            all(entry.is_over for entry in self.stream.entries())
            and (self.is_stormy or not set(self._windows) - self._ended)
            and closed <= self._finished
            and all(self._kept.get(name) == number for name, number in last.items())
        )

    def _account(self) -> None:
        for entry in self.stream.entries():
            self.around.require(entry.is_over, f"record {entry.number} was lost")
            if not self.is_stormy:
                self.around.require(
                    entry.processed <= 1, f"record {entry.number} was processed {entry.processed} times"
                )
                self.around.require(not (entry.processed and entry.is_lost), f"record {entry.number} was not lost")
        if not self.is_stormy:
            left = set(self._windows) - self._ended
            self.around.require(not left, f"windows {left} did not end")
        self.around.check()

    def _place(self, number: int) -> tuple[Part, Entry]:
        found = self._places.get(number)
        if found is None:
            for part in self.stream.parts.values():
                for entry in part.entries:
                    self._places[entry.number] = (part, entry)
            found = self._places[number]
        return found


def _text(time_ms: int) -> str:
    import datetime

    assert time_ms >= EPOCH_MS - 10_000
    return f"{datetime.datetime.fromtimestamp(time_ms / 1_000, datetime.UTC):%Y-%m-%dT%H:%M:%SZ}"
