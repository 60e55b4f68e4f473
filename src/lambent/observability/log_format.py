"""How a log lies on disk: records of a header line and the bytes as they were written.

A group's file holds `AT_MS LENGTH FUNCTION STREAM\\n` and then LENGTH bytes, again and again: `grep` and `less` read it
as it is, and a record cut by a crash is seen by its length. Only the newest record of a file can be cut.
"""

from __future__ import annotations

import hashlib
import urllib.parse
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

if TYPE_CHECKING:
    from lambent.model.platform_event import EnvironmentReference

_NAME_MAX = 200
_HEADER_BYTES_MAX = 1_024


class LogGroup(Struct, frozen=True):
    """Whose log it is: account, region and the group's name."""

    account_id: str
    region: str
    name: str

    @property
    def directory(self) -> str:
        """Where it lies, relative to the logs' directory; names of any length and kind become safe file names."""
        name = urllib.parse.quote(self.name, safe="")
        if len(name) > _NAME_MAX or name.startswith("."):
            name = f"{name[:_NAME_MAX]}~{hashlib.sha256(self.name.encode()).hexdigest()[:16]}"
        return f"{self.account_id}/{self.region}/{name}"


class LogRecord(NamedTuple):
    """Lines that one environment wrote at one time."""

    at_ms: int
    function: str
    stream: str
    lines: bytes


def group_of(environment: EnvironmentReference) -> LogGroup:
    """Return the group an environment writes to."""
    version = environment.version
    return LogGroup(version.account_id, version.region, version.log_group)


def encode(at_ms: int, function: str, stream: str, lines: bytes) -> bytes:
    """Return a record's bytes."""
    return b"%d %d %b %b\n%b" % (at_ms, len(lines), function.encode(), stream.encode(), lines)


def decode(data: bytes, start: int = 0) -> tuple[LogRecord, int] | None:
    """Return the record that begins at `start` and where the next begins, or None when it is not complete.

    Raises:
        ValueError: no record begins there.
    """
    end = data.find(b"\n", start, start + _HEADER_BYTES_MAX)
    if end < 0:
        if len(data) - start >= _HEADER_BYTES_MAX:
            raise ValueError(f"no record begins at byte {start}")
        return None
    fields = data[start:end].split(b" ")
    if len(fields) != 4 or not fields[0].isdigit() or not fields[1].isdigit():
        raise ValueError(f"no record begins at byte {start}")
    stop = end + 1 + int(fields[1])
    if stop > len(data):
        return None
    return LogRecord(int(fields[0]), fields[2].decode(), fields[3].decode(), data[end + 1 : stop]), stop
