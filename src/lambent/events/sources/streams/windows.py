"""Tumbling windows: a function's invocations of one span of time share a state that each hands to the next.

Source: developer guide, "Configuring tumbling windows": windows begin at whole multiples of their length, by the
records' arrival; at its end a window has one more invocation, without records; a state of more than 1 MB ends it early.
"""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING

from lambent.events.sources.deliverer import Verdict
from lambent.events.sources.streams.lane import Lane

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lambent.events.sources.deliverer import Delivered
    from lambent.events.sources.source import SourceRecord
    from lambent.events.sources.streams.checkpoints import Checkpoint
    from lambent.events.sources.streams.lane import LaneParts

_STATE_BYTES_MAX = 1_048_576
# Records of a window that arrive a little after its end still belong to it.
_GRACE_SECONDS = 1.0


class WindowLane(Lane):
    """The one lane of a shard whose mapping has windows. Start and state of the open window go with the checkpoint."""

    def __init__(self, parts: LaneParts, checkpoint: Checkpoint | None) -> None:
        super().__init__(parts)
        self.start_ms = checkpoint.window_start_ms if checkpoint is not None else None
        self.state = checkpoint.window_state if checkpoint is not None else None
        self._is_final = False
        self._is_early = False

    @property
    def _length_ms(self) -> int:
        return (self._parts.mapping().tumbling_window_in_seconds or 1) * 1_000

    async def _take(self, seconds_max: float | None) -> SourceRecord | None:
        # While nothing comes, a window's end must still come.
        while seconds_max is None and self._waiting.empty() and self.start_ms is not None:
            left_ms = self.start_ms + self._length_ms - self._parts.clock.time_ms()
            try:
                async with asyncio.timeout(max(left_ms / 1_000, 0) + _GRACE_SECONDS):
                    record = await self._waiting.get()
            except TimeoutError:
                if not await self._finish():
                    return None
                continue
            self._is_closed = self._is_closed or record is None
            return record
        return await super()._take(seconds_max)

    async def _end(self) -> None:
        # Source: developer guide: at the end of a shard its windows are closed; its children begin with none.
        if self.start_ms is not None and not self._parts.stopped.is_set():
            await self._finish()

    async def _process(self, records: Sequence[SourceRecord], tries: int = 0) -> bool:
        length_ms = self._length_ms
        for start_ms, group in groupby(records, lambda record: record.arrived_ms - record.arrived_ms % length_ms):
            if self.start_ms is not None and start_ms != self.start_ms and not await self._finish():
                return False
            if self.start_ms is None:
                self.start_ms, self.state = start_ms, "{}"
            if not await super()._process(list(group), tries):
                return False
            if len(self.state or "") > _STATE_BYTES_MAX and not await self._finish(is_early=True):
                return False
        return True

    async def _finish(self, *, is_early: bool = False) -> bool:
        """Invoke the function once more, at its window's end; False when stopped before."""
        self._is_final, self._is_early = True, is_early
        try:
            is_over = await super()._process(())
        finally:
            self._is_final = self._is_early = False
        if is_over:
            self.start_ms = self.state = None
            self._parts.done(())
        return is_over

    def _event(self, records: Sequence[SourceRecord]) -> Mapping[str, object]:
        start_ms = self.start_ms or 0
        mapping = self._parts.mapping()
        return {
            **super()._event(records),
            "window": {"start": _text(start_ms), "end": _text(start_ms + self._length_ms)},
            "state": json.loads(self.state or "{}"),
            "shardId": self._parts.shard_id,
            "eventSourceARN": mapping.event_source_arn,
            "isFinalInvokeForWindow": self._is_final,
            "isWindowTerminatedEarly": self._is_early,
        }

    def _left(self, records: Sequence[SourceRecord], delivered: Delivered) -> Sequence[SourceRecord]:
        if delivered.verdict is Verdict.SUCCEEDED and delivered.result is not None:
            self.state = _state_of(delivered.result.payload)
        return super()._left(records, delivered)


def _state_of(payload: bytes) -> str:
    try:
        answer = json.loads(payload or b"null")
    except (ValueError, RecursionError):
        return "{}"
    state = answer.get("state") if isinstance(answer, dict) else None
    return json.dumps(state if state is not None else {}, separators=(",", ":"))


def _text(time_ms: int) -> str:
    return f"{datetime.fromtimestamp(time_ms / 1_000, UTC):%Y-%m-%dT%H:%M:%SZ}"
