"""Functions' logs on disk: one directory a group, segments of bounded size, the oldest dropped first."""

from __future__ import annotations

import contextlib
import os
from bisect import bisect_left, insort
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lambent.observability.log_format import LogGroup, LogRecord, decode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_OPEN_FILES_MAX = 64
_SEGMENT_BYTES_MAX = 16 * 1024 * 1024
_SEGMENT_BYTES_MIN = 64 * 1024
_READ_BYTES = 1024 * 1024
# A segment costs an inode and an entry in memory; functions come and go.
SEGMENTS_MAX = 50_000


@dataclass(slots=True, order=True)
class Segment:
    """One file. `first_ms` is when its first record was written; `number` tells two of one millisecond apart."""

    first_ms: int
    number: int
    directory: str = field(compare=False)
    size_bytes: int = field(compare=False, default=0)

    @property
    def path(self) -> str:
        """Relative to the logs' directory."""
        return f"{self.directory}/{self.first_ms:015d}-{self.number:09d}.log"


class LogStore:
    """Writes and reads segments. Scope: node; one thread at a time writes.

    After a crash: as far as the kernel was given it. Bounds: `bytes_max` over all groups, SEGMENTS_MAX files,
    _OPEN_FILES_MAX open ones.
    """

    def __init__(self, directory: Path, bytes_max: int) -> None:
        self._directory = directory
        self._bytes_max = bytes_max
        self._segment_bytes = max(_SEGMENT_BYTES_MIN, min(_SEGMENT_BYTES_MAX, bytes_max // 16))
        self._segments: list[Segment] = []
        self._by_directory: dict[str, list[Segment]] = {}
        self._open: dict[str, int] = {}
        self._next_number = 0
        self._first_number = 0
        self.total_bytes = 0
        self.dropped_bytes = 0

    def load(self) -> None:
        """Find what earlier runs left; `Recorder.run` does so first."""
        self._segments.clear()
        self._by_directory.clear()
        self.total_bytes = 0
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in self._directory.glob("*/*/*/*.log"):
            first, _, number = path.stem.partition("-")
            if first.isdigit() and number.isdigit():
                directory = str(path.parent.relative_to(self._directory))
                self._add(Segment(int(first), int(number), directory, path.stat().st_size))
        # A crash may have cut the last record of a segment: nothing is appended to those of earlier runs.
        self._next_number = self._first_number = 1 + max((segment.number for segment in self._segments), default=-1)
        self._drop_oldest()

    def append(self, group: LogGroup, data: bytes, at_ms: int) -> None:
        """Append whole records to a group's newest segment. Raises OSError; nothing half-written stays behind."""
        segment = self._writable(group.directory, at_ms)
        descriptor = self._descriptor(segment)
        try:
            written = os.write(descriptor, data)
            if written != len(data):
                written += os.write(descriptor, data[written:])
                if written != len(data):
                    raise OSError("the disk took only a part")
        except OSError:
            os.ftruncate(descriptor, segment.size_bytes)
            raise
        segment.size_bytes += written
        self.total_bytes += written
        if self.total_bytes > self._bytes_max or len(self._segments) > SEGMENTS_MAX:
            self._drop_oldest()

    def groups_of(self, account_id: str, region: str) -> list[str]:
        """Return the directories of an account's groups."""
        prefix = f"{account_id}/{region}/"
        return [directory for directory in list(self._by_directory) if directory.startswith(prefix)]

    def segments_of(self, directory: str, after: tuple[int, int] = (-1, -1)) -> list[tuple[int, int, str]]:
        """Return (first_ms, number, path) of a group's segments behind `after`, oldest first."""
        segments = self._by_directory.get(directory, [])
        return [(one.first_ms, one.number, one.path) for one in segments if (one.first_ms, one.number) > after]

    def read(self, path: str, offset: int) -> tuple[list[LogRecord], int]:
        """Return whole records of a segment from `offset` on (about 1 MiB, or one record) and the next offset.

        A segment that was dropped meanwhile reads as empty; so does one damaged by other hands.
        """
        try:
            descriptor = os.open(self._directory / path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return [], offset
        try:
            return _read_records(descriptor, offset)
        finally:
            os.close(descriptor)

    def statistics(self) -> Mapping[str, int]:
        """Return sizes for doctor and metrics, in bytes and files."""
        return {
            "total_bytes": self.total_bytes,
            "bytes_max": self._bytes_max,
            "segments": len(self._segments),
            "dropped_bytes": self.dropped_bytes,
        }

    def close(self) -> None:
        """Close every file."""
        while self._open:
            os.close(self._open.popitem()[1])

    def _writable(self, directory: str, at_ms: int) -> Segment:
        segments = self._by_directory.get(directory)
        if segments and segments[-1].number >= self._first_number and segments[-1].size_bytes < self._segment_bytes:
            return segments[-1]
        # Never older than the newest of the group, whatever the clock did: readers go by this order.
        first_ms = max(at_ms, segments[-1].first_ms if segments else 0)
        segment = Segment(first_ms, self._next_number, directory)
        self._next_number += 1
        (self._directory / directory).mkdir(mode=0o700, parents=True, exist_ok=True)
        self._add(segment)
        return segment

    def _descriptor(self, segment: Segment) -> int:
        path = segment.path
        descriptor = self._open.pop(path, None)
        if descriptor is None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            descriptor = os.open(self._directory / path, flags, 0o600)
        self._open[path] = descriptor
        if len(self._open) > _OPEN_FILES_MAX:
            oldest = next(iter(self._open))
            os.close(self._open.pop(oldest))
        return descriptor

    def _add(self, segment: Segment) -> None:
        insort(self._segments, segment)
        insort(self._by_directory.setdefault(segment.directory, []), segment)
        self.total_bytes += segment.size_bytes

    def _drop_oldest(self) -> None:
        while len(self._segments) > 1 and (self.total_bytes > self._bytes_max or len(self._segments) > SEGMENTS_MAX):
            segment = self._segments.pop(0)
            siblings = self._by_directory[segment.directory]
            del siblings[bisect_left(siblings, segment)]
            if (descriptor := self._open.pop(segment.path, None)) is not None:
                os.close(descriptor)
            (self._directory / segment.path).unlink(missing_ok=True)
            if not siblings:
                del self._by_directory[segment.directory]
                with contextlib.suppress(OSError):
                    (self._directory / segment.directory).rmdir()
            self.total_bytes -= segment.size_bytes
            self.dropped_bytes += segment.size_bytes


def _read_records(descriptor: int, offset: int) -> tuple[list[LogRecord], int]:
    wanted = _READ_BYTES
    while True:
        data = os.pread(descriptor, wanted, offset)
        records = list(_decoded(data))
        if records or len(data) < wanted:
            return [record for record, _ in records], offset + (records[-1][1] if records else 0)
        wanted *= 2


def _decoded(data: bytes) -> Iterator[tuple[LogRecord, int]]:
    start = 0
    while start < len(data):
        try:
            found = decode(data, start)
        except ValueError:
            return
        if found is None:
            return
        yield found
        start = found[1]
