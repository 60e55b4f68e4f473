"""Records of several lines in a log: how runtime clients write them, and how they are kept."""

from __future__ import annotations

import re

# A record of a runtime client: "[ERROR] …", "[INFO]\t…" or "2026-01-31T23:59:59.123Z\t…".
_RECORD = re.compile(rb"^(?:\[[A-Z]+\][ \t]|\d{4}-\d\d-\d\dT[\d:.]+Z\t)[^\n]*", re.MULTILINE)
_LINE_END_INSIDE = re.compile(rb"\r(?!\n|$)")


def unfolded(lines: bytes) -> bytes:
    """Return lines with the line ends that runtime clients fold into a record."""
    # Runtime clients, AWS's own too, write a record of several lines as one line with carriage returns inside; what
    # AWS keeps has real line ends. Other programs' carriage returns (progress bars) stay.
    if b"\r" not in lines:
        return lines
    return _RECORD.sub(lambda record: _LINE_END_INSIDE.sub(b"\n", record[0]), lines)
