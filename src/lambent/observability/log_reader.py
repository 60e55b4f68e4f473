"""Reads a function's log as it grows: newline-delimited JSON, one object a line of the log."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

if TYPE_CHECKING:
    from lambent.observability.log_format import LogRecord
    from lambent.observability.logs import LogStore
    from lambent.observability.recorder import Recorder


class LogQuery(NamedTuple):
    """What a reader wants. `function` None takes every function that writes to the groups; times in Unix ms."""

    account_id: str
    region: str
    function: str | None
    group_directory: str | None
    since_ms: int
    is_following: bool


class _Position(Struct):
    segment: tuple[int, int] = (-1, -1)
    path: str | None = None
    offset: int = 0


# A follower of a silent log says nothing this often, so that its connection's end is noticed.
_SILENCE_SECONDS = 1.0


class LogReader:
    """An asynchronous iterator of bytes, some of them empty. Scope: one request.

    Reads in a thread and holds no file open between chunks.
    """

    def __init__(self, store: LogStore, recorder: Recorder, query: LogQuery) -> None:
        self._store = store
        self._recorder = recorder
        self._query = query
        self._positions: dict[str, _Position] = {}

    def __aiter__(self) -> LogReader:
        return self

    async def __anext__(self) -> bytes:
        """Return the next lines; when following, nothing if there are none for a while."""
        while True:
            seen = self._recorder.batches_written
            chunk = await asyncio.to_thread(self._read_chunk)
            if chunk:
                return chunk
            if not self._query.is_following or self._recorder.is_ending:
                raise StopAsyncIteration
            try:
                async with asyncio.timeout(_SILENCE_SECONDS):
                    await self._recorder.wait_written(seen)
            except TimeoutError:
                return b""

    def _read_chunk(self) -> bytes:
        """Return about 1 MiB of lines of one group, or nothing when every group was read to its end."""
        for directory in self._directories():
            position = self._positions.setdefault(directory, _Position())
            while True:
                # Asked first: once a later segment exists, nothing is appended to this one any more.
                later = self._store.segments_of(directory, position.segment)
                records: list[LogRecord] = []
                is_moved = False
                if position.path is not None:
                    records, offset = self._store.read(position.path, position.offset)
                    is_moved, position.offset = offset != position.offset, offset
                if chunk := self._encode(records):
                    return chunk
                if is_moved:
                    continue
                if not later:
                    break
                first_ms, number, path = self._skip_old(later)
                position.segment, position.path, position.offset = (first_ms, number), path, 0
        return b""

    def _directories(self) -> list[str]:
        if self._query.group_directory is not None:
            return [self._query.group_directory]
        return self._store.groups_of(self._query.account_id, self._query.region)

    def _skip_old(self, later: list[tuple[int, int, str]]) -> tuple[int, int, str]:
        """Return the first segment that can hold records since `since_ms`: the next one begins after that time."""
        chosen = 0
        while chosen + 1 < len(later) and later[chosen + 1][0] < self._query.since_ms:
            chosen += 1
        return later[chosen]

    def _encode(self, records: list[LogRecord]) -> bytes:
        wanted = self._query.function
        lines = []
        for record in records:
            if record.at_ms >= self._query.since_ms and (wanted is None or record.function == wanted):
                for line in record.lines.removesuffix(b"\n").decode(errors="replace").split("\n"):
                    entry = {"time": record.at_ms, "stream": record.stream, "message": line}
                    lines.append(json.dumps(entry, separators=(",", ":"), ensure_ascii=False))
        return ("\n".join(lines) + "\n").encode() if lines else b""
