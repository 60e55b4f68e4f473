"""Log lines on their way to CloudWatch Logs: gathered by stream, sent in batches, tried again, bounded."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from typing import TYPE_CHECKING, NamedTuple, Protocol

from lambent.model.platform_event import unfolded
from lambent.observability.log_format import group_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lambent.model.platform_event import LogLines

_log = logging.getLogger(__name__)

QUEUED_BYTES_MAX = 16 * 1024 * 1024
BURST_LINES = 20_000
# What CloudWatch Logs counts for an event beside its text. Source: API reference, PutLogEvents.
_EVENT_BYTES = 26
# What a waiting line takes in memory beside that; bounds floods of short lines as well as of long ones.
_HELD_BYTES = 200
# Below its 1,048,576 bytes and 10,000 events, so that making one batch never holds the loop for long.
_BATCH_BYTES_MAX = 262_144
_BATCH_EVENTS_MAX = 2_000
_TEXT_BYTES_MAX = 200_000
# How runtime clients for Python begin the record of an invocation's error.
_ERROR = b"[ERROR] "
_REPORT = b"REPORT RequestId: "
_TRACE = b"XRAY TraceId: "
_SPAN_MS_MAX = 24 * 3_600_000
_GATHER_SECONDS = 0.1
_TOGETHER_MAX = 8
_KNOWN_STREAMS_MAX = 10_000
_PAUSE_SECONDS_MIN = 0.2
_PAUSE_SECONDS_MAX = 10.0
_EXISTS = "ResourceAlreadyExistsException"
_MISSING = "ResourceNotFoundException"


class LogsApi(Protocol):
    """CloudWatch Logs, wherever it is."""

    async def send(self, action: str, body: Mapping[str, object], account_id: str, region: str) -> str | None:
        """Call an operation; return None when it was done, else the error's code.

        Raises ConnectionError when it may be tried again: nobody answers, or too many ask.
        """


class _Stream(NamedTuple):
    """Where lines go."""

    account_id: str
    region: str
    group: str
    name: str

    def named(self) -> dict[str, object]:
        return {"logGroupName": self.group, "logStreamName": self.name}


class _Line(NamedTuple):
    at_ms: int
    text: str
    size_bytes: int


class _Allowance:
    """A token bucket of lines: `per_second` on average, `burst` at once."""

    def __init__(self, per_second: float, burst: int) -> None:
        self._per_second = per_second
        self._burst = burst
        self._left = float(burst)
        self._at_seconds = 0.0

    def take(self, count: int, now_seconds: float) -> bool:
        """Take `count` if so many are left."""
        gained = (now_seconds - self._at_seconds) * self._per_second
        self._left, self._at_seconds = min(self._left + gained, self._burst), now_seconds
        if count > self._left:
            return False
        self._left -= count
        return True


class LogDelivery:
    """Sends lines to their log stream, which it makes. Scope: node; a crash loses what was queued.

    At most QUEUED_BYTES_MAX wait and, with `lines_per_second_max`, so many lines are taken on average (BURST_LINES at
    once): what does not fit or is refused is counted. Nothing is sent before `begin`.
    """

    def __init__(self, api: LogsApi, lines_per_second_max: float | None = None) -> None:
        self._api = api
        self._allowance = _Allowance(lines_per_second_max, BURST_LINES) if lines_per_second_max is not None else None
        self._lines: dict[_Stream, deque[_Line]] = {}
        self._known: set[_Stream] = set()
        self._begun = asyncio.Event()
        self._wake = asyncio.Event()
        self._delivered = asyncio.Event()
        self._is_unreachable = False
        self._is_told = False
        self._refusal: str | None = None
        self.queued_bytes = 0
        self.delivered_events = 0
        self.lost_bytes = 0

    def begin(self) -> None:
        """Let lines be sent from now on: the first invocation is over. Idempotent."""
        self._begun.set()

    def put(self, events: Iterable[LogLines]) -> None:
        """Take lines to be sent; never waits. Call on the event loop's thread."""
        now_seconds = asyncio.get_running_loop().time()
        for event in events:
            is_allowed = self._allowance is None or self._allowance.take(event.lines.count(b"\n") or 1, now_seconds)
            if not is_allowed or self.queued_bytes > QUEUED_BYTES_MAX:
                self.lost_bytes += len(event.lines)
                continue
            group = group_of(event.environment)
            stream = _Stream(group.account_id, group.region, group.name, event.environment.log_stream)
            lines = self._lines.get(stream)
            if lines is None:
                lines = self._lines[stream] = deque()
            for text in _texts(event.folded or event.lines):
                line = _Line(event.at_ms, text.decode("utf-8", "replace"), len(text) + _EVENT_BYTES)
                lines.append(line)
                self.queued_bytes += line.size_bytes + _HELD_BYTES
        if self._lines:
            self._wake.set()

    async def run(self) -> None:
        """Send lines until cancelled."""
        await self._begun.wait()
        pause = _PAUSE_SECONDS_MIN
        while True:
            await self._wake.wait()
            await asyncio.sleep(_GATHER_SECONDS)
            self._wake.clear()
            await self._deliver()
            self._delivered.set()
            if self._is_unreachable:
                await asyncio.sleep(pause)
                pause = min(pause * 2, _PAUSE_SECONDS_MAX)
                self._wake.set()
            else:
                pause = _PAUSE_SECONDS_MIN

    async def drain(self, seconds: float) -> None:
        """Wait until everything queued is sent, at most so long; do not begin with it now."""
        if not self.delivered_events:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.sleep(_GATHER_SECONDS)
                while self._lines and not self._is_unreachable:
                    self._delivered.clear()
                    await self._delivered.wait()
        if self._lines:
            _log.warning("%d bytes of log lines were not delivered to CloudWatch Logs", self.queued_bytes)

    def statistics(self) -> Mapping[str, int]:
        """Return what waits, what was sent and what was lost."""
        return {
            "undelivered_bytes": self.queued_bytes,
            "delivered_events": self.delivered_events,
            "delivery_lost_bytes": self.lost_bytes,
        }

    async def _deliver(self) -> None:
        """Send what waits, some streams at a time; stop early when nobody answers."""
        was_unreachable, self._is_unreachable = self._is_unreachable, False
        streams = iter(list(self._lines))
        async with asyncio.TaskGroup() as tasks:
            for _ in range(1 if was_unreachable else _TOGETHER_MAX):
                tasks.create_task(self._deliver_streams(streams))

    async def _deliver_streams(self, streams: Iterable[_Stream]) -> None:
        for stream in streams:
            try:
                while not self._is_unreachable and (batch := self._batch(stream)):
                    await self._send(stream, batch)
            except ConnectionError as error:
                if not self._is_told:
                    _log.warning("log lines cannot be delivered and wait: %s", error)
                self._is_unreachable = self._is_told = True
                return

    def _batch(self, stream: _Stream) -> list[_Line]:
        """Return what to send next; it stays queued until it was sent."""
        lines = self._lines.get(stream)
        if not lines:
            self._lines.pop(stream, None)
            return []
        batch: list[_Line] = []
        size = 0
        for line in lines:
            size += line.size_bytes
            is_full = size > _BATCH_BYTES_MAX or len(batch) >= _BATCH_EVENTS_MAX
            if batch and (is_full or abs(line.at_ms - batch[0].at_ms) > _SPAN_MS_MAX):
                break
            batch.append(line)
        return batch

    async def _send(self, stream: _Stream, batch: list[_Line]) -> None:
        events = [{"timestamp": line.at_ms, "message": line.text} for line in sorted(batch, key=_time)]
        code: str | None = _MISSING
        if stream in self._known:
            code = await self._put(stream, events)
        if code == _MISSING:
            await self._make(stream)
            code = await self._put(stream, events)
        size = sum(line.size_bytes for line in batch)
        lines = self._lines[stream]
        for _ in batch:
            lines.popleft()
        self.queued_bytes -= size + _HELD_BYTES * len(batch)
        if self._is_told:
            _log.warning("log lines are delivered again")
            self._is_told = False
        if code is None:
            self.delivered_events += len(batch)
        else:
            self.lost_bytes += size
            if code != self._refusal:
                _log.warning("CloudWatch Logs refused %d lines of %s: %s", len(batch), stream.group, code)
        self._refusal = code

    async def _put(self, stream: _Stream, events: list[dict[str, object]]) -> str | None:
        body = {**stream.named(), "logEvents": events}
        return await self._api.send("PutLogEvents", body, stream.account_id, stream.region)

    async def _make(self, stream: _Stream) -> None:
        """Make the stream and, where that fails, its group first."""
        account_id, region = stream.account_id, stream.region
        code = await self._api.send("CreateLogStream", stream.named(), account_id, region)
        if code == _MISSING:
            await self._api.send("CreateLogGroup", {"logGroupName": stream.group}, account_id, region)
            code = await self._api.send("CreateLogStream", stream.named(), account_id, region)
        if code in (None, _EXISTS):
            if len(self._known) >= _KNOWN_STREAMS_MAX:
                self._known.clear()
            self._known.add(stream)


def _time(line: _Line) -> int:
    return line.at_ms


def _texts(lines: bytes) -> Iterable[bytes]:
    """Yield the records, none empty, none larger than CloudWatch Logs takes, with the line ends that AWS delivers.

    Source: recorded, TestCloudwatchLogs::test_multi_line_prints and TestLambdaErrors in test_lambda.json: lines keep
    their ends, a Python error has none.
    """
    for line in _records(lines):
        text = unfolded(line) if line.startswith(_ERROR) else unfolded(line) + b"\n"
        for start in range(0, len(text), _TEXT_BYTES_MAX):
            yield text[start : start + _TEXT_BYTES_MAX]


def _records(lines: bytes) -> Iterable[bytes]:
    """Yield lines, none empty; the trace of an invocation, a line of its own, belongs to the record of its report."""
    waiting = b""
    for line in lines.split(b"\n"):
        if line.startswith(_TRACE) and waiting.startswith(_REPORT):
            waiting += b"\n" + line
            continue
        if waiting:
            yield waiting
        waiting = line
    if waiting:
        yield waiting
