"""What one environment writes into its log stream: platform lines, and the output of everything inside, in order.

Lines are finished here (text or JSON by LoggingConfig), so the tail that a caller asked for and the stream on disk
cannot differ. Output of the function reaches us through one pipe; a flood is slowed by the pipe itself and cut at
`bytes_per_invocation_max`, with the loss said in the log.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lambent.model import quotas
from lambent.model.function import LogFormat
from lambent.model.platform_event import EnvironmentReference, LogLines, unfolded

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lambent.clock import Clock
    from lambent.model.platform_event import TelemetrySink

_READ_BYTES = 65_536
_READS_PER_TURN = 16
_SYSTEM_LEVELS = {"DEBUG": 0, "INFO": 1, "WARN": 2}


def iso_time(at_ms: int) -> str:
    """Return `at_ms` (Unix epoch) as `2026-01-31T23:59:59.123Z`."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at_ms % 1000:03d}Z"


class LogWriter:
    """The log stream of one environment. Scope: environment. A crash loses what the sink had not written yet."""

    def __init__(
        self, reference: EnvironmentReference, sink: TelemetrySink, clock: Clock, bytes_per_invocation_max: int
    ) -> None:
        self._reference = reference
        self._sink = sink
        self._clock = clock
        self._bytes_max = bytes_per_invocation_max
        self._left_bytes = bytes_per_invocation_max
        self._lost_bytes = 0
        self._partial = b""
        self._tail: bytearray | None = None
        # Who else reads what is written inside, as it was written: telemetry.
        self.tap: Callable[[bytes], None] | None = None
        logging = reference.version.logging
        self.is_json = logging.log_format is LogFormat.JSON
        self._system_level = _SYSTEM_LEVELS.get(logging.system_log_level or "INFO", 1)

    def begin_invocation(self, *, wants_tail: bool) -> None:
        """Start counting a new invocation's output; collect its last 4 KB when `wants_tail`."""
        self._left_bytes = self._bytes_max
        self._tail = bytearray() if wants_tail else None

    def take_tail(self) -> bytes | None:
        """Return the last 4,096 bytes written since `begin_invocation`, or None when not asked for."""
        tail, self._tail = self._tail, None
        return None if tail is None else bytes(tail[-quotas.LOG_TAIL_BYTES.value :])

    def platform(self, text: str, event_type: str, record: Mapping[str, object], level: str = "INFO") -> None:
        """Write a platform line: `text` in text format, `{"time", "type", "record"}` in JSON if the level allows."""
        if not self.is_json:
            self._emit(text.encode())
        elif _SYSTEM_LEVELS[level] >= self._system_level:
            line = {"time": iso_time(self._clock.time_ms()), "type": event_type, "record": record}
            self._emit(json.dumps(line, separators=(",", ":")).encode() + b"\n")

    def text(self, text: str) -> None:
        """Write a line that has no JSON form of its own (a crash report of the platform)."""
        if text:
            self._emit(text.encode())

    def drain(self, log_fd: int) -> bool:
        """Take what the pipe holds now, at most 1 MiB a turn; False when the pipe's other ends are all closed."""
        for _ in range(_READS_PER_TURN):
            try:
                data = os.read(log_fd, _READ_BYTES)
            except BlockingIOError:
                return True
            except OSError:
                return False
            if not data:
                self._flush_partial()
                return False
            self._take(data)
            if len(data) < _READ_BYTES:
                return True
        return True

    def end_invocation(self) -> None:
        """Finish an unfinished line and say what was cut, so that END and REPORT stand on lines of their own."""
        self._flush_partial()
        if self._lost_bytes:
            lost, self._lost_bytes = self._lost_bytes, 0
            record = {"reason": "output over the bound of one invocation", "droppedBytes": lost}
            self.platform(
                f"LOGS_DROPPED {lost} bytes: more than one invocation may write\n",
                "platform.logsDropped",
                record,
                "WARN",
            )

    def _take(self, data: bytes) -> None:
        if self._left_bytes <= 0:
            self._lost_bytes += len(data)
            return
        if len(data) > self._left_bytes:
            self._lost_bytes += len(data) - self._left_bytes
            data = data[: self._left_bytes] + b"\n"
        self._left_bytes -= len(data)
        end = data.rfind(b"\n") + 1
        if end:
            self._put(self._partial + data[:end])
            self._partial = data[end:]
        else:
            self._partial += data
            if len(self._partial) > 262_144:
                self._flush_partial()

    def _flush_partial(self) -> None:
        if self._partial:
            partial, self._partial = self._partial, b""
            self._put(partial + b"\n")

    def _put(self, lines: bytes) -> None:
        if self.tap is not None:
            self.tap(lines)
        if b"\r" in lines:
            self._emit(unfolded(lines), folded=lines)
        else:
            self._emit(lines)

    def _emit(self, lines: bytes, folded: bytes = b"") -> None:
        self._sink.emit(LogLines(self._reference, self._clock.time_ms(), lines, folded))
        if self._tail is not None:
            self._tail += lines
            if len(self._tail) > 65_536:
                del self._tail[:-4_096]
