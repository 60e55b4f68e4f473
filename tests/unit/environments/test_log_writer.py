"""One stream in order: partial lines, the tail, the cut, JSON levels."""

from __future__ import annotations

import json
import os

import pytest
from msgspec.structs import replace

from lambent.environments.log_writer import LogWriter, iso_time
from lambent.model.function import CodeReference, FunctionVersion, LogFormat, LoggingConfig
from lambent.model.platform_event import EnvironmentReference, LogLines, PlatformEvent

VERSION = FunctionVersion(
    account_id="000000000000",
    region="us-east-1",
    name="f",
    role="r",
    code=CodeReference("0" * 64, 1, 1),
    configuration_id="c",
    revision_id="r",
    last_modified_ms=0,
)


class Lines:
    def __init__(self) -> None:
        self.text = b""

    def emit(self, event: PlatformEvent) -> None:
        assert isinstance(event, LogLines)
        self.text += event.lines


class StoppedClock:
    def time_ms(self) -> int:
        return 1_767_225_600_123

    def monotonic_ns(self) -> int:
        return 0


def writer(lines: Lines, *, bytes_max: int = 1_000, logging: LoggingConfig | None = None) -> LogWriter:
    version = replace(VERSION, logging=logging or LoggingConfig())
    return LogWriter(EnvironmentReference("e", version, "s"), lines, StoppedClock(), bytes_max)


def drained(log: LogWriter, *parts: bytes) -> None:
    for part in parts:
        read_end, write_end = os.pipe()
        os.set_blocking(read_end, False)
        os.write(write_end, part)
        assert log.drain(read_end)
        os.close(write_end)
        os.close(read_end)


def test_time() -> None:
    assert iso_time(1_767_225_600_123) == "2026-01-01T00:00:00.123Z"


def test_lines_are_kept_whole_and_finished_before_the_report() -> None:
    lines = Lines()
    log = writer(lines)
    drained(log, b"one\ntw", b"o\nthree")
    assert lines.text == b"one\ntwo\n"
    log.end_invocation()
    log.text("END\n")
    assert lines.text == b"one\ntwo\nthree\nEND\n"


def test_the_tail_is_the_last_four_kilobytes_of_this_invocation() -> None:
    lines = Lines()
    log = writer(lines, bytes_max=100_000)
    log.text("earlier\n")
    log.begin_invocation(wants_tail=True)
    drained(log, b"a" * 5_000 + b"\n")
    log.text("END\n")
    tail = log.take_tail()
    assert tail is not None
    assert len(tail) == 4_096
    assert tail.endswith(b"a\nEND\n")
    log.begin_invocation(wants_tail=False)
    assert log.take_tail() is None


def test_what_is_over_the_bound_is_counted_and_said() -> None:
    lines = Lines()
    log = writer(lines, bytes_max=10)
    drained(log, b"0123456789abc\n", b"more\n")
    log.end_invocation()
    assert lines.text.startswith(b"0123456789\n")
    assert b"LOGS_DROPPED 9 bytes" in lines.text
    log.begin_invocation(wants_tail=False)
    drained(log, b"again\n")
    assert lines.text.endswith(b"again\n")


def test_the_end_of_the_pipe() -> None:
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    os.close(write_end)
    assert not writer(Lines()).drain(read_end)
    os.close(read_end)


@pytest.mark.parametrize(("level", "is_written"), [("DEBUG", True), ("INFO", True), ("WARN", False)])
def test_system_levels_of_json(level: str, is_written: bool) -> None:
    lines = Lines()
    log = writer(lines, logging=LoggingConfig(LogFormat.JSON, "INFO", level))
    log.platform("text\n", "platform.start", {"requestId": "1"})
    if is_written:
        assert json.loads(lines.text) == {
            "time": "2026-01-01T00:00:00.123Z",
            "type": "platform.start",
            "record": {"requestId": "1"},
        }
    else:
        assert lines.text == b""


def test_a_record_of_several_lines_has_real_line_ends() -> None:
    lines = Lines()
    log = writer(lines)
    drained(log, b"[ERROR] ValueError: no\rTraceback (most recent call last):\r  File x\n", b"50%\r100%\nwindows\r\n")
    assert lines.text == (
        b"[ERROR] ValueError: no\nTraceback (most recent call last):\n  File x\n50%\r100%\nwindows\r\n"
    )
