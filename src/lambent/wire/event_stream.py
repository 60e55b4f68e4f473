"""`application/vnd.amazon.eventstream`: messages of a stream that we send; botocore, as a client, only reads them.

A message is: length of all (4 bytes), length of the headers (4), CRC-32 of these eight bytes, headers, payload, CRC-32
of all before. Numbers are big-endian. Source: Smithy, "Amazon Event Stream Specification".
"""

from __future__ import annotations

import struct
from zlib import crc32

CONTENT_TYPE = "application/vnd.amazon.eventstream"
# Clients refuse larger ones (24 MiB); nobody waits for more than this to be whole.
PAYLOAD_BYTES_MAX = 8 * 1_048_576
_STRING = 7
_FRAME_BYTES = 16


class EventForm:
    """How events of one type are sent. Immutable."""

    __slots__ = ("_headers",)

    def __init__(self, event_type: str, content_type: str) -> None:
        values = ((":event-type", event_type), (":content-type", content_type), (":message-type", "event"))
        self._headers = b"".join(_header(name, value) for name, value in values)

    def encode(self, payload: bytes) -> bytes:
        """Return the message that carries `payload`, at most PAYLOAD_BYTES_MAX."""
        assert len(payload) <= PAYLOAD_BYTES_MAX
        headers = self._headers
        lengths = struct.pack(">II", _FRAME_BYTES + len(headers) + len(payload), len(headers))
        head = b"%b%b%b" % (lengths, struct.pack(">I", crc32(lengths)), headers)
        return b"".join((head, payload, struct.pack(">I", crc32(payload, crc32(head)))))


def _header(name: str, value: str) -> bytes:
    encoded_name, encoded = name.encode(), value.encode()
    return struct.pack(">B", len(encoded_name)) + encoded_name + struct.pack(">BH", _STRING, len(encoded)) + encoded
